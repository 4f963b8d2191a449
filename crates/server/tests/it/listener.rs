//! What the clients' port answers to those that do not become a session.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use crate::process::{Node, exchange, file, http, status};

/// A complete upgrade request for a path.
fn upgrade(path: &str, host: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

#[test]
fn plain_http_is_told_to_upgrade_where_it_is_off() {
    let text = "listen = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[pools.chat]\n\
        backends = [\"ws://127.0.0.1:9\"]\n[[routes]]\npool = \"chat\"\nhttp = \"off\"\n";
    let node = Node::with_file(&file("http-off.toml", text));
    let answer = http(node.gateway, "GET /", &[], "");
    assert!(matches!(status(&answer), 400 | 426), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
}

#[test]
fn plain_http_that_no_backend_answers_is_503() {
    let node = Node::with_backends(&["ws://127.0.0.1:9"]);
    let answer = http(node.gateway, "POST /negotiate?token=secret", &[], "{}");
    assert_eq!(status(&answer), 503, "{answer}");
    let page = http(node.admin, "GET /metrics", &[], "");
    let counted = "everwire_http_requests_total{by=\"gateway\",status=\"5xx\"} 1";
    assert!(page.contains(counted), "{page}");
}

#[test]
fn a_path_without_route_is_404() {
    let text = "listen = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[pools.chat]\n\
        backends = [\"ws://127.0.0.1:9\"]\n[[routes]]\npath = \"/chat\"\nhost = \"app.example\"\n\
        pool = \"chat\"\n";
    let node = Node::with_file(&file("no-route.toml", text));
    assert_eq!(status(&exchange(node.gateway, &upgrade("/chatter", "app.example"))), 404);
    assert_eq!(status(&exchange(node.gateway, &upgrade("/chat", "other.example"))), 404);
}

/// Whoever refuses, the listener or the gateway, it is one metric, and moves once.
#[test]
fn every_refused_request_is_counted_once_by_its_status() {
    let text = "listen = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[pools.chat]\n\
        backends = [\"ws://127.0.0.1:9\"]\n[[routes]]\npath = \"/chat\"\npool = \"chat\"\n\
        origins = [\"https://app.example\"]\n";
    let node = Node::with_file(&file("refused.toml", text));
    let upgrade = upgrade("/chat", "x");
    let foreign = upgrade.replace("\r\n\r\n", "\r\nOrigin: https://other.example\r\n\r\n");
    let elsewhere = upgrade.replace("/chat", "/");
    for (status_wanted, request) in [(403, &*foreign), (404, &*elsewhere), (400, "GET\r\n\r\n")] {
        assert_eq!(status(&exchange(node.gateway, request)), status_wanted);
        wait_for(
            &node,
            &format!("everwire_handshakes_refused_total{{status=\"{status_wanted}\"}} 1"),
        );
    }
    let page = http(node.admin, "GET /metrics", &[], "");
    let series = page.lines().filter(|line| !line.starts_with('#') && line.contains("_refused"));
    assert_eq!(series.count(), 3, "{page}");
}

#[test]
fn attack_h9_a_head_without_end_is_431() {
    let node = Node::with_backends(&["ws://127.0.0.1:9"]);
    let endless = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {}", "a".repeat(300_000));
    assert_eq!(status(&exchange(node.gateway, &endless)), 431);
    let many: String = (0..2000).map(|index| format!("X-{index}: y\r\n")).collect();
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n");
    assert_eq!(status(&exchange(node.gateway, &many)), 431);
}

#[test]
fn attack_h10_a_head_that_trickles_is_cut_at_the_deadline() {
    let node = Node::with_backends(&["ws://127.0.0.1:9"]);
    let mut stream = TcpStream::connect(node.gateway).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let mut answer = [0; 64];
    // Each turn waits a second for the end and otherwise sends one byte more.
    let turns = (0..20).take_while(|_| {
        let waiting = stream.read(&mut answer).is_err();
        waiting && stream.write_all(b"a").is_ok()
    });
    let turns = turns.count();
    // 10 s; a busy machine makes turns longer, and so fewer.
    assert!((5..=12).contains(&turns), "cut after {turns} s");
    assert!(answer.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn one_client_too_many_is_503_and_the_others_stay() {
    let text = "listen = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[pools.chat]\n\
        backends = [\"ws://127.0.0.1:9\"]\n[[routes]]\npool = \"chat\"\n\
        [limits]\nconnections_max = 2\n";
    let node = Node::with_file(&file("full.toml", text));
    let mut first = TcpStream::connect(node.gateway).unwrap();
    let second = TcpStream::connect(node.gateway).unwrap();
    wait_for(&node, "everwire_connections 2");
    let answer = exchange(node.gateway, &upgrade("/", "x"));
    assert_eq!(status(&answer), 503, "{answer}");
    assert!(answer.contains("Retry-After"), "{answer}");
    first.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut told = String::new();
    first.read_to_string(&mut told).unwrap();
    assert_eq!(status(&told), 400, "the first was still being served: {told}");
    drop((first, second));
    wait_for(&node, "everwire_connections 0");
    assert_ne!(status(&exchange(node.gateway, "GET / HTTP/1.1\r\n\r\n")), 503);
}

/// Asks for the metrics until they have this line.
fn wait_for(node: &Node, line: &str) {
    let has = |page: String| page.lines().any(|other| other == line);
    let found = (0..1000).any(|_| has(http(node.admin, "GET /metrics", &[], "")));
    assert!(found, "the metrics never say {line}");
}
