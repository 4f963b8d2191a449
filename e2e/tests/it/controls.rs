//! The controls: the kit against peers that are not Everwire. Where nothing fails the checker must
//! find nothing; where a proxy drops, loses or doubles, it must say so. A green test elsewhere is
//! worth what these are worth.

use std::{net::SocketAddr, time::Duration};

use everwire_testkit::{
    checker::{Checker, Tally},
    client::Client,
    crowd::{self, Crowd},
    foreign::{self, Backend, Event, Launch},
    namespace::Namespace,
    need,
    relay::Relay,
    rivals::Rival,
    scripted::{Wire, frame},
    tools,
    wait::{eventually, not_within},
};

use crate::stage::{arrived_at, chatting, echoing};

#[tokio::test]
async fn control_nothing_between_client_and_node_is_exact() {
    let node = need!(tools::node());
    let backend = Backend::start(echoing(&node)).await;
    undisturbed(backend.address(), &backend).await;
}

#[tokio::test]
async fn control_nothing_between_client_and_python_is_exact() {
    let python = need!(tools::python());
    let backend = Backend::start(Launch::python(&python, "backend.py")).await;
    undisturbed(backend.address(), &backend).await;
}

#[tokio::test]
async fn control_a_blind_relay_is_exact_while_nothing_fails() {
    let node = need!(tools::node());
    let backend = Backend::start(echoing(&node)).await;
    let relay = Relay::start(vec![backend.address()]).await;
    undisturbed(relay.address(), &backend).await;
}

#[tokio::test]
async fn control_node_clients_are_exact_against_node() {
    let node = need!(tools::node());
    let backend = Backend::start(echoing(&node).flag("deflate")).await;
    let launch = Launch::node(&node, "client.mjs")
        .with("url", backend.url())
        .with("connections", 5)
        .flag("deflate");
    let mut clients = foreign::Client::start(&launch);
    clients.hears("opened", 5, |event| matches!(event, Event::Open(_))).await;
    clients.say(10);
    clients.hears("echoes", 50, |event| matches!(event, Event::Message(_))).await;
    clients.close(1000, "done");
    clients.hears("closed", 5, |event| matches!(event, Event::Close(_))).await;
    let mut checker = Checker::new();
    (0..5).for_each(|number| checker.sent(&format!("node.{number}"), 10));
    clients.report_to(&mut checker);
    checker.tally().assert_exact("at the clients");
}

#[tokio::test]
async fn control_without_everwire_a_killed_backend_drops_sockets() {
    let node = need!(tools::node());
    let mut backends = [Backend::start(echoing(&node)).await];
    let to = backends[0].address();
    assert_drops("nothing in between", to, &mut backends).await;
}

#[tokio::test]
async fn control_a_blind_relay_drops_sockets() {
    let node = need!(tools::node());
    let mut backends = two(&node).await;
    let relay = Relay::start(backends.iter().map(Backend::address).collect()).await;
    assert_drops("a blind relay", relay.address(), &mut backends).await;
}

#[tokio::test]
async fn control_haproxy_drops_sockets() {
    let node = need!(tools::node());
    let program = need!(tools::haproxy());
    let mut backends = two(&node).await;
    let addresses = backends.each_ref().map(Backend::address);
    let haproxy = Rival::haproxy(&program, &addresses).await;
    assert_drops("HAProxy", haproxy.address(), &mut backends).await;
}

#[tokio::test]
async fn control_nginx_drops_sockets() {
    let node = need!(tools::node());
    let program = need!(tools::nginx());
    let mut backends = two(&node).await;
    let addresses = backends.each_ref().map(Backend::address);
    let nginx = Rival::nginx(&program, &addresses).await;
    assert_drops("nginx", nginx.address(), &mut backends).await;
}

