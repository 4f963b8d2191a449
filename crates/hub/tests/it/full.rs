//! What happens when as much waits as may: of what is published, and of what one client is answered.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use everwire_hub::{Context, End, Hub, HubConfig, SendError};
use tokio::{io::DuplexStream, sync::mpsc, task::JoinSet};

use crate::{
    peer::{Peer, serve},
    streams,
};

#[tokio::test]
async fn who_publishes_more_than_is_delivered_is_told_so_and_goes_on_later() {
    let config = HubConfig { inbox_max: 10_000, ..HubConfig::default() };
    let served = serve(Hub::builder().config(config).build().unwrap()).await;
    let mut peer = served.peer().await;
    // Nobody else of this thread has a turn meanwhile, so nothing is delivered.
    let publish = |number: u32| served.hub.all().send("m", &(number, "x".repeat(1000)));
    let mut sent = 0;
    let refused = loop {
        match publish(sent) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, SendError::Overloaded));
    assert!((2..10).contains(&sent), "two encodings of 1 kB each: {sent}");
    for number in 0..sent {
        assert!(peer.next().await.unwrap().contains(&format!("[{number},")));
    }
    publish(sent).unwrap();
    assert!(peer.next().await.unwrap().contains(&format!("[{sent},")), "what was refused is gone");
}

/// Far more than a client may be owed.
const CALLS: usize = 50;

/// A client that has made all its calls and has not read what it is answered, how many of them have
/// been worked on, and how it ends.
async fn owed(
    tasks: &mut JoinSet<()>,
) -> (Peer<DuplexStream>, Arc<AtomicUsize>, mpsc::Receiver<End>) {
    let (tx, ends) = mpsc::channel(1);
    let worked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&worked);
    let hub = Hub::builder()
        .method("Fill", move |_: Context| {
            let count = Arc::clone(&count);
            async move {
                count.fetch_add(1, Relaxed);
                "x".repeat(30_000)
            }
        })
        .disconnected(move |_, end| {
            let tx = tx.clone();
            async move { drop(tx.send(end).await) }
        });
    let mut peer = streams::peer(hub.build().unwrap().service(), tasks).await;
    streams::hello(&mut peer).await;
    for id in 0..CALLS {
        let call = format!(r#"{{"type":1,"invocationId":"{id}","target":"fill","arguments":[]}}"#);
        peer.send(&call).await;
    }
    (peer, worked, ends)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_its_answers_is_not_answered_further() {
    let mut tasks = JoinSet::new();
    let (_peer, worked, mut ends) = owed(&mut tasks).await;
    assert_eq!(ends.recv().await, Some(End::Slow));
    let worked = worked.load(Relaxed);
    assert!((3..=4).contains(&worked), "64 KiB wait, and the answer that goes beyond: {worked}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_later_gets_all_its_answers() {
    let mut tasks = JoinSet::new();
    let (mut peer, worked, _ends) = owed(&mut tasks).await;
    for id in 0..CALLS {
        let answer = peer.next().await.unwrap();
        assert!(answer.starts_with(&format!(r#"{{"type":3,"invocationId":"{id}","#)), "{id}");
        assert!(worked.load(Relaxed) <= id + 5, "no further than {id}");
    }
}
