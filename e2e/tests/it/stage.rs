//! What most tests set up: a backend that somebody else wrote, Everwire in front of it, a client.

use std::{net::SocketAddr, path::Path, time::Duration};

use everwire_testkit::{
    checker::{Checker, Tally},
    client::{Client, Heard},
    crowd::Manner,
    everwire::{Everwire, Setup},
    foreign::{Backend, Launch, report_arrivals},
    message::{self, Mark},
    scripted::Wire,
    wait::{eventually, soon},
};

/// A Node backend that echoes.
pub(crate) fn echoing(node: &Path) -> Launch {
    Launch::node(node, "backend.mjs")
}

/// A Node backend that answers every message with one of its own, numbered per leg.
pub(crate) fn replying(node: &Path) -> Launch {
    echoing(node).with("answer", "reply")
}

/// A Node backend that only keeps a log.
pub(crate) fn silent(node: &Path) -> Launch {
    echoing(node).with("answer", "none")
}

/// A Node backend that speaks plain HTTP.
pub(crate) fn pages(node: &Path) -> Launch {
    Launch::node(node, "pages.mjs")
}

/// Everwire in front of `backends`, everything else at its defaults.
pub(crate) async fn in_front_of(backends: &[&Backend]) -> Everwire {
    Everwire::start(&before(backends)).await
}

/// A setup in front of `backends`, to be refined.
pub(crate) fn before(backends: &[&Backend]) -> Setup {
    backends.iter().fold(Setup::new(), |setup, backend| setup.backend(backend.url()))
}

/// A client of Everwire's on `/`, named `c`.
pub(crate) async fn client_of(everwire: &Everwire) -> Client {
    Client::open(everwire.address(), "/", "c").await
}

/// Which of two backends has been handed a leg.
pub(crate) async fn holder_of(backends: &[Backend; 2]) -> usize {
    eventually("a leg at one of two backends", async || {
        backends.iter().position(|backend| !backend.legs().is_empty())
    })
    .await
}

/// A crowd on `/`, each member saying a short message so many times a second.
pub(crate) fn chatting(clients: usize, per_second: u64) -> Manner {
    let every = Duration::from_millis(1000 / per_second);
    Manner { clients, every, size: 64, path: "/".to_owned() }
}

/// What arrived at `backends` of what `said` put into a checker, once nothing is missing; the
/// tally as it stands if something stays missing.
pub(crate) async fn arrived_at(backends: &[&Backend], said: impl Fn(&mut Checker)) -> Tally {
    let count = || {
        let mut checker = Checker::new();
        said(&mut checker);
        report_arrivals(backends, &mut checker);
        (checker.tally(), checker.losses())
    };
    // Confirmed means that the backend's stack has it; its handler may take a moment.
    let complete = eventually("every message at a backend", async || {
        let (tally, _) = count();
        (tally.lost == 0).then_some(tally)
    });
    let patience = Duration::from_secs(18);
    tokio::time::timeout(patience, complete).await.unwrap_or_else(|_| {
        let (tally, losses) = count();
        println!("lost: {losses:?}");
        tally
    })
}

/// What arrived at `backends` of one client's numbered messages.
pub(crate) async fn arrived_from(client: &Client, backends: &[&Backend]) -> Tally {
    arrived_at(backends, |checker| checker.sent(client.name(), client.said())).await
}

/// A raw client that has been let in to `to`.
pub(crate) async fn wire_to(to: SocketAddr) -> Wire {
    Wire::upgrade(to, "/", &[]).await
}

/// Echoes every message on a leg that was welcomed, until it ends.
pub(crate) async fn echo(mut leg: Wire) {
    while let Some(frame) = leg.next_frame_whenever().await {
        let answer = if frame.is_control() { frame.answer() } else { Some(frame.unmasked()) };
        if let Some(answer) = answer {
            let goodbye = answer.close_code().is_some();
            if !leg.try_send(&answer.encode()).await || goodbye {
                return;
            }
        }
    }
}

/// Hears numbered messages into `heard`, through the one whose filler is `last`.
pub(crate) async fn hear_until(client: &mut Client, last: &str, heard: &mut Vec<Mark>) {
    hear_while(client, heard, |_, filler| filler != last).await;
}

/// Hears numbered messages into `heard` until `goes_on` says no to one and its filler.
pub(crate) async fn hear_while(
    client: &mut Client,
    heard: &mut Vec<Mark>,
    goes_on: impl Fn(&Mark, &str) -> bool,
) {
    soon("the last message to be heard", async {
        loop {
            let Heard::Message(kind, payload) = client.listen().await else {
                panic!("the client's socket ended after {:?}", heard.last());
            };
            let mark = message::read(kind, &payload).unwrap_or_else(|| panic!("torn: {payload:?}"));
            heard.push(mark);
            if !goes_on(&heard[heard.len() - 1], message::filler_text(&payload)) {
                return;
            }
        }
    })
    .await;
}

/// The legs that numbered messages came from, in order. Each leg's must be numbered from 1 without
/// a hole, a step back or a double, and no leg's may come again after another's.
pub(crate) fn legs_in_order(heard: &[Mark]) -> Vec<String> {
    let mut legs: Vec<String> = Vec::new();
    let mut last = 0;
    for mark in heard {
        if legs.last() != Some(&mark.stream) {
            assert!(!legs.contains(&mark.stream), "{} again, after {legs:?}", mark.stream);
            legs.push(mark.stream.clone());
            last = 0;
        }
        last += 1;
        assert!(
            mark.whole && mark.sequence == last,
            "wanted {last} of {:?}: {mark:?}",
            legs.last()
        );
    }
    legs
}
