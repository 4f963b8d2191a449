//! Moving on purpose: whoever removes a backend has every question answered, and may then stop it.

use std::time::Duration;

use everwire_testkit::{
    checker::Checker,
    client::Client,
    crowd::{self, Crowd},
    everwire::{Everwire, Setup},
    foreign::{Backend, Launch},
    message::Mark,
    need, tools,
    wait::{SOON, eventually, now, until_equal},
};
use tokio::join;

use crate::stage::{
    arrived_at, before, chatting, client_of, echoing, hear_until, hear_while, holder_of,
    in_front_of, legs_in_order, replying,
};

/// In front of backends that may be silent for longer before what they were asked counts as
/// answered: the usual 500 ms are soon over on a busy machine.
fn patient(backends: &[Backend; 2]) -> Setup {
    before(&backends.each_ref()).route("drain_quiet", "\"2s\"")
}

/// [seen] closing right after the Pong lost all replies of a backend that answers after 300 ms.
#[tokio::test]
async fn every_question_is_answered_across_pool_rm_by_a_backend_that_takes_300_ms() {
    let node = need!(tools::node());
    let slow = || echoing(&node).with("answer-delay", 300);
    let backends = [Backend::start(slow()).await, Backend::start(slow()).await];
    let everwire = Everwire::start(&patient(&backends)).await;
    let mut clients = Vec::new();
    for number in 0..10 {
        clients.push(Client::open(everwire.address(), "/", &format!("c{number}")).await);
    }
    for client in &mut clients {
        for _ in 0..5 {
            client.say(50).await;
        }
    }
    pool_rm(&everwire, &backends[0]).await;
    for client in &mut clients {
        client.say(50).await;
        for sequence in 1..=6 {
            client.hear_echo(sequence).await;
        }
        assert_eq!(client.close().await.0, 1000);
    }
    let said =
        |checker: &mut Checker| clients.iter().for_each(|client| checker.sent(client.name(), 6));
    arrived_at(&backends.each_ref(), said).await.assert_exact("at the backends");
}

/// `pool rm` returning means that the process may be stopped.
#[tokio::test]
async fn after_pool_rm_the_backend_has_no_leg_and_can_be_killed_unnoticed() {
    let node = need!(tools::node());
    let mut backends = [Backend::start(echoing(&node)).await, Backend::start(echoing(&node)).await];
    let everwire = Everwire::start(&patient(&backends)).await;
    let crowd = Crowd::gather(everwire.address(), &chatting(30, 20)).await;
    crowd.everyone_hears_again().await;
    pool_rm(&everwire, &backends[0]).await;
    backends[0].kill().await;
    crowd.everyone_hears_again().await;
    crowd.hush_when_answered().await;
    let accounts = crowd.part().await;
    let said = |checker: &mut Checker| crowd::report_said(&accounts, checker);
    arrived_at(&backends.each_ref(), said).await.assert_exact("at the backends");
    let mut heard = Checker::new();
    crowd::report_said(&accounts, &mut heard);
    crowd::report_heard(&accounts, &mut heard);
    heard.tally().assert_exact("at the clients: every question is answered once");
}

#[tokio::test]
async fn draining_moves_pipes_away_and_ready_lets_them_come_back() {
    let node = need!(tools::node());
    let backends = [Backend::start(echoing(&node)).await, Backend::start(echoing(&node)).await];
    let everwire = in_front_of(&backends.each_ref()).await;
    let mut client = client_of(&everwire).await;
    client.round_trip().await;
    let holder = holder_of(&backends).await;
    let url = backends[holder].url();
    let drained = everwire.command(&["pool", "drain", "main", &url]).await;
    assert!(drained.status.success(), "{drained:?}");
    client.round_trip().await;
    assert_eq!(backends[1 - holder].legs().len(), 1);
    let mut another = client_of(&everwire).await;
    another.round_trip().await;
    assert_eq!(backends[holder].legs().len(), 1, "a draining backend gets no new pipe");
    let ready = everwire.command(&["pool", "ready", "main", &url]).await;
    assert!(ready.status.success(), "{ready:?}");
    // The emptier one; but it has just ended a leg, and is chosen last for a while.
    let mut more = Vec::new();
    eventually("a new pipe at the backend that is ready again", async || {
        let mut client = client_of(&everwire).await;
        client.round_trip().await;
        more.push(client);
        (backends[holder].legs().len() == 2).then_some(())
    })
    .await;
}

