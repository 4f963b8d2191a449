//! A buffer is charged what it holds in memory, not the bytes it shows.

use std::time::Duration;

use everwire_testkit::{
    everwire::{Everwire, Setup},
    scripted::{
        Listener,
        frame::{Frame, TEXT},
    },
    wait::eventually_within,
};
use tokio::join;

use crate::stage::wire_to;

/// One-byte messages up to the limit: resident memory is at most twice what is charged.
#[tokio::test]
async fn one_byte_messages_up_to_the_limit_cost_at_most_twice_what_they_are_charged() {
    let backend = Listener::bind().await;
    let setup = Setup::new()
        .backend(backend.url())
        .route("buffer_max", r#""32MiB""#)
        .route("on_full", r#""pause""#);
    let everwire = Everwire::start(&setup).await;
    let (mut wire, leg) = join!(wire_to(everwire.address()), backend.accept_leg());
    drop((leg, backend));
    everwire.pipes_without_backend_become(1).await;
    let memory = everwire.memory();

    let message = Frame::new(TEXT, "x").masked().encode();
    let thousands = message.repeat(4000);
    let flood = async {
        for _ in 0..(1 << 30) / thousands.len() {
            wire.try_send(&thousands).await;
        }
    };
    let pipe = async |key: &str| everwire.pipes().await[0][key].as_u64().unwrap();
    let full =
        eventually_within(FULL_MAX, "a full buffer, and nothing read for a while", async || {
            let before = pipe("buffered_bytes").await;
            tokio::time::sleep(STOPPED).await;
            (before > 16 << 20 && pipe("buffered_bytes").await == before).then_some(before)
        });
    let charged = tokio::select! {
        () = flood => panic!("one-byte messages are not charged"),
        charged = full => charged,
    };
    let (count, resident) =
        (pipe("client_messages").await, everwire.memory().saturating_sub(memory));
    println!("{count} messages of one byte: charged {charged}, resident {resident}");
    assert!(resident <= 2 * charged, "charged {charged}, resident {resident}");
}

/// Long enough without any progress to call a writer stopped.
const STOPPED: Duration = Duration::from_secs(1);

/// Long enough for a busy machine to fill the buffer.
const FULL_MAX: Duration = Duration::from_secs(60);
