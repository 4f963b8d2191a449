//! Sessions of unmodified backends are given back: the client's first messages are sent again, and
//! what the backend says to them is kept from a client that has it already.

use std::time::Duration;

use everwire_testkit::{
    client::{Client, Heard},
    everwire::{Everwire, Setup},
    message::Kind,
    scripted::{
        Listener, Role, Wire,
        frame::{Frame, TEXT},
    },
    wait::not_within,
};
use tokio::join;

async fn reads(leg: &mut Wire, text: &str) {
    let message = leg.next_message(Role::Server).await;
    assert_eq!(message, Some((TEXT, text.as_bytes().to_vec())));
}

async fn says(leg: &mut Wire, text: &str) {
    leg.send_frame(&Frame::new(TEXT, text)).await;
}

/// Answers Pings until the gateway knows that everything has been taken.
async fn confirm_all(leg: &mut Wire, everwire: &Everwire) {
    tokio::select! {
        () = everwire.settled() => {}
        message = leg.next_message_frame_whenever(Role::Server) => panic!("{message:?}"),
    }
}

#[tokio::test]
async fn restore_repeats_the_first_message_and_swallows_its_answer() {
    let backend = Listener::bind().await;
    let setup = Setup::new().backend(backend.url()).route("restore", "{ first = 1, answers = 1 }");
    let everwire = Everwire::start(&setup).await;
    let (mut client, mut leg) =
        join!(Client::open(everwire.address(), "/", "c"), backend.accept_leg());
    client.send_text("handshake").await;
    reads(&mut leg, "handshake").await;
    says(&mut leg, "welcome").await;
    assert_eq!(client.hear().await.text(), "welcome");
    client.send_text("one").await;
    reads(&mut leg, "one").await;
    confirm_all(&mut leg, &everwire).await;
    leg.reset();

    let mut next = backend.accept_leg().await;
    client.send_text("two").await;
    reads(&mut next, "handshake").await;
    let early = next.next_message_frame_whenever(Role::Server);
    not_within(Duration::from_millis(300), "a message before the answer", early).await;
    says(&mut next, "welcome").await;
    reads(&mut next, "two").await;
    says(&mut next, "news").await;
    assert_eq!(client.hear().await.text(), "news", "the second welcome is swallowed");
}

#[tokio::test]
async fn restore_sends_an_unconfirmed_first_message_once() {
    let backend = Listener::bind().await;
    let setup = Setup::new().backend(backend.url()).route("restore", r#""signalr""#);
    let everwire = Everwire::start(&setup).await;
    let (mut client, mut leg) =
        join!(Client::open(everwire.address(), "/", "c"), backend.accept_leg());
    client.send_text("handshake").await;
    while leg.next_frame().await.is_some_and(|frame| frame.opcode != TEXT) {}
    leg.reset();
    let mut next = backend.accept_leg().await;
    reads(&mut next, "handshake").await;
    says(&mut next, "welcome").await;
    assert_eq!(client.hear().await.text(), "welcome", "the client has had no answer yet");
    client.send_text("one").await;
    reads(&mut next, "one").await;
}

#[tokio::test]
async fn restore_keeps_a_second_greeting_from_the_client() {
    let backend = Listener::bind().await;
    let setup = Setup::new().backend(backend.url()).route("restore", "{ first = 0, answers = 1 }");
    let everwire = Everwire::start(&setup).await;
    let (mut client, mut leg) =
        join!(Client::open(everwire.address(), "/", "c"), backend.accept_leg());
    says(&mut leg, "hello").await;
    assert_eq!(client.hear().await.text(), "hello");
    leg.reset();
    let mut next = backend.accept_leg().await;
    says(&mut next, "hello").await;
    says(&mut next, "news").await;
    assert_eq!(client.hear().await.text(), "news");
}

#[tokio::test]
async fn restore_refuses_to_keep_more_than_64_kib() {
    let backend = Listener::bind().await;
    let setup = Setup::new().backend(backend.url()).route("restore", "{ first = 2, answers = 0 }");
    let everwire = Everwire::start(&setup).await;
    let (mut client, _leg) =
        join!(Client::open(everwire.address(), "/", "c"), backend.accept_leg());
    client.send(Kind::Binary, vec![1; 40 << 10]).await;
    client.send(Kind::Binary, vec![2; 40 << 10]).await;
    assert!(matches!(client.hear().await, Heard::Closed(1009, _)));
}
