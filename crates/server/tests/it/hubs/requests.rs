//! What a hub is asked over plain HTTP, and what is asked beside it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

use super::{client::Client, with_hub};
use crate::{
    process::{Node, file, http, json as body_of, status},
    service::Service,
};

const BROADCAST: &str = "[hubs.status.methods]\nBroadcast = { send = \"all\" }\n";

/// A connection that asks for one thing after another.
pub(super) struct Connection(pub(super) BufReader<TcpStream>);

impl Connection {
    pub(super) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket has timeouts");
        Self(BufReader::new(stream))
    }

    /// Sends a request and reads its answer: the status, the headers in lower case, the body.
    pub(super) fn ask(&mut self, line: &str, headers: &str, body: &str) -> (u16, String, String) {
        self.send(line, headers, body);
        self.answer()
    }

    pub(super) fn send(&mut self, line: &str, headers: &str, body: &str) {
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\nHost: hub.example\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        );
        self.0.get_mut().write_all(request.as_bytes()).expect("it reads");
    }

    pub(super) fn answer(&mut self) -> (u16, String, String) {
        let head = self.head();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(0, |length| length.parse().expect("it is a number"));
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).expect("the body is whole");
        (
            status(&head.replace("http/1.1", "HTTP/1.1")),
            head,
            String::from_utf8(body).expect("text"),
        )
    }

    /// The connection as a WebSocket, once its 101 has come.
    async fn into_session(self) -> WebSocketStream<tokio::net::TcpStream> {
        let stream = self.0.into_inner();
        stream.set_nonblocking(true).expect("a socket can be");
        let stream = tokio::net::TcpStream::from_std(stream).expect("within a runtime");
        WebSocketStream::from_raw_socket(stream, Role::Client, None).await
    }

    fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(self.0.read_line(&mut head).expect("it answers"), 0, "it ends in {head}");
        }
        head.to_lowercase()
    }
}

#[tokio::test]
async fn many_requests_go_over_one_connection() {
    let node = Node::with_file(&with_hub("keep-alive.toml", BROADCAST));
    let mut connection = Connection::open(node.gateway);
    for _ in 0..3 {
        let (code, _, body) =
            connection.ask("POST /statusHub/negotiate?negotiateVersion=1", "", "");
        assert_eq!(code, 200);
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["availableTransports"].as_array().map(Vec::len), Some(3));
        let token = body["connectionToken"].as_str().unwrap();
        Client::connect(node.gateway, &format!("/statusHub?id={token}")).await;
    }
    assert_eq!(connection.ask("GET /statusHub?id=nobody", "", "").0, 404);
    assert_eq!(connection.ask("DELETE /statusHub", "", "").0, 400);
    assert_eq!(connection.ask("PUT /statusHub", "", "").0, 405);
}

#[tokio::test]
async fn a_client_that_polls_and_one_with_a_websocket_hear_each_other() {
    let node = Node::with_file(&with_hub("polls.toml", BROADCAST));
    let mut socket = Client::connect(node.gateway, "/statusHub").await;
    let mut polling = Connection::open(node.gateway);
    let (_, _, body) = polling.ask("POST /statusHub/negotiate?negotiateVersion=1", "", "");
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    let path = format!("/statusHub?id={}", body["connectionToken"].as_str().unwrap());
    let get = format!("GET {path}");
    assert_eq!(polling.ask(&get, "", "").2, "");
    let hello = "{\"protocol\":\"json\",\"version\":1}\x1e";
    assert_eq!(polling.ask(&format!("POST {path}"), "", hello).0, 200);
    assert_eq!(polling.ask(&get, "", "").2, "{}\x1e");
    let call = "{\"type\":1,\"target\":\"broadcast\",\"arguments\":[\"by poll\"]}\x1e";
    assert_eq!(polling.ask(&format!("POST {path}"), "", call).0, 200);
    socket.is_called("Broadcast", json!(["by poll"])).await;
    assert!(polling.ask(&get, "", "").2.contains("[\"by poll\"]"));
    assert_eq!(polling.ask(&format!("DELETE {path}"), "", "").0, 202);
    assert_eq!(polling.ask(&get, "", "").0, 404);
}

#[tokio::test]
async fn events_arrive_until_the_node_stops() {
    let node = Node::with_file(&with_hub("events.toml", BROADCAST));
    let mut asking = Connection::open(node.gateway);
    let (_, _, body) = asking.ask("POST /statusHub/negotiate?negotiateVersion=1", "", "");
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    let path = format!("/statusHub?id={}", body["connectionToken"].as_str().unwrap());
    let mut events = Connection::open(node.gateway);
    events.send(&format!("GET {path}"), "Accept: text/event-stream\r\n", "");
    assert!(events.head().contains("text/event-stream"));
    let hello = "{\"protocol\":\"json\",\"version\":1}\x1e";
    assert_eq!(asking.ask(&format!("POST {path}"), "", hello).0, 200);
    let mut rest = String::new();
    while !rest.contains("data: {}\x1e") {
        assert_ne!(events.0.read_line(&mut rest).expect("events come"), 0, "it ends in {rest}");
    }
    node.signal("TERM");
    events.0.read_to_string(&mut rest).expect("it ends in order");
    assert!(rest.contains("data: {\"type\":7,\"allowReconnect\":true}\x1e"), "{rest}");
    assert!(rest.ends_with("0\r\n\r\n"), "the answer is whole: {rest}");
    assert_eq!(node.ended().code, 0);
}

