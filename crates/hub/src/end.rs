//! Why a connection ends, and what its client is told.

use everwire_proto::{
    signalr::{
        handshake::{HandshakeError, HandshakeResponse},
        message::Close,
    },
    ws::close::CloseCode,
};

use crate::{connection::kept::OutOfStep, conversation::Misunderstood};

/// Why a connection ended, for who is told when it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The client said goodbye; with an error, if it had one.
    Left(Option<Box<str>>),
    /// The client is gone without a word.
    Vanished,
    /// The client was silent for longer than it may be.
    Silent,
    /// The client did not say in time, or not well, how it speaks.
    NoHandshake(Box<str>),
    /// The client said what cannot be understood.
    Misunderstood(Box<str>),
    /// The client broke the rules of WebSockets.
    Violation(CloseCode),
    /// The client said more than it may in a given time.
    Flooding,
    /// The client took less than it was sent.
    Slow,
    /// The application ended it.
    Aborted,
    /// The application ended it, and this is why; the client is told in these words.
    Dismissed(Box<str>),
    /// The application turned the client away when it came, and this is what that is told.
    Failed(Box<str>),
    /// What proved who the client is has expired.
    Expired,
    /// The hub stops.
    Stopping,
    /// The node had been given up by mistake, and another one has told the application that the client is
    /// [lost](crate::HubBuilder::client_lost).
    GivenUp,
    /// The session goes on at another node: for nobody has the connection ended.
    Moved,
}

/// What a client is told last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// Nothing; nobody listens.
    Nothing,
    /// That its handshake failed.
    Handshake(HandshakeResponse),
    /// That the connection ends.
    Close(Close),
}

impl End {
    /// What to tell a client.
    pub(crate) fn farewell(&self) -> Farewell {
        let close = |error: Option<&str>, allow_reconnect| {
            let error = error.map(|error| format!("{CLOSED_WITH_AN_ERROR} {error}").into());
            Farewell::Close(Close { error, allow_reconnect })
        };
        match self {
            Self::Vanished | Self::Slow | Self::Moved | Self::Violation(_) => Farewell::Nothing,
            Self::NoHandshake(error) => {
                Farewell::Handshake(HandshakeResponse { error: Some(error.clone()) })
            }
            Self::Left(_) | Self::Aborted => Farewell::Close(Close::default()),
            Self::Flooding => close(Some(FLOODING), false),
            Self::Silent => close(Some(SILENT), true),
            Self::Stopping | Self::Expired | Self::GivenUp => close(None, true),
            Self::Misunderstood(error) => close(Some(error), false),
            Self::Failed(error) | Self::Dismissed(error) => {
                Farewell::Close(Close { error: Some(error.clone()), allow_reconnect: false })
            }
        }
    }

    /// What a WebSocket is closed with.
    pub(crate) const fn code(&self) -> CloseCode {
        match self {
            Self::Stopping | Self::Moved => CloseCode::GOING_AWAY,
            Self::Violation(code) => *code,
            Self::Flooding => CloseCode::POLICY,
            _ => CloseCode::NORMAL,
        }
    }

    /// The handshake did not come in time.
    pub(crate) fn late_handshake() -> Self {
        Self::NoHandshake(HandshakeError::Canceled.to_string().into())
    }
}

impl From<OutOfStep> for End {
    fn from(error: OutOfStep) -> Self {
        Self::Misunderstood(format!("InvalidOperationException: {error}").into())
    }
}

impl From<Misunderstood> for End {
    fn from(misunderstood: Misunderstood) -> Self {
        let text = misunderstood.to_string().into();
        match misunderstood {
            Misunderstood::Handshake(_) => Self::NoHandshake(text),
            Misunderstood::Message(_) => Self::Misunderstood(text),
        }
    }
}

/// How every error begins that ends a connection.
pub(crate) const CLOSED_WITH_AN_ERROR: &str = "Connection closed with an error.";
const FLOODING: &str = "InvalidOperationException: The client sends more messages than it may.";
const SILENT: &str = "OperationCanceledException: Client hasn't sent a message/ping within the \
                      configured ClientTimeoutInterval.";
