//! How far a command has come, as one line that is written over again.

use std::io::{self, IsTerminal, Write};

use super::report::{Counts, OPEN};

/// The line, on standard error, if that is a terminal.
pub(super) struct Progress {
    is_seen: bool,
    shown: String,
}

impl Progress {
    pub(super) fn new(is_wanted: bool) -> Self {
        Self { is_seen: is_wanted && io::stderr().is_terminal(), shown: String::new() }
    }

    /// Shows how far it is.
    pub(super) fn show(&mut self, counts: &Counts) {
        let line = line(counts);
        if self.is_seen && line != self.shown {
            // Who cannot see it does not miss it.
            drop(write!(io::stderr().lock(), "\r\x1b[K{line}"));
            self.shown = line;
        }
    }

    /// Takes the line away.
    pub(super) fn clear(&mut self) {
        if !self.shown.is_empty() {
            drop(write!(io::stderr().lock(), "\r\x1b[K"));
            self.shown.clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// `[########············]  8/20  6 done, 12 open, 2 failed`
fn line(counts: &Counts) -> String {
    let total = counts.total();
    let ended = total - counts.with(OPEN);
    let full = usize::try_from(ended * WIDTH as u64 / total.max(1)).unwrap_or(WIDTH);
    let bar = format!("{}{}", "#".repeat(full), "·".repeat(WIDTH - full));
    format!("[{bar}] {ended}/{total}  {counts}")
}

/// Characters of the bar.
const WIDTH: usize = 24;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_bar_is_as_full_as_outcomes_are_known() {
        let of = |done: u64, open: u64, failed: u64| {
            line(&Counts::of(
                &json!({ "counts": { "done": done, "open": open, "failed": failed } }),
            ))
        };
        assert_eq!(of(0, 4, 0), "[························] 0/4  4 open");
        assert_eq!(of(1, 2, 1), "[############············] 2/4  1 done, 2 open, 1 failed");
        assert_eq!(of(4, 0, 0), "[########################] 4/4  4 done");
        assert_eq!(of(0, 0, 0), "[························] 0/0  nobody");
    }
}
