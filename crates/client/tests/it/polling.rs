//! Long polling, request by request.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use everwire_client::{
    ClientBuilder, CloseReason, Connection, Loss, Protocol, ReconnectPolicy, State, Timing,
    Transport,
};
use everwire_testkit::wait::soon;
use tokio::sync::mpsc;

use crate::{
    asked::{Asked, offer},
    peer::Peer,
};

/// Long enough for a busy machine to take a request up.
const ANSWER_MAX: Duration = Duration::from_secs(2);

fn polling(peer: &Peer) -> ClientBuilder {
    peer.client().transports([Transport::LongPolling]).reconnect(ReconnectPolicy::Never)
}

/// Both ends of a connection, with the poll that waits.
async fn connected(peer: &Peer, client: ClientBuilder) -> (Connection, Asked) {
    let negotiation = offer("one");
    let (client, poll) = tokio::join!(client.connect(), peer.serve_polls(&negotiation));
    (client.unwrap(), poll)
}

async fn lost(client: &Connection) -> String {
    match &*soon("the end", client.closed()).await {
        CloseReason::Lost(Loss::Socket(why)) => why.to_string(),
        other => panic!("not lost: {other}"),
    }
}

#[tokio::test]
async fn polls_bring_and_requests_say_and_the_end_is_told() {
    let (tell, mut told) = mpsc::channel(8);
    let peer = Peer::bind().await;
    let client = polling(&peer).on("Count", move |number: u32| tell.try_send(number).unwrap());
    let (client, poll) = connected(&peer, client).await;
    assert!(poll.has("x-requested-with: XMLHttpRequest"), "{}", poll.head);
    // Neither the bodies nor their parts are messages.
    poll.answer("200 OK", "{\"type\":1,\"target\":\"Count\",\"argu").await;
    let poll = peer.asked_for("GET /hub?id=one ").await;
    poll.answer("200 OK", "").await;
    let poll = peer.asked_for("GET /hub?id=one ").await;
    let call = "{\"type\":1,\"target\":\"Count\",\"arguments\":[2]}\u{1e}";
    poll.answer("200 OK", &format!("ments\":[1]}}\u{1e}{call}")).await;
    assert_eq!(soon("a call", told.recv()).await, Some(1));
    assert_eq!(soon("a call", told.recv()).await, Some(2));
    let poll = peer.asked_for("GET /hub?id=one ").await;
    client.send("Say", &[1]).await.unwrap();
    let said = peer.asked_for("POST /hub?id=one ").await;
    assert_eq!(said.body, "{\"type\":1,\"target\":\"Say\",\"arguments\":[1]}\u{1e}");
    assert!(said.has("content-type: text/plain;charset=UTF-8"), "{}", said.head);
    said.answer("200 OK", "").await;
    let serve = async {
        let close = peer.asked_for("POST /hub?id=one ").await;
        assert_eq!(close.body, "{\"type\":7}\u{1e}", "no ping before it: polls are sign enough");
        close.answer("200 OK", "").await;
        peer.asked_for("DELETE /hub?id=one ").await.answer("202 Accepted", "").await;
        poll.ended().await;
    };
    tokio::join!(client.stop(), serve);
}

#[tokio::test]
async fn what_is_said_while_a_request_is_under_way_goes_together_in_the_next() {
    let peer = Peer::bind().await;
    let (client, _poll) = connected(&peer, polling(&peer)).await;
    client.send("Say", &[1]).await.unwrap();
    let first = peer.asked_for("POST ").await;
    client.send("Say", &[2]).await.unwrap();
    client.send("Say", &[3]).await.unwrap();
    first.answer("200 OK", "").await;
    let both = peer.asked_for("POST ").await;
    assert_eq!(both.body.matches('\u{1e}').count(), 2, "{}", both.body);
    assert!(both.body.contains("[2]") && both.body.contains("[3]"), "{}", both.body);
}

