//! What is written to one peer: an outbox's messages, with control frames put between its frames.
//!
//! Owns the writer's place in the outbox, how far a partly accepted write has come, and where the
//! next control frame goes. What has been written stays in the outbox until its owner releases it.

use serde::{Deserialize, Serialize};

use super::frame::{HEADER_MAX, Header};
use crate::session::outbox::Outbox;

/// The writer's place in an outbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Output {
    /// Position of the next byte to write.
    position: u64,
    /// Number of the message that byte belongs to.
    next: u64,
    /// Where that message begins, as far as it is kept: always a frame boundary.
    begin: u64,
    /// Whether some of that message has been written.
    begun: bool,
    /// Messages after this number wait.
    through: u64,
    /// Control frames that wait; there are none most of the time.
    control: Option<Box<Control>>,
    /// The Close that has been queued.
    ending: Option<Box<Ending>>,
}

/// How the stream ends.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Ending {
    /// With this Close frame, after all messages.
    After(Vec<u8>),
    /// With a Close frame among the control frames, at this position.
    At(u64),
}

/// Control frames in their place among the messages.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Control {
    /// They are written when the writer's position is this.
    at: u64,
    frames: Vec<u8>,
    sent: usize,
}

impl Output {
    /// A writer that begins with the oldest message of `outbox`.
    pub const fn new(outbox: &Outbox) -> Self {
        Self {
            position: outbox.start(),
            next: outbox.first(),
            begin: outbox.start(),
            begun: false,
            through: u64::MAX,
            ending: None,
            control: None,
        }
    }

    /// Number of the last message written to its end.
    pub const fn written(&self) -> u64 {
        self.next - 1
    }

    /// Whether part of a message has been written and its end has not.
    pub const fn is_mid_message(&self) -> bool {
        self.begun
    }

    /// Lets messages be written up to and including `number`; what has been begun is finished.
    pub fn hold_after(&mut self, number: u64, outbox: &Outbox) {
        let begun = if self.begun { self.next } else { self.written() };
        self.through = number.max(begun);
        let control_at = self.control.as_ref().map_or(0, |control| control.at);
        let mut end = self.end(outbox);
        while control_at > end && self.through < outbox.last() {
            self.through += 1;
            end += outbox.length(self.through).unwrap_or(0);
        }
    }

    /// Lets all messages be written.
    pub const fn resume(&mut self) {
        self.through = u64::MAX;
    }

    /// Number of the last complete message that may be written for now.
    pub fn reach(&self, outbox: &Outbox) -> u64 {
        outbox.last().min(self.through)
    }

    /// Whether all messages that may be written have been.
    pub fn is_held(&self) -> bool {
        self.through != u64::MAX && self.written() >= self.through
    }

    /// Memory held, in bytes.
    pub fn charged(&self) -> usize {
        let control = self.control.as_ref();
        control.map_or(0, |control| size_of::<Control>() + control.frames.capacity())
            + self.ending.as_ref().map_or(0, |ending| ending.charged())
    }

    /// Bytes of control frames that wait to be written.
    pub fn control_waiting(&self) -> usize {
        self.control.as_ref().map_or(0, |control| control.frames.len() - control.sent)
    }

    /// Whether there is nothing to write.
    pub fn is_idle(&self, outbox: &Outbox) -> bool {
        self.control.is_none() && self.last().is_none() && self.waiting(outbox) == 0
    }

    /// Bytes of messages that may be written and have not been.
    pub fn waiting(&self, outbox: &Outbox) -> u64 {
        self.end(outbox).saturating_sub(self.position)
    }

    /// Queues control frames at the next frame boundary; `write` appends them.
    pub fn push_control(&mut self, outbox: &Outbox, write: impl FnOnce(&mut Vec<u8>)) {
        if self.ends_at().is_some() {
            return;
        }
        let at = self.next_boundary(outbox);
        write(&mut self.control.get_or_insert_with(|| Control::boxed(at)).frames);
    }

    /// Where the frame ends that is being written; here, where none is.
    fn next_boundary(&self, outbox: &Outbox) -> u64 {
        let at = boundaries(outbox, self.begin).find(|at| *at >= self.position);
        at.unwrap_or(self.position)
    }

    /// Queues a Close frame at the next frame boundary; nothing is written after it.
    pub fn push_close(&mut self, outbox: &Outbox, write: impl FnOnce(&mut Vec<u8>)) {
        if self.ends_at().is_some() {
            return;
        }
        // What waits further ahead would hold up the Close, and means nothing after it.
        let at = self.next_boundary(outbox);
        self.control.take_if(|control| control.sent == 0 && control.at > at);
        self.push_control(outbox, write);
        self.ending = self.control.as_ref().map(|control| Box::new(Ending::At(control.at)));
    }

    /// Queues a Close frame after all messages that are complete; none may be added after it.
    pub fn push_last(&mut self, outbox: &Outbox, write: impl FnOnce(&mut Vec<u8>)) {
        if self.is_closed() {
            return;
        }
        let mut frame = Vec::new();
        write(&mut frame);
        self.ending = Some(Box::new(Ending::After(frame)));
        self.promote_last(outbox);
    }

    /// Whether a Close frame has been queued.
    pub const fn is_closed(&self) -> bool {
        self.ending.is_some()
    }

