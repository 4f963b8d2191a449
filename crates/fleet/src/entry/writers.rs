//! Which entries have been read, so that one that was written twice counts once.

use std::collections::BTreeMap;

use everwire_backplane::Version;
use serde::{Deserialize, Serialize};

use super::Stamp;

/// The number of the last entry of each writer. Writers append one after the other, each until it
/// knows what became of it, so that a number that is not larger has been there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writers(BTreeMap<u64, Last>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Last(u64, u64);

impl Writers {
    /// Whether an entry has not been there before; it has from now on.
    pub fn is_new(&mut self, stamp: Stamp, version: Version) -> bool {
        let last = self.0.entry(stamp.writer).or_insert(Last(0, version.0));
        if stamp.number <= last.0 {
            return false;
        }
        *last = Last(stamp.number, version.0);
        if self.0.len() > WRITERS_MAX {
            let oldest = self.0.iter().min_by_key(|(_, last)| last.1).map(|(writer, _)| *writer);
            oldest.and_then(|writer| self.0.remove(&writer));
        }
        true
    }
}

/// Writers that are remembered: a node has another each time it starts. The one that has written
/// nothing for longest is forgotten.
pub const WRITERS_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_counts_once_and_no_more_writers_are_remembered_than_may() {
        let mut writers = Writers::default();
        let mut version = 0;
        let mut is_new = |writer, number| {
            version += 1;
            writers.is_new(Stamp { writer, number }, Version(version))
        };
        assert!(is_new(0, 1) && is_new(1, 1) && is_new(0, 3));
        assert!(!is_new(0, 3) && !is_new(0, 2) && !is_new(1, 1));
        assert!((2..WRITERS_MAX as u64 + 1).all(|writer| is_new(writer, 1)));
        assert!(!is_new(0, 3), "it has written after the other");
        assert!(is_new(1, 1), "it has been forgotten");
        assert_eq!(writers.0.len(), WRITERS_MAX);
    }
}
