//! Rows B3 and B8: nodes that do not reach Redis, or one another, while others do.

use everwire_testkit::{
    everwire::{Everwire, Setup},
    loopback::unique_address,
    need,
    redis::{Server, VOLATILE},
    relay::Relay,
    talker::Call,
    tools,
    wait::{eventually_within, until_equal},
};
use serde_json::{Value, json};

use super::{
    polling::Polling,
    three::{ROOM, SECRET, TWO_LEASES, Three, heard, in_order, name},
};

/// Three nodes, and the cable by which the last one reaches Redis.
async fn on_a_cable(redis: &Server) -> (Three, Relay) {
    let cable = Relay::start(vec![redis.address()]).await;
    let (near, far) = (redis.url(), format!("redis://{}", cable.address()));
    (Three::over([&near, &near, &far]).await, cable)
}

/// Waits until a node says that it does not reach the backplane, or that it does.
async fn reports(node: &Everwire, reachable: bool) {
    until_equal("the status", Value::Bool(reachable), async || {
        node.get("/api/v1/status").await.json()["backplane"]["reachable"].clone()
    })
    .await;
    let metric = node.metric("everwire_backplane_reachable").await;
    assert_eq!(metric, f64::from(u8::from(reachable)));
}

#[tokio::test]
async fn fault_b3_a_node_that_does_not_reach_redis_says_so_and_the_others_notice_nothing() {
    let redis = Server::start(&need!(tools::redis()), VOLATILE).await;
    let (mut three, cable) = on_a_cable(&redis).await;
    cable.hold();
    three.say(10);
    for at in [0, 1] {
        // The two that are left hear each other, and the third is served at home.
        let all = Call::of("Said", json!([1 - at, 9]));
        three.clients[at].hears(&all).await;
    }
    three.clients[2].hears(&Call::of("Said", json!([2, 9]))).await;
    reports(&three.nodes[2], false).await;
    reports(&three.nodes[0], true).await;
    assert_eq!(three.nodes[2].get("/readyz").await.status, 200, "it serves its own clients");
    cable.heal();
    three.all_have_heard_all().await;
    reports(&three.nodes[2], true).await;
    three.nobody_was_dropped();
}

/// The others give up the node that they do not see, and it comes back. Nobody has heard anything
/// twice, and who is present is the same for all again.
#[tokio::test]
async fn fault_b8_a_node_is_given_up_by_the_others_and_comes_back_with_all_that_was_said() {
    let redis = Server::start(&need!(tools::redis()), VOLATILE).await;
    let (mut three, cable) = on_a_cable(&redis).await;
    three.all_appear().await;
    cable.hold();
    let gone = eventually_within(TWO_LEASES, "the third node given up", async || {
        let missed = |at: usize| heard(&three.clients[at], "offline").contains(&json!([name(2)]));
        (missed(0) && missed(1)).then_some(())
    });
    gone.await;
    three.say(200);
    cable.heal();
    three.all_have_heard_all().await;
    for at in [0, 1] {
        three.clients[at].hears_so_often("online", 4).await;
        assert_eq!(heard(&three.clients[at], "offline"), [json!([name(2)])]);
        assert_eq!(heard(&three.clients[at], "online")[3], json!([name(2)]));
    }
    assert_eq!(heard(&three.clients[2], "offline"), Vec::<Value>::new(), "it was there all along");
    three.nobody_was_dropped();
    for node in &three.nodes {
        assert_eq!(node.metric("everwire_backplane_lost_total").await, 0.0);
    }
}

/// The nodes reach Redis and not each other: what lives at another node is out of reach, which is an
/// answer and takes no longer than it must, and nothing is said twice when they do again.
#[tokio::test]
async fn fault_b8_nodes_that_do_not_reach_each_other_say_so_and_double_nothing_afterwards() {
    let redis = Server::start(&need!(tools::redis()), VOLATILE).await;
    let (mut setups, mut cables) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let listen = (unique_address(), 8405).into();
        let cable = Relay::start(vec![listen]).await;
        // A node that says nothing is waited for as long as a poll may take, and some.
        let room = ROOM.replace("/room\"", "/room\"\npoll_timeout = \"1s\"");
        let setup = Setup::new().cluster(SECRET).hubs(&room).backplane(redis.url());
        setups.push(setup.listen_to_nodes(listen, cable.address()));
        cables.push(cable);
    }
    let mut three = Three::of(setups.try_into().expect("three")).await;
    let mut polling = Polling::begin(&three.nodes[0], [&three.nodes[1], &three.nodes[2]]).await;
    three.say(1);
    three.all_have_heard().await;
    while polling.heard.len() < 3 {
        assert_eq!(polling.poll(&three.nodes[1]).await, 200);
    }
    cables.iter().for_each(Relay::hold);
    three.say(10);
    three.all_have_heard().await;
    let refused = polling.poll(&three.nodes[1]).await;
    assert!(refused >= 400, "{refused}");
    while polling.heard.len() < 33 {
        assert_eq!(polling.poll(&three.nodes[0]).await, 200, "at home");
    }
    cables.iter().for_each(Relay::heal);
    three.say(10);
    while polling.heard.len() < 63 {
        assert_eq!(polling.poll(&three.nodes[2]).await, 200);
    }
    assert_eq!(in_order(&polling.heard), [21; 3]);
    three.all_have_heard_all().await;
    three.nobody_was_dropped();
}
