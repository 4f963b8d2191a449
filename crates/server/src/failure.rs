//! How a command ends when it did not do what was asked: the exit code and the last words.

use std::{fmt, process::ExitCode};

/// Why a command failed; each kind has its own exit code.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was tried and did not work: 1.
    Failed(anyhow::Error),
    /// The command or the configuration is wrong: 2.
    Usage(String),
    /// The node cannot be reached: 3.
    Unreachable(String),
}

impl Failure {
    pub(crate) fn failed(what: impl fmt::Display) -> Self {
        Self::Failed(anyhow::Error::msg(what.to_string()))
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 3,
        })
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => write!(f, "{error:#}"),
            Self::Usage(what) | Self::Unreachable(what) => f.write_str(what),
        }
    }
}
