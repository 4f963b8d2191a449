//! Client to backend: messages are numbered, written to the leg, and kept until confirmed.
//!
//! What confirms depends on the leg: the Pong of a marker, a number that a cooperating backend
//! acknowledges, or nothing but having been written.

use std::{collections::VecDeque, num::NonZeroU64, time::Duration};

use serde::{Deserialize, Serialize};

use everwire_proto::{
    session::outbox::Outbox,
    time::Time,
    ws::{
        frame::{Opcode, write_frame},
        intake::{Event, Intake, Limits, Sender},
        output::Output,
    },
};

use super::{control::Masks, prelude::Prelude, strikes::Strikes};

/// What makes a message on this leg confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Trust {
    /// The kernel has taken it: at-most-once, or a stack that answers no Ping.
    Written,
    /// The backend has answered a Ping that was written after it.
    Markers,
    /// The backend has named its number.
    Acks,
}

/// The way from the client to the backend.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Uplink {
    pub(super) intake: Intake,
    pub(super) outbox: Outbox,
    pub(super) output: Output,
    pub(super) trust: Trust,
    /// Whether the latest marker waits for its Pong.
    pub(super) marker_waits: bool,
    pub(super) strikes: Strikes,
    pub(super) prelude: Option<Box<Prelude>>,
    pub(super) masks: Masks,
    /// The message that the latest marker of this leg names: a marker is a Ping that names the last
    /// message written before it.
    marked: u64,
    marked_at: Time,
    /// Bytes written since the last marker.
    unmarked: u64,
    /// Number up to which everything is confirmed, on whatever leg.
    confirmed: u64,
    /// Confirmed messages that are kept a while.
    lingering: Option<Box<Lingering>>,
    /// Number of the last message ever written to its end.
    written_max: u64,
    /// A message that streams through, or has and is not confirmed: it cannot be sent again.
    streamed: Option<NonZeroU64>,
}

/// Confirmed messages that are kept a while: until when, and up to which number.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Lingering(VecDeque<(Time, u64)>);

/// The backend claims messages that it cannot have, or lacks some that are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OutOfStep;

impl Uplink {
    pub(super) fn new(deflate: bool, first: u32, seed: u64) -> Self {
        let outbox = Outbox::default();
        Self {
            intake: Intake::new(Sender::Client, deflate),
            output: Output::new(&outbox),
            outbox,
            trust: Trust::Written,
            marker_waits: false,
            strikes: Strikes::default(),
            prelude: (first > 0).then(|| Box::new(Prelude::new(first))),
            masks: Masks::new(seed),
            marked: 0,
            marked_at: Time::default(),
            unmarked: 0,
            confirmed: 0,
            lingering: None,
            written_max: 0,
            streamed: None,
        }
    }

    /// Memory held for messages, in bytes.
    pub(super) fn charged(&self) -> usize {
        self.waiting() + self.prelude.as_ref().map_or(0, |prelude| prelude.charged())
    }

    /// Memory held for messages that will go, in bytes: what is kept for life fills no buffer.
    pub(super) fn waiting(&self) -> usize {
        self.outbox.charged()
            + self.intake.charged()
            + self.output.charged()
            + self.lingering.as_ref().map_or(0, |lingering| lingering.charged())
    }

    /// Whether no more may be taken from the client for now.
    ///
    /// A message that is held whole is always read to its end: it is small against the buffer,
    /// and nothing of it can go before it is complete.
    pub(super) fn is_full(&self, buffer_max: usize) -> bool {
        let last_held = self.outbox.is_empty() && !self.intake.is_mid_runs();
        !last_held && self.waiting() >= buffer_max
    }

    /// Reads on from what the client sent.
    pub(super) fn next(
        &mut self,
        input: &mut &[u8],
        limits: &Limits,
    ) -> Result<Option<Event>, everwire_proto::ws::frame::Violation> {
        let number = self.outbox.last() + 1;
        let Some(prelude) = self.prelude.as_mut().filter(|prelude| prelude.wants(number)) else {
            return self.intake.next(input, &mut self.outbox, limits);
        };
        let message_max = limits.message_max.min(prelude.room());
        let event =
            self.intake.next(input, &mut self.outbox, &Limits { message_max, ..*limits })?;
        if event == Some(Event::Message) {
            prelude.keep(&self.outbox, self.streamed == NonZeroU64::new(number))?;
        }
        Ok(event)
    }

    /// Drops a message that will never be complete.
    pub(super) fn abandon_open(&mut self) {
        if !self.outbox.is_exposed() {
            self.outbox.abort();
        }
    }

    /// A leg has begun. `received` is what a cooperating backend says it has.
    pub(super) fn begin_leg(
        &mut self,
        now: Time,
        trust: Trust,
        received: Option<u64>,
    ) -> Result<(), OutOfStep> {
        self.marker_waits = false;
        self.output = Output::new(&self.outbox);
        if let Some(received) = received {
            if received > self.written_max || received + 1 < self.outbox.first() {
                return Err(OutOfStep);
            }
            self.confirm(now, received, Duration::ZERO);
        }
        self.trust = trust;
        self.output = Output::new(&self.outbox);
        self.marked = self.outbox.first() - 1;
        self.marked_at = Time::default();
        self.unmarked = 0;
        Ok(())
    }

    /// The leg has ended; gives whether a message was cut that cannot be sent again.
    pub(super) fn end_leg(&mut self, struck: bool) -> bool {
        self.marker_waits = false;
        if struck {
            self.strikes.strike(self.outbox.first().max(self.confirmed + 1), self.output.written());
        }
        let begun = self.output.written() + u64::from(self.output.is_mid_message());
        self.streamed.is_some_and(|number| number.get() <= begun)
    }

