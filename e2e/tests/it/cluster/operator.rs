//! What an operator sees of nodes over one Redis, and of a Redis that is not there.

use everwire_testkit::{
    everwire::{Everwire, Setup},
    need,
    redis::{Server, VOLATILE},
    talker::{Call, Talker},
    tools,
    wait::{eventually, until_equal},
};
use serde_json::{Value, json};

use super::three::{Three, everywhere, setup};

async fn output(node: &Everwire, arguments: &[&str]) -> String {
    let output = node.command(arguments).await;
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[tokio::test]
async fn a_node_reaches_and_counts_the_clients_of_all() {
    let redis = Server::start(&need!(tools::redis()), VOLATILE).await;
    let mut three = Three::on(&redis).await;
    for client in &mut three.clients[1..] {
        client.call("Enter", &json!(["hall"])).await;
    }
    let first = &three.nodes[0];
    output(first, &["hub", "send", "room", "Notice", "closing at six"]).await;
    output(first, &["hub", "send", "room", "Notice", "to the hall", "--group", "hall"]).await;
    for (at, client) in three.clients.iter().enumerate() {
        client.hears(&Call::of("Notice", json!(["closing at six"]))).await;
        if at > 0 {
            client.hears(&Call::of("Notice", json!(["to the hall"]))).await;
        }
    }
    let hubs = first.get("/api/v1/hubs").await.json();
    assert_eq!(hubs["items"][0]["connections"], 1);
    assert_eq!(hubs["items"][0]["connections_everywhere"], 3);
    let groups = first.get("/api/v1/hubs/room/groups").await.json();
    assert_eq!(groups, json!({ "items": [{ "name": "hall", "connections": 2 }], "unreached": 0 }));
    let clients = first.get("/api/v1/hubs/room/connections").await.json();
    assert_eq!(clients["items"].as_array().map(Vec::len), Some(3));
    let listed = output(first, &["hub", "ls", "room"]).await;
    assert!(listed.ends_with("3 clients\n"), "{listed}");
    assert!(output(first, &["hub", "ls"]).await.contains("ALL NODES"));
    // One of another node is closed from here.
    for client in clients["items"].as_array().expect("a list") {
        let id = client["id"].as_str().expect("an id");
        output(first, &["hub", "close", "room", id]).await;
    }
    until_equal("connections", json!(0), async || everywhere(first).await).await;
}

/// Lines of a node's log about Redis.
fn about_redis(node: &Everwire) -> Vec<String> {
    node.log().lines().filter(|line| line.contains("Redis")).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_redis_that_goes_and_comes_is_told_of_once_and_the_node_stays_ready() {
    let mut redis = Server::start(&need!(tools::redis()), VOLATILE).await;
    let mut node = Everwire::start(&setup().backplane(redis.url())).await;
    let reachable = async |node: &Everwire| {
        let metric = node.metric("everwire_backplane_reachable").await;
        let status = node.get("/api/v1/status").await.json();
        (metric > 0.0, status["backplane"]["reachable"] == json!(true))
    };
    until_equal("reachable", (true, true), async || reachable(&node).await).await;
    assert!(output(&node, &["status"]).await.contains("backplane  reached for"));
    redis.process.kill();
    until_equal("reachable", (false, false), async || reachable(&node).await).await;
    let cuts = node.metric("everwire_backplane_cuts_total").await;
    // It is tried time and again.
    eventually("more attempts", async || {
        (node.metric("everwire_backplane_cuts_total").await >= cuts + 10.0).then_some(())
    })
    .await;
    let told = about_redis(&node);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("WARN") && told[0].contains(&redis.address().to_string()));
    assert!(output(&node, &["status"]).await.contains("backplane  not reached for"));
    assert_eq!(node.get("/readyz").await.status, 200);
    let mut client = Talker::open(node.address(), "/room").await;
    client.call("Say", &json!([0, 0])).await;
    client.hears_so_often("Said", 1).await;
    redis.restart().await;
    until_equal("reachable", (true, true), async || reachable(&node).await).await;
    let told = about_redis(&node);
    assert!(told.len() == 2 && told[1].contains("INFO"), "{told:?}");
    node.process().terminate();
    assert!(node.process().ended().await.success());
}

/// A node that is started before its Redis waits for it, and says once what to look at.
#[tokio::test]
async fn a_node_without_its_redis_starts_and_says_what_to_do() {
    let program = need!(tools::redis());
    let mut redis = Server::start(&program, VOLATILE).await;
    redis.process.kill();
    let node = Everwire::start(&setup().backplane(redis.url())).await;
    eventually("a word", async || about_redis(&node).first().cloned()).await;
    let told = about_redis(&node);
    assert!(told[0].contains("does it run at this address"), "{told:?}");
    redis.restart().await;
    eventually("the good news", async || about_redis(&node).get(1).cloned()).await;

    let locked = Server::start(&program, &["--requirepass", "open sesame", "--save", ""]).await;
    let wrong = format!("redis://:squeamish@{}", locked.address());
    for url in [locked.url(), wrong] {
        let node = Everwire::start(&setup().backplane(&url)).await;
        let told = eventually("a word", async || about_redis(&node).first().cloned()).await;
        assert!(told.contains("refuses the user or the password"), "{told}");
        assert!(!node.log().contains("squeamish"), "{told}");
        assert_eq!(node.get("/readyz").await.status, 200, "it serves its own clients");
    }
    let right = format!("redis://:open%20sesame@{}", locked.address());
    let node = Everwire::start(&setup().backplane(right)).await;
    until_equal("reachable", 1.0, async || node.metric("everwire_backplane_reachable").await).await;
    assert_eq!(about_redis(&node), Vec::<String>::new());
}

/// Who is whom is told by tokens, and users are one user on all nodes.
#[tokio::test]
async fn pred_k1_users_groups_and_all_are_told_once_whatever_the_number_of_nodes() {
    const KEY: &str = "an-access-key-of-32-bytes-or-more";
    let program = need!(tools::redis());
    for count in 1..=3 {
        let redis = Server::start(&program, VOLATILE).await;
        let hub = format!(
            "[hubs.room]\npath = \"/room\"\naccess_key = \"{KEY}\"\n[hubs.room.methods]\n\
             Enter = {{ join = \"hall\" }}\n\
             All = {{ send = \"all\", target = \"Said\" }}\n\
             Others = {{ send = \"others\", target = \"Said\" }}\n\
             Hall = {{ send = \"group:hall\", target = \"Said\" }}\n\
             Ann = {{ send = \"user:ann\", target = \"Said\" }}\n"
        );
        let (mut nodes, mut clients) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let node = Everwire::start(&Setup::new().hubs(&hub).backplane(redis.url())).await;
            let mint = ["token", "mint", "--key", KEY, "--user"];
            for user in ["ann", "bob"] {
                let token = mint_token(&[&mint[..], &[user]].concat());
                let path = format!("/room?access_token={token}");
                let mut client = Talker::open(node.address(), &path).await;
                client.call("Enter", &json!([])).await;
                clients.push(client);
            }
            nodes.push(node);
        }
        until_equal("clients that all nodes see", json!(2 * count * count), async || {
            let mut seen = 0;
            for node in &nodes {
                seen += everywhere(node).await.as_u64().unwrap_or_default();
            }
            json!(seen)
        })
        .await;
        let mut expected: Vec<Vec<Value>> = vec![Vec::new(); clients.len()];
        let mut number = 0;
        for (from, client) in clients.iter_mut().enumerate() {
            for (method, is_meant) in [
                ("All", (|_, _| true) as fn(usize, usize) -> bool),
                ("Others", |from, to| from != to),
                ("Hall", |_, _| true),
                ("Ann", |_, to| to % 2 == 0),
            ] {
                number += 1;
                client.call(method, &json!([number])).await;
                for (to, expected) in expected.iter_mut().enumerate() {
                    if is_meant(from, to) {
                        expected.push(json!([number]));
                    }
                }
            }
        }
        // Nothing that comes later can be mistaken for a second time of what came before.
        for (from, client) in clients.iter_mut().enumerate() {
            client.call("All", &json!([1000 + from])).await;
            expected.iter_mut().for_each(|expected| expected.push(json!([1000 + from])));
        }
        for (client, mut expected) in clients.iter().zip(expected) {
            client.hears_so_often("Said", expected.len()).await;
            let mut said = super::three::heard(client, "Said");
            // What different nodes say has no order.
            let number = |said: &Value| said[0].as_u64();
            said.sort_by_key(number);
            expected.sort_by_key(number);
            assert_eq!(said, expected, "{count} nodes");
        }
    }
}

fn mint_token(arguments: &[&str]) -> String {
    let output = everwire_testkit::everwire::everwire_command().args(arguments).output();
    let output = output.expect("the binary can be run");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}
