//! H4 to H8, H11, H12 for requests that open no WebSocket: nothing is smuggled past the gateway.

use std::time::Duration;

use everwire_testkit::{
    everwire::{Everwire, Setup},
    foreign::Backend,
    need,
    scripted::{self, Wire, header},
    tools,
    wait::{SOON, within},
};

use crate::stage::{in_front_of, pages};

const GOOD: &str = "GET /seen HTTP/1.1\r\nHost: a\r\n\r\n";

/// Refused as the first request of a connection, and behind a good one; the backend hears nothing.
async fn refused(everwire: &Everwire, backend: &Backend, request: &str) {
    let before = backend.requests().len();
    let mut wire = Wire::connect(everwire.address()).await;
    wire.try_send(request.as_bytes()).await;
    let head = wire.read_head().await;
    assert!(head.starts_with("HTTP/1.1 400 "), "{request:?}: {head:?}");
    wire.ends_within(SOON).await;
    assert_eq!(backend.requests().len(), before, "{request:?} reached the backend");

    let mut wire = Wire::connect(everwire.address()).await;
    wire.send(GOOD.as_bytes()).await;
    let head = wire.read_head().await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let length = header(&head, "content-length").unwrap().parse().unwrap();
    wire.read_exactly(length).await;
    wire.try_send(request.as_bytes()).await;
    let rest = String::from_utf8_lossy(&wire.rest().await).into_owned();
    assert!(rest.starts_with("HTTP/1.1 400 "), "{request:?}: {rest:?}");
    assert_eq!(backend.requests().len(), before + 1, "{request:?} reached the backend");
}

#[tokio::test]
async fn attack_h4_a_plain_request_of_two_lengths_is_refused() {
    let node = need!(tools::node());
    let backend = Backend::start(pages(&node)).await;
    let everwire = in_front_of(&[&backend]).await;
    let smuggled = "GET /internal HTTP/1.1\r\nHost: a\r\n\r\n";
    for lines in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 0\r\nContent-Length: 36",
        "Content-Length: 36\r\nContent-Length: 36",
        "Content-Length: +36",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\r\n chunked",
    ] {
        let request =
            format!("POST /sink HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n0\r\n\r\n{smuggled}");
        refused(&everwire, &backend, &request).await;
    }
}

#[tokio::test]
async fn attack_h4_a_body_that_looks_like_a_request_stays_a_body() {
    let node = need!(tools::node());
    let backend = Backend::start(pages(&node)).await;
    let everwire = in_front_of(&[&backend]).await;
    let smuggled = "GET /internal HTTP/1.1\r\nHost: a\r\n\r\n";
    let length = smuggled.len();
    for request in [
        format!("POST /seen HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{smuggled}"),
        format!("GET /seen HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{smuggled}"),
        format!(
            "GET /seen HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
             {length:x}\r\n{smuggled}\r\n0\r\n\r\n"
        ),
    ] {
        let mut wire = Wire::connect(everwire.address()).await;
        wire.send(request.as_bytes()).await;
        let head = wire.read_head().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{request:?}: {head}");
        let length = header(&head, "content-length").unwrap().parse().unwrap();
        let seen: serde_json::Value =
            serde_json::from_slice(&wire.read_exactly(length).await).unwrap();
        assert_eq!(seen["body"], smuggled);
    }
    assert!(backend.requests().iter().all(|request| request.url == "/seen"));
}

/// The next head has as long as a pause between two requests, and not that long per byte.
#[tokio::test]
async fn attack_h10_a_second_head_that_never_ends_is_not_waited_for() {
    let node = need!(tools::node());
    let backend = Backend::start(pages(&node)).await;
    let everwire = in_front_of(&[&backend]).await;
    let mut wire = Wire::connect(everwire.address()).await;
    wire.send(GOOD.as_bytes()).await;
    assert!(wire.read_head().await.starts_with("HTTP/1.1 200 "));
    wire.send(b"GET /seen HTTP/1.1\r\nHost: a\r\nX: ").await;
    let slowly = async {
        while wire.try_send(b"y").await {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    within(Duration::from_secs(45), "the end of a slow head", slowly).await;
    assert_eq!(backend.requests().len(), 1);
}

/// Chunks that break the rules end their request, whatever the backend has seen of it.
#[tokio::test]
async fn attack_h4_broken_chunks_are_never_repaired() {
    let node = need!(tools::node());
    let backend = Backend::start(pages(&node)).await;
    let everwire = in_front_of(&[&backend]).await;
    for chunks in
        ["5\nhello\n0\n\n", "5\r\nhelloGET / HTTP/1.1\r\n", "-1\r\n", "5;\nx\r\nhello\r\n"]
    {
        let mut wire = Wire::connect(everwire.address()).await;
        let head = "POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        wire.send(format!("{head}{chunks}").as_bytes()).await;
        let rest = String::from_utf8_lossy(&wire.rest().await).into_owned();
        assert!(!rest.contains("HTTP/1.1 200"), "{chunks:?}: {rest:?}");
    }
}

#[tokio::test]
async fn attack_h6_a_backend_that_changes_the_protocol_unasked_is_cut_off() {
    let backend = scripted::Backend::start(|mut leg, _| async move {
        leg.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
            .await;
        leg.ended().await;
    })
    .await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    for number in 1..=3 {
        let mut wire = Wire::connect(everwire.address()).await;
        wire.send(format!("{GOOD}GET /internal HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await;
        assert!(wire.read_head().await.starts_with("HTTP/1.1 502 "));
        drop(wire);
        backend.legs_reach(number).await;
    }
}

#[tokio::test]
async fn attack_h7_an_offer_of_http_2_is_stripped() {
    let node = need!(tools::node());
    let backend = Backend::start(pages(&node)).await;
    let everwire = in_front_of(&[&backend]).await;
    let mut wire = Wire::connect(everwire.address()).await;
    let offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk";
    wire.send(GOOD.replace("\r\n\r\n", &format!("\r\n{offer}\r\n\r\n")).as_bytes()).await;
    let head = wire.read_head().await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let length = header(&head, "content-length").unwrap().parse().unwrap();
    let seen: serde_json::Value = serde_json::from_slice(&wire.read_exactly(length).await).unwrap();
    for name in ["upgrade", "http2-settings"] {
        assert!(seen["headers"][name].is_null(), "{seen}");
    }
}

#[tokio::test]
async fn attack_h8_a_plain_request_that_can_be_misread_is_refused() {
    let node = need!(tools::node());
    let backend = Backend::start(pages(&node)).await;
    let everwire = in_front_of(&[&backend]).await;
    for request in [
        "GET /seen HTTP/1.1\r\n\r\n",
        "GET /seen HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /seen HTTP/1.1\nHost: a\n\n",
        "GET /seen HTTP/1.1\r\nHost: a\r\nX: y\nZ: w\r\n\r\n",
        "GET /seen HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
        "GET /seen HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n",
        "GET /seen HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
        "GET /seen#x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /se en HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://b/seen HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        refused(&everwire, &backend, request).await;
    }
}
