//! P23 to P25: what a proxy has to pass on, and when it must let go.

use std::time::Duration;

use everwire_testkit::{
    client::{Client, request},
    everwire::{Everwire, Setup},
    foreign::Backend,
    message::{self, Kind},
    need,
    scripted::{Backend as Scripted, frame::Frame},
    tools,
    wait::eventually,
};
use tokio_tungstenite::tungstenite::Error;

use crate::stage::{before, client_of, echoing, in_front_of, wire_to};

#[tokio::test]
async fn pred_p23_half_open_clients_are_found_by_pings() {
    let node = need!(tools::node());
    let backend = Backend::start(echoing(&node)).await;
    let everwire = Everwire::start(&before(&[&backend]).ping_millis(2000)).await;
    let _mute = wire_to(everwire.address()).await;
    everwire.pipes_become(1).await;
    everwire.pipes_become(0).await;
}

#[tokio::test]
async fn pred_p23_subprotocol_path_headers_and_cookies_reach_the_backend() {
    let node = need!(tools::node());
    let backend = Backend::start(echoing(&node).with("protocols", "v2")).await;
    let everwire = in_front_of(&[&backend]).await;
    let mut request = request(everwire.address(), "/room/1?token=abc");
    for (name, value) in [
        ("Sec-WebSocket-Protocol", "v1, v2"),
        ("Cookie", "session=xyz"),
        ("Authorization", "Bearer t"),
        ("X-Custom", "kept"),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let (mut client, response) =
        Client::try_open(everwire.address(), request, "c").await.expect("welcomed");
    assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "v2");
    client.round_trip().await;
    let leg = &backend.legs()[0];
    assert_eq!(leg.path, "/room/1?token=abc");
    assert_eq!(leg.protocol, "v2");
    let host = everwire.address().to_string();
    for (name, value) in [
        ("cookie", "session=xyz"),
        ("authorization", "Bearer t"),
        ("x-custom", "kept"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", &host),
        ("host", &host),
    ] {
        assert_eq!(leg.headers[name], value, "{name}");
    }
}

/// The next leg is asked for exactly what was agreed, with everything the client sent.
#[tokio::test]
async fn pred_p23_the_handshake_is_repeated_for_the_next_backend() {
    let node = need!(tools::node());
    let mut backend = Backend::start(echoing(&node).with("protocols", "v2")).await;
    let everwire = in_front_of(&[&backend]).await;
    let mut request = request(everwire.address(), "/room/1?token=abc");
    request.headers_mut().insert("Sec-WebSocket-Protocol", "v1, v2".parse().unwrap());
    request.headers_mut().insert("Cookie", "session=xyz".parse().unwrap());
    let (mut client, _) = Client::try_open(everwire.address(), request, "c").await.unwrap();
    client.round_trip().await;
    everwire.settled().await;
    backend.kill().await;
    backend.revive().await;
    client.round_trip().await;
    let legs = backend.legs();
    assert_eq!(legs[1].path, legs[0].path);
    assert_eq!(legs[1].headers["cookie"], "session=xyz");
    assert_eq!(legs[1].headers["sec-websocket-protocol"], "v2");
    assert_eq!(legs[0].headers["everwire-session"], legs[1].headers["everwire-session"]);
    assert_eq!(legs[0].headers["everwire-leg"], "1");
    assert_eq!(legs[1].headers["everwire-leg"], "2");
}

#[tokio::test]
async fn pred_p23_a_foreign_origin_is_refused_where_origins_are_named() {
    let node = need!(tools::node());
    let backend = Backend::start(echoing(&node)).await;
    let setup = before(&[&backend]).route("origins", r#"["https://app.example.com"]"#);
    let everwire = Everwire::start(&setup).await;
    for (origin, welcome) in [
        ("https://app.example.com", true),
        ("https://evil.example", false),
        ("https://app.example.com.evil.example", false),
        ("http://app.example.com", false),
        ("https://app.example.com:8443", false),
        ("null", false),
    ] {
        let mut request = request(everwire.address(), "/");
        request.headers_mut().insert("Origin", origin.parse().unwrap());
        match Client::try_open(everwire.address(), request, "c").await {
            Ok(_) => assert!(welcome, "{origin} was let in"),
            Err(Error::Http(response)) => {
                assert!(!welcome, "{origin} was refused");
                assert_eq!(response.status(), 403, "{origin}");
            }
            Err(error) => panic!("{origin}: {error}"),
        }
    }
    // An upgrade is answered before its backend speaks of it; an echo comes after it has spoken.
    let mut named = request(everwire.address(), "/last");
    named.headers_mut().insert("Origin", "https://app.example.com".parse().unwrap());
    let (mut last, _) = Client::try_open(everwire.address(), named, "last").await.unwrap();
    last.round_trip().await;
    let paths: Vec<_> = backend.legs().into_iter().map(|leg| leg.path).collect();
    assert_eq!(paths, ["/", "/last"], "the backend saw only the origin that is named");
}

#[tokio::test]
async fn pred_p23_close_codes_pass_in_both_directions() {
    let node = need!(tools::node());
    let mut backend = Backend::start(echoing(&node)).await;
    let everwire = in_front_of(&[&backend]).await;
    let mut client = client_of(&everwire).await;
    client.start_close(4321, "from the client").await;
    assert_eq!(client.hear_close().await.0, 4321);
    let closed = eventually("a close", async || backend.closes().pop()).await;
    assert_eq!((closed.code, closed.reason.as_deref()), (Some(4321), Some("from the client")));

    let mut client = client_of(&everwire).await;
    backend.process().tell("close 4123 from the backend");
    assert_eq!(client.hear_close().await, (4123, "from the backend".to_owned()));
}

/// Nothing was kept for a client that did not read for a while.
#[tokio::test]
async fn pred_p24_a_client_that_stops_reading_for_a_while_gets_everything_after() {
    let backend = Scripted::start(|mut leg, _| async move {
        leg.welcome(&[]).await;
        for sequence in 1..=2000 {
            let (kind, payload) = message::write("pushed", sequence, 4000);
            leg.send_frame(&Frame::message(kind, payload)).await;
        }
        leg.ended().await;
    })
    .await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let mut client = client_of(&everwire).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for sequence in 1..=2000 {
        client.hear_mark("pushed", sequence).await;
    }
}

#[tokio::test]
async fn pred_p25_a_clean_goodbye_of_the_backend_is_one() {
    let node = need!(tools::node());
    let mut backend = Backend::start(echoing(&node)).await;
    let everwire = in_front_of(&[&backend]).await;
    for (code, reason) in [(1000, "bye"), (4001, "logged out")] {
        let legs = backend.legs().len();
        let mut client = client_of(&everwire).await;
        client.send(Kind::Text, b"hello".to_vec()).await;
        assert_eq!(client.hear().await.text(), "hello");
        backend.process().tell(&format!("close {code} {reason}"));
        assert_eq!(client.hear_close().await, (code, reason.to_owned()));
        everwire.pipes_become(0).await;
        assert_eq!(backend.legs().len(), legs + 1, "no other backend is chosen");
    }
}
