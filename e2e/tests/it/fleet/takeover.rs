//! Row C5: two connections under one name. The newest holds it, the older one is sent away for good, and
//! they do not take it from each other in turn.

use everwire_testkit::{
    everwire::Everwire,
    foreign::Launch,
    instance::{Instance, Stock},
    need,
    relay::Relay,
    tools,
    wait::eventually,
};
use serde_json::Value;

use super::stage::{alone, done_by, instances, name, present_become, query, send};

#[tokio::test]
async fn fault_c5_a_stock_clients_double_takes_its_name_over_and_it_stays_away() {
    let node = need!(tools::node());
    let manager = Everwire::start(&alone()).await;
    let url = manager.url(&format!("/fleet?{}", query(1)));
    let launch = Launch::node(&node, "instance.mjs").with("url", &url);
    let older = Stock::start(&launch);
    older.says("a welcome", |it| it.named("Welcome").len() == 1).await;
    let newer = Stock::start(&launch);
    newer.says("a welcome", |it| it.named("Welcome").len() == 1).await;
    older.says("a goodbye", |it| it.named("closed").len() == 1).await;
    present_become(&manager, 1).await;
    // Who flapped would be welcome again, or be handed the command, meanwhile.
    for number in 0..3 {
        done_by(&manager, &send(&manager, &name(1), &format!("refresh-{number}")).await, 1).await;
    }
    assert_eq!((older.named("Welcome").len(), newer.named("Welcome").len()), (1, 1));
    assert_eq!((older.named("Command").len(), newer.named("Command").len()), (0, 3));
    assert_eq!(instances(&manager).await.len(), 1);
}

/// The older connection does not know yet that it is dead, and nobody has told the manager either.
#[tokio::test]
async fn fault_c5_an_instance_back_before_its_half_open_connection_is_missed_is_the_one_that_lives()
{
    let manager = Everwire::start(&alone()).await;
    let cable = Relay::start(vec![manager.address()]).await;
    let older = Instance::start(cable.address(), &query(1));
    older.welcome(1).await;
    cable.hold();
    let newer = Instance::start(manager.address(), &query(1));
    newer.welcome(1).await;
    let id = send(&manager, &name(1), "refresh").await;
    done_by(&manager, &id, 1).await;
    cable.heal();
    let end =
        eventually("the older one's end", async || older.record().ends.first().cloned()).await;
    let end: Value = serde_json::from_str(&end).unwrap_or_else(|_| panic!("it is told why: {end}"));
    assert!(end["error"].as_str().is_some_and(|error| error.contains("taken over")), "{end}");
    assert_ne!(end["allowReconnect"], true);
    let next = send(&manager, &name(1), "refresh").await;
    done_by(&manager, &next, 1).await;
    assert_eq!(newer.record().executed, [id, next]);
    assert_eq!(older.record().executed, Vec::<String>::new());
    assert_eq!(newer.record().ends, Vec::<String>::new());
    present_become(&manager, 1).await;
}
