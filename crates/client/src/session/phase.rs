//! Where a session stands.

use everwire_proto::{signalr::handshake::HandshakeReader, time::Time};

use super::open::Open;
use crate::{
    error::{CloseReason, Loss},
    state::ConnectionId,
};

/// The phases, in the order in which they come.
#[derive(Debug)]
pub(super) enum Phase {
    /// A new connection is dialled, negotiation included.
    Dialling { deadline: Time, retry: Option<Retry> },
    /// It is dialled, and the handshake is not answered yet.
    Shaking { deadline: Time, link: Link },
    /// Messages flow.
    Open(Box<Open>),
    /// The socket is lost, and another is dialled for the same session.
    Resuming { deadline: Time, open: Box<Open>, loss: Loss },
    /// The session is lost, and another is dialled in a while.
    Waiting { until: Time, retry: Retry },
    /// There is no more to come.
    Ended(CloseReason),
}

/// What a session is dialled for again.
#[derive(Debug, Clone)]
pub(super) struct Retry {
    pub(super) loss: Loss,
    /// Attempts that have failed since.
    pub(super) failed: u32,
}

/// A connection that has been dialled.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) linked: Linked,
    pub(super) retry: Option<Retry>,
    pub(super) reader: HandshakeReader,
}

/// What negotiation has given.
#[derive(Debug, Clone)]
pub(crate) struct Linked {
    /// The id of the connection; `None` if there was no negotiation.
    pub(crate) connection_id: Option<ConnectionId>,
    pub(crate) upkeep: Upkeep,
}

/// How both ends know that the other is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upkeep {
    /// By pings; and the server keeps the session when a socket is lost.
    Kept,
    /// By pings.
    Pinged,
    /// By the polls and their answers, which the transport watches.
    Polled,
}

/// What to do with the socket.
#[derive(Debug, Clone)]
pub(crate) enum Wish {
    /// Dial a new connection.
    Dial,
    /// Dial another socket for the same session.
    Resume,
    /// Write to it, and read from it if asked to.
    Keep { read: bool },
    /// There is none for a while.
    Rest,
    /// Say goodbye; it is over.
    End(CloseReason),
}

impl Phase {
    pub(super) fn wish(&self) -> Wish {
        match self {
            Self::Dialling { .. } => Wish::Dial,
            Self::Resuming { .. } => Wish::Resume,
            Self::Shaking { .. } => Wish::Keep { read: true },
            Self::Open(open) => Wish::Keep { read: open.wants_data() },
            Self::Waiting { .. } => Wish::Rest,
            Self::Ended(why) => Wish::End(why.clone()),
        }
    }

    /// The session, whether it has a socket or is about to get one.
    pub(super) const fn session(&mut self) -> Option<&mut Open> {
        match self {
            Self::Open(open) | Self::Resuming { open, .. } => Some(open),
            _ => None,
        }
    }

    /// The same, to look at.
    pub(super) const fn session_ref(&self) -> Option<&Open> {
        match self {
            Self::Open(open) | Self::Resuming { open, .. } => Some(open),
            _ => None,
        }
    }

    /// Takes the session that waits for a socket.
    pub(super) fn take_resuming(&mut self) -> Option<Box<Open>> {
        match self.take() {
            Self::Resuming { open, .. } => Some(open),
            other => {
                *self = other;
                None
            }
        }
    }

    /// Takes an open session that another socket may continue.
    pub(super) fn take_resumable(&mut self) -> Option<Box<Open>> {
        match self.take() {
            Self::Open(open) if open.is_resumable() => Some(open),
            other => {
                *self = other;
                None
            }
        }
    }

    /// Leaves a phase behind that is replaced at once.
    const fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Ended(CloseReason::Stopped))
    }
}
