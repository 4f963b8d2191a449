//! Exactly once: a backend that stores, acknowledges, and is killed or stopped at the worst moment.

use std::{path::Path, time::Duration};

use everwire_testkit::{
    checker::Checker,
    client::{Client, Heard},
    everwire::{Everwire, Folder, Setup},
    foreign::{Backend, Event, Launch},
    message, need,
    scripted::{Backend as Scripted, Role, frame::TEXT},
    tools,
    wait::{eventually, now},
};
use tokio_tungstenite::tungstenite::Error;

use crate::stage::{before, client_of, echo, echoing, holder_of};

struct Stage {
    _folder: Folder,
    launch: Launch,
}

impl Stage {
    fn new(python: &Path) -> Self {
        let folder = Folder::new();
        let store = folder.0.join("store.sqlite");
        let launch = Launch::python(python, "durable.py").with("store", store.display());
        Self { _folder: folder, launch }
    }

    /// Everything that is stored is what `client` said, once each, in order.
    async fn assert_stored(&self, client: &Client) {
        let mut checker = Checker::new();
        checker.sent(client.name(), client.said());
        for event in self.launch.clone().flag("list").run().await {
            let Event::Stored(stored) = event else { panic!("listed {event:?}") };
            checker.arrived_on("the store", Some(&stored.mark()));
        }
        checker.tally().assert_exact("in the store");
    }
}

