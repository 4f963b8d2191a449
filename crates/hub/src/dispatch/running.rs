//! A call that has begun and not ended.

use everwire_proto::signalr::message::InvocationId;

use super::CallKey;

/// A call that has begun and not ended.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) key: CallKey,
    /// Nobody is told anything of a call without.
    pub(super) id: Option<InvocationId>,
    /// The method as the client calls it.
    pub(super) target: Box<str>,
    pub(super) pace: Pace,
    pub(super) canceled: bool,
    /// Its upload streams, by their place; those that have ended are `None`.
    pub(super) uploads: Box<[Option<InvocationId>]>,
}

/// What a call counts against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// It holds a turn.
    Turn,
    /// It has given up its turn, because it waits for its client.
    Released,
    /// It streams, and needs no turn.
    Free,
}

impl Running {
    /// The place of an open upload.
    pub(super) fn upload(&self, id: &InvocationId) -> Option<usize> {
        self.uploads.iter().position(|open| open.as_ref() == Some(id))
    }

    /// Closes all uploads; the places of those that were open.
    pub(super) fn close_uploads(&mut self) -> impl Iterator<Item = usize> {
        let places = self.uploads.iter_mut().enumerate();
        places.filter_map(|(index, open)| open.take().map(|_| index))
    }

    /// How many uploads are open.
    pub(super) fn open_uploads(&self) -> usize {
        self.uploads.iter().flatten().count()
    }
}
