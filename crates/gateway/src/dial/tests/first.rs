//! The first leg: its failure is an HTTP answer that the client sees.

use super::*;

/// The refusal that the client gets from a lone backend that follows `script`.
async fn refusal(script: Script) -> Refusal {
    let peer = Peer::start(script).await;
    let client = Client::new(vec![peer.config()]);
    let refusal = client.first().await.expect_err("no leg");
    client.check_nothing_left();
    peer.left_alone().await;
    assert_eq!(peer.heads().len(), 1, "asked once");
    refusal
}

#[tokio::test(start_paused = true)]
async fn a_welcome_becomes_a_leg() {
    let welcome = Script::welcome(&["Set-Cookie: node=1", "Everwire-Client-Received: 0"]);
    let peer = Peer::start(welcome.and("\u{1}first bytes")).await;
    let client = Client::new(vec![peer.config()]);
    let mut leg = client.first().await.expect("a leg");
    while leg.read_ahead.len() < 12 {
        tokio::io::AsyncReadExt::read_buf(&mut leg.stream, &mut leg.read_ahead)
            .await
            .expect("more");
    }
    assert_eq!(leg.read_ahead, b"\x01first bytes");
    assert_eq!(leg.welcome.client_received, Some(0));
    assert_eq!(leg.welcome.headers.as_bytes(), b"Set-Cookie: node=1\r\n");
    assert!(leg.stream.nodelay().expect("an option"));
    assert_eq!(client.pool.backends()[0].sessions, 1);
    let heads = peer.heads();
    let [head] = &heads[..] else { panic!("one request, not {heads:?}") };
    assert!(head.starts_with("GET /chat?room=1 HTTP/1.1\r\nHost: example.com\r\n"), "{head}");
    assert!(head.contains("\r\nCookie: user=1\r\nX-Forwarded-For: 192.0.2.7\r\n"), "{head}");
    assert!(head.contains("\r\nEverwire-Session: s-1\r\nEverwire-Leg: 1\r\n"), "{head}");
    drop(leg);
    client.check_nothing_left();
}

#[tokio::test(start_paused = true)]
async fn each_leg_has_its_own_key() {
    let peer = Peer::start(Script::welcome(&[])).await;
    let client = Client::new(vec![peer.config()]);
    for _ in 0..8 {
        client.first().await.expect("a leg");
    }
    let mut keys: Vec<_> = peer.heads();
    keys.iter_mut().for_each(|head| drop(head.drain(..head.find("-Key: ").expect("a key"))));
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 8);
}

#[tokio::test(start_paused = true)]
async fn interim_answers_are_skipped() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    let mut script = Script::welcome(&[]);
    script.answer.insert_str(0, interim);
    let peer = Peer::start(script).await;
    Client::new(vec![peer.config()]).first().await.expect("a leg");
}

#[tokio::test(start_paused = true)]
async fn a_url_with_a_path_is_dialled_there_and_a_name_is_resolved() {
    let peer = Peer::start(Script::welcome(&[])).await;
    let url = format!("ws://localhost:{}/listener", peer.address.port());
    let client = Client::new(vec![BackendConfig::new(url.parse().expect("a URL"))]);
    client.first().await.expect("a leg");
    client.first().await.expect("a leg from the resolver's last answer");
    assert!(peer.heads()[1].starts_with("GET /listener?room=1 HTTP/1.1\r\n"));
}

#[tokio::test(start_paused = true)]
async fn attack_h6_a_false_101_is_a_bad_gateway_and_its_connection_is_closed() {
    for lines in [
        &["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"][..],
        &[
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        ],
        &[
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: h2c",
            "Connection: Upgrade",
            "Sec-WebSocket-Accept: {accept}",
        ],
    ] {
        assert_eq!(refusal(Script::lines(lines)).await.status, 502, "{lines:?}");
    }
    for extra in ["Sec-WebSocket-Protocol: x", "Sec-WebSocket-Extensions: permessage-deflate"] {
        assert_eq!(refusal(Script::welcome(&[extra])).await.status, 502, "{extra} was not offered");
    }
}

#[tokio::test(start_paused = true)]
async fn attack_h6_a_200_with_an_upgrade_is_only_an_answer() {
    let lines = [
        "HTTP/1.1 200 OK",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Accept: {accept}",
        "Content-Length: 5",
    ];
    let refusal = refusal(Script::lines(&lines).and("hello and more")).await;
    assert_eq!((refusal.status, refusal.body.as_slice()), (200, &b"hello"[..]));
    assert!(refusal.headers.is_empty(), "{:?}", refusal.headers);
}