/// The gateway's part of exactly-once played by hand, once right and once with its account of what
/// the backend has stored ignored: the durable reference makes the difference visible.
#[tokio::test]
async fn control_the_durable_reference_doubles_only_for_a_gateway_that_ignores_its_account() {
    let python = need!(tools::python());
    let folder = everwire_testkit::everwire::Folder::new();
    let store = folder.0.join("store.sqlite");
    let durable = Launch::python(&python, "durable.py").with("store", store.display());
    let mut backend = Backend::start(durable.clone().with("die-before-ack", 2)).await;

    let mut leg = begin_leg(&backend, 1, 1).await;
    assert_eq!(leg.header("Everwire-Client-Received"), Some("0"));
    send_numbered(&mut leg, 1).await;
    assert_eq!(leg.next_frame().await.map(|pong| pong.payload), Some(b"ack:1".to_vec()));
    send_numbered(&mut leg, 2).await;
    while leg.next_frame().await.is_some() {}

    backend.change(durable.clone());
    backend.revive().await;
    let mut leg = begin_leg(&backend, 2, 2).await;
    assert_eq!(leg.header("Everwire-Client-Received"), Some("2"), "committed, not acknowledged");
    send_numbered(&mut leg, 3).await;
    expect_stored(&mut leg, 3).await;
    let mut late = begin_leg(&backend, 1, 3).await;
    send_numbered(&mut late, 4).await;
    assert_eq!(late.next_close().await, Some(1012), "a leg that was superseded stores nothing");
    send_numbered(&mut leg, 3).await;
    expect_stored(&mut leg, 4).await;

    let mut checker = Checker::new();
    checker.sent("s", 3);
    for event in durable.flag("list").run().await {
        let Event::Stored(stored) = event else { panic!("listed {event:?}") };
        checker.arrived_on("store", Some(&stored.mark()));
    }
    let tally = checker.tally();
    assert_eq!((tally.lost, tally.doubled), (0, 1), "the message sent twice: {tally}");
}

/// The partition is one: nothing passes, nobody is told, and afterwards everything comes.
#[tokio::test]
async fn control_a_link_that_is_down_delays_and_heals() {
    let node = need!(tools::node());
    let ip = need!(tools::namespaces());
    let namespace = Namespace::new(&ip);
    let launch = echoing(&node).within(&namespace);
    let backend = Backend::start_at(launch, (namespace.inside(), 0).into()).await;
    let mut client = Client::open(backend.address(), "/", "c").await;
    client.round_trip().await;
    namespace.link_down();
    let sequence = client.say(10).await;
    not_within(Duration::from_millis(500), "an echo over a link that is down", client.listen())
        .await;
    namespace.link_up();
    client.hear_echo(sequence).await;
}

async fn two(node: &std::path::Path) -> [Backend; 2] {
    [Backend::start(echoing(node)).await, Backend::start(echoing(node)).await]
}

/// A crowd that chats through `to`, with nothing going wrong, must be exact both ways.
async fn undisturbed(to: SocketAddr, backend: &Backend) {
    let crowd = Crowd::gather(to, &chatting(20, 50)).await;
    for _ in 0..5 {
        crowd.everyone_hears_again().await;
    }
    crowd.hush_when_answered().await;
    let accounts = crowd.part().await;
    let up = arrived_at(&[backend], |checker| crowd::report_said(&accounts, checker)).await;
    up.assert_exact("at the backend");
    let mut down = Checker::new();
    crowd::report_said(&accounts, &mut down);
    crowd::report_heard(&accounts, &mut down);
    down.tally().assert_exact("at the clients");
}

/// Kills the first backend under a chatting crowd and brings it back: sockets must drop.
async fn assert_drops(what: &str, to: SocketAddr, backends: &mut [Backend]) {
    let tally = after_a_kill(to, backends).await;
    println!("{what}: {tally}");
    assert!(tally.dropped > 0, "{what}: {tally}");
    assert!(!tally.is_unbroken(), "{what}: {tally}");
}

async fn after_a_kill(to: SocketAddr, backends: &mut [Backend]) -> Tally {
    let crowd = Crowd::gather(to, &chatting(20, 20)).await;
    crowd.everyone_hears_again().await;
    backends[0].kill().await;
    backends[0].revive().await;
    crowd.hush().await;
    let accounts = crowd.part().await;
    let mut checker = Checker::new();
    crowd::report_said(&accounts, &mut checker);
    let backends: Vec<&Backend> = backends.iter().collect();
    foreign::report_arrivals(&backends, &mut checker);
    checker.tally()
}

async fn begin_leg(backend: &Backend, leg: u64, next: u64) -> Wire {
    let (leg, next) = (leg.to_string(), next.to_string());
    let headers = [
        ("Everwire-Session", "hand-made"),
        ("Everwire-Leg", leg.as_str()),
        ("Everwire-Client-Next", next.as_str()),
        ("Everwire-Server-Count", "1000"),
    ];
    Wire::upgrade(backend.address(), "/", &headers).await
}

async fn send_numbered(leg: &mut Wire, sequence: u64) {
    let (kind, payload) = everwire_testkit::message::write("s", sequence, 10);
    leg.send_frame(&frame::Frame::message(kind, payload).masked()).await;
}

/// Waits for the Pong that says that message `number` of the session is stored.
async fn expect_stored(leg: &mut Wire, number: u64) {
    let wanted = format!("ack:{number}").into_bytes();
    eventually("an acknowledgement", async || {
        let frame = leg.next_frame().await.expect("the leg stays");
        (frame.opcode == frame::PONG && frame.payload == wanted).then_some(())
    })
    .await;
}
