//! Instances come, go, come back, and take each other's names over.

use std::{collections::BTreeSet, time::Duration};

use everwire_client::{Client, ReconnectPolicy, Transport};
use everwire_fleet::{
    Fleet, FleetConfig,
    command::Outcome,
    events::FleetEvent,
    fleet::{NewCommand, Presence},
    target::Target,
};
use everwire_testkit::wait::{eventually, soon, until_equal};
use serde_json::Value;

use crate::fixture::{Site, command, connect, counts, outcome, says, target};

/// The names that a node lists for a target.
fn names(fleet: &Fleet, target: &Target) -> Vec<String> {
    let page = fleet.instances(target, None, 100);
    page.items.iter().map(|there| there.name.to_string()).collect()
}

#[tokio::test]
async fn every_node_lists_who_is_there_and_what_they_say_of_themselves() {
    let site = Site::of(3).await;
    let mut all = Vec::new();
    for (number, node) in site.nodes.iter().enumerate() {
        let url = format!(
            "{}&label.zone=z{}&version=1.{number}",
            node.url(&format!("shop:{number}:a")),
            number % 2
        );
        all.push(connect(Client::builder(url), says(|_| Ok(Value::Null))).await);
    }
    site.until_known(3, 0).await;
    for node in &site.nodes {
        let page = node.fleet.instances(&Target::default(), None, 2);
        assert_eq!((page.items.len(), page.total), (2, 3));
        let rest = node.fleet.instances(&Target::default(), page.next.as_ref(), 2);
        assert_eq!((rest.items.len(), rest.next), (1, None));
        let last = &rest.items[0];
        assert_eq!((&*last.app, &*last.index, &*last.id), ("shop", "2", "a"));
        assert_eq!((last.version.as_deref(), last.state), (Some("1.2"), Presence::Present));
        assert_eq!(last.node, site.nodes[2].id.to_string());
        let mut labelled = target("shop");
        labelled.labels.insert("zone".into(), "z0".into());
        assert_eq!(names(&node.fleet, &labelled), ["shop:0:a", "shop:2:a"]);
        assert_eq!(
            node.fleet.instance(&"shop:1:a".parse().unwrap()).unwrap().labels["zone"],
            Box::<str>::from("z1")
        );
    }
}

#[tokio::test]
async fn who_takes_its_leave_is_gone_and_who_is_lost_is_away() {
    let site = Site::of(2).await;
    let leaves = site.nodes[0].join("shop:0:leaves").await;
    let lost = site.nodes[1].join("shop:0:lost").await;
    site.until_known(2, 0).await;
    soon("goodbye", leaves.connection.stop()).await;
    site.until_known(1, 0).await;
    let session =
        site.nodes[1].fleet.read(|ledger| ledger.roster().iter().next().unwrap().1.session);
    let hub = site.nodes[1].fleet.hub();
    hub.abort(session).await;
    site.until_known(0, 1).await;
    drop(lost);
    let page = site.fleet().instances(&Target::default(), None, 10);
    assert_eq!(
        (page.items[0].state, page.items[0].since),
        (Presence::Away, page.items[0].last_seen)
    );
    // It has a connection of its own again, and is the same.
    let _back = site.nodes[0].join("shop:0:lost").await;
    site.until_known(1, 0).await;
}

