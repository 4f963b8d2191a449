//! Much at once: a fast upload, a slow reader, and neither closed nor swollen for it.

use std::time::Duration;

use everwire_testkit::{
    everwire::Everwire,
    foreign::Backend,
    message, need, tools,
    wait::{eventually_within, now, within},
};

use crate::stage::{arrived_at, arrived_from, before, client_of, echoing, in_front_of, silent};

const MIB: usize = 1 << 20;

/// A full buffer with a live leg is normal operation: the client is stopped, never closed.
#[tokio::test]
async fn a_100_mb_upload_into_a_1_mb_per_second_backend_is_never_closed_and_memory_stays_flat() {
    let node = need!(tools::node());
    let backend = Backend::start(silent(&node).with("read-rate", 1_000_000)).await;
    // The defaults: 5 MiB in the kernels' buffers are 5 s of a silence that no deadline below that
    // could tell from a hang.
    let everwire = in_front_of(&[&backend]).await;
    let mut client = client_of(&everwire).await;
    client.say(10).await;
    backend.messages_reach(1).await;
    let memory = everwire.memory();
    let mut most = 0;
    let start = now();
    let upload = async {
        for sequence in 2..=1001 {
            let (kind, payload) = message::write("c", sequence, 100_000);
            client.try_send(kind, payload).await.expect("the upload goes on");
        }
    };
    let watch = async {
        loop {
            most = most.max(everwire.memory().saturating_sub(memory));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::select! {
        () = within(Duration::from_secs(200), "the upload", upload) => {}
        () = watch => {}
    }
    println!("uploaded in {:?}, {} at the backend", start.elapsed(), backend.messages().len());
    eventually_within(Duration::from_secs(60), "everything at the backend", async || {
        (backend.messages().len() == 1001).then_some(())
    })
    .await;
    println!("100 MB in {:?}, at most {most} bytes more memory", start.elapsed());
    assert!(start.elapsed() > Duration::from_secs(60), "the backend was not slow");
    assert!(most < 16 * MIB as u64, "{most} bytes for a buffer of 5 MiB");
    assert_eq!(backend.legs().len(), 1);
    arrived_at(&[&backend], |checker| checker.sent("c", 1001)).await.assert_exact("at the backend");
    assert_eq!(everwire.pipes().await.len(), 1, "the client is still there");
}

/// While the client writes and does not read, the echo stands still, and with it the backend's
/// Pongs: no byte is missing, nobody is hung.
#[tokio::test]
async fn an_echo_client_that_writes_20_mb_before_it_reads_is_not_taken_for_hung() {
    let node = need!(tools::node());
    let backend = Backend::start(echoing(&node)).await;
    let setup = before(&[&backend]).ping_millis(1000).route("buffer_max", r#""32MiB""#);
    let everwire = Everwire::start(&setup).await;
    let mut client = client_of(&everwire).await;
    let start = now();
    for _ in 0..20 {
        client.say(MIB).await;
        // The upload has to outlast several deadlines for a false one to show.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!("20 MB written in {:?}", start.elapsed());
    for sequence in 1..=20 {
        client.hear_echo(sequence).await;
    }
    assert_eq!(backend.legs().len(), 1, "the backend was taken for hung");
    arrived_from(&client, &[&backend]).await.assert_exact("at the backend");
    client.close().await;
}