fn exactly_once(backends: &[&Backend]) -> Setup {
    before(backends).route("delivery", r#""exactly-once""#)
}

/// Answers `from` to `to`, each once, in order: the session's replies are numbered like its
/// messages, across all legs.
async fn hear_answers(client: &mut Client, from: u64, to: u64) {
    for number in from..=to {
        let heard = client.hear().await;
        let mark = heard.mark().unwrap_or_else(|| panic!("{heard:?}"));
        assert_eq!((mark.sequence, mark.whole), (number, true));
    }
}

#[tokio::test]
async fn a_backend_killed_between_commit_and_acknowledgement_stores_nothing_twice() {
    let python = need!(tools::python());
    let stage = Stage::new(&python);
    let mut backend = Backend::start(stage.launch.clone().with("die-before-ack", 5)).await;
    let everwire = Everwire::start(&exactly_once(&[&backend])).await;
    let mut client = client_of(&everwire).await;
    for _ in 0..5 {
        client.say(100).await;
    }
    backend.process().ended().await;
    client.say(100).await;
    backend.change(stage.launch.clone());
    backend.revive().await;
    hear_answers(&mut client, 1, 6).await;
    client.say(100).await;
    hear_answers(&mut client, 7, 7).await;
    stage.assert_stored(&client).await;
}

#[tokio::test]
async fn a_backend_stopped_replaced_and_woken_stores_and_answers_nothing_twice() {
    let python = need!(tools::python());
    let stage = Stage::new(&python);
    let mut backends =
        [Backend::start(stage.launch.clone()).await, Backend::start(stage.launch.clone()).await];
    let everwire = Everwire::start(&exactly_once(&backends.each_ref()).ping_millis(1000)).await;
    let mut client = client_of(&everwire).await;
    client.say(100).await;
    hear_answers(&mut client, 1, 1).await;
    let holder = holder_of(&backends).await;

    backends[holder].process().freeze();
    for _ in 0..5 {
        client.say(100).await;
    }
    hear_answers(&mut client, 2, 6).await;
    backends[holder].process().wake();
    client.say(100).await;
    hear_answers(&mut client, 7, 7).await;
    everwire.settled().await;
    stage.assert_stored(&client).await;
}

/// The handshake's account: which leg, which message is next, how many answers the client has.
#[tokio::test]
async fn every_leg_is_told_the_account_of_the_session() {
    let python = need!(tools::python());
    let stage = Stage::new(&python);
    let mut backend = Backend::start(stage.launch.clone()).await;
    let everwire = Everwire::start(&exactly_once(&[&backend])).await;
    let mut client = client_of(&everwire).await;
    for number in 1..=3 {
        client.say(100).await;
        hear_answers(&mut client, number, number).await;
    }
    everwire.settled().await;
    backend.kill().await;
    backend.revive().await;
    client.say(100).await;
    hear_answers(&mut client, 4, 4).await;
    let legs = backend.legs();
    let account = |leg: usize, name: &str| legs[leg].account[name].as_u64();
    assert_eq!((account(0, "next"), account(0, "replies")), (Some(1), Some(0)));
    assert_eq!((account(1, "next"), account(1, "replies")), (Some(4), Some(3)));
    assert_eq!(legs[1].leg, 2);
}

/// Never a downgrade: a backend that does not cooperate is a failed dial.
#[tokio::test]
async fn an_exactly_once_route_refuses_a_backend_that_does_not_cooperate() {
    let node = need!(tools::node());
    let backend = Backend::start(echoing(&node)).await;
    let everwire = Everwire::start(&exactly_once(&[&backend])).await;
    let request = everwire_testkit::client::request(everwire.address(), "/");
    let error = Client::try_open(everwire.address(), request, "c").await.unwrap_err();
    let Error::Http(response) = error else { panic!("{error}") };
    assert!(response.status().is_server_error(), "{response:?}");
    assert_eq!(backend.messages().len(), 0);
}

#[tokio::test]
async fn an_impossible_account_of_a_backend_closes_1012() {
    for (first, claim) in [("0", "7"), ("0", "99999999999999999999")] {
        let backend = Scripted::start(move |mut leg, _| async move {
            if leg.header("Everwire-Leg") == Some("1") {
                leg.welcome(&[("Everwire-Client-Received", first)]).await;
                while leg.next_frame().await.is_some_and(|frame| frame.opcode != TEXT) {}
                return leg.reset();
            }
            leg.welcome(&[("Everwire-Client-Received", claim)]).await;
            echo(leg).await;
        })
        .await;
        let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
        let mut client = client_of(&everwire).await;
        client.send_text("one").await;
        let (code, reason) = client.hear_close().await;
        assert_eq!(code, 1012, "{claim}: {reason}");
    }
}

/// Below what was released is as impossible as beyond what was written.
#[tokio::test]
async fn a_backend_that_forgets_what_it_acknowledged_closes_1012() {
    let python = need!(tools::python());
    let stage = Stage::new(&python);
    let mut backend = Backend::start(stage.launch.clone()).await;
    let everwire = Everwire::start(&exactly_once(&[&backend])).await;
    let mut client = client_of(&everwire).await;
    client.say(100).await;
    hear_answers(&mut client, 1, 1).await;
    everwire.settled().await;
    backend.kill().await;
    let forgetful = Stage::new(&python);
    backend.change(forgetful.launch.clone());
    backend.revive().await;
    let (code, reason) = client.hear_close().await;
    assert_eq!(code, 1012, "{reason}");
    eventually("the pipe's end", async || everwire.pipes().await.is_empty().then_some(())).await;
}

/// Alive and useless: it answers Pings, and acknowledges nothing while the buffer is full.
#[tokio::test]
async fn a_cooperating_backend_that_acknowledges_nothing_for_30_s_ends_with_1013() {
    let backend = Scripted::start(|mut leg, _| async move {
        leg.welcome(&[("Everwire-Client-Received", "0")]).await;
        while leg.next_message_frame_whenever(Role::Server).await.is_some() {}
    })
    .await;
    let setup = Setup::new().backend(backend.url()).route("buffer_max", r#""64KiB""#);
    let everwire = Everwire::start(&setup).await;
    let mut client = client_of(&everwire).await;
    let start = now();
    let (kind, payload) = message::write("c", 1, 4000);
    let mut send =
        async || tokio::time::timeout(STOPPED, client.try_send(kind, payload.clone())).await;
    while matches!(send().await, Ok(Ok(()))) {}
    let (code, reason) = match client.hear_within(Duration::from_secs(60)).await {
        Heard::Closed(code, reason) => (code, reason),
        other => panic!("{other:?}"),
    };
    assert_eq!(code, 1013, "{reason}");
    assert!(start.elapsed() > Duration::from_secs(25), "{:?}", start.elapsed());
}

/// Long enough without any progress to call a writer stopped.
const STOPPED: Duration = Duration::from_secs(3);