#[tokio::test]
async fn pred_m10_who_was_away_gets_what_is_still_worth_doing_in_order_with_the_same_id() {
    let site = Site::of(2).await;
    let instance = site.nodes[0].join_with("shop:0:a", says(|_| Ok("pending".into()))).await;
    site.until_known(1, 0).await;
    let send = async |arg: &str| site.fleet().send(command("shop", arg)).await.unwrap().id;
    let mut ids = vec![send("0").await];
    instance.until_args(&["0"]).await;
    let session = site.fleet().read(|ledger| ledger.roster().iter().next().unwrap().1.session);
    site.fleet().hub().abort(session).await;
    site.until_known(0, 1).await;
    for number in 1..4 {
        ids.push(send(&number.to_string()).await);
    }
    let short = NewCommand { deadline: Duration::from_secs(1), ..command("shop", "late") };
    let late = site.fleet().send(short).await.unwrap().id;
    let state = site.until_finished(late).await;
    assert_eq!(outcome(&state, "shop:0:a").0, Outcome::Gone);
    let back = site.nodes[1].join("shop:0:a").await;
    back.until_args(&["0", "1", "2", "3"]).await;
    let given: Vec<_> = back.given.lock().unwrap().iter().map(|given| given.id).collect();
    assert_eq!(given, ids);
    assert_eq!(instance.given.lock().unwrap()[0].id, ids[0], "what was given before is the same");
    for id in ids {
        assert_eq!(counts(&site.until_finished(id).await), [("done", 1)].into());
    }
}

#[tokio::test]
async fn fault_c5_a_second_connection_takes_the_name_over_and_neither_flaps() {
    let site = Site::of(2).await;
    let first = site.nodes[0].join("shop:0:a").await;
    site.until_known(1, 0).await;
    let mut events = site.fleet().events(None);
    for (round, node) in [&site.nodes[1], &site.nodes[1], &site.nodes[0]].into_iter().enumerate() {
        let second = node.join("shop:0:a").await;
        let mut joins = 0;
        eventually("a takeover", async || {
            while let Some(told) = events.now() {
                joins += usize::from(matches!(*told.event, FleetEvent::InstanceJoined { .. }));
            }
            (joins == 1).then_some(())
        })
        .await;
        if round == 0 {
            let why = soon("the end", first.connection.closed()).await;
            assert!(why.to_string().contains("was taken over by a newer connection"), "{why}");
        }
        let id = site.fleet().send(command("shop", "x")).await.unwrap().id;
        site.until_finished(id).await;
        assert!(second.is_connected());
        assert_eq!(second.args(), ["x"], "the newest has the name");
        site.until_known(1, 0).await;
        // Held until the next one has taken over.
        std::mem::forget(second);
    }
    assert!(first.args().is_empty());
    let mut rest = 0;
    while let Some(told) = events.now() {
        rest += usize::from(matches!(*told.event, FleetEvent::InstanceJoined { .. }));
    }
    assert_eq!(rest, 0, "who was replaced does not come back");
}

#[tokio::test]
async fn instances_of_a_node_that_is_lost_are_away_and_then_back() {
    let mut site = Site::of(3).await;
    let instances = [
        site.nodes[2].join("shop:0:a").await,
        site.nodes[2].join("shop:1:a").await,
        site.nodes[0].join("shop:2:a").await,
    ];
    site.until_known(3, 0).await;
    let lost = site.nodes.remove(2);
    site.backplane.kill(lost.id);
    site.until_known(1, 2).await;
    let id = site.fleet().send(command("shop", "x")).await.unwrap().id;
    instances[2].until_args(&["x"]).await;
    let state = site.nodes[1].until(id, |state| state.outcomes.len() == 1).await;
    assert!(state.missing.iter().all(|missing| !missing.present && missing.released));
    let back = [site.nodes[0].join("shop:0:a").await, site.nodes[1].join("shop:1:a").await];
    for instance in &back {
        instance.until_args(&["x"]).await;
    }
    assert_eq!(counts(&site.until_finished(id).await), [("done", 3)].into());
}