/// A move waits for silence, and no longer than `drain_max`.
#[tokio::test]
async fn a_backend_that_is_never_silent_is_moved_away_from_at_drain_max() {
    let node = need!(tools::node());
    let chatty = || replying(&node).with("push-every", 50);
    let backends = [Backend::start(chatty()).await, Backend::start(chatty()).await];
    let setup = before(&backends.each_ref()).route("drain_max", r#""2s""#);
    let everwire = Everwire::start(&setup).await;
    let mut client = client_of(&everwire).await;
    let mut heard = Vec::new();
    client.say(50).await;
    hear_until(&mut client, "re c 1", &mut heard).await;
    let holder = holder_of(&backends).await;
    let start = now();
    let removal = pool_rm(&everwire, &backends[holder]);
    let other = &backends[1 - holder];
    let of_other = |mark: &Mark| other.legs().iter().any(|leg| leg.stream() == mark.stream);
    let listening = hear_while(&mut client, &mut heard, |mark, _| !of_other(mark));
    join!(removal, listening);
    let took = start.elapsed();
    assert!(took > Duration::from_millis(1900) && took < SOON, "{took:?}");
    let legs = [holder, 1 - holder].map(|at| backends[at].legs()[0].stream());
    assert_eq!(legs_in_order(&heard), legs);
    let old = &backends[holder];
    let sent = eventually("the old leg's end", async || old.closes().pop()).await.replies;
    let heard_of_it = heard.iter().filter(|mark| mark.stream == legs[0]).count() as u64;
    assert_eq!(heard_of_it, sent, "everything the old backend sent before the Close");
}

/// Backend messages are numbered per leg: whatever moves, no hole and no reversal within a leg.
#[tokio::test]
async fn backend_messages_have_no_hole_and_no_reversal_within_a_leg() {
    let node = need!(tools::node());
    let pushing = || replying(&node).with("push-every", 5);
    let mut backends = [Backend::start(pushing()).await, Backend::start(pushing()).await];
    let everwire = in_front_of(&backends.each_ref()).await;
    let mut client = client_of(&everwire).await;
    let mut heard = Vec::new();
    for round in 0..8 {
        let sequence = client.say(50).await;
        hear_until(&mut client, &format!("re c {sequence}"), &mut heard).await;
        everwire.settled().await;
        let backend = &mut backends[round % 2];
        match round % 4 {
            0 | 1 => backend.kill().await,
            _ => backend.stop_gracefully().await,
        }
        backend.revive().await;
    }
    let legs = legs_in_order(&heard);
    assert!(legs.len() > 2, "the pipe has moved: {legs:?}");
}

/// The command line's removal: when it returns the backend has no leg any more.
async fn pool_rm(everwire: &Everwire, backend: &Backend) {
    backend.legs_reach(1).await;
    let output = everwire.command(&["pool", "rm", "main", &backend.url()]).await;
    assert!(output.status.success(), "{output:?}");
    let legs = backend.legs().len();
    // The backend's own view of it may come a moment later.
    until_equal("ended legs", legs, async || backend.closes().len()).await;
}

/// The same with Python: its stack queues in front of the handler, and answers what is queued.
#[tokio::test]
async fn every_question_is_answered_across_pool_rm_by_a_python_handler_that_queues() {
    let python = need!(tools::python());
    let slow = || Launch::python(&python, "backend.py").with("handle-ms", 40);
    let backends = [Backend::start(slow()).await, Backend::start(slow()).await];
    let everwire = Everwire::start(&patient(&backends)).await;
    let mut client = client_of(&everwire).await;
    for _ in 0..40 {
        client.say(50).await;
    }
    let holder = holder_of(&backends).await;
    pool_rm(&everwire, &backends[holder]).await;
    client.say(50).await;
    for sequence in 1..=41 {
        client.hear_echo(sequence).await;
    }
}
