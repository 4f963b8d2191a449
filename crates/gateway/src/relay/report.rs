//! What a pipe tells persons and counters.

use serde::{Deserialize, Serialize};

use super::leg::Loss;

/// What has gone through a pipe.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Legs so far.
    pub legs: u32,
    /// Complete messages from the client.
    pub up_messages: u64,
    /// Bytes from the client.
    pub up_bytes: u64,
    /// Complete messages from backends.
    pub down_messages: u64,
    /// Bytes from backends.
    pub down_bytes: u64,
    /// Messages written to a leg although they had been written to an earlier one.
    pub replayed: u64,
}

/// Something that a person or a counter wants to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Note {
    /// A leg was lost.
    LegLost {
        /// How.
        loss: Loss,
        /// The backend's close code, 1006 where it sent none.
        code: u16,
        /// Messages that are unconfirmed and go to the next backend.
        unconfirmed: u64,
    },
    /// The backend broke the WebSocket protocol.
    BackendBrokeRules {
        /// How.
        reason: String,
    },
    /// The backend's stack answers no Ping: on this leg what is written counts as confirmed.
    Unconfirmable,
}

/// Notes that wait to be taken; most of the time there are none.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Notes(Option<Box<Kept>>);

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Kept(Vec<Note>);

impl Notes {
    pub(super) fn push(&mut self, note: Note) {
        self.0.get_or_insert_default().0.push(note);
    }

    pub(super) fn take(&mut self) -> Vec<Note> {
        self.0.take().map_or_else(Vec::new, |kept| kept.0)
    }
}