#[tokio::test]
async fn a_living_node_that_was_taken_for_dead_has_its_instances_still() {
    let site = Site::of(2).await;
    let instance = site.nodes[0].join("shop:0:a").await;
    site.until_known(1, 0).await;
    let mut events = site.nodes[1].fleet.events(None);
    site.backplane.expire(site.nodes[0].id);
    let mut seen = BTreeSet::new();
    eventually("away and back", async || {
        while let Some(told) = events.now() {
            seen.insert(serde_json::to_value(&*told.event).unwrap()["type"].to_string());
        }
        (seen.contains("\"instance_away\"") && seen.contains("\"instance_joined\"")).then_some(())
    })
    .await;
    site.until_known(1, 0).await;
    let id = site.nodes[1].fleet.send(command("shop", "x")).await.unwrap().id;
    assert_eq!(counts(&site.until_finished(id).await), [("done", 1)].into());
    assert!(instance.is_connected());
}

#[tokio::test]
async fn an_emptied_backplane_is_filled_again_by_the_nodes() {
    let site = Site::of(2).await;
    let instances = [site.nodes[0].join("shop:0:a").await, site.nodes[1].join("shop:1:a").await];
    site.until_known(2, 0).await;
    let before = site.fleet().send(command("shop", "before")).await.unwrap().id;
    site.until_finished(before).await;
    let cluster = site.fleet().read(|ledger| ledger.cluster().unwrap().to_owned());
    site.backplane.empty();
    eventually("another cluster", async || {
        let now = site.nodes[1].fleet.read(|ledger| ledger.cluster().map(str::to_owned));
        now.filter(|now| *now != cluster)
    })
    .await;
    site.until_known(2, 0).await;
    assert!(site.fleet().command(before).is_none(), "it is not known any more");
    let after = site.fleet().send(command("shop", "after")).await.unwrap().id;
    assert_eq!(counts(&site.until_finished(after).await), [("done", 2)].into());
    for instance in &instances {
        assert_eq!(instance.args(), ["before", "after"]);
    }
}

#[tokio::test]
async fn who_has_been_away_for_too_long_is_forgotten() {
    let config = FleetConfig { instances_kept: Duration::from_secs(3600), ..Default::default() };
    let site = Site::with(1, &config).await;
    let instance = site.nodes[0].join("shop:0:a").await;
    site.until_known(1, 0).await;
    let session = site.fleet().read(|ledger| ledger.roster().iter().next().unwrap().1.session);
    site.fleet().hub().abort(session).await;
    site.until_known(0, 1).await;
    drop(instance);
    config.clock.jump(3_500_000);
    let _other = site.nodes[0].join("shop:1:a").await;
    site.until_known(1, 1).await;
    config.clock.jump(200_000);
    site.until_known(1, 0).await;
}

#[tokio::test]
async fn a_node_that_stops_says_that_its_instances_are_away() {
    let mut site = Site::of(2).await;
    let client = Client::builder(site.nodes[1].url("shop:0:a")).transports([Transport::WebSockets]);
    let client = client.reconnect(ReconnectPolicy::Never);
    let client = soon("a connection", client.connect()).await.unwrap();
    site.until_known(1, 0).await;
    let stopped = site.nodes.remove(1);
    soon("the end", stopped.fleet.stop()).await;
    site.until_known(0, 1).await;
    soon("the end", client.closed()).await;
    let mut events = stopped.fleet.events(None);
    assert!(soon("no more events", events.next()).await.is_none());
}

#[tokio::test]
async fn what_is_no_instance_is_turned_away_and_told_why() {
    let site = Site::of(1).await;
    for query in ["app=shop", "app=sh*p&id=a", "app=shop&id=a&label.x%20y=1"] {
        let url = format!("http://{}/fleet?{query}", site.nodes[0].address);
        let client = Client::builder(url).reconnect(ReconnectPolicy::Never);
        let why = match soon("an answer", client.connect()).await {
            Ok(connection) => soon("the end", connection.closed()).await.to_string(),
            Err(error) => error.to_string(),
        };
        assert!(
            why.contains("an instance gives app and id")
                || why.contains("allowed in each part")
                || why.contains("label"),
            "{query}: {why}"
        );
    }
    until_equal("nobody", 0, async || site.fleet().instances(&Target::default(), None, 10).total)
        .await;
}