#[tokio::test(start_paused = true)]
async fn fault_p8_a_refusal_reaches_the_client_with_its_body() {
    let unauthorized =
        ["HTTP/1.1 401 Unauthorized", "WWW-Authenticate: Bearer", "Content-Length: 2"];
    let seen = refusal(Script::lines(&unauthorized).and("no")).await;
    assert_eq!(
        String::from_utf8(seen.to_bytes()).expect("ASCII"),
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 2\r\n\
         Connection: close\r\n\r\nno"
    );
    let chunked = Script::lines(&["HTTP/1.1 404 Not Found", "Transfer-Encoding: chunked"]);
    assert_eq!(refusal(chunked.and("3\r\nabc\r\n0\r\n\r\n")).await.body, b"abc");
    let until_close = Script::lines(&["HTTP/1.1 403 Forbidden"]).and("go").then(Then::Close);
    assert_eq!(refusal(until_close).await.body, b"go");
    assert_eq!(refusal(Script::lines(&["HTTP/1.1 204 No Content"])).await.body, b"");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_s_body_is_bounded_in_bytes_and_in_time() {
    let long = "a".repeat(1 << 20);
    let huge = Script::lines(&["HTTP/1.1 404 Not Found", "Content-Length: 1048576"]).and(&long);
    assert_eq!(refusal(huge).await.body.len(), 64 * 1024);
    let stalled = Script::lines(&["HTTP/1.1 404 Not Found", "Content-Length: 1000"]).and("start");
    let (seen, took) = timed(refusal(stalled)).await;
    assert_eq!(seen.body, b"start");
    assert!(took <= Duration::from_secs(3), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_cannot_serve_is_passed_over() {
    for script in unreachable_scripts() {
        let (bad, good) =
            (Peer::start(script.clone()).await, Peer::start(Script::welcome(&[])).await);
        let client = Client::new(vec![bad.config(), good.config()]);
        let leg = client.first().await.expect("the other backend");
        assert_eq!(leg.guard.backend(), BackendId(2));
        assert_eq!(client.failures(), [1, 0], "{script:?}");
        assert!(client.pool.backends()[0].last_error.is_some());
        assert_eq!(bad.heads().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_refuses_connections_is_passed_over_at_once() {
    let (dead, good) = (dead_address().await, Peer::start(Script::welcome(&[])).await);
    let client = Client::new(vec![config(dead), good.config()]);
    let (leg, took) = timed(client.first()).await;
    assert_eq!(leg.expect("the other backend").guard.backend(), BackendId(2));
    assert!(took < Duration::from_millis(50), "{took:?}");
    assert_eq!(client.failures(), [1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_silent_backend_does_not_use_up_the_client_s_time() {
    let (silent, good) =
        (Peer::start(Script::silent()).await, Peer::start(Script::welcome(&[])).await);
    let client = Client::new(vec![silent.config(), good.config()]);
    let (leg, took) = timed(client.first()).await;
    assert_eq!(leg.expect("the other backend").guard.backend(), BackendId(2));
    assert!(took <= Duration::from_millis(2_600), "{took:?}");
    // Whoever looks at it again, while the other is well, spends a second at most.
    for _ in 0..20 {
        tokio::time::advance(Duration::from_millis(500)).await;
        let (leg, took) = timed(client.first()).await;
        assert_eq!(leg.expect("the other backend").guard.backend(), BackendId(2));
        assert!(took <= Duration::from_millis(1_100), "{took:?}");
    }
    assert!((2..=8).contains(&silent.heads().len()), "{}", silent.heads().len());
    silent.left_alone().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_backend_is_waited_for() {
    let peer = Peer::start(Script::welcome(&[]).after(Duration::from_secs(4))).await;
    Client::new(vec![peer.config()]).first().await.expect("a leg");
}

#[tokio::test(start_paused = true)]
async fn no_backend_in_the_dial_budget_is_a_503() {
    let (dead, silent) = (dead_address().await, Peer::start(Script::silent()).await);
    for backends in [vec![], vec![config(dead)], vec![silent.config()]] {
        let client = Client::new(backends);
        let (refusal, took) = timed(client.first()).await;
        let refusal = refusal.expect_err("no backend");
        assert_eq!(refusal.status, 503);
        let shown = String::from_utf8(refusal.to_bytes()).expect("ASCII");
        assert!(!shown.contains("127.0.0.1"), "{shown}");
        assert!((4_900..5_200).contains(&took.as_millis()), "{took:?}");
        assert!(client.failures().iter().sum::<u64>() < 30, "{:?}", client.failures());
        client.check_nothing_left();
    }
    silent.left_alone().await;
}

#[tokio::test(start_paused = true)]
async fn exactly_once_does_not_take_a_backend_that_does_not_count() {
    let peer = Peer::start(Script::welcome(&[])).await;
    let mut client = Client::new(vec![peer.config()]);
    client.counting = true;
    assert_eq!(client.first().await.expect_err("no leg").status, 502);
    client.check_nothing_left();
    peer.change(Script::welcome(&["Everwire-Client-Received: 0"]));
    client.first().await.expect("a leg");
}
