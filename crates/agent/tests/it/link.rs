//! Finding a manager, keeping it, and keeping away from one that is not to be had.

use std::{net::SocketAddr, time::Duration};

use everwire_agent::{Agent, EndReason, OnRejection, Rejection, StartError, Status};
use everwire_testkit::{everwire::Folder, wait::soon};
use tokio::{net::TcpSocket, time::Instant};

use crate::{
    agent, joined,
    manager::{Known, Manager},
    next, status, watching,
};

/// A port that nobody listens at and nobody else gets.
fn deserted() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

#[allow(clippy::disallowed_methods, reason = "a test's own clock, which it sets")]
fn now() -> Instant {
    Instant::now()
}

fn known(cluster: &str) -> Known {
    Known { cluster: cluster.into(), ..Known::default() }
}

async fn away(agent: &Agent, least: u32) -> String {
    let find = |it: &Status| match it {
        Status::Away { why, attempts } if *attempts >= least => Some(why.to_string()),
        _ => None,
    };
    status(agent, "a manager that is away", find).await
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_is_away_for_90_s_at_first_start_is_found() {
    let (port, address) = deserted();
    let begun = now();
    let (agent, mut told) = watching(&format!("http://{address}/fleet"));
    let agent = agent.start().await.unwrap();
    tokio::time::sleep(Duration::from_secs(90)).await;
    let why = away(&agent, 15).await;
    assert!(why.contains("no connection to"), "{why}");
    assert!(told.try_recv().is_err(), "nothing is applied that nobody knows");
    drop(port);
    let manager = Manager::start_at(address, known("one")).await;
    told.recv().await.unwrap();
    let waited = begun.elapsed();
    assert!(waited < Duration::from_secs(125), "within 30 s of its return: {waited:?}");
    assert_eq!(manager.known().joined.len(), 1);
}

#[tokio::test]
async fn a_manager_that_goes_and_comes_is_joined_again_under_the_same_name() {
    let manager = Manager::start().await;
    let agent = Agent::builder(manager.url()).app("shop").index(3).label("zone", "a b");
    let agent = agent.version("1.2").token("secret").start().await.unwrap();
    manager.joined(1).await;
    let (address, known) = manager.stop().await;
    away(&agent, 1).await;
    let manager = Manager::start_at(address, known).await;
    let (_, name) = manager.joined(2).await;
    joined(&agent).await;
    assert_eq!(manager.known().joined[0].1, name);
    assert_eq!(agent.name(), name);
    assert!(name.starts_with("shop:3:"), "{name}");
    let query = manager.known().queries[1].clone();
    assert!(query.contains("&version=1.2&label.zone=a%20b"), "{query}");
    assert!(!query.contains("secret"), "a token goes where no log has it");
}

#[tokio::test(start_paused = true)]
async fn who_was_taken_over_stays_away_for_a_minute_and_tells() {
    let manager = Manager::start().await;
    let agent = agent(&manager.url()).start().await.unwrap();
    manager.joined(1).await;
    joined(&agent).await;
    let ended = now();
    manager.end_all("shop:0:a was taken over by a newer connection");
    let away = |it: &Status| match it {
        Status::StaysAway { why: Rejection::TakenOver(name) } => Some(name.to_string()),
        _ => None,
    };
    assert_eq!(status(&agent, "taken over", away).await, "shop:0:a");
    manager.joined(2).await;
    let waited = ended.elapsed();
    assert!((60..100).contains(&waited.as_secs()), "{waited:?}");
}

#[tokio::test]
async fn who_was_taken_over_ends_if_that_is_wanted() {
    let manager = Manager::start().await;
    let agent = agent(&manager.url()).on_rejection(OnRejection::End).start().await.unwrap();
    manager.joined(1).await;
    joined(&agent).await;
    manager.end_all("shop:0:a was taken over by a newer connection");
    let why = soon("the end", agent.ended()).await;
    assert!(matches!(&*why, EndReason::Rejected(Rejection::TakenOver(_))), "{why}");
}

#[tokio::test]
async fn any_other_end_is_only_a_reason_to_come_back() {
    let manager = Manager::start().await;
    let agent = agent(&manager.url()).on_rejection(OnRejection::End).start().await.unwrap();
    manager.joined(1).await;
    joined(&agent).await;
    manager.end_all("the token was revoked");
    manager.joined(2).await;
}

#[tokio::test]
async fn a_manager_of_another_fleet_is_refused_and_the_file_named() {
    let folder = Folder::new();
    let manager = Manager::start().await;
    manager.change("shop/prod", &[("A", Some("1"))]);
    let (first, mut told) = watching(&manager.url());
    let first = first.state_dir(&folder.0).start().await.unwrap();
    next("a first state", &mut told).await;
    let (address, _) = manager.stop().await;
    let other = Manager::start_at(address, known("two")).await;
    let find = |it: &Status| match it {
        Status::StaysAway { why } => Some(why.to_string()),
        _ => None,
    };
    let why = status(&first, "refusal", find).await;
    let file = folder.0.join("cluster");
    assert!(why.contains(&format!("remove {}", file.display())), "{why}");
    assert_eq!(first.values()["A"], "1", "nothing is taken from it");
    assert!(other.known().watched.is_empty());
    first.stop().await;
    drop(first);

    std::fs::remove_file(file).unwrap();
    let second = loop {
        let (second, _) = watching(&other.url());
        match second.state_dir(&folder.0).start().await {
            Ok(agent) => break agent,
            Err(error) => assert!(error.to_string().contains("in use"), "{error}"),
        }
        tokio::task::yield_now().await;
    };
    joined(&second).await;
    assert_eq!(std::fs::read_to_string(folder.0.join("cluster")).unwrap(), "two");
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_is_no_fleet_is_left_after_half_a_minute() {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let manager = Manager::start_at(address, Known { is_mute: true, ..known("one") }).await;
    let agent = agent(&manager.url()).start().await.unwrap();
    let why = away(&agent, 1).await;
    assert!(why.contains("nobody said Welcome"), "{why}");
}

#[tokio::test]
async fn an_address_that_is_none_ends_the_agent_with_the_reason() {
    let agent = agent("nowhere").start().await.unwrap();
    let why = soon("the end", agent.ended()).await;
    assert!(matches!(&*why, EndReason::Mistake(_)), "{why}");
    let error = Agent::builder("http://127.0.0.1:1/").start().await.unwrap_err();
    assert!(matches!(error, StartError::NoApp));
}

#[tokio::test]
async fn one_that_is_stopped_says_goodbye() {
    let manager = Manager::start().await;
    let agent = agent(&manager.url()).start().await.unwrap();
    joined(&agent).await;
    soon("goodbye", agent.stop()).await;
    assert!(matches!(&*agent.ended().await, EndReason::Stopped));
    // It waits for nobody to have gone.
    manager.stop().await;
}
