//! Messages of one channel in a row, for whoever gets them as they are and for who follows.
//!
//! Who follows is told its cursor behind them, in the same piece of the transport: a client that loses
//! its connection has received both or neither, and so misses nothing and gets nothing twice.

use std::sync::{Arc, OnceLock};

use everwire_backplane::Cursor;
use everwire_proto::signalr::{message::HubMessage, payload::Arguments};
use serde::{Deserialize, Serialize};

use crate::{connection::batch::Batch, frames::Frames, presence::Scope};

/// Messages without a hole.
pub(crate) struct Run<'a> {
    pub(crate) scope: &'a Scope,
    /// The place of the first.
    pub(crate) first: Cursor,
    pub(crate) batch: Batch<'a>,
    parcel: OnceLock<Parcel>,
}

/// Messages with the cursor behind them.
#[derive(Debug, Clone)]
pub(crate) struct Parcel {
    /// All together.
    pub(crate) whole: Arc<Frames>,
    /// Each by itself, as those count them whose session outlives its socket.
    pub(crate) parts: Arc<[Arc<Frames>]>,
}

/// A cursor as clients have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) epoch: u64,
    pub(crate) offset: u64,
}

impl<'a> Run<'a> {
    pub(crate) const fn new(scope: &'a Scope, first: Cursor, messages: &'a [Arc<Frames>]) -> Self {
        Self { scope, first, batch: Batch::new(messages), parcel: OnceLock::new() }
    }

    /// The messages but for the first few, and the cursor behind them.
    pub(crate) fn parcel(&self, skipped: usize) -> Option<Parcel> {
        let messages = self.batch.messages();
        let end = self.first.plus(messages.len() as u64 - 1);
        match skipped {
            0 => {
                let make = || Parcel::new(self.scope, messages, end);
                Some(self.parcel.get_or_init(make).clone())
            }
            _ => Some(Parcel::new(self.scope, messages.get(skipped..)?, end)),
        }
    }
}

impl Parcel {
    pub(crate) fn new(scope: &Scope, messages: &[Arc<Frames>], end: Cursor) -> Self {
        let position = tell(POSITION, scope, end);
        let mut parts: Vec<_> = messages.to_vec();
        parts.push(Arc::new(Frames::new(position)));
        let mut all = parts.iter().map(|part| part.message().clone());
        let whole = match all.next() {
            Some(first) => Frames::together(first, all.collect()),
            None => Frames::new(tell(POSITION, scope, end)),
        };
        Self { whole: Arc::new(whole), parts: parts.into() }
    }

    /// Messages without a cursor.
    pub(crate) fn plain(messages: &[Arc<Frames>]) -> Self {
        let mut all = messages.iter().map(|part| part.message().clone());
        let first = all.next().unwrap_or(HubMessage::Ping);
        let whole = Frames::together(first, all.collect());
        Self { whole: Arc::new(whole), parts: messages.into() }
    }

    /// That messages before a place are lost.
    pub(crate) fn gap(scope: &Scope, end: Cursor) -> Self {
        let whole = Arc::new(Frames::new(tell(GAP, scope, end)));
        Self { parts: [Arc::clone(&whole)].into(), whole }
    }
}

impl From<Cursor> for Told {
    fn from(Cursor { epoch, offset }: Cursor) -> Self {
        Self { epoch, offset }
    }
}

impl From<Told> for Cursor {
    fn from(Told { epoch, offset }: Told) -> Self {
        Self { epoch, offset }
    }
}

/// A call of a client's method with the channel's name, null for the hub's own, and a cursor.
fn tell(target: &str, scope: &Scope, end: Cursor) -> HubMessage {
    let channel = match scope {
        Scope::Hub => None,
        Scope::Group(group) => Some(group.as_str()),
    };
    // Text and numbers always have an encoding.
    let arguments = Arguments::encode_all(&(channel, Told::from(end)));
    HubMessage::call(target, arguments.unwrap_or_else(|_| Arguments::none()))
}

/// The clients' method that is called with their cursor.
const POSITION: &str = "Position";

/// The clients' method that is called when messages are lost.
const GAP: &str = "Gap";
