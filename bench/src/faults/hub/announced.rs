//! Gaps as nodes announce them to their operators: a line of their log. Pure.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::judge::Gap;

/// A line of the log, as far as it matters here.
#[derive(Deserialize)]
struct Line {
    timestamp: String,
    gap: String,
    #[serde(flatten)]
    _rest: HashMap<String, Value>,
}

/// The gap that a line announces, if it does; its time in nanoseconds since `began_wall`, which is in
/// nanoseconds since 1970.
pub(super) fn read(line: &str, node: u16, began_wall: u64) -> Option<Gap> {
    let line: Line = serde_json::from_str(line).ok()?;
    let began = began_wall % DAY;
    // Seen from the beginning, midnight may lie between.
    let at = (nanos_of_day(&line.timestamp)? + DAY - began) % DAY;
    Some(Gap { node, at, messages_max: lost(&line.gap) })
}

/// How many messages `Lost { member: …, first: 3, last: 5 }` are; nothing else says how many.
fn lost(gap: &str) -> Option<u64> {
    let number = |name: &str| -> Option<u64> {
        let (_, rest) = gap.split_once(name)?;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    Some(number("last: ")?.saturating_sub(number("first: ")?) + 1)
}

/// The time of day of `2026-11-21T12:00:00.123456Z`.
fn nanos_of_day(timestamp: &str) -> Option<u64> {
    let (_, time) = timestamp.strip_suffix('Z')?.split_once('T')?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut seconds = 0;
    for part in time.split(':') {
        seconds = seconds * 60 + part.parse::<u64>().ok()?;
    }
    let nanos: u64 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    Some(seconds * 1_000_000_000 + nanos)
}

/// Nanoseconds of a day.
const DAY: u64 = 24 * 60 * 60 * 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn line(gap: &str) -> String {
        format!(
            r#"{{"timestamp":"2026-11-21T00:00:01.500000Z","level":"WARN","channel":"hubs/bench","gap":"{gap}","message":"messages of other nodes are lost","target":"everwire_hub"}}"#
        )
    }

    #[test]
    fn a_gap_says_when_and_how_many() {
        let began = 20_000 * DAY + DAY - 500_000_000;
        let lost =
            "Lost { member: Member { node: n, incarnation: Incarnation(7) }, first: 3, last: 5 }";
        let gap = Gap { node: 2, at: 2_000_000_000, messages_max: Some(3) };
        assert_eq!(read(&line(lost), 2, began), Some(gap));
        let unknown = Gap { messages_max: None, ..gap };
        assert_eq!(read(&line("Emptied"), 2, began), Some(unknown));
    }

    #[test]
    fn other_lines_are_none() {
        let other = r#"{"timestamp":"2026-11-21T00:00:01.5Z","level":"INFO","message":"serving"}"#;
        assert_eq!(read(other, 0, 0), None);
        assert_eq!(read("not JSON", 0, 0), None);
    }
}
