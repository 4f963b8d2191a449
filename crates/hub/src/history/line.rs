//! One channel with a history as one node hears it: every message once, in the history's order. Pure.
//!
//! What the backplane hands on is taken if it is the next. If it is not, something is missing here, or
//! the history has begun again: then it is held, and the history is read. What the history does not
//! have any more is announced as a gap.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use everwire_backplane::{Cursor, Incarnation, NodeId, Origin, Recorded, Stretch};

/// What is to be done, in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// The channel's members get this message.
    Deliver(Cursor, Bytes),
    /// They have everything up to here: what lies before is not new to them.
    Pass(Cursor),
    /// Messages before this place are lost.
    Gap(Cursor),
    /// The history is to be read behind this number, and [`Line::handle_stretch`] told.
    Read(u64),
}

/// One channel.
#[derive(Debug, Default)]
pub(crate) struct Line {
    place: Place,
    /// What came behind a hole, all of one epoch.
    held: BTreeMap<u64, Recorded>,
    held_epoch: u64,
    held_bytes: usize,
    is_reading: bool,
    /// Something may be missing, and it is to be read.
    is_in_doubt: bool,
    /// Readings in a row that brought what is held no nearer.
    fruitless: u32,
    /// Each publisher's last message that was delivered: a history that begins again has some of the
    /// same.
    delivered: BTreeMap<NodeId, (Incarnation, u64)>,
    /// The end of messages that were passed over and are yet to be told.
    passed: Option<Cursor>,
    outputs: VecDeque<Output>,
}

/// What the members here have of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// Nothing has come. What comes behind this is wanted.
    Nothing(Cursor),
    /// Everything up to here.
    UpTo(Cursor),
}

/// How far the channel has been told to its members.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nobody has asked, and nothing has come.
    #[default]
    Unknown,
    /// Nothing has come; what comes behind this is wanted.
    Wanted(Cursor),
    /// Up to here.
    At(Cursor),
}

impl Line {
    /// Somebody has everything up to a place and relies on what follows.
    pub(crate) const fn handle_wanted(&mut self, cursor: Cursor) {
        if matches!(self.place, Place::Unknown) {
            self.place = Place::Wanted(cursor);
        }
    }

    /// How far the channel has been told to its members, if it is known: all of that was handed out.
    pub(crate) const fn told(&self) -> Option<Told> {
        match self.place {
            Place::Unknown => None,
            Place::Wanted(cursor) => Some(Told::Nothing(cursor)),
            Place::At(cursor) => Some(Told::UpTo(cursor)),
        }
    }

    /// A message comes with its number.
    pub(crate) fn handle_message(&mut self, cursor: Cursor, origin: Origin, payload: Bytes) {
        let before = Cursor { offset: cursor.offset.saturating_sub(1), ..cursor };
        let at = match self.place {
            Place::Unknown => before,
            Place::Wanted(wanted)
                if wanted.epoch == cursor.epoch && before.offset <= wanted.offset =>
            {
                before
            }
            Place::Wanted(at) | Place::At(at) => at,
        };
        self.place = Place::At(at);
        let is_known = at.epoch == cursor.epoch && cursor.offset <= at.offset;
        if is_known {
            return;
        }
        self.hold(cursor, Recorded { offset: cursor.offset, origin, payload });
        if self.is_reading {
            return;
        }
        self.take_held();
        self.finish();
    }

    /// Something may be missing here.
    pub(crate) fn handle_doubt(&mut self) {
        self.is_in_doubt = true;
        self.finish();
    }

    /// The history was read.
    pub(crate) fn handle_stretch(&mut self, stretch: Stretch) {
        self.is_reading = false;
        let (Place::At(mut at) | Place::Wanted(mut at)) = self.place else { return };
        let (end, begun) = (stretch.end(), at);
        if !stretch.continues(at) {
            at = match at.epoch == end.epoch && at.offset > end.offset {
                // The backplane has forgotten what it had confirmed.
                true => end,
                false => Cursor { offset: stretch.first.saturating_sub(1), ..end },
            };
            self.outputs.push_back(Output::Gap(at));
        }
        self.place = Place::At(at);
        let before = at;
        for entry in stretch.entries {
            self.take(stretch.epoch, entry);
        }
        self.take_held();
        let Place::At(at) = self.place else { return };
        if at.epoch == end.epoch && at.offset < end.offset {
            if at == before && before.epoch == end.epoch && self.was_asked(stretch.first, at) {
                // It says that it has what it does not give.
                self.place = Place::At(end);
                self.outputs.push_back(Output::Gap(end));
                self.take_held();
            } else {
                self.is_in_doubt = true;
            }
        }
        self.judge_held(begun);
        self.finish();
    }

