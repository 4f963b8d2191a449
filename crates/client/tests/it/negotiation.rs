//! How a connection begins.

use std::sync::atomic::{AtomicU32, Ordering};

use everwire_client::{AddressError, Client, ConnectError, Protocol};

use crate::peer::{PLAIN, Peer, STATEFUL};

/// The error of a client whose negotiation is answered like this.
async fn refused(status: &str, headers: &str, body: &str) -> ConnectError {
    let peer = Peer::bind().await;
    let (connected, _) = tokio::join!(peer.client().connect(), peer.answer(status, headers, body));
    connected.unwrap_err()
}

#[tokio::test]
async fn negotiation_gives_the_id_that_attaches_to_the_connection() {
    let peer = Peer::bind().await;
    let client =
        Client::builder(peer.url("/hub?room=1")).header("X-Tenant", "acme").access_token("secret");
    let serve = async {
        let head = peer.negotiate(PLAIN).await;
        let mut socket = peer.socket().await;
        assert_eq!(socket.shake().await, "{\"protocol\":\"json\",\"version\":1}\u{1e}");
        (head, socket)
    };
    let (client, (head, socket)) = tokio::join!(client.connect(), serve);
    assert!(head.starts_with("POST /hub/negotiate?room=1&negotiateVersion=1 HTTP/1.1\r\n"));
    let has = |line: &str| head.lines().any(|it| it.eq_ignore_ascii_case(line));
    assert!(has("x-tenant: acme") && has("authorization: Bearer secret"), "{head}");
    assert!(has(&format!("host: {}", peer.address())), "{head}");
    assert_eq!(socket.request.uri(), "/hub?room=1&id=a%2Bb");
    assert_eq!(socket.request.headers()["x-tenant"], "acme");
    assert_eq!(socket.request.headers()["authorization"], "Bearer secret");
    assert_eq!(client.unwrap().connection_id().unwrap().as_str(), "one");
}

#[tokio::test]
async fn a_client_that_asks_for_stateful_reconnect_shakes_hands_in_version_2() {
    let peer = Peer::bind().await;
    let client = peer.client().stateful_reconnect().protocol(Protocol::MessagePack);
    let serve = async {
        let head = peer.negotiate(STATEFUL).await;
        assert!(head.contains("negotiateVersion=1&useStatefulReconnect=true"), "{head}");
        peer.socket().await.shake().await
    };
    let (client, handshake) = tokio::join!(client.connect(), serve);
    assert_eq!(handshake, "{\"protocol\":\"messagepack\",\"version\":2}\u{1e}");
    drop(client);
    let unasked = refused("200 OK", "", STATEFUL).await;
    let text = "Client didn't negotiate Stateful Reconnect but the server did.";
    assert_eq!(unasked.to_string(), text);
}

#[tokio::test]
async fn negotiation_can_be_skipped() {
    let peer = Peer::bind().await;
    let client = peer.client().skip_negotiation().stateful_reconnect();
    let serve = async {
        let mut socket = peer.socket().await;
        assert_eq!(socket.shake().await, "{\"protocol\":\"json\",\"version\":1}\u{1e}");
        socket
    };
    let (client, socket) = tokio::join!(client.connect(), serve);
    assert_eq!(socket.request.uri(), "/hub");
    assert_eq!(client.unwrap().connection_id(), None);
}

#[tokio::test]
async fn a_redirect_is_followed_with_its_own_token() {
    let (first, second) = (Peer::bind().await, Peer::bind().await);
    let client = first.client().access_token("secret");
    let to = second.url("/client/?hub=x");
    let serve = async {
        first.negotiate(&format!("{{\"url\":\"{to}\",\"accessToken\":\"other\"}}")).await;
        let head = second.negotiate(PLAIN).await;
        let mut socket = second.socket().await;
        socket.shake().await;
        (head, socket)
    };
    let (client, (head, socket)) = tokio::join!(client.connect(), serve);
    assert!(head.starts_with("POST /client/negotiate?hub=x&negotiateVersion=1 "), "{head}");
    assert!(head.contains("Bearer other"), "{head}");
    assert_eq!(socket.request.uri(), "/client/?hub=x&id=a%2Bb");
    assert_eq!(socket.request.headers()["authorization"], "Bearer other");
    client.unwrap();
}

