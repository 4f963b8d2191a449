//! P6: all backends are down, for less and for more than the limit.

use std::time::Duration;

use everwire_testkit::{
    client::Client,
    crowd::{self, Crowd},
    everwire::{Everwire, Setup},
    foreign::Backend,
    need, tools,
    wait::{SOON, eventually, now},
};

use crate::stage::{arrived_at, before, chatting, client_of, echoing, in_front_of, silent};

#[tokio::test]
async fn fault_p6_with_all_backends_down_nobody_is_dropped_and_nothing_is_lost() {
    let node = need!(tools::node());
    let mut backends = [Backend::start(silent(&node)).await, Backend::start(silent(&node)).await];
    let everwire = in_front_of(&backends.each_ref()).await;
    let crowd = Crowd::gather(everwire.address(), &chatting(50, 20)).await;
    eventually("traffic", async || (backends[0].messages().len() > 50).then_some(())).await;
    // At once, so that no message is there when one backend ends and then another.
    backends.iter_mut().for_each(|backend| backend.process().begin_kill());
    for backend in &mut backends {
        backend.kill().await;
    }
    eventually("20 messages held in every pipe", async || {
        let pipes = everwire.pipes().await;
        pipes.iter().all(|pipe| pipe["unconfirmed_messages"].as_u64() >= Some(20)).then_some(())
    })
    .await;
    backends[0].revive().await;
    backends[1].revive().await;
    crowd.hush().await;
    everwire.settled().await;
    let accounts = crowd.part().await;
    let said = |checker: &mut _| crowd::report_said(&accounts, checker);
    arrived_at(&backends.each_ref(), said).await.assert_unbroken("at the backends");
}

#[tokio::test]
async fn fault_p6_after_outage_max_the_client_is_told_1013() {
    let node = need!(tools::node());
    let mut backend = Backend::start(echoing(&node)).await;
    let setup = before(&[&backend]).route("outage_max", r#""1s""#);
    let everwire = Everwire::start(&setup).await;
    let mut client = client_of(&everwire).await;
    client.round_trip().await;
    // The end of its sockets may be seen a while before that of the process.
    let start = now();
    backend.kill().await;
    let (code, reason) = client.hear_close().await;
    let waited = start.elapsed();
    assert_eq!(code, 1013, "{reason}");
    assert!(!reason.is_empty(), "the reason names the cause");
    assert!(waited > Duration::from_millis(900) && waited < SOON, "{waited:?}");
    everwire.pipes_become(0).await;
}

#[tokio::test]
async fn fault_p6_outage_max_zero_closes_at_once_with_1012() {
    let node = need!(tools::node());
    let mut backend = Backend::start(echoing(&node)).await;
    let other = Backend::start(echoing(&node)).await;
    let setup = before(&[&backend]).route("outage_max", r#""0s""#);
    let everwire = Everwire::start(&setup).await;
    let mut client = client_of(&everwire).await;
    client.round_trip().await;
    assert!(everwire.add_backend(&other.url()).await.status < 300);
    backend.kill().await;
    let (code, reason) = client.hear_close().await;
    assert_eq!(code, 1012, "{reason}");
    assert!(other.legs().is_empty(), "no silent fresh start");
}

#[tokio::test]
async fn fault_p6_a_client_that_comes_while_nothing_is_up_gets_503() {
    let setup = Setup::new().backend("ws://127.0.0.1:9");
    let everwire = Everwire::start(&setup).await;
    let request = everwire_testkit::client::request(everwire.address(), "/");
    let error = Client::try_open(everwire.address(), request, "c").await.unwrap_err();
    let tokio_tungstenite::tungstenite::Error::Http(response) = error else { panic!("{error}") };
    assert_eq!(response.status(), 503);
}

/// Where thousands of sessions end at once, a line for each would stall all pipes until the log is
/// read.
#[tokio::test]
async fn a_backend_that_ends_many_sessions_is_one_line_in_the_log() {
    let node = need!(tools::node());
    let mut backends = [Backend::start(echoing(&node)).await, Backend::start(echoing(&node)).await];
    let everwire = in_front_of(&backends.each_ref()).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(client_of(&everwire).await);
    }
    // A thread of its own writes the log: the line is looked for between the ends of two pipes.
    let ends = async |count: usize| {
        eventually("the ends of pipes in the log", async || {
            let log = everwire.log();
            (log.matches("pipe closed").count() == count).then_some(log)
        })
        .await
    };
    client_of(&everwire).await.close().await;
    let before = ends(1).await.lines().count();
    backends[0].kill().await;
    for client in &mut clients {
        client.round_trip().await;
    }
    clients[0].close().await;
    let log = ends(2).await;
    let since: Vec<&str> = log.lines().skip(before).collect();
    assert!(since.len() == 2 && since[0].contains(&backends[0].url()), "{since:#?}");
}
