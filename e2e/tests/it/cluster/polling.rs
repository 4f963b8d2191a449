//! A client that polls, each time at whichever node its test says.

use everwire_testkit::{
    everwire::Everwire,
    http::{self, Answer},
};
use serde_json::Value;

/// A client that polls.
pub(crate) struct Polling {
    /// Where it polls.
    query: String,
    /// What was said to it, by the arguments.
    pub(crate) heard: Vec<Value>,
}

impl Polling {
    /// Negotiates at one node and shakes hands at others.
    pub(crate) async fn begin(home: &Everwire, others: [&Everwire; 2]) -> Self {
        let negotiated = post(home, "/room/negotiate?negotiateVersion=1", "").await.json();
        let token = negotiated["connectionToken"].as_str().expect("a token");
        let mut polling = Self { query: format!("/room?id={token}"), heard: Vec::new() };
        polling.poll(others[0]).await;
        let hello = "{\"protocol\":\"json\",\"version\":1}\u{1e}";
        assert_eq!(post(others[1], &polling.query, hello).await.status, 200);
        polling.poll(home).await;
        polling
    }

    /// Polls there; the status of the answer.
    pub(crate) async fn poll(&mut self, node: &Everwire) -> u16 {
        let answer = http::request(node.address(), "GET", &self.query, None).await;
        let records = answer.body.split_terminator('\u{1e}').filter(|_| answer.status == 200);
        let calls = records.filter_map(|record| serde_json::from_str(record).ok());
        let calls = calls.filter(|call: &Value| call["target"] == "Said");
        self.heard.extend(calls.map(|call| call["arguments"].clone()));
        answer.status
    }
}

async fn post(node: &Everwire, path: &str, body: &str) -> Answer {
    let headers = [("Content-Type", "text/plain;charset=UTF-8")];
    http::request_with(node.address(), "POST", path, &headers, body.as_bytes()).await
}
