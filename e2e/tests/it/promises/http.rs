//! Requests that open no WebSocket: passed on, answered, streamed both ways.

use everwire_testkit::{
    everwire::{Everwire, Setup},
    foreign::Backend,
    http::{self, Answer},
    need,
    scripted::{Wire, header},
    tools,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::stage::{before, in_front_of, pages};

/// One request on a connection that stays open; gives the head and the body of the answer.
async fn ask(wire: &mut Wire, request: &str) -> (String, String) {
    wire.send(request.as_bytes()).await;
    let head = wire.read_head().await;
    let length = header(&head, "content-length").unwrap_or_else(|| panic!("no length: {head}"));
    let body = wire.read_exactly(length.parse().unwrap()).await;
    (head, String::from_utf8(body).unwrap())
}

async fn get(everwire: &Everwire, path: &str) -> Answer {
    http::request(everwire.address(), "GET", path, None).await
}

#[tokio::test]
async fn any_request_reaches_a_backend_and_its_answer_the_client() {
    let node = need!(tools::node());
    let backend = Backend::start(pages(&node)).await;
    let everwire = in_front_of(&[&backend]).await;
    let mut wire = Wire::connect(everwire.address()).await;
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let request = format!(
            "{method} /seen?a=%0d%0A&b HTTP/1.1\r\nHost: app.example\r\nCookie: c=d\r\n\
             X-Forwarded-For: 6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n\
             Connection: X-Hop, Cookie, Content-Length\r\nX-Hop: 1\r\nTE: trailers\r\n\
             Proxy-Authorization: x\r\nContent-Length: 5\r\n\r\nhello"
        );
        let (head, body) = ask(&mut wire, &request).await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert_eq!(header(&head, "x-page"), Some("seen"));
        assert_eq!(header(&head, "keep-alive"), None, "belongs to the hop: {head}");
        let seen: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(seen["method"], method);
        assert_eq!(seen["url"], "/seen?a=%0d%0A&b", "percent-encoding stays as it was sent");
        assert_eq!(seen["body"], "hello");
        let headers = json!({
            "host": "app.example",
            "cookie": "c=d",
            "content-length": "5",
            "x-forwarded-for": "127.0.0.1",
            "x-forwarded-proto": "http",
            "x-forwarded-host": "app.example",
        });
        assert_eq!(seen["headers"], headers);
    }
    wire.send(b"HEAD /flood?bytes=7 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let head = wire.read_head().await;
    assert_eq!(header(&head, "content-length"), Some("7"), "{head}");
    wire.send(b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let head = wire.read_head().await;
    assert!(head.starts_with("HTTP/1.1 404 "), "the backend's own answer: {head}");
}

#[tokio::test]
async fn a_url_with_a_path_is_asked_at_exactly_that_path() {
    let node = need!(tools::node());
    let backend = Backend::start(pages(&node)).await;
    let setup = Setup::new().backend(format!("{}/seen", backend.url()));
    let everwire = Everwire::start(&setup).await;
    assert_eq!(get(&everwire, "/elsewhere?a=b").await.json()["url"], "/seen?a=b");
    assert_eq!(get(&everwire, "/").await.json()["url"], "/seen");
}

#[tokio::test]
async fn one_connection_to_the_backend_serves_one_request_after_the_other() {
    let node = need!(tools::node());
    let backend = Backend::start(pages(&node)).await;
    let everwire = in_front_of(&[&backend]).await;
    for _ in 0..20 {
        assert_eq!(get(&everwire, "/seen").await.status, 200);
    }
    let connections = backend.requests().into_iter().filter_map(|request| request.connection);
    assert!(connections.max() <= Some(3), "kept connections are used: {:?}", backend.requests());
}

#[tokio::test]
async fn events_arrive_one_by_one() {
    let node = need!(tools::node());
    let mut backend = Backend::start(pages(&node)).await;
    let everwire = in_front_of(&[&backend]).await;
    let mut wire = Wire::connect(everwire.address()).await;
    wire.send(b"GET /events HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n").await;
    assert!(wire.read_head().await.starts_with("HTTP/1.1 200 "));
    wire.read_through(": hello\n\n").await;
    for number in 0..50 {
        // Nothing is sent before what was sent last has arrived.
        backend.process().tell(&format!("event {number}"));
        let event = wire.read_through("\n\n").await;
        assert!(event.ends_with(&format!("data: {number}\n\n")), "{event:?}");
    }
}

#[tokio::test]
async fn a_body_streams_while_its_answer_does() {
    let node = need!(tools::node());
    let backend = Backend::start(pages(&node)).await;
    let everwire = in_front_of(&[&backend]).await;
    let mut wire = Wire::connect(everwire.address()).await;
    wire.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    assert!(wire.read_head().await.starts_with("HTTP/1.1 200 "));
    for number in 100..150 {
        wire.send(format!("5\r\n<{number}>\r\n").as_bytes()).await;
        wire.read_through(&format!("<{number}>")).await;
    }
    wire.send(b"0\r\n\r\n").await;
    wire.read_through("0\r\n\r\n").await;
    let (head, _) = ask(&mut wire, "GET /seen HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "the connection goes on: {head}");
}

#[tokio::test]
async fn a_large_body_passes_in_either_direction_with_flat_memory() {
    let node = need!(tools::node());
    let backend = Backend::start(pages(&node)).await;
    let everwire = in_front_of(&[&backend]).await;
    assert_eq!(get(&everwire, "/seen").await.status, 200);
    let before = everwire.memory();
    let mut wire = Wire::connect(everwire.address()).await;
    let head = format!("POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: {LARGE}\r\n\r\n");
    wire.send(head.as_bytes()).await;
    let (piece, mut most) = (vec![b'x'; PIECE], before);
    for _ in 0..LARGE / PIECE {
        wire.stream().write_all(&piece).await.unwrap();
        most = most.max(everwire.memory());
    }
    let head = wire.read_head().await;
    let length = header(&head, "content-length").unwrap_or_else(|| panic!("{head}"));
    let body = wire.read_exactly(length.parse().unwrap()).await;
    let sunk: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(sunk, json!({ "bytes": LARGE, "sha1": SHA1_OF_LARGE }));

    let request = format!("GET /flood?bytes={LARGE} HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.send(request.as_bytes()).await;
    wire.read_head().await;
    let (mut left, mut piece) = (LARGE - wire.take_ahead().len(), vec![0; PIECE]);
    while left > 0 {
        let read = wire.stream().read(&mut piece).await.unwrap();
        assert!(read > 0 && read <= left, "{left} left, {read} read");
        assert!(piece[..read].iter().all(|byte| *byte == b'x'));
        left -= read;
        most = most.max(everwire.memory());
    }
    assert!(most - before < FLAT, "{} bytes of memory for {LARGE}", most - before);
}

#[tokio::test]
async fn a_backend_sends_no_more_than_its_client_takes_and_sees_it_go() {
    let node = need!(tools::node());
    let backend = Backend::start(pages(&node)).await;
    let everwire = in_front_of(&[&backend]).await;
    let before = everwire.memory();
    let mut wire = Wire::connect(everwire.address()).await;
    let path = "/flood?bytes=4000000000";
    wire.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await;
    wire.read_head().await;
    assert!(everwire.memory() - before < FLAT);
    drop(wire);
    let sent = backend.gone(path).await.bytes.unwrap();
    assert!(sent < 64 << 20, "{sent} bytes for a client that reads none");
    for (earlier, path) in ["/never", "/events"].into_iter().enumerate() {
        let mut wire = Wire::connect(everwire.address()).await;
        wire.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await;
        backend.requests_reach(earlier + 2).await;
        drop(wire);
        backend.gone(path).await;
        everwire.requests_become(0).await;
    }
}

#[tokio::test]
async fn requests_and_sessions_share_a_connection_and_a_pool() {
    let node = need!(tools::node());
    let backend = Backend::start(pages(&node)).await;
    let setup = before(&[&backend]).route("origins", r#"["https://app.example"]"#);
    let everwire = Everwire::start(&setup).await;
    let mut wire = Wire::connect(everwire.address()).await;
    let from = |origin: &str| format!("GET /seen HTTP/1.1\r\nHost: a\r\nOrigin: {origin}\r\n\r\n");
    let (head, _) = ask(&mut wire, &from("https://evil.example")).await;
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    let (head, body) = ask(&mut wire, &from("https://app.example")).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(body.contains("https://app.example"), "Origin passes unchanged: {body}");
    // The backend speaks no WebSocket: its answer to the handshake is the client's.
    let upgrade = everwire_testkit::scripted::upgrade_request(everwire.address(), "/none", &[]);
    wire.send(upgrade.as_bytes()).await;
    let answer = String::from_utf8(wire.rest().await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    assert!(!everwire.log().contains("evil"), "{}", everwire.log());
}

const LARGE: usize = 100 << 20;
const PIECE: usize = 64 << 10;

/// Of 100 MiB of `x`.
const SHA1_OF_LARGE: &str = "342bdffca59baeeb596381a547f42968615a4927";

/// More than the buffers of a few connections, far less than what passes.
const FLAT: u64 = 16 << 20;
