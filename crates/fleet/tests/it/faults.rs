//! Faults between a command's acceptance and its outcome.

use std::{net::SocketAddr, time::Duration};

use everwire_client::Client;
use everwire_fleet::{FleetConfig, WallClock, command::Outcome, fleet::NewCommand};
use everwire_testkit::{relay::Relay, wait::until_equal};
use serde_json::Value;

use crate::fixture::{Instance, Site, command, connect, counts, outcome, says};

/// An instance whose connection can be cut and held.
async fn behind(relay: &Relay, site: &Site, node: usize, name: &str) -> Instance {
    let there: SocketAddr = site.nodes[node].address;
    let url = site.nodes[node].url(name).replace(&there.to_string(), &relay.address().to_string());
    connect(Client::builder(url), says(|_| Ok(Value::Null))).await
}

#[tokio::test]
async fn fault_c1_what_was_accepted_is_done_though_the_node_ends_that_accepted_it() {
    let mut site = Site::of(3).await;
    let instances = [site.nodes[1].join("shop:0:a").await, site.nodes[2].join("shop:1:a").await];
    site.until_known(2, 0).await;
    let accepting = site.nodes.remove(0);
    let id = accepting.fleet.send(command("shop", "x")).await.unwrap().id;
    site.backplane.kill(accepting.id);
    drop(accepting);
    assert_eq!(counts(&site.until_finished(id).await), [("done", 2)].into());
    for instance in &instances {
        assert_eq!(instance.args(), ["x"], "once");
    }
}

#[tokio::test]
async fn fault_c1_what_was_given_and_not_answered_is_given_again_with_the_same_id() {
    let mut site = Site::of(2).await;
    let silent = site.nodes[1].join_with("shop:0:a", says(|_| Ok("pending".into()))).await;
    site.until_known(1, 0).await;
    let id = site.fleet().send(command("shop", "x")).await.unwrap().id;
    silent.until_args(&["x"]).await;
    let giving = site.nodes.remove(1);
    site.backplane.kill(giving.id);
    site.until_known(0, 1).await;
    let back = site.nodes[0].join("shop:0:a").await;
    back.until_args(&["x"]).await;
    assert_eq!(back.given.lock().unwrap()[0].id, id);
    assert_eq!(counts(&site.until_finished(id).await), [("done", 1)].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_c2_a_crowd_that_returns_gets_what_is_pending_once_and_in_order() {
    let site = Site::of(2).await;
    let relays = [
        Relay::start(vec![site.nodes[0].address]).await,
        Relay::start(vec![site.nodes[1].address]).await,
    ];
    let mut instances = Vec::new();
    for number in 0..60 {
        let node = number % 2;
        instances.push(behind(&relays[node], &site, node, &format!("shop:{number}:a")).await);
    }
    site.until_known(60, 0).await;
    relays.iter().for_each(Relay::hold);
    relays.iter().for_each(Relay::cut);
    site.until_known(0, 60).await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(
            site.nodes[number % 2]
                .fleet
                .send(command("shop", &number.to_string()))
                .await
                .unwrap()
                .id,
        );
    }
    relays.iter().for_each(Relay::replace);
    for id in &ids {
        assert_eq!(counts(&site.until_finished(*id).await), [("done", 60)].into());
    }
    for instance in &instances {
        assert_eq!(instance.args(), ["0", "1", "2", "3", "4"]);
    }
}

#[tokio::test]
async fn fault_c4_a_clock_that_jumps_over_the_deadline_lets_nobody_do_it_late() {
    let config = FleetConfig::default();
    let site = Site::with(2, &config).await;
    let relay = Relay::start(vec![site.nodes[1].address]).await;
    let away = behind(&relay, &site, 1, "shop:0:a").await;
    site.until_known(1, 0).await;
    relay.hold();
    relay.cut();
    site.until_known(0, 1).await;
    let id = site.fleet().send(command("shop", "late")).await.unwrap().id;
    config.clock.jump(6 * 60 * 1000);
    let state = site.until_finished(id).await;
    assert_eq!(outcome(&state, "shop:0:a").0, Outcome::Gone);
    // And back: what is over stays over.
    config.clock.jump(-6 * 60 * 1000);
    relay.replace();
    site.until_known(1, 0).await;
    let next = site.fleet().send(command("shop", "next")).await.unwrap().id;
    assert_eq!(counts(&site.until_finished(next).await), [("done", 1)].into());
    assert_eq!(away.args(), ["next"]);
}

#[tokio::test]
async fn fault_c4_a_node_whose_clock_is_ahead_does_not_hand_out_what_is_over() {
    let mut site = Site::of(1).await;
    let clock = WallClock::default();
    clock.jump(10 * 60 * 1000);
    site.add(FleetConfig { clock, ..FleetConfig::default() }).await;
    let late = site.nodes[1].join("shop:0:a").await;
    site.until_known(1, 0).await;
    let short = NewCommand { deadline: Duration::from_secs(3), ..command("shop", "over") };
    let id = site.fleet().send(short).await.unwrap().id;
    assert_eq!(counts(&site.until_finished(id).await), [("timed_out", 1)].into());
    assert!(late.args().is_empty(), "it was over where it would have been handed out");
}

#[tokio::test]
async fn while_the_backplane_is_away_outcomes_wait_and_none_is_lost() {
    let site = Site::of(2).await;
    let instance = site.nodes[0].join_with("shop:0:a", says(|_| Ok("pending".into()))).await;
    site.until_known(1, 0).await;
    let id = site.fleet().send(command("shop", "x")).await.unwrap().id;
    instance.until_args(&["x"]).await;
    site.backplane.cut();
    let report = serde_json::json!([id.to_string(), "done", "while it was away"]);
    instance.connection.invoke::<()>("Report", &report).await.unwrap();
    let newcomer = site.nodes[1].join("shop:1:a").await;
    until_equal("still open", 1, async || site.fleet().command(id).unwrap().missing.len()).await;
    site.backplane.heal();
    let state = site.until_finished(id).await;
    let wanted = (Outcome::Done, Some("while it was away".into()));
    assert_eq!(outcome(&state, "shop:0:a"), wanted);
    site.until_known(2, 0).await;
    until_equal("it is connected", true, async || newcomer.is_connected()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pred_k19_who_goes_while_nothing_can_be_written_is_gone_when_it_can() {
    let site = Site::of(2).await;
    let gone = site.nodes[0].join("shop:0:a").await;
    let stays = site.nodes[0].join("shop:1:a").await;
    site.until_known(2, 0).await;
    site.backplane.cut();
    gone.connection.stop().await;
    site.backplane.heal();
    site.until_known(1, 0).await;
    until_equal("it is connected", true, async || stays.is_connected()).await;
    // Its name is free for who comes next.
    let again = site.nodes[1].join("shop:0:a").await;
    site.until_known(2, 0).await;
    until_equal("it is told that it has its name", true, async || again.is_connected()).await;
}
