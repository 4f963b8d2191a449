//! What does not belong into a channel's stream: garbage, lies, and what a newer node would write.
//!
//! The entries are put together here byte by byte, from the description of the format, so that the
//! product's own writer does not decide what its reader is shown.

use anyhow::Result;

use super::judge::Stream;
use super::receiver::{GROUP, write_stream};
use super::redis::Redis;

/// An entry of a stream: the name of its one field, and its value.
type Entry = (&'static [u8], Vec<u8>);

/// Writes every poison there is; how many of them a node counts as foreign, and how many more it
/// cannot read for a reason of the hub's own.
pub(super) fn write_all(redis: &Redis) -> Result<(u64, u64)> {
    let (foreign, unreadable) = (foreign(), unreadable());
    for (field, value) in foreign.iter().chain(&unreadable) {
        append(redis, field, value)?;
    }
    Ok((foreign.len() as u64, unreadable.len() as u64))
}

/// Writes messages of a node that is newer: its header has fields behind those that are known, and
/// so has what it says. They are to be heard.
pub(super) fn write_newer(
    redis: &Redis,
    stream: Stream,
    numbers: std::ops::RangeInclusive<u64>,
) -> Result<()> {
    for number in numbers {
        let mut said = call(&format!("[{},{number}]", write_stream(stream)));
        said.extend_from_slice(b"what only newer nodes say");
        append(
            redis,
            FIELD,
            &envelope(VERSION, MESSAGE, NEWER_NODE, number, b"and a newer header", &said),
        )?;
    }
    Ok(())
}

/// Writes entries of a format that only newer nodes read; how many.
pub(super) fn write_newest(redis: &Redis) -> Result<u64> {
    for number in 1..=10 {
        append(redis, FIELD, &envelope(VERSION + 1, MESSAGE, NEWEST_NODE, number, b"", b"?"))?;
    }
    Ok(10)
}

/// What is no envelope of the bus.
fn foreign() -> Vec<Entry> {
    let good = envelope(VERSION, MESSAGE, POISONER, 1, b"", b"");
    let mut short = good.clone();
    short[5] = 27;
    let huge = envelope(VERSION, MESSAGE, POISONER, 2, b"", &vec![0; 5 << 20]);
    vec![
        (FIELD, Vec::new()),
        (FIELD, b"{\"json\":1}".to_vec()),
        (FIELD, vec![0xff; 10_000]),
        (FIELD, good[..20].to_vec()),
        (FIELD, short),
        (FIELD, envelope(VERSION, MESSAGE, POISONER, 0, b"", b"message number 0")),
        (FIELD, huge),
    ]
}

/// What is an envelope of the bus and none of a hub.
fn unreadable() -> Vec<Entry> {
    let deep = format!("[{}{}]", "[".repeat(100_000), "]".repeat(100_000));
    let mut lies = vec![HUB_FORMAT, HUB_CALL];
    lies.extend_from_slice(&u32::MAX.to_be_bytes());
    let payloads = [
        Vec::new(),
        vec![0xff; 100],
        vec![HUB_FORMAT + 1, HUB_CALL],
        vec![HUB_FORMAT, 200],
        lies,
        call(&deep),
        call("no JSON"),
        call("{\"no\":\"list\"}"),
    ];
    let numbered = payloads.iter().zip(1..);
    numbered
        .map(|(payload, number)| {
            (FIELD, envelope(VERSION, MESSAGE, POISONED_NODE, number, b"", payload))
        })
        .collect()
}

fn append(redis: &Redis, field: &[u8], value: &[u8]) -> Result<()> {
    redis.command(&[b"XADD", CHANNEL, b"*", field, value]).map(drop)
}

/// `"EW" · version · kind · length of the header · node, incarnation, sequence, more · payload`
fn envelope(
    version: u8,
    kind: u8,
    node: [u8; 12],
    sequence: u64,
    more: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let header = u16::try_from(28 + more.len()).unwrap_or(u16::MAX);
    let mut bytes = b"EW".to_vec();
    bytes.extend([version, kind]);
    bytes.extend(header.to_be_bytes());
    bytes.extend(node);
    bytes.extend(1_u64.to_be_bytes());
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(more);
    bytes.extend(payload);
    bytes
}

/// A hub's message to all of the group, with these arguments in JSON.
fn call(arguments: &str) -> Vec<u8> {
    let mut audience = vec![1];
    audience.extend(1_u32.to_be_bytes());
    put(&mut audience, GROUP.as_bytes());
    audience.extend(0_u32.to_be_bytes());
    let mut bytes = vec![HUB_FORMAT, HUB_CALL];
    put(&mut bytes, &audience);
    put(&mut bytes, b"Said");
    bytes.push(HUB_JSON);
    put(&mut bytes, arguments.as_bytes());
    bytes
}

fn put(bytes: &mut Vec<u8>, field: &[u8]) {
    bytes.extend(u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend(field);
}

/// The stream of the hub's channel.
const CHANNEL: &[u8] = b"everwire:channel:10:hubs/bench";
const FIELD: &[u8] = b"e";
const VERSION: u8 = 1;
const MESSAGE: u8 = 1;
const HUB_FORMAT: u8 = 1;
const HUB_CALL: u8 = 1;
const HUB_JSON: u8 = 1;
/// Nobody's real name: those are random.
const POISONER: [u8; 12] = *b"the poisoner";
const POISONED_NODE: [u8; 12] = *b"a sick node.";
const NEWER_NODE: [u8; 12] = *b"newer node..";
const NEWEST_NODE: [u8; 12] = *b"newest node.";
