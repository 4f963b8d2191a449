//! Durations (`30s`) and sizes (`5MiB`) as people write them, both ways.

use std::time::Duration;

/// Reads a duration: a whole number and one of `ms`, `s`, `m`, `h`, `d`.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split_number(text)?;
    let (_, millis) = DURATION_UNITS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*millis).filter(|total| *total <= DURATION_MAX_MS).map(Duration::from_millis)
}

/// Writes a duration in the largest unit that says it exactly.
pub(super) fn format_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(DURATION_MAX_MS);
    if millis == 0 {
        return "0s".to_owned();
    }
    format_in(millis, &DURATION_UNITS).unwrap_or_else(|| format!("{millis}ms"))
}

/// Reads a size in bytes: a whole number and an optional unit (`KiB`, `MB`, …).
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split_number(text)?;
    if unit.is_empty() {
        return Some(number);
    }
    let (_, bytes) = SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    number.checked_mul(*bytes)
}

/// Writes a size in the largest binary unit that says it exactly.
pub(super) fn format_size(bytes: u64) -> String {
    format_in(bytes, &SIZE_UNITS[..BINARY_UNITS]).unwrap_or_else(|| format!("{bytes}B"))
}

fn format_in(amount: u64, units: &[(&str, u64)]) -> Option<String> {
    let fits = |(_, factor): &&(&str, u64)| amount >= *factor && amount.is_multiple_of(*factor);
    let (name, factor) = units.iter().find(fits)?;
    Some(format!("{}{name}", amount / factor))
}

fn split_number(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim_start()))
}

/// Largest first, so that the first exact one is the shortest to read. Days come last because
/// nobody expects `1d` back for the `24h` they wrote.
const DURATION_UNITS: [(&str, u64); 5] =
    [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1), ("d", 86_400_000)];

/// Ten years: longer is a typing mistake, and adding it to a clock must not overflow.
const DURATION_MAX_MS: u64 = 10 * 365 * 86_400_000;

const BINARY_UNITS: usize = 4;
const SIZE_UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for text in ["0s", "500ms", "30s", "2m", "90s", "24h", "1500ms"] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
        for text in ["5MiB", "1GiB", "64KiB", "1000B", "1GiB"] {
            assert_eq!(format_size(parse_size(text).unwrap()), text);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "30", "s", "-1s", "1.5s", "30 parsecs", "99999999999h"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        for text in ["", "MiB", "5 bananas", "99999999999GiB", "-1"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }
}