#[tokio::test]
async fn a_307_is_followed_and_what_authenticates_stays_behind() {
    let (first, second) = (Peer::bind().await, Peer::bind().await);
    let client = first.client().access_token("secret");
    let location = format!("Location: {}\r\n", second.url("/there"));
    let serve = async {
        first.answer("307 Temporary Redirect", "Location: /elsewhere\r\n", "").await;
        let beside = first.answer("307 Temporary Redirect", &location, "").await;
        let beyond = second.negotiate(PLAIN).await;
        let mut socket = first.socket().await;
        socket.shake().await;
        (beside, beyond)
    };
    let (client, (beside, beyond)) = tokio::join!(client.connect(), serve);
    assert!(beside.starts_with("POST /elsewhere ") && beside.contains("Bearer secret"));
    assert!(beyond.starts_with("POST /there ") && !beyond.contains("Bearer secret"));
    client.unwrap();
}

#[tokio::test]
async fn redirects_in_circles_end() {
    let peer = Peer::bind().await;
    let again = format!("{{\"url\":\"{}\"}}", peer.url("/hub"));
    let serve = async {
        for _ in 0..=100 {
            peer.negotiate(&again).await;
        }
    };
    let (connected, ()) = tokio::join!(peer.client().connect(), serve);
    assert!(matches!(connected, Err(ConnectError::Redirects)));
}

#[tokio::test]
async fn each_request_asks_for_its_token() {
    let peer = Peer::bind().await;
    let count = AtomicU32::new(0);
    let client = peer.client().access_token_from(move || {
        let token = format!("token{}", count.fetch_add(1, Ordering::Relaxed));
        async { Ok(token) }
    });
    let serve = async {
        let head = peer.negotiate(PLAIN).await;
        let mut socket = peer.socket().await;
        socket.shake().await;
        (head, socket)
    };
    let (client, (head, socket)) = tokio::join!(client.connect(), serve);
    assert!(head.contains("Bearer token0"), "{head}");
    assert_eq!(socket.request.headers()["authorization"], "Bearer token1");
    client.unwrap();
    let failing = peer.client().access_token_from(|| async { Err("no luck".into()) });
    let error = failing.connect().await.unwrap_err();
    assert_eq!(error.to_string(), "no access token: no luck");
}

#[tokio::test]
async fn a_negotiation_that_cannot_be_used_says_why() {
    assert!(matches!(refused("404 Not Found", "", "").await, ConnectError::Status(404)));
    let error = refused("200 OK", "", "{\"error\":\"full\"}").await;
    assert_eq!(error.to_string(), "the server refused the negotiation: full");
    let error = refused("200 OK", "", "<html>").await;
    assert_eq!(error.to_string(), "Invalid negotiation response received.");
    let unknown = PLAIN.replace("WebSockets", "WebTransport");
    assert_eq!(
        refused("200 OK", "", &unknown).await.to_string(),
        "None of the transports supported by the client are supported by the server."
    );
    let long = " ".repeat(65 * 1024);
    assert!(matches!(refused("200 OK", "", &long).await, ConnectError::Http(_)));
}

#[tokio::test]
async fn a_server_that_is_no_websocket_says_why() {
    let peer = Peer::bind().await;
    let serve = async {
        peer.negotiate(PLAIN).await;
        peer.answer("404 Not Found", "", "").await;
    };
    let (connected, ()) = tokio::join!(peer.client().connect(), serve);
    let error = connected.unwrap_err().to_string();
    assert!(error.contains("404"), "{error}");
}

#[tokio::test]
async fn a_refused_handshake_is_told_in_the_servers_words() {
    let peer = Peer::bind().await;
    let serve = async {
        peer.negotiate(PLAIN).await;
        let mut socket = peer.socket().await;
        socket.hear_any().await;
        socket.say("{\"error\":\"The protocol 'json' is not supported.\"}\u{1e}").await;
        socket.ended().await;
    };
    let (connected, ()) = tokio::join!(peer.client().connect(), serve);
    assert_eq!(
        connected.unwrap_err().to_string(),
        "Server returned handshake error: The protocol 'json' is not supported."
    );
}

#[tokio::test]
async fn mistakes_of_the_application_show_when_connecting() {
    let other = Client::builder("ftp://localhost/hub").connect().await.unwrap_err();
    assert!(matches!(other, ConnectError::Address(AddressError::Scheme(_))));
    for (name, value) in
        [("a b", "x"), ("x", "a\r\nb: c"), ("Host", "x"), ("Sec-WebSocket-Key", "x")]
    {
        let client = Client::builder("http://localhost/hub").header(name, value);
        assert!(matches!(client.connect().await, Err(ConnectError::Header(_))), "{name}");
    }
    let client = Client::builder("http://localhost/hub").access_token("a\r\nb: c");
    assert!(matches!(client.connect().await, Err(ConnectError::Header(_))));
    let nobody = Peer::bind().await.url("/hub");
    let error = Client::builder(nobody).connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
}
