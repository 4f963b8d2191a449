//! What confirms a message, and what does not.

use std::time::Duration;

use everwire_testkit::{
    client::{Client, Heard},
    everwire::{Everwire, Setup},
    foreign::Backend,
    need,
    scripted::{
        Listener, Recorder, Role,
        frame::{CLOSE, Frame, TEXT},
    },
    tools,
    wait::eventually,
};
use tokio::join;

use crate::stage::{arrived_from, client_of, in_front_of, replying};

/// The backend pushes without having read anything, then is killed: nothing that it pushed may
/// have counted as a confirmation.
#[tokio::test]
async fn what_a_backend_pushes_confirms_nothing_that_it_has_not_read() {
    let node = need!(tools::node());
    let mut backend = Backend::start(replying(&node).flag("deaf").with("push-every", 10)).await;
    let everwire = in_front_of(&[&backend]).await;
    let mut client = client_of(&everwire).await;
    for _ in 0..50 {
        client.say(100).await;
        assert!(matches!(client.hear().await, Heard::Message(..)));
    }
    backend.kill().await;
    assert_eq!(backend.messages().len(), 0, "the deaf backend has read nothing");
    backend.change(replying(&node));
    backend.revive().await;
    arrived_from(&client, &[&backend]).await.assert_exact("at the next backend");
}

/// Where nothing confirms, what was written comes again: the control that shows that confirmation
/// is what keeps `arrived_from` exact elsewhere.
#[tokio::test]
async fn an_unconfirmed_message_is_doubled_by_the_next_leg() {
    let backend = Listener::bind().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let (mut client, mut leg) =
        join!(Client::open(everwire.address(), "/", "c"), backend.accept_leg());
    client.send_text("read, never confirmed").await;
    while leg.next_frame().await.is_some_and(|frame| frame.opcode != TEXT) {}
    leg.reset();
    let mut next = backend.accept_leg().await;
    let again = next.next_message(Role::Server).await;
    assert_eq!(again, Some((TEXT, b"read, never confirmed".to_vec())));
}

#[tokio::test]
async fn a_clean_end_after_a_restart_close_confirms_what_was_written() {
    let backend = Listener::bind().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let (mut client, mut leg) =
        join!(Client::open(everwire.address(), "/", "c"), backend.accept_leg());
    client.send_text("before the Close").await;
    while leg.next_frame().await.is_some_and(|frame| frame.opcode != TEXT) {}
    leg.send_frame(&Frame::close(1012, "restarting")).await;
    while leg.next_frame().await.is_some_and(|frame| frame.opcode != CLOSE) {}
    leg.finish().await;
    drop(leg);
    let mut next = backend.accept_leg().await;
    client.send_text("after").await;
    assert_eq!(next.next_message(Role::Server).await, Some((TEXT, b"after".to_vec())));
}

/// In at-most-once nothing is sent twice, whatever a backend has or has not confirmed.
#[tokio::test]
async fn at_most_once_never_repeats_what_the_kernel_has_taken() {
    let backend = Listener::bind().await;
    let setup = Setup::new().backend(backend.url()).route("delivery", r#""at-most-once""#);
    let everwire = Everwire::start(&setup).await;
    let (mut client, mut leg) =
        join!(Client::open(everwire.address(), "/", "c"), backend.accept_leg());
    client.send_text("once").await;
    while leg.next_frame().await.is_some_and(|frame| frame.opcode != TEXT) {}
    leg.reset();
    let mut next = backend.accept_leg().await;
    client.send_text("after").await;
    assert_eq!(next.next_message(Role::Server).await, Some((TEXT, b"after".to_vec())));
}

/// A client's Close waits behind what it said, during an outage too.
#[tokio::test]
async fn a_message_sent_before_a_close_in_an_outage_arrives_before_it() {
    let node = need!(tools::node());
    let mut backend = Backend::start(replying(&node)).await;
    let everwire = in_front_of(&[&backend]).await;
    let mut client = client_of(&everwire).await;
    backend.legs_reach(1).await;
    backend.kill().await;
    everwire.pipes_without_backend_become(1).await;
    client.say(100).await;
    client.start_close(1000, "done").await;
    backend.revive().await;
    let closed = eventually("the Close at the backend", async || backend.closes().pop()).await;
    assert_eq!((closed.code, closed.reason.as_deref()), (Some(1000), Some("done")));
    arrived_from(&client, &[&backend]).await.assert_exact("at the backend");
    assert_eq!(client.hear_close_at_last().await.0, 1000);
    everwire.pipes_become(0).await;
    assert_eq!(backend.legs().len(), 2, "once the Close was forwarded nothing is dialled");
}

/// A client cannot confirm anything for a backend: its Pongs stay at the gateway.
#[tokio::test]
async fn a_clients_pong_is_never_forwarded_nor_read_as_an_acknowledgement() {
    let backend = Recorder::start().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let mut wire = crate::stage::wire_to(everwire.address()).await;
    wire.send_frame(&Frame::new(10, "ack:5").masked()).await;
    wire.send_frame(&Frame::new(TEXT, "after").masked()).await;
    eventually("the message", async || (backend.data().len() == 1).then_some(())).await;
    let frames = &backend.records()[0].frames;
    assert!(frames.iter().all(|frame| frame.payload != b"ack:5"), "{frames:?}");
}

/// A stack that answers no Ping but sends data is unconfirmable, not hung.
#[tokio::test]
async fn a_backend_that_never_pongs_but_talks_is_not_taken_for_hung() {
    let backend = Listener::bind().await;
    // A busy machine may keep the backend from talking for a while.
    let ping = r#"{ interval = "300ms", timeout = "2s" }"#;
    let everwire = Everwire::start(&Setup::new().backend(backend.url()).route("ping", ping)).await;
    let (mut client, mut leg) =
        join!(Client::open(everwire.address(), "/", "c"), backend.accept_leg());
    client.send_text("question").await;
    for number in 0..40 {
        leg.send_frame(&Frame::new(TEXT, format!("{number}"))).await;
        assert_eq!(client.hear().await.text(), number.to_string());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    leg.send_frame(&Frame::close(1000, "done")).await;
    assert_eq!(client.hear_close().await.0, 1000, "the same leg to its end");
}