#[tokio::test]
async fn senders_wait_while_64_kib_are_under_way() {
    let peer = Peer::bind().await;
    let (client, _poll) = connected(&peer, polling(&peer)).await;
    client.send("Say", &["x".repeat(64 * 1024)]).await.unwrap();
    let first = peer.asked_for("POST ").await;
    let mut waiting = std::pin::pin!(client.send("Say", &[2]));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    tokio::task::yield_now().await;
    assert!(futures_util::poll!(&mut waiting).is_pending());
    first.answer("200 OK", "").await;
    soon("room", waiting).await.unwrap();
    assert!(peer.asked_for("POST ").await.body.contains("[2]"));
}

#[tokio::test]
async fn requests_go_over_one_connection_for_each_direction() {
    let peer = Peer::bind().await;
    let serve = async {
        peer.negotiate(&offer("one")).await;
        let first = peer.asked_for("GET ").await;
        let (poll, handshake) = tokio::join!(first.answer_and_go_on(""), peer.asked_for("POST "));
        let poll = tokio::join!(poll.answer_and_go_on("{}\u{1e}"), async {
            let said = handshake.answer_and_go_on("").await;
            assert!(said.body.contains("Say"), "{}", said.body);
            let said = said.answer_and_go_on("").await;
            assert!(said.body.contains("Say"), "{}", said.body);
        });
        assert!(poll.0.head.starts_with("GET "), "{}", poll.0.head);
    };
    let say = async {
        let client = polling(&peer).connect().await.unwrap();
        client.send("Say", &[1]).await.unwrap();
        client.send("Say", &[2]).await.unwrap();
        client
    };
    let (_client, ()) = tokio::join!(say, serve);
}

#[tokio::test]
async fn a_server_that_ends_the_polls_is_left() {
    let peer = Peer::bind().await;
    let (client, poll) = connected(&peer, polling(&peer)).await;
    poll.answer("204 No Content", "").await;
    assert_eq!(lost(&client).await, "the server ended the polls");
}

#[tokio::test]
async fn a_server_that_knows_the_connection_no_more_is_left() {
    let peer = Peer::bind().await;
    let (client, poll) = connected(&peer, polling(&peer)).await;
    poll.answer("404 Not Found", "").await;
    assert_eq!(lost(&client).await, "the server answered with status 404");

    let (client, _poll) = connected(&peer, polling(&peer)).await;
    client.send("Say", &[1]).await.unwrap();
    peer.asked_for("POST ").await.answer("404 Not Found", "").await;
    assert_eq!(lost(&client).await, "the server answered with status 404");
}

#[tokio::test]
async fn a_poll_that_is_not_answered_is_repeated_and_the_third_is_a_loss() {
    let peer = Peer::bind().await;
    let timing = Timing { answer_timeout: ANSWER_MAX, ..Timing::default() };
    let client = polling(&peer).timing(timing).connect();
    let serve = async {
        peer.negotiate(&offer("one")).await;
        peer.asked_for("GET ").await.answer("200 OK", "").await;
        let (poll, handshake) = peer.poll_and_post().await;
        handshake.answer("200 OK", "").await;
        poll.ended().await;
        for _ in 0..2 {
            peer.asked_for("GET ").await.ended().await;
        }
    };
    let (refused, ()) = tokio::join!(client, serve);
    let error = refused.unwrap_err().to_string();
    assert!(error.ends_with("3 polls were not answered"), "{error}");
}

#[tokio::test]
async fn a_server_that_takes_nothing_is_left() {
    let peer = Peer::bind().await;
    let timing = Timing { answer_timeout: ANSWER_MAX, ..Timing::default() };
    let serve = async {
        peer.negotiate(&offer("one")).await;
        peer.asked_for("GET ").await.answer("200 OK", "").await;
        let (_poll, handshake) = peer.poll_and_post().await;
        handshake.ended().await;
    };
    let (refused, ()) = tokio::join!(polling(&peer).timing(timing).connect(), serve);
    let error = refused.unwrap_err().to_string();
    assert!(error.ends_with("sending took longer than 2s"), "{error}");
}

