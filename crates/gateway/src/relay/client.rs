//! The states of a pipe's client.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use everwire_proto::{time::Time, ws::close::Close};

use super::{control::Pongs, end::Why, heartbeat::Heartbeat};

/// The client's side of a pipe.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Client {
    pub(super) state: State,
    pub(super) heartbeat: Heartbeat,
    pub(super) pongs: Pongs,
    /// The message that is coming in: its number, and since when.
    pub(super) open: Option<(u64, Time)>,
}

/// Where the pipe stands with its client.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum State {
    /// Messages flow.
    Open,
    /// The client has sent its Close; its messages go first, whether or not it waits.
    Closing { close: Box<Close>, present: bool },
    /// The socket is gone; messages that came whole are still delivered.
    Lost { why: Why },
    /// We have sent our Close and wait for the client's.
    Dismissed(Box<Dismissal>),
    /// Both have said goodbye: we have ended our half and wait for the client to end its own.
    Parting { since: Time },
    /// There is no socket any more.
    Gone,
}

/// Our Close to the client, on its way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Dismissal {
    pub(super) since: Time,
    /// When the last of it was written.
    pub(super) written: Option<Time>,
    /// How long from then on the client may take to answer.
    pub(super) patience: Duration,
}

impl Client {
    pub(super) fn new(now: Time) -> Self {
        Self {
            state: State::Open,
            heartbeat: Heartbeat::new(now),
            pongs: Pongs::default(),
            open: None,
        }
    }

    /// Whether we read from the client; its clocks begin anew when we do again.
    pub(super) fn listen(&mut self, now: Time, listening: bool) {
        let resumed = listening && self.heartbeat.listening_since().is_none();
        if let Some((_, since)) = &mut self.open
            && resumed
        {
            *since = now;
        }
        self.heartbeat.listen(now, listening);
    }

    /// Since when a message has been coming in, if we read it.
    pub(super) fn open_since(&self) -> Option<Time> {
        self.heartbeat.listening_since()?;
        self.open.map(|(_, since)| since)
    }

    /// Whether there is a socket to write to.
    pub(super) const fn is_present(&self) -> bool {
        !matches!(
            self.state,
            State::Lost { .. } | State::Closing { present: false, .. } | State::Gone
        )
    }

    /// Whether the client has said, or shown, that it sends no more.
    pub(super) const fn is_leaving(&self) -> bool {
        matches!(self.state, State::Closing { .. } | State::Lost { .. })
    }
}
