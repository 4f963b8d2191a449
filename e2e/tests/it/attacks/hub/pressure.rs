//! F12: clients that take less than they are sent, many of them, on a channel that is hot.

use std::time::Duration;

use everwire_testkit::{
    scripted::Wire,
    wait::{now, within},
};
use tokio::{io::AsyncReadExt, task::JoinSet};

use super::{Client, Stage};

const READERS: usize = 300;

#[tokio::test]
async fn attack_f12_slow_readers_are_cut_off_at_their_limit_and_the_others_hear_everything() {
    let mut stage = Stage::with("queue_max = \"64KiB\"").await;
    let to = stage.everwire.address();
    let mut tricklers = JoinSet::new();
    let mut silent = Vec::new();
    for number in 0..READERS {
        let mut client = Client::json(to).await;
        if number % 10 == 0 {
            tricklers.spawn(async move { trickle(&mut client.wire).await });
        } else {
            silent.push(client);
        }
    }
    let text = "x".repeat(20_000);
    let mut longest = Duration::ZERO;
    let mut heard = 0;
    within(Duration::from_secs(180), "the end of all slow readers", async {
        while stage.everwire.metric("everwire_hub_slow_consumers_total").await < READERS as f64 {
            let start = now();
            heard += 1;
            let publish = format!(
                "{{\"type\":1,\"target\":\"Broadcast\",\"arguments\":[{heard},\"{text}\"]}}\u{1e}"
            );
            stage.witness.say(&publish).await;
            let next = loop {
                let role = everwire_testkit::scripted::Role::Client;
                let (_, next) = stage.witness.wire.next_message(role).await.expect("a message");
                if next.len() > text.len() {
                    break next;
                }
            };
            assert!(String::from_utf8_lossy(&next).contains(&format!("[{heard},")), "in order");
            longest = longest.max(start.elapsed());
        }
    })
    .await;
    println!("{heard} messages heard, the longest wait {longest:?}");
    // Whoever waited for a slow reader would wait for its `send_timeout`, 10 s.
    assert!(longest < Duration::from_secs(8), "{longest:?}");
    stage.counts("everwire_hub_connections", 1.0).await;
    drop((silent, tricklers));
    stage.holds("slow readers", 16 << 20).await;
}

/// Takes some bytes, one by one.
async fn trickle(wire: &mut Wire) {
    let mut byte = [0];
    while matches!(wire.stream().read(&mut byte).await, Ok(1)) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