    /// Queues a control frame after the first message that ends `ahead` bytes or more from here,
    /// or after the last one; gives that message's number.
    ///
    /// `None`, and nothing queued, where other control frames wait or a message is unfinished.
    pub fn push_marker(
        &mut self,
        outbox: &Outbox,
        ahead: u64,
        write: impl FnOnce(u64, &mut Vec<u8>),
    ) -> Option<u64> {
        if self.control.is_some() || self.ends_at().is_some() {
            return None;
        }
        let (number, at) = self.message_end(outbox, ahead)?;
        write(number, &mut self.control.insert(Control::boxed(at)).frames);
        Some(number)
    }

    /// Lays the bytes to write next into `into`, in order; gives how many slices there are.
    pub fn slices<'a>(&'a self, outbox: &'a Outbox, into: &mut [&'a [u8]]) -> usize {
        let end = self.end(outbox);
        if self.position == end && self.control.is_none() {
            return 0;
        }
        let room = into.len();
        let mut count = 0;
        let mut push = |slice: &'a [u8]| {
            into[count] = slice;
            count += 1;
            count < room
        };
        let Some(control) = &self.control else {
            let _ = outbox.slices(self.position, end).all(push);
            return count;
        };
        let stop = control.at.min(end);
        let _ = outbox.slices(self.position, stop).all(&mut push)
            && stop == control.at
            && push(&control.frames[control.sent..])
            && outbox.slices(stop, end).all(push);
        count
    }

    /// Notes that the first `count` bytes of [`Output::slices`] were accepted.
    pub fn wrote(&mut self, outbox: &Outbox, mut count: usize) {
        while count > 0 {
            let part = match &mut self.control {
                Some(control) if control.at == self.position => {
                    let part = count.min(control.frames.len() - control.sent);
                    control.sent += part;
                    if control.sent == control.frames.len() {
                        self.control = None;
                    }
                    part
                }
                control => {
                    let stop = control.as_ref().map_or(u64::MAX, |control| control.at);
                    let part = (count as u64).min(stop - self.position);
                    self.position += part;
                    part as usize
                }
            };
            count -= part;
        }
        while let Some(length) = outbox.length(self.next)
            && self.position >= self.begin + length
        {
            self.begin += length;
            self.next += 1;
            self.begun = false;
        }
        self.begun |= self.position > self.begin;
        self.promote_last(outbox);
    }

    /// Releases what has been written of an exposed message, up to a frame boundary.
    pub fn release_exposed(&mut self, outbox: &mut Outbox) {
        let reached = boundaries(outbox, self.begin).take_while(|at| *at <= self.position).last();
        if let Some(reached) = reached {
            outbox.release_exposed(reached);
            self.begin = reached;
        }
    }

    fn promote_last(&mut self, outbox: &Outbox) {
        let due =
            self.last().is_some() && self.control.is_none() && self.position == self.end(outbox);
        if due && let Some(Ending::After(frame)) = self.ending.take().map(|ending| *ending) {
            self.control.insert(Control::boxed(self.position)).frames = frame;
            self.ending = Some(Box::new(Ending::At(self.position)));
        }
    }

    /// Where a Close frame ends the stream.
    fn ends_at(&self) -> Option<u64> {
        match self.ending.as_deref() {
            Some(Ending::At(position)) => Some(*position),
            _ => None,
        }
    }

    /// A Close to be written after all messages.
    fn last(&self) -> Option<&[u8]> {
        match self.ending.as_deref() {
            Some(Ending::After(frame)) => Some(frame),
            _ => None,
        }
    }

    /// Up to where may be written.
    fn end(&self, outbox: &Outbox) -> u64 {
        if let Some(end) = self.ends_at() {
            return end;
        }
        if self.through == u64::MAX || self.through > outbox.last() {
            return outbox.readable_end();
        }
        let lengths = (self.next..=self.through).filter_map(|number| outbox.length(number));
        self.begin + lengths.sum::<u64>()
    }

    fn message_end(&self, outbox: &Outbox, ahead: u64) -> Option<(u64, u64)> {
        let last = self.reach(outbox);
        if self.next > last {
            return (!self.begun).then_some((self.written(), self.position));
        }
        let (mut number, mut end) = (self.next, self.begin);
        loop {
            end += outbox.length(number)?;
            if number == last || end >= self.position + ahead {
                return Some((number, end));
            }
            number += 1;
        }
    }
}

impl Ending {
    fn charged(&self) -> usize {
        match self {
            Self::After(frame) => size_of::<Self>() + frame.capacity(),
            Self::At(_) => size_of::<Self>(),
        }
    }
}

impl Control {
    fn boxed(at: u64) -> Box<Self> {
        Box::new(Self { at, frames: Vec::new(), sent: 0 })
    }
}

/// The positions at which frames begin or end, from the boundary `from` on.
fn boundaries(outbox: &Outbox, from: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(from), |at| {
        let mut bytes = [0; HEADER_MAX];
        let peeked = outbox.peek(*at, &mut bytes);
        let (header, used) = Header::parse(&bytes[..peeked]).ok()??;
        Some(at + used as u64 + header.length)
    })
}

#[cfg(test)]
mod tests;