    /// Complete messages that the next leg gets although an earlier one was sent them.
    pub(super) const fn written_again(&self) -> u64 {
        (self.written_max + 1).saturating_sub(self.outbox.first())
    }

    /// Number up to which everything is confirmed.
    pub(super) fn confirmed(&self) -> u64 {
        match self.trust {
            Trust::Written => self.confirmed.max(self.output.written()),
            Trust::Markers | Trust::Acks => self.confirmed,
        }
    }

    /// Whether every complete message is confirmed.
    pub(super) fn is_all_confirmed(&self) -> bool {
        self.confirmed() >= self.outbox.last()
    }

    /// Whether everything written to this leg is confirmed.
    pub(super) fn is_written_confirmed(&self) -> bool {
        self.confirmed() >= self.output.written() && !self.output.is_mid_message()
    }

    /// The oldest message that is not confirmed.
    pub(super) fn oldest_unconfirmed(&self) -> u64 {
        self.confirmed + 1
    }

    /// Messages up to `number` are confirmed; they stay for `linger` still.
    pub(super) fn confirm(&mut self, now: Time, number: u64, linger: Duration) {
        if number <= self.confirmed {
            return;
        }
        self.confirmed = number;
        self.strikes.absolve(number);
        if self.streamed.is_some_and(|streamed| streamed.get() <= number) {
            self.streamed = None;
        }
        if linger.is_zero() {
            self.outbox.release_through(number);
            return;
        }
        let Lingering(kept) = &mut **self.lingering.get_or_insert_default();
        match kept.back_mut() {
            // Close together they go together: the list stays short however many confirmations.
            Some((until, last)) if *until >= now + linger * 7 / 8 => *last = number,
            _ => kept.push_back((now + linger, number)),
        }
    }

    /// When the next message has lingered long enough.
    ///
    /// What this leg gets again stays until it has been written.
    pub(super) fn lingers_until(&self) -> Option<Time> {
        let (until, number) = self.lingering.as_ref()?.0.front()?;
        (*number <= self.output.written()).then_some(*until)
    }

    /// Releases what has lingered long enough.
    pub(super) fn release_lingering(&mut self, now: Time) {
        while self.lingers_until().is_some_and(|until| until <= now)
            && let Some((_, number)) = self.lingering.as_mut().and_then(|kept| kept.0.pop_front())
        {
            self.outbox.release_through(number);
        }
        self.lingering.take_if(|kept| kept.0.is_empty());
    }

    /// A Pong came with this payload; gives the number that it confirms, if it answers the marker.
    pub(super) fn take_marker(&mut self, payload: &[u8]) -> Option<u64> {
        // A Pong that comes before its Ping was written is made up.
        let answered = self.marker_waits
            && payload == self.marked.to_be_bytes()
            && self.marked <= self.output.written();
        self.marker_waits &= !answered;
        answered.then_some(self.marked)
    }

    /// When the marker was sent that waits for its Pong.
    pub(super) fn marker_sent(&self) -> Option<Time> {
        self.marker_waits.then_some(self.marked_at)
    }

    /// Lets the open message stream through where it alone fills the buffer.
    pub(super) fn expose_if_full(&mut self, buffer_max: usize) {
        if self.intake.is_mid_runs()
            && !self.outbox.is_exposed()
            && self.outbox.is_empty()
            && self.waiting() >= buffer_max
        {
            self.streamed = NonZeroU64::new(self.outbox.last() + 1);
            self.outbox.expose();
        }
    }

    /// When a marker is due, if one is wanted and none waits for its Pong.
    ///
    /// One goes along with data that is about to be written a little before it would have to go
    /// alone: two writes become one.
    pub(super) fn marker_due(&self, urgent: bool) -> Option<Time> {
        if self.trust != Trust::Markers
            || self.marker_waits
            || self.output.reach(&self.outbox) <= self.marked.max(self.confirmed)
            || self.output.control_waiting() > 0
            || self.output.is_closed()
        {
            return None;
        }
        if urgent || self.unmarked >= MARKER_BYTES {
            return Some(self.marked_at);
        }
        let with_data = self.output.waiting(&self.outbox) > 0;
        Some(self.marked_at + if with_data { MARKER_WITH_DATA } else { MARKER_EVERY })
    }

    /// Puts a marker among what is written next, if there is a place for one.
    pub(super) fn mark(&mut self, now: Time) {
        let Self { masks, output, outbox, .. } = self;
        let number = output.push_marker(outbox, MARKER_BYTES, |number, to| {
            write_frame(to, Opcode::Ping, Some(masks.next()), &number.to_be_bytes());
        });
        if let Some(number) = number {
            self.marked = number;
            self.marked_at = now;
            self.unmarked = 0;
            self.marker_waits = true;
        }
    }

    /// The leg took `count` bytes.
    pub(super) fn wrote(&mut self, count: usize) {
        self.unmarked += count as u64;
        self.output.wrote(&self.outbox, count);
        self.written_max = self.written_max.max(self.output.written());
        if self.outbox.is_exposed() && self.outbox.is_empty() {
            self.output.release_exposed(&mut self.outbox);
        }
        if self.trust == Trust::Written {
            let written = self.output.written();
            self.confirm(Time::default(), written, Duration::ZERO);
        }
    }
}

impl Lingering {
    fn charged(&self) -> usize {
        size_of::<Self>() + self.0.capacity() * size_of::<(Time, u64)>()
    }
}

/// A marker goes after so many bytes at the latest.
const MARKER_BYTES: u64 = 64 * 1024;
/// A marker goes after this time at the latest.
const MARKER_EVERY: Duration = Duration::from_millis(50);
/// A marker goes along with data from this time on.
const MARKER_WITH_DATA: Duration = Duration::from_millis(40);
