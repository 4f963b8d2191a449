//! What the server has asked a client and the client has not answered.

use everwire_proto::signalr::message::InvocationId;

/// Why a client cannot be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// It has not answered as many questions as it may.
    #[error("the client leaves too many invocations unanswered")]
    TooMany,
    /// It has not answered the last question of this id.
    #[error("the id of the invocation is in use")]
    InUse,
    /// It is gone.
    #[error("the client is disconnected")]
    Disconnected,
}

/// Ids of questions; a client can only answer what it was asked itself.
#[derive(Debug)]
pub(super) struct Asked(Vec<InvocationId>);

impl Asked {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn add(&mut self, id: InvocationId, asked_max: usize) -> Result<(), AskError> {
        if self.0.contains(&id) {
            return Err(AskError::InUse);
        }
        if self.0.len() >= asked_max {
            return Err(AskError::TooMany);
        }
        self.0.push(id);
        Ok(())
    }

    /// Whether the question was there.
    pub(super) fn remove(&mut self, id: &InvocationId) -> bool {
        let at = self.0.iter().position(|asked| asked == id);
        if let Some(at) = at {
            self.0.swap_remove(at);
        }
        if self.0.is_empty() {
            self.0 = Vec::new();
        }
        at.is_some()
    }

    /// All of them, and none from now on.
    pub(super) fn take(&mut self) -> Vec<InvocationId> {
        std::mem::take(&mut self.0)
    }
}