    /// The history could not be read; gives nothing to do until [`handle_tick`](Self::handle_tick).
    pub(crate) const fn handle_unread(&mut self) {
        self.is_reading = false;
        self.is_in_doubt = true;
    }

    /// It is time to try again what could not be done.
    pub(crate) fn handle_tick(&mut self) {
        self.finish();
    }

    /// What is to be done next.
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether a read that began behind this place should have brought what is next there.
    fn was_asked(&self, first: u64, at: Cursor) -> bool {
        !self.outputs.iter().any(|output| matches!(output, Output::Gap(_)))
            && first <= at.plus(1).offset
    }

    /// What no reading leads to is not in the history: it is not ours.
    fn judge_held(&mut self, begun: Cursor) {
        if self.held.is_empty() || self.place != Place::At(begun) {
            self.fruitless = 0;
            return;
        }
        self.fruitless += 1;
        if self.fruitless >= FRUITLESS_MAX {
            self.let_go();
            (self.fruitless, self.is_in_doubt) = (0, false);
        }
    }

    fn hold(&mut self, cursor: Cursor, message: Recorded) {
        if self.held_epoch != cursor.epoch {
            self.let_go();
            self.held_epoch = cursor.epoch;
        }
        if self.held.len() >= HELD_MAX || self.held_bytes + message.payload.len() > HELD_BYTES_MAX {
            // The history has all of it.
            self.let_go();
        }
        self.held_bytes += message.payload.len();
        if let Some(twice) = self.held.insert(cursor.offset, message) {
            self.held_bytes -= twice.payload.len();
        }
    }

    fn let_go(&mut self) {
        self.held = BTreeMap::new();
        self.held_bytes = 0;
    }

    /// Takes from what is held as far as there is no hole.
    fn take_held(&mut self) {
        let Place::At(mut at) = self.place else { return };
        if self.held.is_empty() || self.held_epoch != at.epoch {
            self.is_in_doubt |= !self.held.is_empty();
            return;
        }
        while let Some((offset, message)) = self.held.pop_first() {
            if offset > at.plus(1).offset {
                self.held.insert(offset, message);
                self.is_in_doubt = true;
                return;
            }
            self.held_bytes -= message.payload.len();
            self.take(at.epoch, message);
            at.offset = at.offset.max(offset);
        }
        self.let_go();
    }

    /// Takes a message if it is the next.
    fn take(&mut self, epoch: u64, Recorded { offset, origin, payload }: Recorded) {
        let Place::At(at) = self.place else { return };
        if at.epoch != epoch || offset != at.plus(1).offset {
            return;
        }
        let cursor = Cursor { epoch, offset };
        self.place = Place::At(cursor);
        if !self.is_new(origin) {
            self.passed = Some(cursor);
            return;
        }
        self.tell_passed();
        self.outputs.push_back(Output::Deliver(cursor, payload));
    }

    fn is_new(&mut self, Origin { member, sequence }: Origin) -> bool {
        let this = (member.incarnation, sequence);
        if self.delivered.len() >= NODES_MAX && !self.delivered.contains_key(&member.node) {
            let oldest = self.delivered.iter().min_by_key(|(_, last)| **last);
            let oldest = oldest.map(|(&node, _)| node);
            oldest.and_then(|node| self.delivered.remove(&node));
        }
        let last = self.delivered.entry(member.node).or_insert((Incarnation(0), 0));
        let is_new = this > *last;
        *last = this.max(*last);
        is_new
    }

    fn tell_passed(&mut self) {
        self.outputs.extend(self.passed.take().map(Output::Pass));
    }

    fn finish(&mut self) {
        self.tell_passed();
        let (Place::At(at) | Place::Wanted(at)) = self.place else { return };
        if self.is_in_doubt && !self.is_reading {
            (self.is_reading, self.is_in_doubt) = (true, false);
            self.outputs.push_back(Output::Read(at.offset));
        }
    }
}

/// Messages that are held while the history is read: some seconds of a busy channel.
const HELD_MAX: usize = 4096;

/// Their bytes.
const HELD_BYTES_MAX: usize = 8 << 20;

/// Readings after which what is held is given up: one may have been too early.
const FRUITLESS_MAX: u32 = 3;

/// Publishers whose last message is remembered.
const NODES_MAX: usize = 1024;

#[cfg(test)]
mod tests;
