//! Publishing through one node of two, for clients of the other.

use everwire_testkit::{
    everwire::{Everwire, Setup},
    http::{self, Answer},
    need,
    redis::{Server, VOLATILE},
    signalr::Peer,
    tools,
    wait::eventually,
};
use serde_json::{Value, json};

use super::npm;

const SECRET: &str = "a secret that both nodes have been told";
const KEY: &str = "an-access-key-of-32-bytes-or-more";

/// Two nodes, and a client of the second, whose user is ann.
struct Site {
    _redis: Server,
    nodes: [Everwire; 2],
    peer: Peer,
    id: String,
}

/// Asks a node's admin listener for something of the hub.
async fn ask(node: &Everwire, line: &str, body: Option<&Value>) -> Answer {
    let (method, path) = line.split_once(' ').expect("a method");
    http::request(node.admin(), method, &format!("/api/hubs/chat{path}"), body).await
}

impl Site {
    async fn start(program: &std::path::Path, node: &std::path::Path) -> Self {
        let redis = Server::start(program, VOLATILE).await;
        let lines = format!(
            "[backplane]\nurl = {:?}\n[hubs.chat]\npath = \"/chat\"\naccess_key = {KEY:?}\n",
            redis.url()
        );
        let setup = Setup::new().cluster(SECRET).hubs(&lines);
        let nodes = [Everwire::start(&setup).await, Everwire::start(&setup).await];
        let granted = ask(&nodes[1], "POST /:generateToken?userId=ann", None).await.json();
        let token = granted["token"].as_str().expect("a token").to_owned();
        let launch = npm(node, nodes[1].url("/chat"));
        let mut peer = Peer::unconnected(&launch.with("token", format!("data:text/plain,{token}")));
        peer.on("Told");
        assert_eq!(peer.try_connect().await["event"], "started");
        let id = peer.connection().expect("it is connected");
        let site = Self { _redis: redis, nodes, peer, id };
        eventually("the nodes to know each other", async || {
            (site.through(&format!("HEAD /connections/{}", site.id)).await.status == 200)
                .then_some(())
        })
        .await;
        site
    }

    /// Asks the node that does not have the client.
    async fn through(&self, line: &str) -> Answer {
        ask(&self.nodes[0], line, None).await
    }

    async fn does(&self, line: &str, status: u16, code: Option<&str>) {
        let answer = self.through(line).await;
        let told = answer.headers.get("x-ms-error-code").map(String::as_str);
        assert_eq!((answer.status, told), (status, code), "{line}: {answer:?}");
    }

    /// Asks until something that the other node is told is so.
    async fn becomes(&self, line: &str, status: u16) {
        eventually(line, async || (self.through(line).await.status == status).then_some(())).await;
    }
}

#[tokio::test]
async fn what_is_asked_of_one_node_is_right_for_the_clients_of_another() {
    let (node, redis) = (need!(tools::node()), need!(tools::redis()));
    let site = Site::start(&redis, &node).await;
    let id = &site.id;
    let unknown = "AAAAAAAAAAAAAAAAAAAAAA";
    for method in ["HEAD", "GET"] {
        site.does(&format!("{method} /connections/{id}"), 200, None).await;
        site.does(&format!("{method} /users/ann"), 200, None).await;
        let gone = Some("Warning.Connection.NotExisted");
        site.does(&format!("{method} /connections/{unknown}"), 404, gone).await;
        site.does(&format!("{method} /users/bob"), 404, Some("Warning.User.NotExisted")).await;
        site.does(&format!("{method} /groups/go"), 404, Some("Warning.Group.NotExisted")).await;
        let outside = Some("Info.User.NotInGroup");
        site.does(&format!("{method} /users/ann/groups/go"), 404, outside).await;
    }
    let missing = Some("Error.Connection.NotExisted");
    site.does(&format!("PUT /groups/go/connections/{unknown}"), 404, missing).await;
    site.does(&format!("DELETE /groups/go/connections/{unknown}"), 200, missing).await;
    site.does(&format!("DELETE /connections/{unknown}/groups"), 200, missing).await;
    site.does(&format!("PUT /groups/go/connections/{id}"), 200, None).await;
    site.does("GET /groups/go", 200, None).await;
    site.does("HEAD /users/ann/groups/go", 200, None).await;
    let listed = site.through("GET /groups/go/connections?maxpagesize=1").await.json();
    assert_eq!(listed["value"], json!([{ "connectionId": id, "userId": "ann" }]));
    assert!(listed.get("nextLink").is_none());
    site.does(&format!("DELETE /connections/{id}/groups"), 200, None).await;
    site.does("GET /groups/go", 404, Some("Warning.Group.NotExisted")).await;

    site.does("PUT /users/ann/groups/go?ttl=3600", 200, None).await;
    let told = json!({ "target": "Told", "arguments": ["to the group"] });
    assert_eq!(ask(&site.nodes[0], "POST /groups/go/:send", Some(&told)).await.status, 202);
    site.peer.called_with("Told", &[json!(["to the group"])]).await;
    site.does("GET /users/ann/groups/go", 200, None).await;
    site.does("DELETE /users/ann/groups/go", 204, None).await;
    site.becomes("GET /groups/go", 404).await;
    site.does("PUT /users/ann/groups/chess", 200, None).await;
    site.becomes("GET /groups/chess", 200).await;
    site.does("DELETE /users/ann/groups", 204, None).await;
    site.becomes("GET /users/ann/groups/chess", 404).await;

    site.does("POST /users/ann/:closeConnections?reason=moved", 204, None).await;
    let error = site.peer.closed().await;
    assert!(error.is_some_and(|error| error.contains("moved")));
    site.becomes(&format!("HEAD /connections/{id}"), 404).await;
}
