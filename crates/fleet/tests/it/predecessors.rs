//! What was seen to go wrong with a predecessor, and does not here. Others of these are with what they
//! are about: `grep pred_m`.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use everwire_client::Client;
use everwire_fleet::fleet::{ARGS_MAX, NewCommand, Presence};
use everwire_testkit::{relay::Relay, wait::soon};
use serde_json::{Value, json};
use tracing::{Event, Level, Metadata, Subscriber, span};

use crate::fixture::{Site, command, connect, counts, outcome, says, target};

#[tokio::test]
async fn pred_m1_who_is_lost_without_a_word_is_on_no_list_of_those_who_are_there() {
    let site = Site::of(2).await;
    let relay = Relay::start(vec![site.nodes[0].address]).await;
    let url = site.nodes[0].url("shop:0:a");
    let url = url.replace(&site.nodes[0].address.to_string(), &relay.address().to_string());
    let _instance = connect(Client::builder(url), says(|_| Ok(Value::Null))).await;
    site.until_known(1, 0).await;
    relay.hold();
    relay.cut();
    site.until_known(0, 1).await;
    for node in &site.nodes {
        let there = node.fleet.instance(&"shop:0:a".parse().unwrap()).unwrap();
        assert_eq!(there.state, Presence::Away);
    }
}

/// Collects what is logged as a warning or an error.
#[derive(Clone, Default)]
struct Loud(Arc<Mutex<Vec<String>>>);

