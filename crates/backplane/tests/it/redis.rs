//! Nodes on a real Redis, through what can happen to it.

mod conformance;
mod faults;
mod hostile;
mod leases;
mod logs;
mod secured;
mod subscriber;

use std::time::Duration;

use bytes::Bytes;
use everwire_backplane::{Bus, Channel, Fate, Gap, Item, Publishing, Start, Subscription};

fn channel() -> Channel {
    Channel::new("channel").unwrap()
}

/// A subscription that has begun.
async fn follow(node: &dyn Bus) -> Subscription {
    let mut subscription = node.subscribe(&channel(), Start::Now);
    assert_eq!(next(&mut subscription).await, Item::Reachable(true));
    subscription
}

async fn next(subscription: &mut Subscription) -> Item {
    let next = tokio::time::timeout(PATIENCE, subscription.next()).await;
    next.expect("an item in time").expect("the bus goes on")
}

/// What came from one publisher: its numbers in the order in which they came, and what was missed.
#[derive(Debug, Default)]
struct Received {
    numbers: Vec<u64>,
    gaps: Vec<Gap>,
}

impl Received {
    /// Reads until this number has come from the one publisher there is.
    async fn until(&mut self, subscription: &mut Subscription, last: u64) {
        while self.numbers.last() != Some(&last) {
            match next(subscription).await {
                Item::Message(message) => {
                    assert_eq!(message.payload, message.origin.sequence.to_string());
                    self.numbers.push(message.origin.sequence);
                }
                Item::Gap(gap) => self.gaps.push(gap),
                Item::Reachable(_) => {}
            }
        }
    }

    /// Each number once and in order.
    fn assert_complete(&self, last: u64) {
        assert_eq!(self.numbers, (1..=last).collect::<Vec<_>>());
    }
}

/// Publishes the numbers that follow, each as its own text.
fn publish(node: &dyn Bus, numbers: std::ops::RangeInclusive<u64>) -> Vec<Publishing> {
    numbers.map(|number| node.publish(&channel(), Bytes::from(number.to_string()))).collect()
}

async fn all_stored(publishing: Vec<Publishing>) {
    for fate in publishing {
        let fate = tokio::time::timeout(PATIENCE, fate).await.expect("a fate in time");
        assert!(matches!(fate, Fate::Stored(_)), "{fate:?}");
    }
}

/// Longest time for anything here; the longest outage is thirty seconds.
const PATIENCE: Duration = Duration::from_secs(60);
