//! The admin API of sets.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::{Value, json};

use super::{ask, ask_with, instance::Instance, node};
use crate::process::Node;

fn patch(node: &Node, set: &str, body: &Value) -> (u16, Value) {
    ask(node, "PATCH", &format!("fleet/sets/{set}"), &body.to_string())
}

/// Changes one key, which makes this version.
fn change(node: &Node, key: &str, value: &str, version: u64) {
    let (status, told) = patch(node, "shop/prod", &json!({ "changes": { key: value } }));
    assert_eq!((status, &told["version"]), (200, &json!(version)), "{told}");
}

#[test]
fn a_set_is_changed_read_and_brought_back() {
    let node = node("changed-set");
    change(&node, "A", "1", 1);
    let all = json!({ "changes": { "A": "2", "B": 7, "C": true }, "note": "more" });
    assert_eq!(patch(&node, "shop%2Fprod", &all).1["version"], 2);
    let (status, told) = patch(&node, "shop/prod", &json!({ "changes": { "A": "2" } }));
    assert_eq!((status, &told["version"], &told["changed"]), (200, &json!(2), &json!(false)));
    let rename = json!({ "changes": { "C": null }, "rename": { "B": "D" } });
    assert_eq!(patch(&node, "shop/prod", &rename).1["version"], 3);
    let (_, set) = ask(&node, "GET", "fleet/sets/shop/prod", "");
    let item = |key, value, version| json!({ "key": key, "value": value, "secret": false, "version": version });
    assert_eq!(set["values"], json!([item("A", "2", 2), item("D", "7", 3)]));
    assert_eq!((&set["set"], &set["version"]), (&json!("shop/prod"), &json!(3)));
    assert!(!set["epoch"].is_null());
    let (_, history) = ask(&node, "GET", "fleet/sets/shop/prod/history?limit=2", "");
    let items = history["items"].as_array().expect("a list");
    assert_eq!(
        (items.len(), &items[0]["version"], &items[1]["note"]),
        (2, &json!(3), &json!("more"))
    );
    let (_, older) = ask(&node, "GET", "fleet/sets/shop/prod/history?before=2", "");
    let created = json!([{ "key": "A", "before": null, "after": "1" }]);
    assert_eq!(older["items"][0]["changes"], created);
    let (_, diff) = ask(&node, "GET", "fleet/sets/shop/prod/diff?from=1&to=3", "");
    let wanted =
        json!([{ "key": "A", "from": "1", "to": "2" }, { "key": "D", "from": null, "to": "7" }]);
    assert_eq!(diff["items"], wanted);
    let (status, told) = ask(&node, "POST", "fleet/sets/shop/prod/rollback", r#"{"to": 1}"#);
    assert_eq!((status, &told["version"]), (200, &json!(4)), "{told}");
    let (_, set) = ask(&node, "GET", "fleet/sets/shop/prod", "");
    assert_eq!(set["values"], json!([item("A", "1", 4)]));
    let (_, list) = ask(&node, "GET", "fleet/sets", "");
    assert_eq!(list["items"], json!([{ "name": "shop/prod" }]));
}

#[tokio::test]
async fn secrets_reach_who_watches_and_nothing_that_is_listed() {
    let node = node("secret-set");
    let mut one = Instance::join(&node, "app=shop&id=a").await;
    one.0.invoke("Watch", json!(["shop/prod"])).await;
    assert_eq!(one.0.called().await.0, "Snapshot");
    let body = json!({ "changes": { "PASSWORD": "hunter2" }, "secret": ["PASSWORD"] });
    assert_eq!(patch(&node, "shop/prod", &body).0, 200);
    let (target, arguments) = one.0.called().await;
    assert_eq!(target, "ConfigurationChanged");
    assert_eq!(arguments[0]["changes"], json!([{ "key": "PASSWORD", "value": "hunter2" }]));
    assert_eq!(patch(&node, "shop/prod", &json!({ "changes": { "PASSWORD": "hunter3" } })).0, 200);
    for path in ["", "/history", "/diff?from=1", "/diff?from=0"] {
        let (status, told) = ask(&node, "GET", &format!("fleet/sets/shop/prod{path}"), "");
        assert!(status == 200 && !told.to_string().contains("hunter"), "{path}: {told}");
        assert!(told.to_string().contains("\"***\""), "{path}: {told}");
    }
    let written = std::fs::read(super::journal("secret-set")).expect("there is a journal");
    assert!(!String::from_utf8_lossy(&written).contains("hunter"), "on disk it is sealed");
}

#[test]
fn only_one_of_two_who_read_the_same_version_changes_it() {
    let node = node("matched-set");
    let body = r#"{"changes": {"A": "1"}}"#;
    let at = |version: &str| format!("If-Match: {version}");
    let patch = |at: &str| ask_with(&node, "PATCH", "fleet/sets/shop", &[at], body);
    assert_eq!(patch(&at("\"0\"")).0, 200);
    let (status, told) = patch(&at("\"0\""));
    assert_eq!(status, 412, "{told}");
    assert!(told["detail"].as_str().is_some_and(|detail| detail.contains("version 1")), "{told}");
    assert_eq!(patch(&at("\"1\"")).1["changed"], false);
    assert_eq!(patch(&at("x")).0, 400);
}

#[test]
fn what_cannot_be_done_to_a_set_is_a_problem_that_says_why() {
    let node = node("wrong-set");
    change(&node, "A", "1", 1);
    for (method, path, body, status, part) in [
        ("GET", "fleet/sets/nobody", "", 404, "everwire fleet get"),
        ("GET", "fleet/sets/a%20b", "", 400, "not a set"),
        ("PATCH", "fleet/sets/shop/prod", "{}", 400, "nothing to change"),
        ("PATCH", "fleet/sets/shop/prod", r#"{"changes": {"A": {}}}"#, 400, "changes.A"),
        ("PATCH", "fleet/sets/shop/prod", r#"{"rename": {"X": "Y"}}"#, 409, "no key X"),
        ("POST", "fleet/sets/shop/prod", "{}", 405, "method"),
        ("GET", "fleet/sets/shop/prod/rollback", "", 405, "method"),
        ("POST", "fleet/sets/shop/prod/rollback", r#"{"to": 9}"#, 404, "version 9"),
        ("GET", "fleet/sets/shop/prod/diff", "", 400, "from: "),
        ("GET", "fleet/sets/shop/prod/diff?from=1&to=9", "", 404, "version 9"),
        ("GET", "fleet/sets/shop/prod/history?limit=x", "", 400, "limit: "),
    ] {
        let (answered, told) = ask(&node, method, path, body);
        assert_eq!(answered, status, "{method} {path} {body}: {told}");
        let detail = told["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(part), "{part:?} is missing: {told}");
    }
    let large = json!({ "changes": { "A": "x".repeat(65 * 1024) } });
    assert_eq!(patch(&node, "shop/prod", &large).0, 400, "a value has a limit");
    let many: serde_json::Map<_, _> =
        (0..10_001).map(|number| (format!("K{number}"), "x".into())).collect();
    assert_eq!(patch(&node, "shop/prod", &json!({ "changes": many })).0, 413, "and so have sets");
}

/// A stream of server-sent events, read as it comes.
struct Events(BufReader<TcpStream>);

impl Events {
    fn open(node: &Node, path: &str, header: &str) -> Self {
        let mut stream = TcpStream::connect(node.admin).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket has timeouts");
        let host = node.admin;
        let request = format!("GET /api/v1/{path} HTTP/1.1\r\nHost: {host}\r\n{header}\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut events = Self(BufReader::new(stream));
        assert!(events.line("HTTP/1.1").starts_with("HTTP/1.1 200"));
        events
    }

    /// The next line that begins like this.
    fn line(&mut self, start: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).expect("a line") > 0, "the stream has ended");
            if line.starts_with(start) {
                return line.trim_end().to_owned();
            }
        }
    }

    /// The next event: its id, name and data.
    fn next(&mut self) -> (String, String, Value) {
        let mut fields = [String::new(), String::new(), String::new()];
        loop {
            let line = self.line("");
            for (field, name) in fields.iter_mut().zip(["id: ", "event: ", "data: "]) {
                if let Some(value) = line.strip_prefix(name) {
                    *field = value.to_owned();
                }
            }
            if line.is_empty() && !fields[2].is_empty() {
                let [id, name, data] = fields;
                return (id, name, serde_json::from_str(&data).expect("data is JSON"));
            }
        }
    }
}

#[test]
fn a_set_can_be_followed_and_gone_on_with() {
    let node = node("followed-set");
    change(&node, "A", "1", 1);
    let mut events = Events::open(&node, "fleet/sets/shop/prod/events", "");
    let (id, name, data) = events.next();
    assert_eq!((name.as_str(), &data["version"]), ("snapshot", &json!(1)), "{data}");
    assert_eq!(data["values"], json!({ "A": "1" }));
    change(&node, "A", "2", 2);
    let (_, name, data) = events.next();
    assert_eq!((name.as_str(), &data["version"]), ("changed", &json!(2)), "{data}");
    drop(events);
    change(&node, "B", "3", 3);
    let after = format!("Last-Event-ID: {id}\r\n");
    let mut events = Events::open(&node, "fleet/sets/shop/prod/events", &after);
    for version in [2, 3] {
        let (_, name, data) = events.next();
        assert_eq!((name.as_str(), &data["version"]), ("changed", &json!(version)), "{data}");
    }
}

#[tokio::test]
async fn everything_that_happens_can_be_followed() {
    let node = node("followed-fleet");
    let mut events = Events::open(&node, "events", "");
    let _one = Instance::join(&node, "app=shop&id=a").await;
    loop {
        let (_, _, data) = events.next();
        if data["type"] == "instance_joined" {
            assert_eq!(data["instance"], "shop:0:a");
            return;
        }
    }
}