impl Subscriber for Loud {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        self.0.lock().unwrap().push(format!("{event:?}"));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[tokio::test]
async fn pred_m2_a_goodbye_is_no_error() {
    let loud = Loud::default();
    let _guard = tracing::subscriber::set_default(loud.clone());
    tracing::warn!("a warning is heard");
    assert_eq!(loud.0.lock().unwrap().drain(..).count(), 1);
    let site = Site::of(1).await;
    for _ in 0..3 {
        let instance = site.nodes[0].join("shop:0:a").await;
        site.until_known(1, 0).await;
        soon("goodbye", instance.connection.stop()).await;
        site.until_known(0, 0).await;
    }
    assert_eq!(*loud.0.lock().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn pred_m3_a_handler_that_fails_harms_nobody_and_itself_only_once() {
    let site = Site::of(1).await;
    let fails = Arc::new(AtomicBool::new(true));
    let broken = Arc::clone(&fails);
    let failing = site.nodes[0].join_with(
        "shop:0:a",
        says(move |_| match broken.swap(false, SeqCst) {
            true => Err("out of luck".into()),
            false => Ok(Value::Null),
        }),
    );
    let failing = failing.await;
    let other = site.nodes[0].join("shop:1:a").await;
    site.until_known(2, 0).await;
    let first = site.fleet().send(command("shop", "1")).await.unwrap().id;
    let state = site.until_finished(first).await;
    assert_eq!(counts(&state), [("failed", 1), ("done", 1)].into());
    assert_eq!(outcome(&state, "shop:0:a").1.as_deref(), Some("out of luck"));
    let second = site.fleet().send(command("shop", "2")).await.unwrap().id;
    assert_eq!(counts(&site.until_finished(second).await), [("done", 2)].into());
    assert!(failing.is_connected() && other.is_connected());
}

#[tokio::test]
async fn pred_m4_pred_m5_long_and_foreign_arguments_arrive_whole() {
    let site = Site::of(2).await;
    let instance = site.nodes[1].join("shop:0:a").await;
    site.until_known(1, 0).await;
    let text = "Ünïcødé ✓ 漢字 🦀\u{1e}\n\"\\".repeat(6000);
    let text: String = text.chars().take(70_000).collect();
    let args = json!({"text": text, "numbers": [1, -2.5, u64::MAX], "none": null});
    assert!(args.to_string().len() > ARGS_MAX / 2);
    let new = NewCommand { args: args.clone(), ..NewCommand::new(target("shop"), "größer") };
    let id = site.fleet().send(new).await.unwrap().id;
    site.until_finished(id).await;
    let given = instance.given.lock().unwrap();
    assert!(given[0].args == args, "every character of it");
    assert_eq!(given[0].name, "größer");
}

#[tokio::test(flavor = "multi_thread")]
async fn pred_m6_commands_that_are_sent_at_once_all_arrive() {
    let site = Site::of(3).await;
    let instances = [
        site.nodes[0].join("shop:0:a").await,
        site.nodes[1].join("shop:1:a").await,
        site.nodes[2].join("shop:2:a").await,
    ];
    site.until_known(3, 0).await;
    let mut sends = tokio::task::JoinSet::new();
    for number in 0..90 {
        let fleet = site.nodes[number % 3].fleet.clone();
        sends.spawn(
            async move { fleet.send(command("shop", &number.to_string())).await.unwrap().id },
        );
    }
    for id in sends.join_all().await {
        assert_eq!(counts(&site.until_finished(id).await), [("done", 3)].into());
    }
    let order = instances[0].args();
    assert_eq!(order.len(), 90);
    for instance in &instances[1..] {
        assert_eq!(instance.args(), order, "all of them in the same order");
    }
}

#[tokio::test]
async fn pred_m7_an_instance_that_is_stuck_delays_nobody() {
    let site = Site::of(1).await;
    let relay = Relay::start(vec![site.nodes[0].address]).await;
    let url = site.nodes[0].url("shop:0:a");
    let url = url.replace(&site.nodes[0].address.to_string(), &relay.address().to_string());
    let stuck = connect(Client::builder(url), says(|_| Ok(Value::Null))).await;
    let others = [site.nodes[0].join("shop:1:a").await, site.nodes[0].join("shop:2:a").await];
    site.until_known(3, 0).await;
    relay.hold();
    let long = "x".repeat(100_000);
    let mut last = None;
    for _ in 0..10 {
        let id = site.fleet().send(command("shop", &long)).await.unwrap().id;
        let state = site.nodes[0].until(id, |state| state.outcomes.len() == 2).await;
        let missing: Vec<_> = state.missing.iter().map(|there| there.instance.as_str()).collect();
        assert_eq!(missing, ["shop:0:a"]);
        last = Some(id);
    }
    assert!(others.iter().all(|other| other.args().len() == 10));
    relay.heal();
    assert_eq!(counts(&site.until_finished(last.unwrap()).await), [("done", 3)].into());
    assert_eq!(stuck.args().len(), 10, "it has missed nothing");
}

#[tokio::test]
async fn pred_m12_a_command_reaches_whom_it_is_for_and_nobody_else() {
    let site = Site::of(2).await;
    let mut instances = Vec::new();
    for (node, name) in [(0, "shop:0:a"), (1, "shop:1:a"), (0, "mail:0:a"), (1, "mail:0:b")] {
        instances.push(site.nodes[node].join(name).await);
    }
    site.until_known(4, 0).await;
    for (pattern, wanted) in [("shop", 2), ("mail:0:b", 1), ("**", 4), ("*:0", 3), ("m*:?:*", 2)] {
        let accepted = site.fleet().send(command(pattern, pattern)).await.unwrap();
        assert_eq!(accepted.expected.len(), wanted, "{pattern}");
        site.until_finished(accepted.id).await;
    }
    assert_eq!(instances[1].args(), ["shop", "**"]);
    assert_eq!(instances[3].args(), ["mail:0:b", "**", "*:0", "m*:?:*"]);
}

#[tokio::test]
async fn pred_m15_several_managers_know_and_do_the_same() {
    let site = Site::of(3).await;
    let instance = site.nodes[2].join("shop:0:a").await;
    site.until_known(1, 0).await;
    let mut ids = Vec::new();
    for node in &site.nodes {
        ids.push(node.fleet.send(command("shop", &node.address.to_string())).await.unwrap().id);
    }
    for id in ids {
        let state = site.until_finished(id).await;
        for node in &site.nodes {
            assert_eq!(node.fleet.command(id), Some(state.clone()));
        }
    }
    assert_eq!(instance.args().len(), 3);
    let listed = |at: usize| site.nodes[at].fleet.commands(None, 10).items;
    assert_eq!((listed(0), listed(0).len()), (listed(1), listed(2).len()));
}
