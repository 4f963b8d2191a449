//! F14: sides that do not end when they should, or end in the middle.

use std::time::Duration;

use everwire_testkit::{
    client::Client,
    everwire::{Everwire, Setup},
    scripted::{
        Listener, Recorder,
        frame::{CLOSE, Frame, TEXT},
    },
    wait::{eventually_within, now},
};
use tokio::join;

use crate::stage::wire_to;

/// The catalogue's deadline for a close handshake, 5 s, and what a busy machine adds.
const CLOSE_MAX: Duration = Duration::from_secs(15);

#[tokio::test]
async fn attack_f14_a_client_that_never_answers_a_close_is_cut_off() {
    let backend = Listener::bind().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let (mut wire, mut leg) = join!(wire_to(everwire.address()), backend.accept_leg());
    leg.send_frame(&Frame::close(1000, "bye")).await;
    assert_eq!(wire.next_close().await, Some(1000));
    let start = now();
    wire.ends_within(CLOSE_MAX).await;
    println!("cut off after {:?}", start.elapsed());
    gone(&everwire).await;
}

#[tokio::test]
async fn attack_f14_a_backend_that_never_answers_a_close_does_not_keep_the_client() {
    let backend = Listener::bind().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let (mut wire, mut leg) = join!(wire_to(everwire.address()), backend.accept_leg());
    wire.send_frame(&Frame::close(1000, "bye").masked()).await;
    while leg.next_frame().await.is_some_and(|frame| frame.opcode != CLOSE) {}
    assert_eq!(wire.next_close().await, Some(1000));
    wire.ends_within(CLOSE_MAX).await;
    leg.ends_within(CLOSE_MAX).await;
    gone(&everwire).await;
}

#[tokio::test]
async fn attack_f14_a_half_closed_client_is_gone_and_the_backend_told() {
    let backend = Recorder::start().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let mut wire = wire_to(everwire.address()).await;
    wire.finish().await;
    wire.ends_within(CLOSE_MAX).await;
    backend.legs_end(1).await;
    gone(&everwire).await;
}

#[tokio::test]
async fn attack_f14_a_client_that_ends_in_mid_frame_leaves_nothing_of_it() {
    let backend = Recorder::start().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let message = Frame::new(TEXT, [b'x'; 1000]).masked().encode();
    for (number, cut) in [1, 2, 5, 500, message.len() - 1].into_iter().enumerate() {
        let mut wire = wire_to(everwire.address()).await;
        wire.send(&message[..cut]).await;
        wire.finish().await;
        wire.ends_within(CLOSE_MAX).await;
        backend.legs_end(number + 1).await;
    }
    assert_eq!(backend.data(), []);
    assert!(backend.records().iter().all(|record| record.torn.is_empty()), "half a frame passed");
    gone(&everwire).await;
}

#[tokio::test]
async fn attack_f14_messages_sent_before_a_fin_still_arrive() {
    let backend = Recorder::start().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let mut wire = wire_to(everwire.address()).await;
    let message = Frame::new(TEXT, "last words").masked().encode();
    wire.send(&message.repeat(10)).await;
    wire.finish().await;
    backend.legs_end(1).await;
    assert_eq!(backend.data().len(), 10);
}

#[tokio::test]
async fn attack_f14_a_backend_that_half_closes_is_replaced() {
    let backend = Listener::bind().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let (mut client, mut leg) =
        join!(Client::open(everwire.address(), "/", "c"), backend.accept_leg());
    leg.finish().await;
    let mut next = backend.accept_leg().await;
    leg.ends_within(CLOSE_MAX).await;
    next.send_frame(&Frame::new(TEXT, "from the next")).await;
    assert_eq!(client.hear().await.text(), "from the next");
}

async fn gone(everwire: &Everwire) {
    eventually_within(CLOSE_MAX, "no pipe left", async || {
        everwire.pipes().await.is_empty().then_some(())
    })
    .await;
}
