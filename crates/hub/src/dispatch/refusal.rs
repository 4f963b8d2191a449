//! Why a call does not begin.

use crate::error::{ErrorDetail, HubError, invoking};

/// Why a call does not begin: the client's fault, or beyond its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// There is no such method.
    UnknownMethod,
    /// The user may not call it.
    Unauthorized,
    /// The method answers with a stream and the client wants one result.
    Streaming,
    /// The method answers once and the client wants a stream.
    NotStreaming,
    /// The method takes another number of upload streams.
    Uploads {
        /// What the client sends.
        sent: usize,
        /// What the method takes.
        expected: usize,
    },
    /// A call with this id runs.
    IdInUse,
    /// An upload with one of these stream ids is open.
    StreamIdInUse,
    /// As many calls of this client stream as may.
    TooManyStreams,
    /// As many uploads of this client are open as may.
    TooManyUploads,
}

impl Refusal {
    /// What the client is told that called `target` under the name of `id`.
    pub fn text(self, target: &str, id: &str) -> Box<str> {
        let text = match self {
            Self::UnknownMethod => format!("Unknown hub method '{target}'"),
            Self::Unauthorized => {
                format!("Failed to invoke '{target}' because user is unauthorized")
            }
            Self::Streaming => format!(
                "The client attempted to invoke the streaming '{target}' method with a \
                 non-streaming invocation."
            ),
            Self::NotStreaming => format!(
                "The client attempted to invoke the non-streaming '{target}' method with a \
                 streaming invocation."
            ),
            Self::Uploads { sent, expected } => {
                let why = format!("Client sent {sent} stream(s), Hub method expects {expected}.");
                return HubError::new(why).told(&invoking(target), ErrorDetail::Hidden);
            }
            Self::IdInUse => format!("Invocation ID '{id}' is already in use."),
            Self::StreamIdInUse => format!("A stream ID of '{target}' is already in use."),
            Self::TooManyStreams => {
                format!("Failed to invoke '{target}': too many streams at once.")
            }
            Self::TooManyUploads => {
                format!("Failed to invoke '{target}': too many uploads at once.")
            }
        };
        text.into()
    }
}
