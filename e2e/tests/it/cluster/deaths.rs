//! Row B6: a node of three is killed. What its clients had goes with it, once, and soon.

use everwire_testkit::{
    need,
    redis::{Server, VOLATILE},
    talker::Talker,
    tools,
    wait::now,
};
use serde_json::json;

use super::three::{TWO_LEASES, Three, heard, name};

#[tokio::test]
async fn fault_b6_a_killed_nodes_clients_have_left_within_two_leases_and_once() {
    let redis = Server::start(&need!(tools::redis()), VOLATILE).await;
    let mut three = Three::on(&redis).await;
    three.all_appear().await;
    // Somebody else has the same name as a client of the node that is killed.
    let mut double = Talker::open(three.nodes[2].address(), "/room").await;
    double.call("Appear", &json!(["both"])).await;
    three.clients[0].call("Appear", &json!(["both"])).await;
    let mut second = Talker::open(three.nodes[2].address(), "/room").await;
    second.call("Appear", &json!(["only there"])).await;
    second.call("Enter", &json!(["hall"])).await;
    three.clients[1].call("Enter", &json!(["hall"])).await;
    three.clients[1].hears_so_often("online", 5).await;
    three.nodes[2].process().kill();
    let killed = now();
    for client in &three.clients[..2] {
        client.hears_so_often("offline", 2).await;
    }
    assert!(killed.elapsed() <= TWO_LEASES, "{:?}", killed.elapsed());
    // Nothing that follows can be mistaken for a second leave of the same clients.
    three.clients[0].call("Tell", &json!(["hall", "who is there?"])).await;
    three.clients[1].hears_so_often("Told", 1).await;
    three.clients[0].call("Vanish", &json!(["both"])).await;
    for client in &three.clients[..2] {
        client.hears_so_often("offline", 3).await;
        let mut gone = heard(client, "offline");
        assert_eq!(gone.pop(), Some(json!(["both"])), "the other one had it still");
        gone.sort_by_key(ToString::to_string);
        assert_eq!(gone, [json!([name(2)]), json!(["only there"])]);
        assert_eq!(client.end(), None, "only the killed node's clients were dropped");
    }
    assert!(three.clients[2].end().is_some() && double.end().is_some() && second.end().is_some());
    let newcomer = Talker::open(three.nodes[0].address(), "/room").await;
    newcomer.hears_so_often("roster", 1).await;
    assert_eq!(heard(&newcomer, "roster"), [json!([[name(0), name(1)]])]);
}
