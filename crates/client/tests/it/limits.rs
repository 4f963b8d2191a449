//! What happens where something is full.

use std::{pin::pin, sync::Arc, time::Duration};

use everwire_client::{CloseReason, InvokeError, Limits, Loss, ReconnectPolicy, SendError, Timing};
use everwire_testkit::wait::soon;
use futures_util::poll;
use tokio::sync::{Semaphore, mpsc};

use crate::peer::{Peer, STATEFUL};

const BRIEF: Duration = Duration::from_millis(50);

#[tokio::test]
async fn one_call_too_many_is_refused() {
    let peer = Peer::bind().await;
    let limits = Limits { calls_max: 1, ..Limits::default() };
    let (client, mut server) = peer.connected(peer.client().limits(limits)).await;
    let _items = client.stream::<u32>("Count", &[1]).await.unwrap();
    let refused = client.invoke::<u32>("Add", &[1]).await;
    assert!(matches!(refused, Err(InvokeError::Send(SendError::TooManyCalls(1)))));
    client.send("Say", &[1]).await.unwrap();
    assert!(server.hear().await.contains("Count"));
    assert!(server.hear().await.contains("Say"));
}

#[tokio::test]
async fn a_message_that_is_too_large_loses_the_connection() {
    let peer = Peer::bind().await;
    let limits = Limits { message_max: 100, ..Limits::default() };
    let client = peer.client().limits(limits).reconnect(ReconnectPolicy::Never);
    let (client, mut server) = peer.connected(client).await;
    server.say(&"x".repeat(101)).await;
    server.ended().await;
    let why = soon("the end", client.closed()).await;
    assert!(matches!(*why, CloseReason::Lost(Loss::Read(_))), "{why}");
}

#[tokio::test]
async fn senders_wait_while_100_kb_are_not_acknowledged() {
    let peer = Peer::bind().await;
    let client = peer.client().stateful_reconnect();
    let (client, mut server) = peer.connected_by(client, STATEFUL).await;
    let much = "x".repeat(100_000);
    client.send("Say", &[&much]).await.unwrap();
    {
        let mut waiting = pin!(client.send("Say", &[1]));
        assert!(poll!(&mut waiting).is_pending());
        assert!(server.hear().await.len() > 100_000);
        assert!(poll!(&mut waiting).is_pending());
        server.say("{\"type\":8,\"sequenceId\":1}\u{1e}").await;
        soon("room", waiting).await.unwrap();
    }
    assert!(server.hear().await.contains("[1]"));
}

#[tokio::test]
async fn handlers_that_are_slow_get_everything_in_order() {
    let (tell, mut told) = mpsc::channel(1);
    let peer = Peer::bind().await;
    let limits = Limits { handler_queue_max: 2, ..Limits::default() };
    let client = peer.client().limits(limits).on("Count", move |number: u32| {
        let tell = tell.clone();
        async move { tell.send(number).await.unwrap() }
    });
    let (_client, mut server) = peer.connected(client).await;
    for number in 0..100 {
        server
            .say(&format!("{{\"type\":1,\"target\":\"Count\",\"arguments\":[{number}]}}\u{1e}"))
            .await;
    }
    for number in 0..100 {
        assert_eq!(soon("a call", told.recv()).await, Some(number));
    }
}

#[tokio::test]
async fn handlers_that_hang_close_the_connection() {
    let peer = Peer::bind().await;
    let limits = Limits { handler_queue_max: 1, ..Limits::default() };
    let timing = Timing { server_timeout: BRIEF, ..Timing::default() };
    let hang = || std::future::pending::<()>();
    let client = peer.client().limits(limits).timing(timing).on("Hang", hang);
    let (client, mut server) = peer.connected(client).await;
    for _ in 0..3 {
        server.say("{\"type\":1,\"target\":\"Hang\",\"arguments\":[]}\u{1e}").await;
    }
    assert_eq!(server.hear().await, "{\"type\":7}\u{1e}");
    server.ended().await;
    let why = soon("the end", client.closed()).await;
    assert!(matches!(*why, CloseReason::HandlersStalled(BRIEF)), "{why}");
}

#[tokio::test]
async fn a_stream_that_nobody_takes_is_cancelled_and_the_rest_goes_on() {
    let peer = Peer::bind().await;
    let limits = Limits { stream_buffer_max: 1, ..Limits::default() };
    let timing = Timing { server_timeout: BRIEF, ..Timing::default() };
    let client = peer.client().limits(limits).timing(timing);
    let (client, mut server) = peer.connected(client).await;
    let mut items = client.stream::<u32>("Count", &[1]).await.unwrap();
    server.hear().await;
    let item = "{\"type\":2,\"invocationId\":\"0\",\"item\":1}\u{1e}";
    server.say(&item.repeat(3)).await;
    assert_eq!(server.hear().await, "{\"type\":5,\"invocationId\":\"0\"}\u{1e}");
    assert_eq!(items.next().await.unwrap().unwrap(), 1);
    assert!(matches!(items.next().await, Some(Err(InvokeError::Overrun(BRIEF)))));
    assert!(items.next().await.is_none());
}

#[tokio::test]
async fn a_handler_that_sends_into_a_full_session_is_let_through() {
    let go = Arc::new(Semaphore::new(0));
    let (waits, peer) = (go.clone(), Peer::bind().await);
    let limits = Limits { handler_queue_max: 1, ..Limits::default() };
    let client = peer.client().stateful_reconnect().limits(limits);
    let (client, mut server) = peer.connected_by(client, STATEFUL).await;
    let saying = client.clone();
    client.on("Say", move || {
        let (client, waits) = (saying.clone(), waits.clone());
        async move {
            waits.acquire().await.unwrap().forget();
            client.send("Said", &[1]).await.unwrap();
        }
    });
    client.send("Say", &["x".repeat(100_000)]).await.unwrap();
    server.hear().await;
    // One runs, one waits, and the third holds up the acknowledgement behind it.
    let call = "{\"type\":1,\"target\":\"Say\",\"arguments\":[]}\u{1e}";
    server.say(&(call.repeat(3) + "{\"type\":8,\"sequenceId\":1}\u{1e}")).await;
    go.add_permits(3);
    for _ in 0..3 {
        let said = loop {
            let said = server.hear().await;
            if !said.contains("\"type\":8") {
                break said;
            }
        };
        assert!(said.contains("Said"), "{said}");
    }
}
