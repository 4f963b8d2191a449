//! Commands: each to each instance once, what becomes of them, who is missing.

use std::{num::NonZeroU32, time::Duration};

use everwire_client::{Client, ReconnectPolicy, Transport};
use everwire_fleet::{
    command::Outcome,
    fleet::{CancelError, NewCommand, Progress, SendError},
};
use everwire_testkit::wait::{eventually, soon, until_equal};
use serde_json::{Value, json};

use crate::fixture::{Site, command, connect, counts, outcome, says};

#[tokio::test(flavor = "multi_thread")]
async fn a_command_reaches_a_hundred_instances_on_three_nodes_each_once() {
    for nodes in 1..=3 {
        let site = Site::of(nodes).await;
        let mut instances = Vec::new();
        for number in 0..100 {
            let node = &site.nodes[number % nodes];
            instances.push(node.join(&format!("shop:{number}:a")).await);
        }
        let other = site.nodes[0].join("other:0:a").await;
        site.until_known(101, 0).await;
        for (number, node) in site.nodes.iter().enumerate() {
            let accepted = node.fleet.send(command("shop", &number.to_string())).await.unwrap();
            assert_eq!(accepted.expected.len(), 100);
            let state = site.until_finished(accepted.id).await;
            assert_eq!(counts(&state), [("done", 100)].into());
        }
        for instance in &instances {
            let wanted: Vec<_> = (0..nodes).map(|number| number.to_string()).collect();
            assert_eq!(instance.args(), wanted);
        }
        assert!(other.args().is_empty());
    }
}

