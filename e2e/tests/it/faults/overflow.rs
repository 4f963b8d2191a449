//! P7: a fast client fills the buffer while there is no backend.

use std::{future::poll_fn, time::Duration};

use everwire_testkit::{
    client::{Client, Heard},
    everwire::Everwire,
    foreign::Backend,
    message, need, tools,
    wait::{eventually, soon},
};

use crate::stage::{arrived_from, before, client_of, silent};

const BUFFER_MAX: u64 = 256 << 10;

/// The largest single read: a buffer that had room for one byte more takes all of it.
const READ_MAX: u64 = 64 << 10;

/// Long enough without any progress to call a writer stopped.
const STOPPED: Duration = Duration::from_millis(700);

#[tokio::test]
async fn fault_p7_on_full_close_announces_1013() {
    let node = need!(tools::node());
    let mut backend = Backend::start(silent(&node)).await;
    let setup = before(&[&backend]).route("buffer_max", BUFFER_MAX).route("on_full", r#""close""#);
    let everwire = Everwire::start(&setup).await;
    let mut client = client_of(&everwire).await;
    backend.kill().await;
    everwire.pipes_without_backend_become(1).await;
    let flood = async {
        let (kind, payload) = message::write("c", 1, 1000);
        while client.try_send(kind, payload.clone()).await.is_ok() {}
        client.hear_close_at_last().await
    };
    let (code, reason) = soon("the announced end of a flood", flood).await;
    assert_eq!(code, 1013, "{reason}");
    everwire.pipes_become(0).await;
}

#[tokio::test]
async fn fault_p7_on_full_pause_stops_the_client_and_loses_nothing() {
    let node = need!(tools::node());
    let mut backend = Backend::start(silent(&node)).await;
    let setup = before(&[&backend]).route("buffer_max", BUFFER_MAX).route("on_full", r#""pause""#);
    let everwire = Everwire::start(&setup).await;
    let mut client = client_of(&everwire).await;
    backend.kill().await;
    everwire.pipes_without_backend_become(1).await;
    let memory = everwire.memory();

    let charge = async || everwire.pipes().await[0]["buffered_bytes"].as_u64().unwrap();
    let mut said = true;
    while said || charge().await < BUFFER_MAX / 2 {
        assert!(client.said() < 10_000, "40 MB were taken by a buffer of {BUFFER_MAX}");
        // What stopped for another reason than a full buffer is finished first.
        said = match said {
            true => tokio::time::timeout(STOPPED, client.say(4000)).await.is_ok(),
            false => tokio::time::timeout(STOPPED, client.flush()).await.is_ok(),
        };
    }
    let charged = charge().await;
    assert!(charged <= BUFFER_MAX + READ_MAX, "charged {charged}");
    let grown = everwire.memory().saturating_sub(memory);
    assert!(grown < 8 * BUFFER_MAX, "{grown} bytes for a buffer of {BUFFER_MAX}");

    backend.revive().await;
    client.flush().await;
    arrived_from(&client, &[&backend]).await.assert_exact("at the backend");
}

/// Beyond the process' limit pipes without a leg are closed, the largest first.
#[tokio::test]
async fn fault_p7_the_limit_of_the_process_closes_the_largest_pipe_without_a_leg() {
    let node = need!(tools::node());
    let mut backend = Backend::start(silent(&node)).await;
    let setup = before(&[&backend]).limit("buffered_max", r#""2MiB""#);
    let everwire = Everwire::start(&setup).await;
    let mut modest = Client::open(everwire.address(), "/", "modest").await;
    let mut greedy = Client::open(everwire.address(), "/", "greedy").await;
    backend.kill().await;
    everwire.pipes_without_backend_become(2).await;
    modest.say(1000).await;

    let end = soon("the greedy pipe's end", async {
        loop {
            let (kind, payload) = message::write("greedy", 1, 10_000);
            if greedy.try_send(kind, payload).await.is_err() {
                return greedy.hear_close_at_last().await;
            }
            if let Some(Heard::Closed(code, reason)) = heard_already(&mut greedy).await {
                return (code, reason);
            }
        }
    });
    let (code, reason) = end.await;
    assert_eq!(code, 1013, "{reason}");

    backend.revive().await;
    modest.say(1000).await;
    let arrived = async || {
        let from_modest = |seen: &_| message_of(seen, "modest");
        (backend.messages().iter().filter(|seen| from_modest(seen)).count() >= 2).then_some(())
    };
    eventually("the modest pipe's messages", arrived).await;
}

fn message_of(seen: &everwire_testkit::foreign::Received, stream: &str) -> bool {
    seen.stream.as_deref() == Some(stream)
}

/// What the client has heard by now, if anything.
async fn heard_already(client: &mut Client) -> Option<Heard> {
    let mut listening = Box::pin(client.listen());
    poll_fn(|context| match listening.as_mut().poll(context) {
        std::task::Poll::Ready(heard) => std::task::Poll::Ready(Some(heard)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}
