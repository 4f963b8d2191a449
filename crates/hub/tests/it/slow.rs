//! Clients that take less than they are sent.

use everwire_hub::{Context, End, Hub, HubConfig, config::SlowPolicy};
use tokio::sync::mpsc;

use crate::peer::{Served, serve};

/// A hub with a small queue for each client, and the ends of its clients.
async fn hub(slow: SlowPolicy) -> (Served, mpsc::Receiver<End>) {
    let config = HubConfig { queue_max: 100_000, slow, ..HubConfig::default() };
    let (tx, ends) = mpsc::channel(10);
    let hub = Hub::builder()
        .config(config)
        .method("Echo", |_: Context, number: u32| async move { number })
        .disconnected(move |_, end| {
            let tx = tx.clone();
            async move { drop(tx.send(end).await) }
        });
    (serve(hub.build().unwrap()).await, ends)
}

/// A message that fills a socket soon.
fn padding() -> String {
    "x".repeat(10_000)
}

#[tokio::test]
async fn fault_b11_a_client_that_takes_nothing_is_closed_and_the_others_go_on() {
    let (served, mut ends) = hub(SlowPolicy::Close).await;
    let _slow = served.peer().await;
    let mut quick = served.peer().await;
    let mut number = 0;
    let end = loop {
        served.hub.all().send("m", &(number, padding())).unwrap();
        let next = quick.next().await.unwrap();
        assert!(next.contains(&format!("[{number},")), "{}", &next[..60]);
        number += 1;
        if let Ok(end) = ends.try_recv() {
            break end;
        }
    };
    assert_eq!(end, End::Slow);
    assert_eq!(served.hub.totals().slow, 1);
    assert_eq!(served.hub.connected(), 1);
}

#[tokio::test]
async fn the_oldest_broadcasts_of_a_slow_client_go_and_its_answers_stay() {
    let (served, _ends) = hub(SlowPolicy::DropOldest).await;
    let mut slow = served.peer().await;
    slow.send(r#"{"type":1,"invocationId":"first","target":"echo","arguments":[1]}"#).await;
    let mut quick = served.peer().await;
    let mut last = 0;
    while served.hub.totals().dropped < 20 {
        last += 1;
        served.hub.all().send("m", &(last, padding())).unwrap();
        quick.next().await.unwrap();
    }
    let (mut numbers, mut answers) = (Vec::new(), 0);
    while numbers.last() != Some(&last) {
        let next: serde_json::Value = serde_json::from_str(&slow.next().await.unwrap()).unwrap();
        match next["arguments"][0].as_u64() {
            Some(number) => numbers.push(number),
            None => answers += 1,
        }
    }
    assert_eq!(answers, 1);
    assert!(numbers.is_sorted());
    assert_eq!(numbers.len() as u64 + served.hub.totals().dropped, last);
}

#[tokio::test]
async fn a_slow_client_gets_the_newest_of_each_kind() {
    let (served, _ends) = hub(SlowPolicy::Conflate).await;
    let mut slow = served.peer().await;
    let mut quick = served.peer().await;
    let mut last = 0;
    while served.hub.totals().dropped < 20 {
        last += 1;
        served.hub.all().send("position", &(last, padding())).unwrap();
        quick.next().await.unwrap();
    }
    let mut count = 0;
    loop {
        count += 1;
        let next = slow.next().await.unwrap();
        if next.contains(&format!("[{last},")) {
            break;
        }
    }
    assert_eq!(count + served.hub.totals().dropped, last);
}
