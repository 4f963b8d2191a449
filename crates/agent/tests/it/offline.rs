//! Starting without a manager.

use std::time::Duration;

use everwire_agent::{Change, Offline};
use everwire_testkit::everwire::Folder;

use crate::{joined, manager::Manager, next, watching};

const AT_ONCE: Offline = Offline { patience: Duration::ZERO, without_state: false };

/// A state directory that knows `A=1` of a manager that has gone; the manager's address and memory.
async fn left_behind(folder: &Folder) -> (std::net::SocketAddr, crate::manager::Known) {
    let manager = Manager::start().await;
    manager.change("shop/prod", &[("A", Some("1"))]);
    let (agent, mut told) = watching(&manager.url());
    let agent = agent.state_dir(&folder.0).start().await.unwrap();
    next("a first state", &mut told).await;
    agent.stop().await;
    manager.stop().await
}

/// The same directory again, as soon as it is free.
async fn begin_again(
    address: std::net::SocketAddr,
    folder: &Folder,
    offline: Offline,
) -> (everwire_agent::Agent, tokio::sync::mpsc::Receiver<Change>) {
    loop {
        let (agent, told) = watching(&format!("http://{address}/fleet"));
        match agent.state_dir(&folder.0).offline(offline).start().await {
            Ok(agent) => return (agent, told),
            Err(error) => assert!(error.to_string().contains("in use"), "{error}"),
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn without_a_manager_the_last_state_serves_until_there_is_one() {
    let folder = Folder::new();
    let (address, mut known) = left_behind(&folder).await;
    let (agent, mut told) = begin_again(address, &folder, AT_ONCE).await;
    let first = next("a first state", &mut told).await;
    assert!(first.is_offline && first.is_first && !agent.is_up_to_date());
    assert_eq!(first.values["A"], "1");
    known.sets.insert("shop/prod".into(), (2, [("A".into(), "2".into())].into()));
    let _manager = Manager::start_at(address, known).await;
    let change = next("news", &mut told).await;
    assert!(!change.is_offline && !change.is_first && agent.is_up_to_date());
    assert_eq!(change.values["A"], "2");
}

#[tokio::test]
async fn the_same_state_from_the_manager_is_no_change() {
    let folder = Folder::new();
    let (address, known) = left_behind(&folder).await;
    let (agent, mut told) = begin_again(address, &folder, AT_ONCE).await;
    assert!(next("a first state", &mut told).await.is_offline);
    let manager = Manager::start_at(address, known).await;
    joined(&agent).await;
    manager.change("shop/prod", &[("B", Some("1"))]);
    assert_eq!(next("the only change", &mut told).await.sets[0].keys, ["B"]);
}

#[tokio::test(start_paused = true)]
async fn the_manager_has_three_seconds_before_the_last_state_serves() {
    let folder = Folder::new();
    let (address, known) = left_behind(&folder).await;
    let (_agent, mut told) = begin_again(address, &folder, Offline::default()).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let _manager = Manager::start_at(address, known).await;
    assert!(!next("a first state", &mut told).await.is_offline);
}

#[tokio::test(start_paused = true)]
async fn pred_k10_without_a_manager_and_a_state_nothing_begins_unless_it_may() {
    let folder = Folder::new();
    let nobody = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    let (agent, mut told) = begin_again(nobody, &folder, AT_ONCE).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(told.try_recv().is_err());
    assert!(agent.missing().contains_key("shop/prod"));
    agent.stop().await;
    drop(agent);
    let at_all_costs = Offline { without_state: true, ..AT_ONCE };
    let (_agent, mut told) = begin_again(nobody, &folder, at_all_costs).await;
    assert!(next("a first state", &mut told).await.values.is_empty());
}
