//! Publishing from outside: a publisher of Node's, and npm's clients over each transport and in both
//! encodings that receive.

use std::{path::Path, process::Command};

use everwire_testkit::{
    everwire::{Everwire, Setup},
    need,
    signalr::Peer,
    tools,
};
use serde_json::{Value, json};

use super::{each_way, npm};

const KEY: &str = "an-access-key-of-32-bytes-or-more";

const CHAT: &str = r#"
[hubs.chat]
path = "/chat"
origins = ["*"]
access_key = "an-access-key-of-32-bytes-or-more"
"#;

/// Who publishes: where, and signing with which key.
struct Publisher<'a> {
    node: &'a Path,
    everwire: &'a Everwire,
    key: Option<&'a str>,
}

impl Publisher<'_> {
    /// Asks for something; the status, the code and the body of the answer.
    fn ask(&self, method: &str, path: &str, more: &[&str]) -> Value {
        let mut command = Command::new(self.node);
        command.arg(tools::workspace().join("e2e/node/publish.mjs"));
        command.args(["--endpoint", &format!("http://{}", self.everwire.address())]);
        command.args(["--method", method, "--path", &format!("/api/hubs/chat{path}")]).args(more);
        if let Some(key) = self.key {
            command.args(["--key", key]);
        }
        let output = command.output().expect("Node runs");
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).expect("it says JSON")
    }

    /// Publishes a call of `Told`.
    fn tell(&self, path: &str, form: &str, arguments: &Value) {
        let arguments = arguments.to_string();
        let more = ["--form", form, "--target", "Told", "--arguments", &arguments];
        assert_eq!(self.ask("POST", path, &more)["status"], 202, "{path} as {form}");
    }

    /// Asks for what has to end like this.
    fn does(&self, method: &str, path: &str, status: u16) {
        assert_eq!(self.ask(method, path, &[])["status"], status, "{method} {path}");
    }

    /// A token that a client can fetch, for a user.
    fn token(&self, user: &str) -> String {
        let query = format!("userId={user}&api-version=2024-12-01");
        let answer = self.ask("POST", "/:generateToken", &["--query", &query]);
        format!("data:text/plain,{}", answer["body"]["token"].as_str().expect("a token"))
    }
}

#[tokio::test]
async fn what_is_published_reaches_clients_over_each_transport() {
    let node = need!(tools::node());
    let everwire = Everwire::start(&Setup::new().hubs(CHAT)).await;
    let publisher = Publisher { node: &node, everwire: &everwire, key: Some(KEY) };
    let mut crowd = Vec::new();
    for (at, launch) in each_way(&node, &everwire.url("/chat")).into_iter().enumerate() {
        let user = format!("user-{at}");
        let mut peer = Peer::unconnected(&launch.with("token", publisher.token(&user)));
        peer.on("Told");
        assert_eq!(peer.try_connect().await["event"], "started");
        crowd.push((user, peer));
    }
    let words = json!(["你好", 1.5, null, { "all": [true] }]);
    let forms = ["json", "msgpack", "encoded"];
    for form in forms {
        publisher.tell("/:send", form, &words);
    }
    for (user, peer) in &crowd {
        let id = peer.connection().expect("it is connected");
        publisher.does("HEAD", &format!("/connections/{id}"), 200);
        publisher.tell(&format!("/users/{user}/:send"), "json", &json!(["user"]));
        publisher.tell(&format!("/connections/{id}/:send"), "msgpack", &json!(["connection"]));
        publisher.does("PUT", &format!("/users/{user}/groups/everybody"), 200);
        publisher.does("PUT", &format!("/groups/one/connections/{id}"), 200);
        publisher.tell("/groups/one/:send", "encoded", &json!(["one"]));
        publisher.does("DELETE", &format!("/groups/one/connections/{id}"), 200);
    }
    publisher.tell("/groups/everybody/:send", "json", &json!(["group"]));
    let mut said = vec![words; forms.len()];
    said.extend(["user", "connection", "one", "group"].map(|word| json!([word])));
    for (_, peer) in &crowd {
        peer.called_with("Told", &said).await;
    }
    let listed = publisher.ask("GET", "/groups/everybody/connections", &[]);
    assert_eq!(listed["body"]["value"].as_array().map(Vec::len), Some(crowd.len()));
}

#[tokio::test]
async fn clients_are_told_why_their_connection_ends() {
    let node = need!(tools::node());
    let everwire = Everwire::start(&Setup::new().hubs(CHAT)).await;
    let publisher = Publisher { node: &node, everwire: &everwire, key: Some(KEY) };
    for launch in each_way(&node, &everwire.url("/chat")) {
        let launch = launch.with("token", publisher.token("ann"));
        let peer = Peer::start(&launch).await;
        let query = "reason=you%20moved&api-version=2024-12-01";
        let ended = publisher.ask("POST", "/users/ann/:closeConnections", &["--query", query]);
        assert_eq!(ended["status"], 204);
        let error = peer.closed().await;
        assert!(error.is_some_and(|error| error.contains("you moved")));
    }
}

#[tokio::test]
async fn a_publisher_with_another_key_or_none_is_refused() {
    let node = need!(tools::node());
    let everwire = Everwire::start(&Setup::new().hubs(CHAT)).await;
    let mut publisher = Publisher { node: &node, everwire: &everwire, key: Some(KEY) };
    let mut peer =
        Peer::unconnected(&npm(&node, everwire.url("/chat")).with("token", publisher.token("ann")));
    peer.on("Told");
    assert_eq!(peer.try_connect().await["event"], "started");
    for key in [None, Some("another-access-key-of-32-bytes-or-more")] {
        publisher.key = key;
        let refused = publisher.ask("POST", "/:send", &["--target", "Told"]);
        assert_eq!((&refused["status"], &refused["code"]), (&json!(401), &json!("Unauthorized")));
    }
    publisher.key = Some(KEY);
    publisher.tell("/:send", "json", &json!(["the only one"]));
    peer.called_with("Told", &[json!(["the only one"])]).await;
}
