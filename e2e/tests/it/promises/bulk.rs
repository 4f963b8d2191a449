//! Much at once: a fast upload, a slow reader, and neither closed nor swollen for it.

use std::{pin::pin, time::Duration};

use everwire_testkit::{
    client::Heard,
    everwire::Everwire,
    foreign::Backend,
    message::{self, Kind, Mark},
    need,
    scripted::frame::{Frame, PONG, TEXT},
    tools,
    wait::{eventually_within, now, within},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::tcp::ReadHalf,
};

use crate::stage::{arrived_at, before, client_of, echoing, in_front_of, silent, wire_to};

const MIB: usize = 1 << 20;

/// Interval and timeout of the pings where a false deadline is to show.
const PING_MILLIS: u64 = 1000;

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
    let setup = before(&[&backend]).ping_millis(PING_MILLIS).route("buffer_max", r#""32MiB""#);
    let everwire = Everwire::start(&setup).await;
    // Who does not read answers no Ping either: the client has to go on writing, and so everything
    // is made before it comes.
    let messages: Vec<_> = (1..=20).map(|sequence| message::write("c", sequence, MIB)).collect();
    let mut client = client_of(&everwire).await;
    let start = now();
    for (kind, payload) in messages {
        client.send(kind, payload).await;
        // The upload has to outlast several deadlines for a false one to show.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!("20 MB written in {:?}", start.elapsed());
    // Judged when all is over: to hash a megabyte may take as long as a Ping may.
    let mut heard = Vec::new();
    for _ in 1..=20 {
        heard.push(client.hear().await);
    }
    client.close().await;
    assert_eq!(heard.iter().map(Heard::mark).collect::<Vec<_>>(), marks(20));
    assert_eq!(backend.legs().len(), 1, "the backend was taken for hung");
    arrived_at(&[&backend], |checker| checker.sent("c", 20)).await.assert_exact("at the backend");
}

/// The marks of the messages 1 to `last`, whole.
fn marks(last: u64) -> Vec<Option<Mark>> {
    let mark = |sequence| Mark { stream: "c".to_owned(), sequence, whole: true };
    (1..=last).map(|sequence| Some(mark(sequence))).collect()
}

/// What the default buffers cannot hold stops the client for as long as it does not read. It may
/// stand still for many deadlines: when it reads, everything goes on where it was.
#[tokio::test]
async fn a_client_that_is_stopped_until_it_reads_its_echoes_goes_on_on_the_same_leg() {
    let node = need!(tools::node());
    let backend = Backend::start(echoing(&node)).await;
    let everwire = Everwire::start(&before(&[&backend]).ping_millis(PING_MILLIS)).await;
    // Several times what all buffers on the way take; made before the client comes, who has to go
    // on writing while it does not read.
    let made = |(kind, payload)| Frame::message(kind, payload).masked().encode();
    let frames: Vec<_> =
        (1..=100).map(|sequence| made(message::write("c", sequence, MIB))).collect();
    let mut wire = wire_to(everwire.address()).await;
    let (mut reading, mut writing) = wire.stream().split();
    let mut upload = pin!(async {
        for frame in &frames {
            writing.write_all(frame).await.expect("the upload goes on");
        }
        // Who has nothing more to say answers Pings; whether they were heard is not the question.
        let pong = Frame::new(PONG, "").masked().encode();
        loop {
            writing.write_all(&pong).await.expect("the socket lives");
            tokio::time::sleep(Duration::from_millis(PING_MILLIS / 4)).await;
        }
    });
    tokio::select! {
        () = &mut upload => panic!("nothing stopped the client"),
        () = stands_still(&everwire, Duration::from_millis(3 * PING_MILLIS)) => {}
    }
    let heard = tokio::select! {
        () = &mut upload => panic!("it goes on until all is heard"),
        heard = within(UPLOAD_MAX, "upload and echoes", echoes(&mut reading, 100)) => heard,
    };
    let mark = |frame: &Frame| {
        let kind = if frame.opcode == TEXT { Kind::Text } else { Kind::Binary };
        message::read(kind, &frame.payload)
    };
    assert_eq!(heard.iter().map(mark).collect::<Vec<_>>(), marks(100));
    assert_eq!(backend.legs().len(), 1, "somebody was taken for hung");
    arrived_at(&[&backend], |checker| checker.sent("c", 100)).await.assert_exact("at the backend");
}

/// Waits until the client's buffer has been full, and nothing was read from it, for `long`.
async fn stands_still(everwire: &Everwire, long: Duration) {
    let mut seen = (Value::Null, now());
    eventually_within(UPLOAD_MAX, "a client that is stopped", async || {
        let pipe = everwire.pipes().await.swap_remove(0);
        let full = pipe["buffered_bytes"].as_u64() >= Some(5 * MIB as u64);
        if !full || seen.0 != pipe["client_bytes"] {
            seen = (pipe["client_bytes"].clone(), now());
        }
        (seen.1.elapsed() > long).then_some(())
    })
    .await;
}

/// Reads so many messages, and no Close among them.
async fn echoes(reading: &mut ReadHalf<'_>, count: usize) -> Vec<Frame> {
    let (mut ahead, mut heard) = (Vec::new(), Vec::new());
    while heard.len() < count {
        while let Some((frame, length)) = Frame::decode(&ahead) {
            ahead.drain(..length);
            assert_eq!(frame.close_code(), None, "{frame:?}");
            if !frame.is_control() {
                heard.push(frame);
            }
        }
        if heard.len() < count {
            assert_ne!(reading.read_buf(&mut ahead).await.expect("the socket lives"), 0);
        }
    }
    heard
}

/// 100 MB through a machine that does other things as well.
const UPLOAD_MAX: Duration = Duration::from_secs(120);