#[tokio::test]
async fn a_poll_that_brings_too_much_is_a_loss() {
    let peer = Peer::bind().await;
    let limits = everwire_client::Limits { message_max: 100, ..Default::default() };
    let (client, poll) = connected(&peer, polling(&peer).limits(limits)).await;
    let much = "x".repeat((1 << 20) + 101);
    let serve = poll.answer("200 OK", &much);
    let (why, ()) = tokio::join!(lost(&client), serve);
    assert!(why.ends_with("length limit exceeded"), "{why}");
}

#[tokio::test]
async fn a_lost_connection_is_replaced_whatever_was_asked_for() {
    let peer = Peer::bind().await;
    let again = ReconnectPolicy::Delays(vec![Duration::ZERO]);
    let client = polling(&peer).reconnect(again).stateful_reconnect();
    let stateful = |id| offer(id).replacen('{', "{\"useStatefulReconnect\":true,", 1);
    let negotiation = stateful("one");
    let (client, poll) = tokio::join!(client.connect(), peer.serve_polls(&negotiation));
    let client = client.unwrap();
    let serve = async {
        poll.answer("204 No Content", "").await;
        peer.serve_polls(&stateful("two")).await
    };
    let mut state = client.state();
    let reconnected = state.wait_for(|state| matches!(state, State::Reconnected { .. }));
    let (reconnected, _poll) = tokio::join!(soon("another connection", reconnected), serve);
    assert_eq!(reconnected.unwrap().connection_id().unwrap().as_str(), "two");
}

#[tokio::test]
async fn a_token_that_is_refused_is_renewed_once() {
    let count = AtomicU32::new(0);
    let peer = Peer::bind().await;
    let client = polling(&peer).access_token_from(move || {
        let token = format!("token{}", count.fetch_add(1, Ordering::Relaxed));
        async { Ok(token) }
    });
    let (client, poll) = connected(&peer, client).await;
    assert!(poll.has("authorization: Bearer token0"), "{}", poll.head);
    poll.answer("401 Unauthorized", "").await;
    let poll = peer.asked_for("GET ").await;
    assert!(poll.has("authorization: Bearer token1"), "{}", poll.head);
    poll.answer("200 OK", "").await;
    let poll = peer.asked_for("GET ").await;
    client.send("Say", &[1]).await.unwrap();
    let said = peer.asked_for("POST ").await;
    assert!(said.has("authorization: Bearer token1"), "what is good is kept: {}", said.head);
    said.answer("401 Unauthorized", "").await;
    let said = peer.asked_for("POST ").await;
    assert!(said.has("authorization: Bearer token2"), "{}", said.head);
    assert!(said.body.contains("Say"), "{}", said.body);
    said.answer("401 Unauthorized", "").await;
    assert_eq!(lost(&client).await, "the server answered with status 401");
    drop(poll);
}

#[tokio::test]
async fn the_last_handle_takes_the_poll_with_it() {
    let peer = Peer::bind().await;
    let (client, poll) = connected(&peer, polling(&peer)).await;
    drop(client);
    poll.ended().await;
}

#[tokio::test]
async fn message_pack_is_said_as_bytes() {
    let peer = Peer::bind().await;
    let serve = async {
        peer.negotiate(&offer("one")).await;
        peer.asked_for("GET ").await.answer("200 OK", "").await;
        let (poll, post) = peer.poll_and_post().await;
        assert_eq!(post.body, "{\"protocol\":\"messagepack\",\"version\":1}\u{1e}");
        post.answer("200 OK", "").await;
        poll.answer("200 OK", "{}\u{1e}").await;
        peer.asked_for("GET ").await
    };
    let client = polling(&peer).protocol(Protocol::MessagePack).connect();
    let (client, _poll) = tokio::join!(client, serve);
    let client = client.unwrap();
    client.send("Say", &[1]).await.unwrap();
    let said = peer.asked_for("POST ").await;
    assert!(said.has("content-type: application/octet-stream"), "{}", said.head);
}
