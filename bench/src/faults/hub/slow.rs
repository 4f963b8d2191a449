//! A receiver that takes nothing, and how much later the others hear because of it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::net::TcpSocket;
use tokio::time::timeout;

use super::judge::{Event, Evidence};
use super::receiver::GROUP;
use super::talk::{OPEN_MAX, Talk};
use crate::stats::percentile;

/// Joins the group and reads nothing for so long; then whatever is left, until the connection ends.
///
/// So that it is slow at once, it is sent more than kernels keep for a connection.
pub(super) async fn sit(target: SocketAddr, patience: Duration) -> Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(BUFFER)?;
    let mut talk = Talk::over(socket.connect(target).await?, target, None).await?;
    talk.shake_hands(1).await?;
    for group in [GROUP, OWN_GROUP] {
        talk.call("Join", group, drop).await?;
    }
    fill(target).await?;
    tokio::time::sleep(patience).await;
    let rest = async { while talk.ear.hear().await.is_ok() {} };
    match timeout(OPEN_MAX, rest).await {
        Ok(()) => Ok(()),
        Err(_) => bail!("the slow receiver was not closed"),
    }
}

async fn fill(target: SocketAddr) -> Result<()> {
    let mut talk = Talk::open(target).await?;
    let call = format!(
        r#"{{"type":1,"target":"Say","arguments":["{OWN_GROUP}","{}"]}}"#,
        "x".repeat(FILLING)
    );
    for _ in 0..FILLINGS {
        talk.mouth.say(&call).await?;
    }
    // What is answered was begun behind them.
    talk.call("Join", OWN_GROUP, drop).await
}

/// How much later the slowest of a hundred deliveries was in the second phase than in the first and
/// the third, in which the machine was as busy.
pub(super) fn ratio(evidence: &Evidence, phases: &[u64]) -> Option<String> {
    let [first, second, third] = phases else { return None };
    let end = evidence.said.iter().map(|said| said.at).max()?;
    let p99 = |from, until| percentile(&latencies(evidence, from, until), 0.99) as f64 / 1e6;
    let (before, with, after) = (p99(*first, *second), p99(*second, *third), p99(*third, end));
    let ratio = with / f64::midpoint(before, after);
    Some(format!("others' p99 {before:.1}, with it {with:.1}, {after:.1} ms: {ratio:.2}"))
}

/// Nanoseconds from saying to hearing, of what was said in this time, sorted.
fn latencies(evidence: &Evidence, from: u64, until: u64) -> Vec<u64> {
    let said = evidence.said.iter().filter(|said| (from..until).contains(&said.at));
    let said: std::collections::HashMap<_, _> =
        said.map(|said| ((said.stream, said.number), said.at)).collect();
    let events = evidence.diaries.iter().flat_map(|diary| &diary.0);
    let mut took: Vec<u64> = events
        .filter_map(|(at, event)| match event {
            Event::Got(stream, number) => Some(at - said.get(&(*stream, *number))?),
            _ => None,
        })
        .collect();
    took.sort_unstable();
    took
}

/// As small as the kernel lets it be.
const BUFFER: u32 = 4096;
/// It alone is in it.
const OWN_GROUP: &str = "slow";
/// Bytes of each filling, less than a client may say at once; of all of them 6 MB, where kernels keep
/// 4 MiB for a connection.
const FILLING: usize = 30_000;
const FILLINGS: usize = 200;
