//! Which transport a client ends up with, and server-sent events request by request.

use std::time::Duration;

use everwire_client::{
    ClientBuilder, CloseReason, ConnectError, Limits, Loss, Protocol, ReconnectPolicy, Timing,
    TokenPlace, Transport,
};
use everwire_testkit::wait::soon;
use tokio::sync::mpsc;

use crate::{
    asked::{Asked, HANDSHAKE, offer},
    peer::Peer,
};

fn listening(peer: &Peer) -> ClientBuilder {
    peer.client().transports([Transport::ServerSentEvents]).reconnect(ReconnectPolicy::Never)
}

/// Takes a client through negotiation and handshake by events; gives those.
async fn serve_events(peer: &Peer) -> Asked {
    peer.negotiate(&offer("one")).await;
    let asked = peer.asked_for("GET /hub?id=one ").await;
    assert!(asked.has("accept: text/event-stream"), "{}", asked.head);
    let mut events = asked.begin_events().await;
    let post = peer.asked_for("POST /hub?id=one ").await;
    assert_eq!(post.body, HANDSHAKE);
    post.answer("200 OK", "").await;
    events.say("data: {}\u{1e}\r\n\r\n").await;
    let ping = peer.asked_for("POST /hub?id=one ").await;
    assert_eq!(ping.body, "{\"type\":6}\u{1e}");
    ping.answer("200 OK", "").await;
    events
}

#[tokio::test]
async fn events_bring_and_requests_say() {
    let (tell, mut told) = mpsc::channel(8);
    let peer = Peer::bind().await;
    let client = listening(&peer).on("Say", move |text: String| tell.try_send(text).unwrap());
    let (client, mut events) = tokio::join!(client.connect(), serve_events(&peer));
    let client = client.unwrap();
    // A line feed in a message divides its line, which to JSON is a space more.
    events.say("data: {\"type\":1,\"target\":\"Say\",\r\nda").await;
    events.say("ta: \"arguments\":[\"a\"]}\u{1e}\r\n\r\n:\r\n").await;
    assert_eq!(soon("a call", told.recv()).await.as_deref(), Some("a"));
    let serve = async {
        let close = peer.asked_for("POST ").await;
        assert_eq!(close.body, "{\"type\":7}\u{1e}");
        close.answer("200 OK", "").await;
        events.ended().await;
    };
    tokio::join!(client.stop(), serve);
}

#[tokio::test]
async fn an_end_of_the_events_is_a_loss_and_so_is_one_that_is_too_long() {
    let peer = Peer::bind().await;
    let limits = Limits { message_max: 100, ..Limits::default() };
    for (said, wanted) in [
        (String::new(), "the server ended the events"),
        ("x".repeat((1 << 20) + 101), "an event is longer than 1048676 bytes"),
    ] {
        let client = listening(&peer).limits(limits);
        let (client, mut events) = tokio::join!(client.connect(), serve_events(&peer));
        events.say(&said).await;
        drop(events);
        let client = client.unwrap();
        let why = soon("the end", client.closed()).await;
        let CloseReason::Lost(Loss::Socket(why)) = &*why else { panic!("{why}") };
        assert_eq!(&**why, wanted);
    }
}

#[tokio::test]
async fn each_transport_is_tried_with_a_negotiation_of_its_own() {
    let peer = Peer::bind().await;
    let serve = async {
        peer.negotiate(&offer("one")).await;
        let socket = peer.asked_for("GET /hub?id=one ").await;
        assert!(socket.has("upgrade: websocket"), "{}", socket.head);
        socket.answer("404 Not Found", "").await;
        peer.negotiate(&offer("two")).await;
        let events = peer.asked_for("GET /hub?id=two ").await;
        assert!(events.has("accept: text/event-stream"), "{}", events.head);
        events.answer("200 OK", "a page to sign in on").await;
        peer.serve_polls(&offer("three")).await
    };
    let (client, _poll) = tokio::join!(peer.client().connect(), serve);
    assert_eq!(client.unwrap().connection_id().unwrap().as_str(), "three");
}

#[tokio::test]
async fn where_no_transport_works_it_is_told_why_not() {
    let peer = Peer::bind().await;
    let serve = async {
        for _ in 0..2 {
            peer.negotiate(&offer("one")).await;
            peer.asked().await.answer("503 Service Unavailable", "").await;
        }
    };
    let client = peer.client().protocol(Protocol::MessagePack).connect();
    let (refused, ()) = tokio::join!(client, serve);
    assert_eq!(
        refused.unwrap_err().to_string(),
        "Unable to connect to the server with any of the available transports. \
         'ServerSentEvents' does not support Binary. \
         WebSockets failed: no WebSocket: server answered \"HTTP/1.1 503 Service Unavailable\" \
         LongPolling failed: the server answered with status 503"
    );
}

#[tokio::test]
async fn a_transport_that_hangs_leaves_time_for_the_others() {
    let peer = Peer::bind().await;
    let timing = Timing { connect_timeout: Duration::from_secs(6), ..Timing::default() };
    let serve = async {
        peer.negotiate(&offer("one")).await;
        let hangs = peer.asked_for("GET /hub?id=one ").await;
        hangs.ended().await;
        serve_events(&peer).await
    };
    let (client, _events) = tokio::join!(peer.client().timing(timing).connect(), serve);
    client.unwrap();
}

#[tokio::test]
async fn only_a_websocket_needs_no_negotiation() {
    let peer = Peer::bind().await;
    let refused = listening(&peer).skip_negotiation().connect().await;
    assert!(matches!(refused, Err(ConnectError::NegotiationNeeded)));
}

#[tokio::test]
async fn a_server_without_secret_tokens_is_attached_to_by_its_id() {
    let peer = Peer::bind().await;
    let old = r#"{"connectionId":"one","connectionToken":"unused",
        "availableTransports":[{"transport":"LongPolling","transferFormats":["Text","Binary"]}]}"#;
    let (client, poll) = tokio::join!(peer.client().connect(), peer.serve_polls(old));
    assert_eq!(client.unwrap().connection_id().unwrap().as_str(), "one");
    assert!(poll.head.starts_with("GET /hub?id=one "), "{}", poll.head);
}

#[tokio::test]
async fn a_token_in_the_query_is_only_where_browsers_put_it() {
    let peer = Peer::bind().await;
    let client = peer.client().access_token("a+b").token_place(TokenPlace::Query);
    let serve = async {
        let head = peer.negotiate(&offer("one")).await;
        assert!(head.contains("authorization: Bearer a+b"), "{head}");
        let socket = peer.asked_for("GET /hub?id=one&access_token=a%2Bb ").await;
        assert!(!socket.head.contains("authorization"), "{}", socket.head);
        socket.answer("404 Not Found", "").await;
        peer.negotiate(&offer("two")).await;
        let asked = peer.asked_for("GET /hub?id=two&access_token=a%2Bb ").await;
        assert!(!asked.head.contains("authorization"), "{}", asked.head);
        let _events = asked.begin_events().await;
        let post = peer.asked_for("POST /hub?id=two ").await;
        assert!(post.has("authorization: bearer a+b"), "{}", post.head);
    };
    tokio::select! {
        _ = client.connect() => panic!("connected without a handshake"),
        () = serve => {}
    }
}
