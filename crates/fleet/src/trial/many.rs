//! Many watchers of one set, and what they cost.

use std::task::Waker;

use everwire_backplane::memory::Cluster;
use everwire_testkit::wait::eventually;

use super::{Node, put, set};
use crate::{
    access::Pass,
    shelf::{Stream, Watcher, WayTo, Who, feed},
    watch::{Pace, Seed},
};

/// What waits for a reader.
fn take(stream: &Stream) -> Vec<bytes::Bytes> {
    let cx = std::task::Context::from_waker(Waker::noop());
    let next = || match stream.poll_next(&cx) {
        std::task::Poll::Ready(event) => event,
        std::task::Poll::Pending => None,
    };
    std::iter::from_fn(next).collect()
}

async fn watchers(node: &Node, count: u64) -> Vec<Stream> {
    let mut streams = Vec::new();
    for number in 0..count {
        let (feed, stream) = feed();
        let (who, way, pass) = (Who::Stream(number), WayTo::Feed(feed), Pass::new(None));
        let watcher = Watcher { who, way, pass, seed: Seed::Nothing, pace: Pace::Each };
        node.shelf().watch(&set("shop/prod"), watcher).await.unwrap();
        streams.push(stream);
    }
    streams
}

#[tokio::test]
async fn pred_k17_ten_thousand_watchers_are_told_by_one_encoding() {
    let cluster = Cluster::default();
    let node = Node::start(&cluster).await;
    let streams = watchers(&node, 10_000).await;
    let last = &streams[streams.len() - 1];
    let mut first = Vec::new();
    let told = async || {
        first.extend(take(last));
        (!first.is_empty()).then_some(())
    };
    eventually("the last one's snapshot", told).await;
    streams.iter().for_each(|stream| drop(take(stream)));
    node.change(&set("shop/prod"), &[put("A", "1")]).await;
    let mut events = Vec::new();
    let told = async || {
        events.extend(take(last));
        (!events.is_empty()).then_some(())
    };
    eventually("the last one's change", told).await;
    for stream in &streams[..streams.len() - 1] {
        let heard = take(stream);
        assert_eq!(heard.len(), 1, "once");
        assert_eq!(heard[0].as_ptr(), events[0].as_ptr(), "the very same bytes");
    }
}
