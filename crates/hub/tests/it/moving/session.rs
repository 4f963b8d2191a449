//! A client that counts and comes back as the official ones do, written for these tests.

use std::{collections::VecDeque, net::SocketAddr};

use serde_json::{Value, json};
use tokio_tungstenite::connect_async;

use super::Node;
use crate::peer::Peer;

/// A client's end of a session that outlives its sockets.
pub(crate) struct Session {
    token: String,
    /// Where it comes back to, one after the other.
    nodes: Vec<SocketAddr>,
    peer: Peer,
    /// Number of the next message on this socket; `None` before its sequence.
    next: Option<u64>,
    taken: u64,
    /// What is not acknowledged, behind so many.
    sent: VecDeque<String>,
    released: u64,
    /// How often it came back.
    pub(crate) resumed: usize,
    /// What has come and was not asked for yet.
    inbox: VecDeque<Value>,
}

impl Session {
    /// Negotiates at one node and connects to one, which may be another.
    pub(crate) async fn start(issues: &Node, opens: &Node, query: &str) -> Self {
        let token = issues.served.negotiate(query).await;
        let mut peer = opens.served.stranger(&format!("?id={token}{query}")).await;
        peer.send(r#"{"protocol":"json","version":2}"#).await;
        assert_eq!(peer.next().await.as_deref(), Some("{}"));
        let (sent, nodes) = (VecDeque::new(), vec![opens.served.address]);
        Self {
            token: format!("{token}{query}"),
            nodes,
            peer,
            next: Some(1),
            taken: 0,
            sent,
            released: 0,
            resumed: 0,
            inbox: VecDeque::new(),
        }
    }

    /// The connection's id.
    pub(crate) fn id(&self) -> &str {
        &self.token[..22]
    }

    /// Where to come back to.
    pub(crate) fn return_to(&mut self, nodes: &[&Node]) {
        self.nodes = nodes.iter().map(|node| node.served.address).collect();
    }

    /// Says something that counts, to be said again until it is acknowledged.
    pub(crate) async fn say(&mut self, message: Value) {
        let text = message.to_string();
        self.sent.push_back(text.clone());
        self.peer.pour([message_frame(&text)]).await;
    }

    /// Calls a method without waiting for its answer.
    pub(crate) async fn call(&mut self, id: &str, target: &str, arguments: Value) {
        let call =
            json!({ "type": 1, "invocationId": id, "target": target, "arguments": arguments });
        self.say(call).await;
    }

    /// The next message that counts and is new. Comes back whenever the socket ends.
    pub(crate) async fn next(&mut self) -> Value {
        loop {
            if let Some(message) = self.inbox.pop_front() {
                return message;
            }
            if !self.read().await {
                self.come_back().await;
            }
        }
    }

    /// Reads until the socket ends, and comes back.
    pub(crate) async fn follow(&mut self) {
        while self.read().await {}
        self.come_back().await;
    }

    /// Takes what comes next; gives whether something did.
    async fn read(&mut self) -> bool {
        let Some(text) = self.peer.next().await else { return false };
        let message: Value = serde_json::from_str(&text).unwrap();
        match message["type"].as_u64() {
            Some(8) => self.release(message["sequenceId"].as_u64().unwrap()),
            Some(9) => self.next = message["sequenceId"].as_u64(),
            Some(1..=5) => {
                let number = self.next.expect("a sequence first");
                self.next = Some(number + 1);
                if number > self.taken {
                    assert_eq!(number, self.taken + 1, "nothing is left out");
                    self.taken = number;
                    self.inbox.push_back(message);
                }
            }
            _ => unreachable!("no message 7, or anything else: {text}"),
        }
        true
    }

    /// Acknowledges everything.
    pub(crate) async fn acknowledge(&mut self) {
        let ack = json!({ "type": 8, "sequenceId": self.taken }).to_string();
        self.peer.pour([message_frame(&ack)]).await;
    }

    /// Loses its socket: nothing more is read or said.
    pub(crate) async fn lose(&mut self) {
        self.peer.cut().await;
    }

    /// Comes back with another socket.
    pub(crate) async fn come_back(&mut self) {
        self.resumed += 1;
        self.nodes.rotate_left(1);
        let at = *self.nodes.last().unwrap();
        let url = format!("ws://{at}/hub?id={}", self.token);
        let (socket, _) = connect_async(url).await.expect("the session is found");
        self.peer = Peer::new(socket);
        self.next = None;
        let sequence = json!({ "type": 9, "sequenceId": self.released + 1 }).to_string();
        let all = std::iter::once(&sequence).chain(&self.sent);
        self.peer.pour(all.map(|text| message_frame(text))).await;
    }

    /// The socket as it is, for what is not a session's.
    pub(crate) fn into_peer(self) -> Peer {
        self.peer
    }

    fn release(&mut self, acknowledged: u64) {
        while self.released < acknowledged && self.sent.pop_front().is_some() {
            self.released += 1;
        }
    }
}

fn message_frame(text: &str) -> tokio_tungstenite::tungstenite::Message {
    tokio_tungstenite::tungstenite::Message::text(format!("{text}\x1e"))
}
