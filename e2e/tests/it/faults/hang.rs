//! P4: a backend stands still, for a while or for ever.

use std::time::Duration;

use everwire_testkit::{
    client::{Client, Heard},
    everwire::Everwire,
    foreign::{Backend, Launch},
    need, tools,
    wait::{SOON, eventually, now, within},
};

use crate::stage::{arrived_from, before, client_of, echoing, holder_of};

/// Interval and timeout of the pings in these tests.
const PING_MILLIS: u64 = 1000;

/// Ping interval and timeout are 2 s, by default 30 s; the rest is for a busy machine.
const DETECTION_MAX: Duration = SOON;

#[tokio::test]
async fn fault_p4_a_stopped_backend_is_replaced_and_its_late_bytes_are_discarded() {
    let node = need!(tools::node());
    let mut backends = [Backend::start(echoing(&node)).await, Backend::start(echoing(&node)).await];
    let setup = before(&backends.each_ref()).ping_millis(PING_MILLIS);
    let everwire = Everwire::start(&setup).await;
    let mut client = client_of(&everwire).await;
    client.round_trip().await;
    everwire.settled().await;
    let holder = holder_of(&backends).await;

    backends[holder].process().freeze();
    let frozen = now();
    for _ in 0..5 {
        client.say(100).await;
    }
    for sequence in 2..=6 {
        within(DETECTION_MAX, "an echo of the other backend", client.hear_echo(sequence)).await;
    }
    println!("answered by the other backend {:?} after the stop", frozen.elapsed());

    backends[holder].process().wake();
    let woken = &backends[holder];
    eventually("the end of the woken leg", async || woken.closes().pop()).await;
    client.round_trip().await;
    let other = &backends[1 - holder];
    assert_eq!(other.legs().len(), 1);
    other.messages_reach(6).await;
    assert_eq!(other.messages().len(), 6, "2 to 7, each once");
}

#[tokio::test]
async fn fault_p4_a_backend_stopped_for_ever_costs_nothing_but_the_wait() {
    let node = need!(tools::node());
    let mut stopped = Backend::start(echoing(&node)).await;
    // The client answers Pings only while it is listened to, so nothing slow happens beside it.
    let other = Backend::start(echoing(&node)).await;
    let everwire = Everwire::start(&before(&[&stopped]).ping_millis(PING_MILLIS)).await;
    let mut client = client_of(&everwire).await;
    client.round_trip().await;
    everwire.settled().await;
    stopped.process().freeze();
    client.say(100).await;
    assert!(everwire.add_backend(&other.url()).await.status < 300);
    client.hear_echo(2).await;
    client.round_trip().await;
    stopped.process().wake();
    arrived_from(&client, &[&stopped, &other]).await.assert_unbroken("at the backends");
}

/// [seen] with 60 messages queued a Python handler gives no Pong for many ping timeouts. It is
/// slow, and it answers: not hung.
#[tokio::test]
async fn fault_p4_a_backend_that_queues_and_answers_slowly_is_not_hung() {
    let python = need!(tools::python());
    let launch = Launch::python(&python, "backend.py").with("handle-ms", 100);
    let backend = Backend::start(launch).await;
    let everwire = Everwire::start(&before(&[&backend]).ping_millis(500)).await;
    let mut client = client_of(&everwire).await;
    for _ in 0..60 {
        client.say(100).await;
    }
    for sequence in 1..=60 {
        client.hear_echo(sequence).await;
    }
    assert_eq!(backend.legs().len(), 1, "the slow backend was replaced");
    arrived_from(&client, &[&backend]).await.assert_exact("at the backend");
}

#[tokio::test]
async fn fault_p4_a_backend_whose_process_blocks_for_less_than_the_deadline_is_not_hung() {
    let node = need!(tools::node());
    let backend = Backend::start(echoing(&node).with("block", 700)).await;
    let everwire = Everwire::start(&before(&[&backend]).ping_millis(PING_MILLIS)).await;
    let mut client: Client = client_of(&everwire).await;
    for _ in 0..5 {
        client.say(100).await;
    }
    for _ in 0..5 {
        assert!(matches!(client.hear().await, Heard::Message(..)));
    }
    assert_eq!(backend.legs().len(), 1, "the blocking backend was replaced");
}
