//! Polls whose answers are lost on the way to their client.

use super::{requests::Connection, with_hub};
use crate::process::{Node, http, json as body_of, status};

/// A client that polls and has shaken hands.
struct Polling {
    node: Node,
    path: String,
}

impl Polling {
    fn start(name: &str) -> Self {
        let node = Node::with_file(&with_hub(name, ""));
        let mut connection = Connection::open(node.gateway);
        let (_, _, body) = connection.ask("POST /statusHub/negotiate?negotiateVersion=1", "", "");
        let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        let token = body["connectionToken"].as_str().expect("a token");
        let path = format!("/statusHub?id={token}");
        let polling = Self { node, path };
        assert_eq!(connection.ask(&polling.get(), "", "").2, "");
        let hello = "{\"protocol\":\"json\",\"version\":1}\x1e";
        assert_eq!(connection.ask(&format!("POST {}", polling.path), "", hello).0, 200);
        assert_eq!(connection.ask(&polling.get(), "", "").2, "{}\x1e");
        polling
    }

    fn get(&self) -> String {
        format!("GET {}", self.path)
    }

    fn publish(&self, number: u32) {
        let body = format!("{{\"target\":\"m\",\"arguments\":[{number}]}}");
        let json = ["Content-Type: application/json"];
        let answer = http(self.node.admin, "POST /api/hubs/status/:send", &json, &body);
        assert_eq!(status(&answer), 202);
    }

    /// Waits until the node has noticed that all connections of clients have ended.
    fn unconnected(&self) {
        let page = || http(self.node.admin, "GET /metrics", &[], "");
        let has_ended = (0..1000).any(|_| page().contains("everwire_connections 0\n"));
        assert!(has_ended, "{}", page());
    }

    /// A poll over a connection of its own, which the client ends in order.
    fn poll(&self) -> String {
        Connection::open(self.node.gateway).ask(&self.get(), "", "").2
    }
}

fn said(number: u32) -> String {
    format!("{{\"type\":1,\"target\":\"m\",\"arguments\":[{number}]}}\x1e")
}

#[test]
fn fault_b10_what_was_written_to_a_connection_that_broke_is_given_again() {
    let polling = Polling::start("lost-poll.toml");
    for number in 0..5 {
        let mut lost = Connection::open(polling.node.gateway);
        lost.send(&polling.get(), "", "");
        polling.publish(number * 2);
        // Something in between has the whole answer, and is reset with it.
        lost.0.get_ref().peek(&mut [0]).expect("the answer is there");
        drop(lost);
        polling.unconnected();
        polling.publish(number * 2 + 1);
        let mut heard = polling.poll();
        if !heard.ends_with(&said(number * 2 + 1)) {
            heard.push_str(&polling.poll());
        }
        assert_eq!(heard, format!("{}{}", said(number * 2), said(number * 2 + 1)));
    }
}

#[test]
fn a_client_that_ends_each_connection_in_order_hears_nothing_twice() {
    let polling = Polling::start("orderly-poll.toml");
    for number in 0..5 {
        polling.publish(number);
        assert_eq!(polling.poll(), said(number));
        polling.unconnected();
    }
}

#[test]
fn a_later_poll_that_has_come_says_that_the_answer_before_was_heard() {
    let polling = Polling::start("later-poll.toml");
    let mut first = Connection::open(polling.node.gateway);
    first.send(&polling.get(), "", "");
    polling.publish(1);
    first.0.get_ref().peek(&mut [0]).expect("the answer is there");
    let mut second = Connection::open(polling.node.gateway);
    second.send(&polling.get(), "", "");
    let waits = || {
        let answer = http(polling.node.admin, "GET /metrics", &[], "");
        answer.contains("everwire_connections 2\n")
    };
    assert!((0..1000).any(|_| waits()), "both are there");
    // Over the same connection the next request says so in any case.
    assert_eq!(first.answer().2, said(1));
    assert_eq!(first.ask("POST /statusHub/negotiate", "", "").0, 200);
    drop(first);
    polling.publish(2);
    assert_eq!(second.answer().2, said(2));
    let negotiated = http(polling.node.gateway, "POST /statusHub/negotiate", &[], "");
    assert!(body_of(&negotiated)["connectionId"].is_string());
}
