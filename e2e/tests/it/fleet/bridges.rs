//! What comes from elsewhere: a channel of a keyshade-like server, and the hooks of Git hosts.

use std::{process::Command, time::Duration};

use everwire_testkit::{
    everwire::Everwire,
    http::{Answer, request_with},
    instance::Instance,
    need,
    redis::{DURABLE, Server},
    tools,
    wait::{eventually, eventually_within, until_equal},
};
use serde_json::{Value, json};

use super::stage::{COMMANDS, alone, crew, done_by, set, sharing};

const BRIDGE: &str =
    "[[bridges]]\nchannel = \"configuration-updates\"\nset = \"env/{environmentId}\"\n";

#[tokio::test]
async fn one_message_of_a_channel_that_three_nodes_read_is_one_version_and_one_notification() {
    let redis = Server::start(&need!(tools::redis()), DURABLE).await;
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(Everwire::start(&sharing(&redis.url()).hubs(BRIDGE)).await);
    }
    for node in &nodes {
        until_equal("nodes", 3, async || {
            node.get("/api/v1/nodes").await.json()["items"].as_array().map_or(0, Vec::len)
        })
        .await;
    }
    publish(&redis, "COLOR", "red").await;
    let mut watchers = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        until_equal("the version", 1, async || version(node).await).await;
        let query = format!("app=shop&index={index}&id=x&set=env/e1");
        let watcher = Instance::start(node.address(), &query);
        eventually("a snapshot", async || watcher.record().called("Snapshot").pop()).await;
        watchers.push(watcher);
    }
    publish(&redis, "COLOR", "blue").await;
    publish(&redis, "SIZE", "9").await;
    for (node, watcher) in nodes.iter().zip(&watchers) {
        until_equal("the version", 3, async || version(node).await).await;
        let told = async || {
            let changes = watcher.record().called("ConfigurationChanged");
            changes.iter().map(|change| change["version"].clone()).collect::<Vec<_>>()
        };
        until_equal("what the watcher is told", vec![json!(2), json!(3)], told).await;
    }
    // Whoever reads it, somebody does when two are gone.
    nodes.remove(0).process().kill();
    nodes.remove(0).process().kill();
    publish(&redis, "COLOR", "green").await;
    until_equal("the version", 4, async || version(&nodes[0]).await).await;
}

async fn version(node: &Everwire) -> u64 {
    let answer = node.get("/api/v1/fleet/sets/env/e1").await;
    if answer.status == 404 { 0 } else { answer.json()["version"].as_u64().unwrap_or(0) }
}

/// Says something on the channel once exactly one node listens: for a moment after nodes have come or
/// gone it may be none, or two.
async fn publish(redis: &Server, name: &str, value: &str) {
    let message = |environment: &str| {
        json!({ "environmentId": environment, "name": name, "value": value, "isPlaintext": true })
            .to_string()
    };
    let tell = async |message: String| redis.tell(&["PUBLISH", CHANNEL, &message]).await;
    let one = async || (tell(message("nobody")).await == ":1").then_some(());
    eventually_within(TAKEN_OVER, "somebody who reads the bridge", one).await;
    assert_eq!(tell(message("e1")).await, ":1");
}

const CHANNEL: &str = "configuration-updates";

const HOOKS: &str = r#"
[fleet.hooks.hub]
kind = "github"
secret = "the-secret-of-the-hook"
target = "shop:**"
command = "refresh"
[fleet.hooks.lab]
kind = "gitlab"
secret = "the-secret-of-the-lab"
target = "shop:1"
command = "reload"
"#;

#[tokio::test]
async fn a_signed_push_is_one_command_however_often_it_is_delivered() {
    let node = need!(tools::node());
    let manager = Everwire::start(&alone().hubs(HOOKS)).await;
    let crew = crew(&manager, 2).await;
    let body =
        json!({ "ref": "refs/heads/main", "repository": { "full_name": "a/b" } }).to_string();
    let sign = |secret: &str| sign(&node, secret, &body);
    let push = |signature: String, delivery: &'static str| {
        let (manager, body) = (&manager, &body);
        async move {
            let headers = [
                ("Content-Type", "application/json"),
                ("X-GitHub-Event", "push"),
                ("X-GitHub-Delivery", delivery),
                ("X-Hub-Signature-256", signature.as_str()),
            ];
            post(manager, "hub", &headers, body).await
        }
    };
    let forged = push(sign("a guess"), "d0").await;
    assert!(matches!(forged.status, 401 | 403), "{forged:?}");
    for delivery in ["d1", "d1", "d2", "d1"] {
        let answer = push(sign("the-secret-of-the-hook"), delivery).await;
        assert!((200..300).contains(&answer.status), "{answer:?}");
    }
    let lab = [
        ("Content-Type", "application/json"),
        ("X-Gitlab-Event", "Push Hook"),
        ("X-Gitlab-Event-UUID", "u1"),
        ("X-Gitlab-Token", "the-secret-of-the-lab"),
    ];
    for _ in 0..2 {
        let answer = post(&manager, "lab", &lab, &body).await;
        assert!((200..300).contains(&answer.status), "{answer:?}");
    }
    let commands = commands(&manager).await;
    assert_eq!(commands.len(), 3, "{commands:?}");
    for command in &commands {
        let id = command["id"].as_str().expect("a command has an id");
        done_by(&manager, id, if command["name"] == "refresh" { 2 } else { 1 }).await;
    }
    assert_eq!(crew[0].record().names, ["refresh", "refresh"]);
    assert_eq!(crew[1].record().names, ["refresh", "refresh", "reload"]);
}

async fn post(manager: &Everwire, hook: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let path = format!("/fleet/hooks/{hook}");
    request_with(manager.address(), "POST", &path, headers, body.as_bytes()).await
}

async fn commands(manager: &Everwire) -> Vec<Value> {
    manager.get(COMMANDS).await.json()["items"].as_array().expect("a list of commands").clone()
}

/// As GitHub signs, by somebody else's implementation.
fn sign(node: &std::path::Path, secret: &str, body: &str) -> String {
    let script = "const [secret, body] = process.argv.slice(1); process.stdout.write('sha256=' + \
                  require('crypto').createHmac('sha256', secret).update(body).digest('hex'))";
    let output = Command::new(node).args(["-e", script, secret, body]).output();
    String::from_utf8(output.expect("node runs").stdout).expect("a signature is text")
}

#[tokio::test]
async fn the_articles_form_of_a_message_becomes_a_masked_secret() {
    let redis = Server::start(&need!(tools::redis()), DURABLE).await;
    let bridge = "[[bridges]]\nchannel = \"change-notifier\"\nset = \"env/{environmentId}\"\n";
    let node = Everwire::start(&sharing(&redis.url()).hubs(bridge)).await;
    let message =
        json!({ "environmentId": "e1", "name": "KEY", "value": "hush", "isSecret": true });
    let message = message.to_string();
    eventually_within(TAKEN_OVER, "somebody who reads the bridge", async || {
        (redis.tell(&["PUBLISH", "change-notifier", &message]).await == ":1").then_some(())
    })
    .await;
    until_equal("the version", 1, async || version(&node).await).await;
    let set = set(&node, "env/e1").await;
    assert_eq!(set["values"][0]["value"], "***", "{set}");
    assert!(!node.log().contains("hush"));
}

/// A lease and some: who reads a bridge may have died a moment ago.
const TAKEN_OVER: Duration = Duration::from_secs(60);
