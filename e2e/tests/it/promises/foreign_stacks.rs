//! Stacks that queue, and clients of another make.

use everwire_testkit::{
    checker::Checker,
    foreign::{Backend, Client, Event, Launch},
    need, tools,
};

use crate::stage::{arrived_at, arrived_from, before, client_of, echoing, in_front_of};
use everwire_testkit::everwire::Everwire;

/// [seen] killed at its Pong, Python `websockets` had handed none of 300 messages to its handler.
#[tokio::test]
async fn confirm_linger_keeps_what_a_queueing_stack_has_taken_and_not_handled() {
    let python = need!(tools::python());
    let quick = Launch::python(&python, "backend.py").with("answer", "none");
    // So slow that nobody comes too late to kill it in the middle.
    let mut backend = Backend::start(quick.clone().with("handle-ms", 400)).await;
    let everwire = Everwire::start(&before(&[&backend]).route("confirm_linger", r#""5s""#)).await;
    let mut client = client_of(&everwire).await;
    for _ in 0..12 {
        client.say(100).await;
    }
    backend.messages_reach(2).await;
    backend.kill().await;
    assert!(backend.messages().len() < 12, "messages were still queued");
    backend.change(quick);
    backend.revive().await;
    arrived_from(&client, &[&backend]).await.assert_unbroken("at the handler");
}

#[tokio::test]
async fn node_clients_do_not_notice_a_rolling_restart() {
    let node = need!(tools::node());
    let mut backends = [Backend::start(echoing(&node)).await, Backend::start(echoing(&node)).await];
    let everwire = in_front_of(&backends.each_ref()).await;
    let launch = Launch::node(&node, "client.mjs")
        .with("url", format!("ws://{}", everwire.address()))
        .with("connections", 20);
    let mut clients = Client::start(&launch);
    clients.hears("opened", 20, |event| matches!(event, Event::Open(_))).await;
    for turn in 0..4 {
        clients.say(10);
        backends[turn % 2].stop_gracefully().await;
        backends[turn % 2].revive().await;
        everwire.settled().await;
    }
    clients.close(1000, "done");
    clients.hears("closed", 20, |event| matches!(event, Event::Close(_))).await;
    let said = |checker: &mut Checker| {
        (0..20).for_each(|number| checker.sent(&format!("node.{number}"), 40));
    };
    arrived_at(&backends.each_ref(), said).await.assert_exact("at the backends");
    let mut heard = Checker::new();
    said(&mut heard);
    clients.report_to(&mut heard);
    assert_eq!(heard.tally().dropped, 0, "{}", heard.tally());
}
