//! A place in a log, as clients have it. Pure.

use std::{fmt, str::FromStr};

use everwire_backplane::Version;

/// How far somebody has come: everything up to `version` of the log as it began with `epoch`. As a text
/// `epoch-version`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor {
    /// Which beginning of the log: another one after the backplane was emptied.
    pub epoch: u64,
    /// The number of the last entry.
    pub version: Version,
}

/// A text is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a cursor is epoch-version, two numbers, as it was in what the server sent; leave it out to begin anew"
)]
pub struct NotACursor;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.version)
    }
}

impl FromStr for Cursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        let (epoch, version) = text.split_once('-').ok_or(NotACursor)?;
        let number = |digits: &str| match digits.bytes().all(|byte| byte.is_ascii_digit()) {
            true => digits.parse().map_err(|_| NotACursor),
            false => Err(NotACursor),
        };
        Ok(Self { epoch: number(epoch)?, version: Version(number(version)?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let cursor = Cursor { epoch: 7, version: Version(12) };
        assert_eq!(cursor.to_string(), "7-12");
        assert_eq!("7-12".parse(), Ok(cursor));
        for bad in
            ["", "7", "7-", "-12", "7.12", "7-12-1", "+7-12", "7--12", "99999999999999999999-1"]
        {
            assert_eq!(bad.parse::<Cursor>(), Err(NotACursor), "{bad}");
        }
    }
}
