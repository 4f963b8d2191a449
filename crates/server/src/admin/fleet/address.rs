//! Which set a path names, and what of it. Pure.
//!
//! Names of sets have `/` in them, so the path is read as it was written: the last segment says what of the
//! set is meant if it is one of a few words and something is in front of it. A name that ends in such a word
//! is written as one segment, `shop%2Fhistory`.

use everwire_fleet::name::{NotAName, SetName};
use everwire_proto::signalr::negotiate::segment;
use http::StatusCode;

use crate::problem::Problem;

/// What of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Its values.
    Values,
    /// Its versions.
    History,
    /// What is between two versions.
    Diff,
    /// Going back to one.
    Rollback,
    /// What comes.
    Events,
}

/// Reads what stands behind `…/fleet/sets/`.
pub(super) fn read(path: &str) -> Result<(SetName, Part), Problem> {
    let (name, part) = match path.rsplit_once('/') {
        Some((name, last)) => match WORDS.iter().find(|(word, _)| *word == last) {
            Some((_, part)) => (name, *part),
            None => (path, Part::Values),
        },
        None => (path, Part::Values),
    };
    let name: Option<Vec<_>> = name.split('/').map(segment).collect();
    let name =
        name.ok_or_else(|| Problem::bad_request("the set's name is not percent-encoded text"))?;
    let name = name.join("/").parse();
    Ok((name.map_err(|error: NotAName| Problem::bad_request(error.to_string()))?, part))
}

/// The version that `If-Match` wants.
pub(super) fn version(if_match: &str) -> Result<u64, Problem> {
    let text = if_match.trim();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    text.parse().map_err(|_| {
        let what = "If-Match: is not the version of a set; write for example If-Match: \"7\"";
        Problem::new(StatusCode::BAD_REQUEST, what)
    })
}

const WORDS: [(&str, Part); 4] = [
    ("history", Part::History),
    ("diff", Part::Diff),
    ("rollback", Part::Rollback),
    ("events", Part::Events),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_says_what_of_a_set_is_meant() {
        for (path, name, part) in [
            ("shop", "shop", Part::Values),
            ("shop/prod", "shop/prod", Part::Values),
            ("shop%2Fprod", "shop/prod", Part::Values),
            ("shop/prod/history", "shop/prod", Part::History),
            ("shop%2fprod/diff", "shop/prod", Part::Diff),
            ("shop/rollback", "shop", Part::Rollback),
            ("history/events", "history", Part::Events),
            ("events", "events", Part::Values),
            ("shop%2Fhistory", "shop/history", Part::Values),
            ("shop%2Fhistory/history", "shop/history", Part::History),
        ] {
            let (read, of) = read(path).unwrap_or_else(|problem| panic!("{path}: {problem:?}"));
            assert_eq!((read.as_str(), of), (name, part), "{path}");
        }
        for wrong in ["", "/", "a//b", "a/../b", "a b", "a%00b", "/history"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_version_is_quoted_or_not() {
        assert_eq!(version("\"7\"").unwrap(), 7);
        assert_eq!(version(" 7 ").unwrap(), 7);
        for wrong in ["", "*", "\"x\"", "W/\"7\"", "-1"] {
            assert!(version(wrong).is_err(), "{wrong}");
        }
    }
}
