//! P8: the next backend does not go on with the session: a defined end, and no storm of dials.

use std::time::Duration;

use everwire_testkit::{
    client::Client,
    everwire::{Everwire, Setup},
    scripted::{Backend, Wire},
};

use crate::stage::echo;

/// Welcomes a first leg and ends it with RST when it has heard something; does `later` with every
/// leg after that.
async fn start_backend<F>(later: fn(Wire) -> F) -> Backend
where
    F: Future<Output = ()> + Send + 'static,
{
    Backend::start(move |mut leg, _| async move {
        if leg.header("Everwire-Leg") != Some("1") {
            return later(leg).await;
        }
        let protocol = leg.header("Sec-WebSocket-Protocol").map(str::to_owned);
        let chosen = protocol.as_deref().map(|offer| ("Sec-WebSocket-Protocol", first(offer)));
        leg.welcome(chosen.as_slice()).await;
        leg.next_frame().await;
        leg.reset();
    })
    .await
}

fn first(offer: &str) -> &str {
    offer.split(',').next().unwrap_or_default().trim()
}

#[tokio::test]
async fn fault_p8_a_401_on_a_later_leg_closes_4401_at_once() {
    refused_with(|leg| answer(leg, "401 Unauthorized"), 4401).await;
}

#[tokio::test]
async fn fault_p8_a_403_on_a_later_leg_closes_4401_at_once() {
    refused_with(|leg| answer(leg, "403 Forbidden"), 4401).await;
}

#[tokio::test]
async fn fault_p8_a_404_on_a_later_leg_closes_1012_when_each_backend_was_tried() {
    refused_with(|leg| answer(leg, "404 Not Found"), 1012).await;
}

#[tokio::test]
async fn fault_p8_a_200_on_a_later_leg_closes_1012_when_each_backend_was_tried() {
    refused_with(|leg| answer(leg, "200 OK"), 1012).await;
}

#[tokio::test]
async fn fault_p8_another_subprotocol_on_a_later_leg_closes_1012() {
    refused_with(|leg| welcome_with(leg, "Sec-WebSocket-Protocol", "other"), 1012).await;
}

#[tokio::test]
async fn fault_p8_an_unasked_extension_on_a_later_leg_closes_1012() {
    refused_with(|leg| welcome_with(leg, "Sec-WebSocket-Extensions", DEFLATE), 1012).await;
}

const DEFLATE: &str = "permessage-deflate; server_no_context_takeover";

/// Two backends that both refuse: one end for the client, at most one dial for each.
async fn refused_with<F>(later: fn(Wire) -> F, wanted: u16)
where
    F: Future<Output = ()> + Send + 'static,
{
    let backends = [start_backend(later).await, start_backend(later).await];
    let setup = backends.iter().fold(Setup::new(), |setup, backend| setup.backend(backend.url()));
    let everwire = Everwire::start(&setup).await;
    let mut request = everwire_testkit::client::request(everwire.address(), "/");
    request.headers_mut().insert("Sec-WebSocket-Protocol", "chat, other".parse().unwrap());
    let (mut client, _) = Client::try_open(everwire.address(), request, "c").await.unwrap();
    client.send_text("go").await;
    let (code, reason) = client.hear_close().await;
    assert_eq!(code, wanted, "{reason}");
    assert!(!reason.is_empty(), "the reason names the cause");
    let dials = backends[0].legs() + backends[1].legs();
    assert!(dials <= 3, "{dials} dials for one first leg and one try of each backend");
    everwire.pipes_become(0).await;
}

#[tokio::test]
async fn fault_p8_a_slow_101_on_a_later_leg_is_waited_for() {
    let backend = start_backend(|mut leg| async move {
        tokio::time::sleep(Duration::from_secs(2)).await;
        leg.welcome(&[]).await;
        echo(leg).await;
    })
    .await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let mut client = Client::open(everwire.address(), "/", "c").await;
    client.send_text("go").await;
    assert_eq!(client.hear().await.text(), "go");
    assert_eq!(backend.legs(), 2);
}

#[tokio::test]
async fn fault_p8_a_backend_that_never_answers_its_dial_does_not_keep_the_pipe_from_another() {
    let mute = start_backend(|mut leg| async move { leg.ended().await }).await;
    let everwire = Everwire::start(&Setup::new().backend(mute.url())).await;
    let mut client = Client::open(everwire.address(), "/", "c").await;
    let other = Backend::start(|mut leg, _| async move {
        leg.welcome(&[]).await;
        echo(leg).await;
    })
    .await;
    client.send_text("go").await;
    mute.legs_reach(2).await;
    assert!(everwire.add_backend(&other.url()).await.status < 300);
    assert_eq!(client.hear().await.text(), "go");
    assert!(mute.legs() <= 4, "{} dials of a backend that never answers", mute.legs());
}

async fn answer(mut leg: Wire, status: &str) {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
    leg.send(head.as_bytes()).await;
    leg.rest().await;
}

async fn welcome_with(mut leg: Wire, name: &str, value: &str) {
    leg.welcome(&[(name, value)]).await;
    leg.rest().await;
}
