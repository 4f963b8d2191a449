//! What a Redis keeps of what it accepts, and appends whose answers are lost.

use std::collections::BTreeSet;

use bytes::Bytes;
use everwire_backplane::{
    Append, Channel, Expected, Log, READ_MAX, Version,
    redis::{Config, Durability, Redis, Syncs},
};
use everwire_testkit::{need, swallow::Swallower, tools};

use crate::server::{DURABLE, Server, VOLATILE};

fn log() -> Channel {
    Channel::new("log").unwrap()
}

async fn payloads(node: &Redis) -> Vec<Bytes> {
    let mut payloads = Vec::new();
    loop {
        let after = Version(payloads.len() as u64);
        let page = node.read(&log(), after, READ_MAX).await.unwrap();
        if page.entries.is_empty() {
            return payloads;
        }
        for entry in page.entries {
            assert_eq!(entry.version.0, payloads.len() as u64 + 1);
            payloads.push(entry.payload);
        }
    }
}

#[tokio::test]
async fn a_server_tells_whether_it_keeps_what_it_accepts() {
    let redis = need!(tools::redis());
    let every_second = &["--save", "", "--appendonly", "yes"][..];
    for (options, appends, syncs) in [
        (DURABLE, true, Syncs::Always),
        (every_second, true, Syncs::EverySecond),
        (VOLATILE, false, Syncs::EverySecond),
    ] {
        let server = Server::start(&redis, options).await;
        let node = server.node();
        let wanted = Durability { appends, syncs: Some(syncs) };
        assert_eq!(node.durability().await, Ok(wanted), "{options:?}");
        server.tell(&["ACL", "SETUSER", "node", "on", ">word", "~*", "+@all", "-config"]).await;
        let url = format!("redis://node:word@{}", server.address());
        let node = Redis::start(Config::new(url)).unwrap();
        let wanted = Durability { appends, syncs: None };
        assert_eq!(node.durability().await, Ok(wanted), "it may not read the configuration");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_tells_nothing() {
    let mut server = Server::start(&need!(tools::redis()), DURABLE).await;
    let node = server.node();
    assert!(node.durability().await.is_ok());
    server.process.kill();
    assert!(node.durability().await.is_err());
}

#[tokio::test]
async fn a_version_is_one_entry_and_a_second_one_is_refused_by_the_server_itself() {
    let server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let node = server.node();
    for version in 1..=3 {
        let appended = node.append(&log(), Expected::Any, Bytes::from("x")).await;
        assert_eq!(appended, Append::Committed(Version(version)));
    }
    let mut connection = crate::server::connect(&server.url()).await;
    let mut again = redis::cmd("XADD");
    again.arg(&["everwire:log:3:log", "3-0", "e", "y"]);
    let refused = again.query_async::<redis::Value>(&mut connection).await.unwrap_err();
    assert!(refused.to_string().contains("equal or smaller"), "{refused}");
    assert_eq!(payloads(&node).await, ["x", "x", "x"].map(Bytes::from));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_b4_appends_whose_answers_are_lost_are_done_once_and_known() {
    let server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let (mut cables, mut nodes) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let cable = Swallower::of_logs(server.address()).await;
        nodes.push(Redis::start(Config::new(cable.url())).unwrap());
        cable.swallow(true);
        cables.push(cable);
    }
    let mut won = Vec::new();
    for version in 0..60 {
        let appends = nodes.iter().enumerate().map(|(writer, node)| {
            let entry = Bytes::from(format!("{version} by {writer}"));
            let expected = Expected::At(Version(version));
            async move { (node.append(&log(), expected, entry.clone()).await, entry) }
        });
        let all = futures_util::future::join_all(appends).await;
        let next = Version(version + 1);
        for (appended, entry) in all {
            match appended {
                Append::Committed(committed) if committed == next => won.push(entry),
                Append::Conflict(last) if last == next => {}
                other => panic!("{other:?} instead of {next}"),
            }
        }
        assert_eq!(won.len() as u64, version + 1, "one succeeds");
    }
    assert_eq!(payloads(&server.node()).await, won);
    let swallowed: u64 = cables.iter().map(Swallower::swallowed).sum();
    assert!(swallowed >= 60, "{swallowed} answers were lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_b4_an_append_at_any_version_is_found_when_its_answer_is_lost() {
    let server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let cable = Swallower::of_logs(server.address()).await;
    let node = Redis::start(Config::new(cable.url())).unwrap();
    cable.swallow(true);
    let mut versions = BTreeSet::new();
    for number in 1..=40_u64 {
        let entry = Bytes::from(number.to_string());
        let appended = node.append(&log(), Expected::Any, entry).await;
        let Append::Committed(version) = appended else { panic!("{appended:?}") };
        assert!(versions.insert(version));
    }
    cable.swallow(false);
    assert!(cable.swallowed() >= 20);
    let wanted: Vec<_> = (1..=40).map(|number: u64| Bytes::from(number.to_string())).collect();
    assert_eq!(payloads(&node).await, wanted, "each once");
}

#[tokio::test]
async fn an_append_that_cannot_be_found_again_stays_unknown() {
    let mut server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let node = server.node();
    let first = node.append(&log(), Expected::Any, Bytes::from("x")).await;
    assert_eq!(first, Append::Committed(Version(1)));
    server.process.freeze();
    let pending = node.append(&log(), Expected::Any, Bytes::from("y"));
    // The server has it, and will neither read it nor come back.
    let (fate, ()) = tokio::join!(pending, async { server.process.kill() });
    assert_eq!(fate, Append::Unknown);
}
