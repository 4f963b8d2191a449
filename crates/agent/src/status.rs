//! What an application is told about its agent.

use std::sync::Arc;

use everwire_client::ConnectError;

use crate::store::StoreError;

/// Where an agent stands. Only the latest is kept.
#[derive(Clone, Debug)]
pub enum Status {
    /// There is no manager, and one is looked for.
    Away {
        /// What went wrong last.
        why: Arc<str>,
        /// How many attempts have failed in a row.
        attempts: u32,
    },
    /// The manager knows this instance.
    Joined {
        /// Under this name, `app:index:id`.
        instance: Arc<str>,
    },
    /// The agent stays away from the manager for at least a minute.
    StaysAway {
        /// For which reason.
        why: Rejection,
    },
    /// It is over.
    Ended {
        /// Why.
        why: Arc<EndReason>,
    },
}

/// Why an agent does not get along with a manager that it reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Another connection, as a rule another process, has taken the name of this instance.
    #[error("another process runs as {0}: it has taken over")]
    TakenOver(Arc<str>),
    /// The manager belongs to another fleet; in words.
    #[error("{0}")]
    OtherFleet(Arc<str>),
}

/// What to do about a [`Rejection`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnRejection {
    /// Stay away for at least a minute, then try again. The application goes on meanwhile with what it
    /// has.
    #[default]
    StayAway,
    /// The agent ends.
    End,
}

/// Why an agent has ended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EndReason {
    /// The application stopped it.
    #[error("the agent was stopped")]
    Stopped,
    /// It was to end then.
    #[error("{0}")]
    Rejected(Rejection),
    /// The application's mistake, that trying again will not mend: the manager's address, a token
    /// with impossible characters, certificates.
    #[error("{0}")]
    Mistake(ConnectError),
}

/// Why an agent does not start. That the manager is away is no reason.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The application's: it has no name.
    #[error("an agent needs the name of its application")]
    NoApp,
    /// The application's: its runtime is ending.
    #[error("the runtime is ending")]
    NoRuntime,
    /// The state directory is of no use.
    #[error("state directory: {0}")]
    Store(#[from] StoreError),
}
