//! Whom something is for: a pattern over `app:index:id`, and labels.
//!
//! Patterns are those of Spring Cloud Bus: the parts are Ant patterns, `*` for any characters of one
//! part, `?` for one of them, `**` for any number of parts. One that names app, or app and index, means
//! all below: `shop` is `shop:**`, `shop:3` is `shop:3:**`.

use std::{collections::BTreeMap, fmt, str::FromStr};

use crate::name::InstanceName;

/// Whom something is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// How they are called.
    pub pattern: Pattern,
    /// Labels that they have, all of them, with these values.
    pub labels: BTreeMap<Box<str>, Box<str>>,
}

/// A pattern over names of instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: Box<str>,
}

/// The text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no target: {why}")]
pub struct NotATarget {
    text: String,
    why: &'static str,
}

impl Target {
    /// All that match a pattern.
    pub fn new(pattern: Pattern) -> Self {
        Self { pattern, labels: BTreeMap::new() }
    }

    /// Whether an instance of this name and with these labels is meant.
    pub fn matches(&self, name: &InstanceName, labels: &BTreeMap<Box<str>, Box<str>>) -> bool {
        self.labels.iter().all(|(label, value)| labels.get(label) == Some(value))
            && self.pattern.matches(name)
    }
}

impl Pattern {
    /// Whether an instance of this name is meant.
    pub fn matches(&self, name: &InstanceName) -> bool {
        let mut parts = [""; PARTS_MAX];
        let mut count = 0;
        for part in self.text.split(':') {
            parts[count] = part;
            count += 1;
        }
        match_parts(&parts[..count], &name.parts())
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Default for Pattern {
    /// Everybody.
    fn default() -> Self {
        Self { text: ANY.into() }
    }
}

impl FromStr for Pattern {
    type Err = NotATarget;

    fn from_str(text: &str) -> Result<Self, NotATarget> {
        let not = |why| NotATarget { text: text.chars().take(SHOWN_MAX).collect(), why };
        if text.len() > PATTERN_MAX {
            return Err(not("it is too long"));
        }
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-*?:".contains(&byte);
        if !text.bytes().all(is_good) {
            return Err(not("letters, digits, '.', '_', '-', '*', '?' and ':' are allowed"));
        }
        if text.split(':').any(str::is_empty) {
            return Err(not("a part is empty; write app:index:id, with * for any"));
        }
        let colons = text.bytes().filter(|byte| *byte == b':').count();
        if colons >= PARTS_MAX - 1 {
            return Err(not("it has too many parts; an instance is app:index:id"));
        }
        let text = match colons <= 1 && !text.ends_with(":**") {
            true => format!("{text}:{ANY}"),
            false => text.to_owned(),
        };
        Ok(Self { text: text.into() })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether parts match patterns of parts. Both are few.
pub(crate) fn match_parts(patterns: &[&str], parts: &[&str]) -> bool {
    match (patterns, parts) {
        ([], rest) => rest.is_empty(),
        ([ANY, patterns @ ..], parts) => {
            (0..=parts.len()).any(|skipped| match_parts(patterns, &parts[skipped..]))
        }
        ([pattern, patterns @ ..], [part, parts @ ..]) => {
            match_part(pattern.as_bytes(), part.as_bytes()) && match_parts(patterns, parts)
        }
        (_, []) => false,
    }
}

/// Whether one part matches: a star takes as little as it can, and more when that does not do.
pub(crate) fn match_part(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut star = None;
    while read < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[read] => {
                (at, read) = (at + 1, read + 1);
            }
            _ => {
                let Some((starred, taken)) = star else { return false };
                star = Some((starred, taken + 1));
                (at, read) = (starred + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// Any number of parts.
const ANY: &str = "**";

/// Parts of a pattern: as many as a name has, and a `**` before, between and behind them.
const PARTS_MAX: usize = 8;

/// Characters of a pattern: those of a name, and some more.
pub const PATTERN_MAX: usize = 400;

/// Characters of a bad one that are shown to whoever wrote it.
const SHOWN_MAX: usize = 80;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        pattern.parse::<Pattern>().unwrap().matches(&name.parse().unwrap())
    }

    #[test]
    fn pred_m12_a_target_means_whom_it_means_on_the_bus_of_spring() {
        for (pattern, name) in [
            ("foo:bar:spam", "foo:bar:spam"),
            ("one:two:*", "one:two:8888"),
            ("**", "one:two:8888"),
            ("*", "one:two:8888"),
            ("o*", "one:two:8888"),
            ("o*:t*", "one:two:8888"),
            ("one:**", "one:two:8888"),
            ("one", "one:two:8888"),
            ("one:two", "one:two:8888"),
            ("one:two:**", "one:two:8888"),
            ("on?:*:8*8", "one:two:8888"),
            ("**:8888", "one:two:8888"),
            ("**:two", "one:two:8888"),
            ("**:two:**", "one:two:8888"),
            ("one:**:8888", "one:two:8888"),
        ] {
            assert!(matches(pattern, name), "{pattern}");
        }
        for (pattern, name) in [
            ("foo:bar:spam", "foo:bar:spa"),
            ("o*:f*", "one:two:8888"),
            ("one:two:9999", "one:two:8888"),
            ("one:9999", "one:two:8888"),
            ("ne", "one:two:8888"),
            ("one:two", "one:three:two"),
            ("one:two:??", "one:two:8888"),
            ("one:two:8888:x", "one:two:8888"),
        ] {
            assert!(!matches(pattern, name), "{pattern}");
        }
    }

    #[test]
    fn pred_m12_labels_narrow_a_target() {
        let name: InstanceName = "shop:0:a".parse().unwrap();
        let labels = |pairs: &[(&str, &str)]| -> BTreeMap<Box<str>, Box<str>> {
            pairs.iter().map(|(label, value)| ((*label).into(), (*value).into())).collect()
        };
        let target = Target { labels: labels(&[("zone", "a")]), ..Target::default() };
        assert!(target.matches(&name, &labels(&[("zone", "a"), ("tier", "1")])));
        assert!(!target.matches(&name, &labels(&[("zone", "b")])));
        assert!(!target.matches(&name, &labels(&[])));
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_a_reason() {
        let long = "a".repeat(PATTERN_MAX + 1);
        for bad in
            ["", ":", "shop:", ":a", "a::b", "shöp", "a b", "{app}", "a:b:c:d:e:f:g:h:i", &long]
        {
            let error = bad.parse::<Pattern>().unwrap_err().to_string();
            assert!(error.len() < 250, "{error}");
        }
        assert!(long[1..].parse::<Pattern>().is_ok());
    }

    proptest! {
        #[test]
        fn a_part_matches_as_one_would_reckon(pattern in "[ab?*]{0,8}", text in "[ab]{0,8}") {
            fn slow(pattern: &[u8], text: &[u8]) -> bool {
                match (pattern.first(), text.first()) {
                    (None, None) => true,
                    (Some(b'*'), _) => slow(&pattern[1..], text)
                        || (!text.is_empty() && slow(pattern, &text[1..])),
                    (Some(b'?'), Some(_)) => slow(&pattern[1..], &text[1..]),
                    (Some(one), Some(other)) if one == other => slow(&pattern[1..], &text[1..]),
                    _ => false,
                }
            }
            let expected = slow(pattern.as_bytes(), text.as_bytes());
            prop_assert_eq!(match_part(pattern.as_bytes(), text.as_bytes()), expected);
        }
    }
}
