//! Stock clients, set up as the documentation shows, come back however long the manager is away.

use std::{path::Path, time::Duration};

use everwire_testkit::{
    everwire::Everwire, foreign::Launch, instance::Stock, loopback::unique_address, need, tools,
    wait::not_within,
};

use super::stage::{PORT, alone, done_by, present_become, send};

/// One that joined before, and one whose first start finds nobody, of each make. A stock client's own
/// schedule has given up after 42 s.
#[tokio::test]
async fn stock_clients_join_a_manager_that_was_away_for_ninety_seconds_their_first_start_included()
{
    let (node, python) = (need!(tools::node()), need!(tools::python()));
    let mut manager = Everwire::start(&alone()).await;
    let nowhere = (unique_address(), PORT).into();
    let before = both(&node, &python, &manager.url("/fleet"));
    for one in &before {
        one.says("a welcome", |it| it.named("Welcome").len() == 1).await;
    }
    manager.process().kill();
    let mut after = both(&node, &python, &format!("http://{nowhere}/fleet"));
    let [first, second] = &mut after;
    let given_up = async {
        tokio::select! {
            status = first.gives_up() => status,
            status = second.gives_up() => status,
        }
    };
    not_within(AWAY, "a client that gives up", given_up).await;
    manager.restart().await;
    let late = Everwire::start(&alone().listen_at(nowhere)).await;
    let welcomes = before.iter().map(|one| (one, 2)).chain(after.iter().map(|one| (one, 1)));
    for (one, times) in welcomes {
        one.says("a welcome", |it| it.named("Welcome").len() == times).await;
    }
    for node in [&manager, &late] {
        present_become(node, 2).await;
        done_by(node, &send(node, "shop", "refresh").await, 2).await;
    }
}

fn both(node: &Path, python: &Path, url: &str) -> [Stock; 2] {
    let at = |index: usize| format!("{url}?app=shop&index={index}&id=x");
    [
        Stock::start(&Launch::node(node, "instance.mjs").with("url", at(0))),
        Stock::start(&Launch::python(python, "instance.py").with("url", at(1))),
    ]
}

/// Twice as long as a stock client's own patience.
const AWAY: Duration = Duration::from_secs(90);
