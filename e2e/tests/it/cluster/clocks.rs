//! Row B13: the clocks of two of three nodes are ten minutes off, one slow and one fast.

use everwire_testkit::{
    everwire::Setup,
    need,
    redis::{Server, VOLATILE},
    tools,
    wait::{eventually, now},
};
use serde_json::json;

use super::{
    polling::Polling,
    three::{TWO_LEASES, Three, heard, in_order, name, setup},
};

/// Ten minutes behind, right, ten minutes ahead.
const SKEWS: [&str; 3] = ["-600", "0", "600"];

#[tokio::test]
async fn fault_b13_nodes_whose_clocks_are_twenty_minutes_apart_serve_one_hub() {
    let (program, clock) = (need!(tools::redis()), need!(tools::skewed_clock()));
    let redis = Server::start(&program, VOLATILE).await;
    let clock = clock.to_str().expect("a path of this test");
    let off = |skew: &str| -> Setup {
        let setup = setup().backplane(redis.url());
        setup.environment("LD_PRELOAD", clock).environment("CLOCK_SKEW", skew)
    };
    let mut three = Three::of(SKEWS.map(off)).await;
    // One logs the time that it believes it is.
    let mut hours = Vec::new();
    for node in &three.nodes {
        hours.push(eventually("a line with a time", async || minutes(&node.log())).await);
    }
    assert!(hours[0] != hours[1] && hours[1] != hours[2], "{hours:?}");

    // Tokens of each node are good at the others, and so are the requests of each.
    let mut polls = Vec::new();
    for home in 0..3 {
        let (next, last) = ((home + 1) % 3, (home + 2) % 3);
        let nodes = &three.nodes;
        polls.push(Polling::begin(&nodes[home], [&nodes[next], &nodes[last]]).await);
    }
    three.say(5);
    for polling in &mut polls {
        for at in (0..3).cycle() {
            if polling.heard.len() == 15 {
                break;
            }
            assert_eq!(polling.poll(&three.nodes[at]).await, 200);
        }
        assert_eq!(in_order(&polling.heard), [5; 3]);
    }

    // Nobody is given up while it lives, and whoever is killed is in time.
    three.all_appear().await;
    three.say_during(tokio::time::sleep(TWO_LEASES)).await;
    three.all_have_heard_all().await;
    three.nobody_was_dropped();
    three.nodes[0].process().kill();
    let killed = now();
    for client in &three.clients[1..] {
        client.hears_so_often("offline", 1).await;
        assert_eq!(heard(client, "offline"), [json!([name(0)])]);
    }
    assert!(killed.elapsed() <= TWO_LEASES, "{:?}", killed.elapsed());
}

/// The hour and the minute of the first line of a log that has a time, once it is written.
fn minutes(log: &str) -> Option<String> {
    log.lines().find_map(|line| line.split_once('T')?.1.get(..5).map(str::to_owned))
}
