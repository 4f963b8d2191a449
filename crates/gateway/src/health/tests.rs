//! Checks against scripted backends, on a clock that jumps while nobody speaks.

use std::net::SocketAddr;

use tokio::task::JoinSet;

use super::*;
use crate::{
    dial::scripted::{Peer, Script, config, dead_address},
    pool::config::PoolConfig,
};

/// A pool that is checked every second, and the task that does.
fn checked(addresses: &[SocketAddr]) -> (Pool, JoinSet<()>) {
    let health = HealthCheck { path: "/healthz".to_owned(), interval: Duration::from_secs(1) };
    let backends = addresses.iter().copied().map(config).collect();
    let pool = Pool::new("chat", PoolConfig { health: Some(health), backends, ..Default::default() });
    let mut task = JoinSet::new();
    task.spawn(watch(pool.clone()));
    (pool, task)
}

fn status(line: &str) -> Script {
    Script::lines(&[&format!("HTTP/1.1 {line}"), "Content-Length: 0"])
}

fn health(pool: &Pool) -> Vec<Health> {
    pool.backends().iter().map(|backend| backend.health).collect()
}

#[tokio::test(start_paused = true)]
async fn two_failures_take_a_backend_down_and_one_success_brings_it_up() {
    let (good, bad) =
        (Peer::start(status("204 No Content")).await, Peer::start(status("500 No")).await);
    let dead = dead_address().await;
    let (pool, _task) = checked(&[good.address, bad.address, dead]);
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(health(&pool), [Health::Up, Health::Unknown, Health::Unknown], "one is not two");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(health(&pool), [Health::Up, Health::Down, Health::Down]);
    bad.change(status("200 OK"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(health(&pool), [Health::Up, Health::Up, Health::Down]);
    good.change(status("302 Found"));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(health(&pool), [Health::Down, Health::Up, Health::Down]);
    let asked = &good.heads()[0];
    assert!(asked.starts_with("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:"), "{asked}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_or_senseless_backend_is_down() {
    let silent = Peer::start(Script::silent()).await;
    let senseless = Peer::start(Script::lines(&["hello"])).await;
    let (pool, task) = checked(&[silent.address, senseless.address]);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(health(&pool), [Health::Down, Health::Down]);
    let asked = silent.heads().len();
    assert!((2..=5).contains(&asked), "asked {asked} times in 5 s, one question at a time");
    drop(task);
    silent.left_alone().await;
}

#[tokio::test(start_paused = true)]
async fn backends_that_come_and_go_are_followed() {
    let peer = Peer::start(status("200 OK")).await;
    let (pool, _task) = checked(&[]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let id = pool.add_backend(peer.config()).expect("new");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(health(&pool), [Health::Up]);
    pool.remove_backend(id).expect("there");
    let asked = peer.heads().len();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(peer.heads().len() <= asked + 1);
}

#[tokio::test(start_paused = true)]
async fn a_pool_without_a_check_is_not_watched() {
    watch(Pool::new("chat", PoolConfig::default())).await;
}
