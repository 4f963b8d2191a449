//! What is said of a command: its id, what became of it at an instance.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::entry::Text;

/// Names a command: 80 random bits, written as 20 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Text<CommandId>", into = "Text<CommandId>")]
pub struct CommandId(u128);

/// The text names no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a command's id, which has 20 hexadecimal digits")]
pub struct NotACommandId;

/// What has become of a command at an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was begun, and failed.
    Failed,
    /// The instance does not do such a thing.
    Refused,
    /// The deadline was over before the instance, which was there, had said anything.
    TimedOut,
    /// The deadline was over before the instance, which was away, came back.
    Gone,
    /// The instance had begun and ended meanwhile; whether it was done nobody knows.
    Interrupted,
    /// The instance was never to do it: the rollout was stopped before.
    Withheld,
}

impl CommandId {
    /// One that no other command has.
    pub fn random() -> Self {
        Self(rand::random::<u128>() >> 48)
    }
}

impl Outcome {
    /// All there are.
    pub const ALL: [Self; 7] = [
        Self::Done,
        Self::Failed,
        Self::Refused,
        Self::TimedOut,
        Self::Gone,
        Self::Interrupted,
        Self::Withheld,
    ];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::TimedOut => "timed_out",
            Self::Gone => "gone",
            Self::Interrupted => "interrupted",
            Self::Withheld => "withheld",
        }
    }

    /// Whether it is one that stops a rollout if there are too many.
    pub const fn is_failure(self) -> bool {
        !matches!(self, Self::Done | Self::Withheld)
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020x}", self.0)
    }
}

impl FromStr for CommandId {
    type Err = NotACommandId;

    fn from_str(text: &str) -> Result<Self, NotACommandId> {
        let is_good = text.len() == 20 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).ok().filter(|_| is_good);
        number.map(Self).ok_or(NotACommandId)
    }
}

impl From<Text<Self>> for CommandId {
    fn from(text: Text<Self>) -> Self {
        text.0
    }
}

impl From<CommandId> for Text<CommandId> {
    fn from(id: CommandId) -> Self {
        Self(id)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Outcome {
    type Err = NotAnOutcome;

    fn from_str(text: &str) -> Result<Self, NotAnOutcome> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text).ok_or(NotAnOutcome)
    }
}

/// The text is no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an outcome is done, failed, refused, timed_out, gone, interrupted or withheld")]
pub struct NotAnOutcome;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_outcomes_read_as_they_were_written() {
        let id = CommandId::random();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(serde_json::from_str::<CommandId>(&format!("\"{id}\"")).unwrap(), id);
        for wrong in ["", "x", "+0000000000000000001", &"0".repeat(21), "ä000000000000000000"] {
            assert_eq!(wrong.parse::<CommandId>(), Err(NotACommandId), "{wrong}");
        }
        for outcome in Outcome::ALL {
            assert_eq!(outcome.to_string().parse(), Ok(outcome));
            assert_eq!(serde_json::to_string(&outcome).unwrap(), format!("\"{outcome}\""));
        }
        assert_eq!("finished".parse::<Outcome>(), Err(NotAnOutcome));
    }
}