#[tokio::test]
async fn every_kind_of_answer_is_its_outcome() {
    let site = Site::of(1).await;
    let node = &site.nodes[0];
    let _all = [
        node.join("shop:0:done").await,
        node.join_with("shop:0:value", says(|_| Ok(json!({"rows": 3})))).await,
        node.join_with("shop:0:failed", says(|_| Err("no space left".into()))).await,
        node.join_with("shop:0:said", says(|_| Ok(json!({"outcome": "failed", "detail": "ä"}))))
            .await,
        node.join_with("shop:0:silent", says(|_| Ok("pending".into()))).await,
    ];
    let bare = Client::builder(node.url("shop:0:bare")).transports([Transport::WebSockets]);
    let _bare = soon("a connection", bare.connect()).await.unwrap();
    site.until_known(6, 0).await;
    let deadline = Duration::from_secs(2);
    let new = NewCommand { deadline, ..command("shop", "x") };
    let id = node.fleet.send(new).await.unwrap().id;
    let state = node.until(id, |state| state.outcomes.len() == 5).await;
    let missing: Vec<_> = state.missing.iter().map(|missing| missing.instance.id()).collect();
    assert_eq!(
        (missing, state.missing[0].present),
        (vec!["silent"], true),
        "who is missing is a list"
    );
    assert_eq!(counts(&state), [("done", 2), ("failed", 2), ("refused", 1), ("open", 1)].into());
    let state = site.until_finished(id).await;
    assert_eq!(state.summary.state, Progress::Finished);
    for (instance, wanted) in [
        ("shop:0:done", (Outcome::Done, None)),
        ("shop:0:value", (Outcome::Done, Some(r#"{"rows":3}"#.into()))),
        ("shop:0:failed", (Outcome::Failed, Some("no space left".into()))),
        ("shop:0:said", (Outcome::Failed, Some("ä".into()))),
        ("shop:0:bare", (Outcome::Refused, None)),
        ("shop:0:silent", (Outcome::TimedOut, None)),
    ] {
        assert_eq!(outcome(&state, instance), wanted, "{instance}");
    }
}

#[tokio::test]
async fn an_instance_may_report_what_it_did_later() {
    let site = Site::of(2).await;
    let instance = site.nodes[1].join_with("shop:0:a", says(|_| Ok("pending".into()))).await;
    site.until_known(1, 0).await;
    let id = site.fleet().send(command("shop", "x")).await.unwrap().id;
    instance.until_args(&["x"]).await;
    let report = async |id: String, outcome: &str, detail: Value| {
        instance.connection.invoke::<()>("Report", &json!([id, outcome, detail])).await
    };
    for (id, outcome) in [("x".to_owned(), "done"), (id.to_string(), "gone"), (id.to_string(), "?")]
    {
        let error = report(id, outcome, Value::Null).await.unwrap_err();
        assert!(error.to_string().contains("HubException"), "{error}");
    }
    report("f".repeat(20), "done", Value::Null).await.unwrap();
    assert_eq!(site.fleet().command(id).unwrap().missing.len(), 1);
    report(id.to_string(), "interrupted", json!("was killed")).await.unwrap();
    report(id.to_string(), "done", Value::Null).await.unwrap();
    let state = site.until_finished(id).await;
    let wanted = (Outcome::Interrupted, Some("was killed".into()));
    assert_eq!(outcome(&state, "shop:0:a"), wanted, "what was said first");
    let stranger = Client::builder(format!("http://{}/fleet", site.nodes[0].address));
    let stranger = soon("a connection", stranger.connect()).await.unwrap();
    let error = stranger.invoke::<()>("Report", &json!([id.to_string(), "done", null])).await;
    assert!(error.unwrap_err().to_string().contains("call Join first"));
}

#[tokio::test]
async fn a_repeated_key_is_the_same_command() {
    let site = Site::of(2).await;
    let instance = site.nodes[0].join("shop:0:a").await;
    site.until_known(1, 0).await;
    let keyed = |arg: &str| NewCommand { key: Some("deploy-7".into()), ..command("shop", arg) };
    let [one, other] = [&site.nodes[0].fleet, &site.nodes[1].fleet];
    let (first, second) = tokio::join!(one.send(keyed("a")), other.send(keyed("b")));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!((first.id, &first.expected), (second.id, &second.expected));
    assert_ne!(first.repeated, second.repeated, "one of them is the first");
    assert!(one.send(keyed("c")).await.unwrap().repeated);
    site.until_finished(first.id).await;
    assert_eq!(instance.given.lock().unwrap().len(), 1);
    assert_eq!(one.commands(None, 10).total, 1);
}

#[tokio::test]
async fn an_instance_has_no_more_to_do_at_a_time_than_it_may() {
    let site = Site::of(1).await;
    let instance = site.nodes[0].join_with("shop:0:a", says(|_| Ok("pending".into()))).await;
    site.until_known(1, 0).await;
    let mut ids = Vec::new();
    for number in 0..20 {
        ids.push(site.fleet().send(command("shop", &number.to_string())).await.unwrap().id);
    }
    let numbers = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>();
    until_equal("what may be given", numbers(16), async || instance.args()).await;
    for (done, id) in ids.iter().enumerate() {
        let report = json!([id.to_string(), "done", null]);
        instance.connection.invoke::<()>("Report", &report).await.unwrap();
        let wanted = numbers((17 + done).min(20));
        until_equal("what is given next", wanted, async || instance.args()).await;
    }
    site.until_finished(ids[19]).await;
}

#[tokio::test]
async fn commands_are_listed_the_newest_first_and_forgotten_when_there_are_many() {
    let config = everwire_fleet::FleetConfig { commands_kept: 5, ..Default::default() };
    let site = Site::with(1, &config).await;
    let _silent = site.nodes[0].join_with("shop:0:a", says(|_| Ok("pending".into()))).await;
    site.until_known(1, 0).await;
    let first = site.fleet().send(command("shop", "0")).await.unwrap().id;
    let mut ids = vec![first];
    for _ in 0..9 {
        ids.push(site.fleet().send(command("nobody", "x")).await.unwrap().id);
    }
    let listed = async || {
        let page = site.fleet().commands(None, 100);
        page.items.iter().map(|command| command.id).collect::<Vec<_>>()
    };
    let wanted: Vec<_> = ids[6..].iter().rev().chain([&first]).copied().collect();
    until_equal("the commands that are kept", wanted.clone(), listed).await;
    let page = site.fleet().commands(None, 2);
    assert_eq!((page.items.len(), page.total, page.next), (2, 5, Some(wanted[1])));
    let next = site.fleet().commands(page.next, 2);
    assert_eq!(next.items[0].id, wanted[2]);
    let cancelled = site.fleet().cancel(ids[1]).await;
    assert_eq!(cancelled, Err(CancelError::NoSuchCommand(ids[1])));
}

#[tokio::test]
async fn a_command_that_cannot_be_written_down_is_refused() {
    let site = Site::of(1).await;
    site.backplane.cut();
    let refused = soon("a refusal", site.fleet().send(command("shop", "x"))).await.unwrap_err();
    assert!(matches!(refused, SendError::Refused(_)), "{refused}");
    assert!(matches!(
        site.fleet().send(NewCommand::new(Default::default(), "")).await,
        Err(SendError::NotACommand(_))
    ));
    site.backplane.heal();
    let at_once = command("shop", "x").at_once(NonZeroU32::MIN);
    assert!(site.fleet().send(at_once).await.is_ok());
}

#[tokio::test]
async fn any_transport_carries_commands() {
    let site = Site::of(1).await;
    for transport in Transport::ALL {
        let name = format!("shop:0:{transport:?}");
        let client = Client::builder(site.nodes[0].url(&name)).transports([transport]);
        let given = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = std::sync::Arc::clone(&given);
        let client = client.reconnect(ReconnectPolicy::Never).on("Command", move |_: Value| {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            everwire_client::Answer("ok")
        });
        let client = soon("a connection", client.connect()).await.unwrap();
        site.until_known(1, 0).await;
        let id = site.fleet().send(command(&name, "x")).await.unwrap().id;
        site.until_finished(id).await;
        assert_eq!(given.load(std::sync::atomic::Ordering::Relaxed), 1);
        soon("goodbye", client.stop()).await;
        site.until_known(0, 0).await;
    }
}

#[tokio::test]
async fn events_tell_the_story_of_a_command() {
    let site = Site::of(2).await;
    let mut events = site.nodes[1].fleet.events(None);
    let instance = site.nodes[0].join("shop:0:a").await;
    site.until_known(1, 0).await;
    let id = site.fleet().send(command("shop", "x")).await.unwrap().id;
    site.until_finished(id).await;
    instance.connection.invoke::<()>("Notify", &json!(["warm", {"hits": 3}])).await.unwrap();
    soon("goodbye", instance.connection.stop()).await;
    site.until_known(0, 0).await;
    let mut told = Vec::new();
    let mut types = std::collections::BTreeSet::new();
    eventually("all events", async || {
        while let Some(event) = events.now() {
            types.insert(serde_json::to_value(&*event.event).unwrap()["type"].to_string());
            told.push(event);
        }
        (types.len() >= 6).then_some(())
    })
    .await;
    let wanted = [
        "instance_joined",
        "command_accepted",
        "command_outcome",
        "command_finished",
        "notified",
        "instance_left",
    ];
    assert_eq!(types, wanted.iter().map(|name| format!("\"{name}\"")).collect());
    let second = told.iter().find_map(|told| told.cursor).unwrap();
    let mut again = site.nodes[0].fleet.events(Some(second));
    let next = soon("the next event", again.next()).await.unwrap();
    assert!(next.cursor.unwrap().version > second.version, "another node tells the same");
}

#[tokio::test]
async fn a_notice_has_a_size() {
    let site = Site::of(1).await;
    let instance = site.nodes[0].join("shop:0:a").await;
    site.until_known(1, 0).await;
    let notify = async |name: &str, data: String| {
        instance.connection.invoke::<()>("Notify", &json!([name, data])).await
    };
    let (name, data) = ("n".repeat(201), "d".repeat(16 * 1024 - 1));
    for (name, data) in [("", ""), (&*name, ""), ("n", &*data)] {
        let error = notify(name, data.to_owned()).await.unwrap_err().to_string();
        assert!(error.contains("A name has 1 to 200 bytes"), "{error}");
    }
    notify(&name[1..], data[1..].to_owned()).await.unwrap();
}

#[tokio::test]
async fn a_connection_may_join_later() {
    let site = Site::of(1).await;
    let url = format!("http://{}/fleet", site.nodes[0].address);
    let instance = connect(Client::builder(url), says(|_| Ok(Value::Null))).await;
    let join = async |who: Value| instance.connection.invoke::<Value>("Join", &json!([who])).await;
    let error = join(json!({"app": "shop"})).await.unwrap_err().to_string();
    assert!(error.contains("gives app and id"), "{error}");
    let shop = json!({"app": "shop", "index": 1, "id": "a", "labels": {"zone": "b"}});
    for _ in 0..2 {
        assert_eq!(join(shop.clone()).await.unwrap(), json!({"instance": "shop:1:a"}));
    }
    let error = join(json!({"app": "shop", "id": "b"})).await.unwrap_err().to_string();
    assert!(error.contains("a connection of its own"), "{error}");
    site.until_known(1, 0).await;
    let id = site.fleet().send(command("shop:1", "x")).await.unwrap().id;
    assert_eq!(counts(&site.until_finished(id).await), [("done", 1)].into());
}
