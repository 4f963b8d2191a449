//! What is asked of a fleet, and how it is refused.

use std::{num::NonZeroU32, time::Duration};

use serde_json::Value;

use crate::{
    book::Refused,
    command::CommandId,
    entry::{Order, json_bytes},
    introduction::{NotAnInstance, check_labels},
    name::InstanceName,
    rollout::Rollout,
    target::Target,
};

/// A command that is to be done.
#[derive(Clone, Debug)]
pub struct NewCommand {
    /// By whom.
    pub target: Target,
    /// What: 1 to [`NAME_MAX`] bytes. Instances know `refresh`, `environment`, `shutdown`, and whatever
    /// else they were told.
    pub name: String,
    /// With what: at most [`ARGS_MAX`] bytes of JSON.
    pub args: Value,
    /// How long it is worth doing: 1 s to [`DEADLINE_MAX`]. Default: 5 minutes.
    pub deadline: Duration,
    /// What the sender knows it by: another one with the same key is this one, whatever else it says,
    /// for as long as this one is known.
    pub key: Option<String>,
    /// How many at once.
    pub rollout: Rollout,
    /// Who wants it, for who looks at it later.
    pub by: Option<String>,
}

/// A command that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its id.
    pub id: CommandId,
    /// Who is to do it, in the order of names.
    pub expected: Vec<InstanceName>,
    /// Whether it had been accepted before: its key was known.
    pub repeated: bool,
}

/// What is asked for is no command: the sender's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotACommand {
    /// Its name.
    #[error("a command's name has 1 to {NAME_MAX} bytes without control characters")]
    Name,
    /// Its arguments.
    #[error("arguments have at most {ARGS_MAX} bytes as JSON; put more into a configuration set")]
    Args,
    /// Its deadline.
    #[error("a deadline is 1 s to 30 days from now")]
    Deadline,
    /// Its key.
    #[error("a key has 1 to {KEY_MAX} bytes without control characters")]
    Key,
    /// Who wants it.
    #[error("who sends a command is named with at most {KEY_MAX} bytes without control characters")]
    By,
    /// The labels of its target.
    #[error(transparent)]
    Labels(#[from] NotAnInstance),
}

/// Why a command is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It is none.
    #[error(transparent)]
    NotACommand(#[from] NotACommand),
    /// The log did not take it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// There are too many commands that are not finished, they are for too many instances, or too large.
    #[error(
        "as many commands are under way as may be; wait until some are finished, cancel them, or \
         give them shorter deadlines"
    )]
    Full,
    /// The log was emptied in the same moment.
    #[error("the log was emptied meanwhile; send the command again")]
    Lost,
}

/// Why a command is not cancelled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CancelError {
    /// It is not known, or not any more.
    #[error("there is no command {0}")]
    NoSuchCommand(CommandId),
    /// The log did not take it.
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl NewCommand {
    /// A command without arguments, for everybody whom a target means, at once, within 5 minutes.
    pub fn new(target: Target, name: impl Into<String>) -> Self {
        Self {
            target,
            name: name.into(),
            args: Value::Null,
            deadline: DEADLINE,
            key: None,
            rollout: Rollout::default(),
            by: None,
        }
    }

    /// What is written down of it.
    pub(super) fn order(self, now: u64) -> Result<Order, NotACommand> {
        let Self { target, name, args, deadline, key, rollout, by } = self;
        let is_text = |text: &str, max| {
            !text.is_empty() && text.len() <= max && !text.chars().any(char::is_control)
        };
        if !is_text(&name, NAME_MAX) {
            return Err(NotACommand::Name);
        }
        if json_bytes(&args) > ARGS_MAX {
            return Err(NotACommand::Args);
        }
        if !(DEADLINE_MIN..=DEADLINE_MAX).contains(&deadline) {
            return Err(NotACommand::Deadline);
        }
        if key.as_ref().is_some_and(|key| !is_text(key, KEY_MAX)) {
            return Err(NotACommand::Key);
        }
        if by.as_ref().is_some_and(|by| !is_text(by, KEY_MAX)) {
            return Err(NotACommand::By);
        }
        Ok(Order {
            id: CommandId::random(),
            key: key.map(Into::into),
            target: target.pattern.as_str().into(),
            labels: check_labels(target.labels)?,
            name: name.into(),
            args,
            deadline: now.saturating_add(deadline.as_millis() as u64),
            rollout,
            by: by.map(Into::into),
            at: now,
        })
    }

    /// The same for so many instances at a time.
    #[must_use]
    pub const fn at_once(mut self, count: NonZeroU32) -> Self {
        self.rollout.pace = crate::rollout::Pace::AtOnce(count);
        self
    }
}

/// How long a command is worth doing if nobody says.
const DEADLINE: Duration = Duration::from_secs(5 * 60);
const DEADLINE_MIN: Duration = Duration::from_secs(1);

/// How long a command may be worth doing.
pub const DEADLINE_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Bytes of a command's name.
pub const NAME_MAX: usize = 200;

/// Bytes of a key, and of a name of who sends.
pub const KEY_MAX: usize = 200;

/// Bytes of a command's arguments as JSON: they are kept as long as the command.
pub const ARGS_MAX: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_command_is_refused_with_a_reason() {
        let new = |name: &str| NewCommand::new(Target::default(), name);
        let refused = |command: NewCommand| command.order(7).unwrap_err();
        assert!(new("refresh").order(7).is_ok());
        assert_eq!(refused(new("")), NotACommand::Name);
        assert_eq!(refused(new(&"x".repeat(NAME_MAX + 1))), NotACommand::Name);
        assert_eq!(refused(new("a\nb")), NotACommand::Name);
        let args = |size: usize| NewCommand { args: json!("x".repeat(size - 2)), ..new("a") };
        assert!(args(ARGS_MAX).order(7).is_ok());
        assert_eq!(refused(args(ARGS_MAX + 1)), NotACommand::Args);
        for deadline in [Duration::ZERO, DEADLINE_MAX + DEADLINE_MIN] {
            assert_eq!(refused(NewCommand { deadline, ..new("a") }), NotACommand::Deadline);
        }
        let key = |key: &str| NewCommand { key: Some(key.into()), ..new("a") };
        assert_eq!(refused(key("")), NotACommand::Key);
        assert_eq!(refused(key(&"x".repeat(KEY_MAX + 1))), NotACommand::Key);
        let mut labelled = new("a");
        labelled.target.labels.insert("a b".into(), "c".into());
        assert!(matches!(refused(labelled), NotACommand::Labels(_)));
        let by = NewCommand { by: Some("\u{7}".into()), ..new("a") };
        assert_eq!(refused(by), NotACommand::By);
    }

    #[test]
    fn a_deadline_is_a_time_of_day() {
        let order = NewCommand::new(Target::default(), "a").order(1000).unwrap();
        assert_eq!((order.at, order.deadline), (1000, 301_000));
    }
}