#[tokio::test]
async fn pages_of_listed_origins_may_ask_and_others_may_not() {
    let lines = format!("origins = [\"https://app.example\"]\n{BROADCAST}");
    let node = Node::with_file(&with_hub("origins.toml", &lines));
    let mut connection = Connection::open(node.gateway);
    let asked = "Origin: https://app.example\r\nAccess-Control-Request-Method: POST\r\n\
        Access-Control-Request-Headers: x-requested-with\r\n";
    let (code, head, _) = connection.ask("OPTIONS /statusHub/negotiate", asked, "");
    assert_eq!(code, 204);
    assert!(head.contains("access-control-allow-origin: https://app.example\r\n"), "{head}");
    assert!(head.contains("access-control-allow-headers: x-requested-with\r\n"), "{head}");
    let foreign = "Origin: https://other.example\r\n";
    assert_eq!(connection.ask("POST /statusHub/negotiate", foreign, "").0, 403);
}

#[tokio::test]
async fn a_hub_and_a_route_share_a_port() {
    let service = Service::start("beside-a-hub");
    let text = format!(
        "{BROADCAST}[pools.chat]\nbackends = [\"{}\"]\n[[routes]]\npool = \"chat\"\n",
        service.url()
    );
    let node = Node::with_file(&with_hub("beside.toml", &text));
    let mut client = Client::connect(node.gateway, "/STATUSHUB").await;
    client.invoke("Broadcast", json!([1])).await;
    let url = format!("ws://{}/statusHubber", node.gateway);
    let (mut session, _) =
        tokio_tungstenite::connect_async(url).await.expect("the route takes what is not the hub's");
    // Its 101 may be here before it is listed; an answer to a message is not.
    session.send(Message::text("hello")).await.expect("the session takes it");
    session.next().await.expect("the service answers").expect("the session stays");
    let pipes = body_of(&http(node.admin, "GET /api/v1/pipes", &[], ""));
    assert_eq!(pipes["items"][0]["path"], "/statusHubber", "{pipes}");
}

/// A load balancer sends over one connection what comes from many.
#[tokio::test]
async fn a_connection_that_began_at_a_hub_leads_to_every_route() {
    let service = Service::start("behind-a-hub");
    let text = format!(
        "{BROADCAST}[pools.chat]\nbackends = [\"{}\"]\n[[routes]]\npath = \"/chat\"\n\
         pool = \"chat\"\n",
        service.url()
    );
    let node = Node::with_file(&with_hub("behind.toml", &text));
    let mut connection = Connection::open(node.gateway);
    let negotiation = "POST /statusHub/negotiate";
    assert_eq!(connection.ask(negotiation, "", "").0, 200);
    assert_eq!(connection.ask("GET /elsewhere", "", "").0, 404);
    assert_eq!(connection.ask(negotiation, "", "").0, 200);
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let (code, head, _) = connection.ask("GET /chat", upgrade, "");
    assert!(code == 101 && head.contains("s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
    let mut session = connection.into_session().await;
    session.send(Message::text("hello")).await.expect("the session takes it");
    let answer = session.next().await.expect("the service answers").expect("the session stays");
    assert!(answer.into_text().expect("text").ends_with("hello"));
    let pipes = body_of(&http(node.admin, "GET /api/v1/pipes", &[], ""));
    assert_eq!(pipes["items"][0]["path"], "/chat", "{pipes}");
    let mut connection = Connection::open(node.gateway);
    connection.ask(negotiation, "", "");
    assert_eq!(connection.ask("GET /chat", "", "").0, 426, "no WebSocket is asked for");
}

#[tokio::test]
async fn clients_of_hubs_count_among_the_connections() {
    let text = "listen = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
        [limits]\nconnections_max = 2\n[hubs.status]\npath = \"/hub\"\n";
    let node = Node::with_file(&file("hub-full.toml", text));
    let first = Client::connect(node.gateway, "/hub").await;
    let second = Connection::open(node.gateway);
    let refused = (0..1000).find(|_| {
        let line = "POST /hub/negotiate";
        status(&http(node.gateway, line, &[], "")) == 503
    });
    assert!(refused.is_some(), "two are connected");
    drop((first, second));
    let welcome = (0..1000).find(|_| {
        let line = "POST /hub/negotiate";
        status(&http(node.gateway, line, &[], "")) == 200
    });
    assert!(welcome.is_some(), "both have gone");
}
