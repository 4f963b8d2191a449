//! P21: compression is negotiated, and backends come and go; and every pair of legs that differ
//! in what they can do. Compressed payloads pass through untouched, so a wrong pairing would
//! corrupt silently: hashes decide.

use std::path::Path;

use everwire_testkit::{
    checker::Checker,
    everwire::Everwire,
    foreign::{Backend, Client, Closed, Event, Launch},
    need, tools,
    wait::eventually,
};

use crate::stage::{arrived_at, before, echoing, in_front_of};

/// What a backend can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deflate {
    Off,
    Window(u8),
}

impl Deflate {
    const ALL: [Self; 3] = [Self::Off, Self::Window(10), Self::Window(15)];

    fn launch(self, node: &Path) -> Launch {
        match self {
            Self::Off => echoing(node),
            Self::Window(bits) => echoing(node).flag("deflate").with("window-bits", bits),
        }
    }
}

#[tokio::test]
async fn fault_p21_compressed_messages_are_whole_after_kills_and_restarts() {
    let node = need!(tools::node());
    let launch = Deflate::Window(15).launch(&node);
    let mut backends = [Backend::start(launch.clone()).await, Backend::start(launch).await];
    let everwire = in_front_of(&backends.each_ref()).await;
    let mut clients = deflating_clients(&node, &everwire, 10).await;
    let mut said = 0;
    for round in 0..6 {
        said += 20;
        clients.say(20);
        let backend = &mut backends[round % 2];
        if round < 3 {
            backend.kill().await
        } else {
            backend.stop_gracefully().await
        }
        backend.revive().await;
        everwire.settled().await;
    }
    clients.close(1000, "done");
    clients.hears("closed", 10, |event| matches!(event, Event::Close(_))).await;
    let all = |checker: &mut Checker| {
        (0..10).for_each(|number| checker.sent(&format!("node.{number}"), said));
    };
    arrived_at(&backends.each_ref(), all).await.assert_unbroken("at the backends");
    let mut heard = Checker::new();
    all(&mut heard);
    clients.report_to(&mut heard);
    let tally = heard.tally();
    assert_eq!((tally.dropped, tally.torn, tally.foreign), (0, 0, 0), "at the clients: {tally}");
}

/// The second leg either can do exactly what was agreed, or the client is told 1012.
#[tokio::test]
async fn every_ordered_pair_of_legs_is_compatible_or_announced() {
    let node = need!(tools::node());
    for first in Deflate::ALL {
        for second in Deflate::ALL {
            pair(&node, first, second).await;
        }
    }
}

async fn pair(node: &Path, first: Deflate, second: Deflate) {
    let mut backend = Backend::start(first.launch(node)).await;
    let everwire = Everwire::start(&before(&[&backend])).await;
    let mut client = deflating_clients(node, &everwire, 1).await;
    client.say(10);
    client.hears("echoes of the first leg", 10, is_message).await;
    everwire.settled().await;

    backend.kill().await;
    client.say(10);
    backend.change(second.launch(node));
    backend.revive().await;
    let end = eventually("echoes of the second leg, or an end", async || {
        let events = client.events();
        let closed = events.iter().find_map(|event| match event {
            Event::Close(closed) => Some(closed.clone()),
            _ => None,
        });
        let echoed = events.iter().filter(|event| is_message(event)).count() == 20;
        (closed.is_some() || echoed).then_some(closed)
    })
    .await;

    let pair = format!("{first:?} then {second:?}");
    match end {
        None => {}
        Some(Closed { code: Some(1012), .. }) => {
            assert_ne!(first, second, "{pair}: the same backend again must do");
        }
        Some(other) => panic!("{pair}: {other:?}"),
    }
    let mut heard = Checker::new();
    heard.sent("node.0", 20);
    client.report_to(&mut heard);
    let tally = heard.tally();
    assert_eq!((tally.torn, tally.doubled, tally.reordered), (0, 0, 0), "{pair}: {tally}");
}

async fn deflating_clients(node: &Path, everwire: &Everwire, count: usize) -> Client {
    let launch = Launch::node(node, "client.mjs")
        .with("url", format!("ws://{}", everwire.address()))
        .with("connections", count)
        .with("size", 2000)
        .flag("deflate");
    let clients = Client::start(&launch);
    clients.hears("opened", count, |event| matches!(event, Event::Open(_))).await;
    clients
}

fn is_message(event: &Event) -> bool {
    matches!(event, Event::Message(_))
}
