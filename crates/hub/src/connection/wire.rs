//! The outgoing side of a connection: its socket, what waits for it, and what is due.

use std::{
    io::{self, IoSlice},
    sync::Arc,
};

use bytes::Bytes;
use everwire_backplane::Cursor;
use everwire_proto::{
    signalr::{message::HubMessage, negotiate::Transport},
    time::Time,
};
use tokio::net::tcp::OwnedWriteHalf;

use super::{
    Connection, Delivered,
    batch::Batch,
    kept::{Frozen, Kept},
};
use crate::{
    config::{HubConfig, SlowPolicy},
    end::End,
    frames::{Speech, encode},
    history::{
        follow::{Followed, Follows, Verdict},
        run::{Parcel, Run},
    },
    keepers::Keepers,
    outgoing::Outgoing,
    pulse::{Pulse, Watch},
};

/// The outgoing side of a connection.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) link: Link,
    /// How the client speaks; `None` before its handshake and from the farewell on, when it is
    /// sent nothing that is not its own.
    pub(crate) speech: Option<Speech>,
    pub(crate) outgoing: Outgoing,
    pub(crate) pulse: Pulse,
    asked: Option<End>,
    /// Whether the last has been said.
    closed: bool,
    /// What outlives the socket, once both ends have agreed that the session does.
    kept: Option<Box<Kept>>,
    /// What was sent of channels with a history.
    pub(crate) follows: Option<Box<Follows>>,
    /// Whether the client wants nothing of such a channel before it has recovered it.
    pub(crate) recovers_first: bool,
}

/// A session that stands still.
#[derive(Debug)]
pub(crate) struct Still {
    pub(crate) kept: Frozen,
    /// What it was sent of channels with a history.
    pub(crate) follows: Vec<Followed>,
}

/// A frame of a client's own.
#[derive(Debug, Clone)]
pub(crate) enum Own {
    /// A message that both ends count, with stateful reconnect.
    Counted(Bytes),
    /// What belongs to this socket alone.
    Passing(Bytes),
}

/// Who takes what is sent.
#[derive(Debug)]
pub(crate) enum Link {
    /// A plain socket, which whoever has something writes to.
    Tcp(OwnedWriteHalf),
    /// A stream or a request that comes for what waits.
    Carried,
    /// Nobody any more: the client has been told so, and is only waited for.
    HungUp,
    /// Nobody, until the client comes back with another socket.
    Away,
    /// Nobody.
    Gone,
}

impl Wire {
    pub(crate) const fn new(link: Link, outgoing: Outgoing, now: Time) -> Self {
        Self {
            link,
            speech: None,
            outgoing,
            pulse: Pulse::new(now),
            asked: None,
            closed: false,
            kept: None,
            follows: None,
            recovers_first: false,
        }
    }

    /// The side of a session that another node had, and that waits for its client.
    pub(crate) fn restored(speech: Speech, kept: Kept, now: Time) -> Self {
        let mut wire = Self::new(Link::Away, Outgoing::default(), now);
        wire.speech = Some(speech);
        wire.kept = Some(Box::new(kept));
        wire.pulse.watch(Watch::Nothing, now);
        wire.pulse.left_alone(now);
        wire
    }

    /// Numbers nothing any more; gives what the session is to go on with elsewhere, if it can.
    pub(crate) fn freeze(&mut self) -> Option<Still> {
        if !self.is_resumable() || self.is_asked() {
            return None;
        }
        let follows = match &self.follows {
            Some(follows) => follows.still()?,
            None => Vec::new(),
        };
        self.kept.as_mut().map(|kept| Still { kept: kept.freeze(), follows })
    }

    /// Goes on with what another node sent of channels with a history; gives those of which something
    /// is missing, because what comes next here `is_next` for the others alone.
    pub(crate) fn arrive(
        &mut self,
        all: Vec<Followed>,
        is_next: impl Fn(&Followed) -> bool,
    ) -> Vec<Followed> {
        if all.is_empty() {
            return all;
        }
        let follows = self.follows.get_or_insert_default();
        let (even, missing): (Vec<_>, Vec<_>) = all.into_iter().partition(is_next);
        even.into_iter().for_each(|followed| follows.arrive(followed, true));
        missing.iter().for_each(|followed| follows.arrive(followed.clone(), false));
        missing
    }

    /// Whether the session is about to move.
    pub(crate) fn is_frozen(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.is_frozen())
    }

    /// Writes a batch, or queues what the socket does not take.
    pub(crate) fn deliver(
        &mut self,
        batch: &mut Batch<'_>,
        now: Time,
        config: &HubConfig,
    ) -> Delivered {
        let Some(speech) = self.speech else { return Delivered::default() };
        let messages = batch.messages().len() as u64;
        if !self.keep(batch, speech) {
            return Delivered::default();
        }
        if self.is_frozen() {
            return Delivered { messages, queued: messages, dropped: 0 };
        }
        let mut written = 0;
        if self.outgoing.is_empty()
            && let Link::Tcp(socket) = &self.link
        {
            let run = batch.run(speech.protocol);
            match run.write(socket) {
                Ok(count) if count == run.length => {
                    self.pulse.sent(now, false);
                    return Delivered { messages, ..Delivered::default() };
                }
                Ok(count) => written = count,
                Err(_) => {
                    self.ask(End::Vanished);
                    return Delivered::default();
                }
            }
        }
        match self.link {
            Link::Away => Delivered { messages, queued: messages, dropped: 0 },
            _ => self.queue(batch, speech, written, now, config),
        }
    }

    /// Writes messages of a channel with a history as far as they are new to the client; gives whether
    /// it was told of a gap before them, too.
    pub(crate) fn deliver_run(
        &mut self,
        run: &mut Run<'_>,
        now: Time,
        config: &HubConfig,
    ) -> (Delivered, bool) {
        let (nothing, mut is_gap) = (Delivered::default(), false);
        if self.speech.is_none() {
            return (nothing, false);
        }
        let (first, messages, waits) = (run.first, run.batch.messages(), self.recovers_first);
        let follows = self.follows.get_or_insert_default();
        let skipped = match follows.handle_messages(run.scope, first, messages, waits) {
            Verdict::Plain(0) => return (self.deliver(&mut run.batch, now, config), false),
            Verdict::Plain(skipped) => {
                let mut new = Batch::new(messages.get(skipped..).unwrap_or_default());
                return (self.deliver(&mut new, now, config), false);
            }
            Verdict::Nothing => return (nothing, false),
            Verdict::WithCursor(skipped) => skipped,
            Verdict::BehindGap => {
                let before = Cursor { offset: first.offset.saturating_sub(1), ..first };
                is_gap = self.push_parcel(&Parcel::gap(run.scope, before), config.queue_max);
                0
            }
        };
        let Some(parcel) = run.parcel(skipped) else { return (nothing, is_gap) };
        let count = (messages.len() - skipped) as u64;
        // A client that follows relies on its cursor: it may be cut off, but nothing is left out.
        if !self.push_parcel(&parcel, config.queue_max) {
            return (nothing, is_gap);
        }
        let queued = if self.write(now) { 0 } else { count };
        (Delivered { messages: count, queued, dropped: 0 }, is_gap)
    }

    /// Adds messages that go together; `false` if as much waits as may.
    pub(crate) fn push_parcel(&mut self, parcel: &Parcel, bytes_max: usize) -> bool {
        let Some(speech) = self.speech.filter(|_| !self.closed) else { return true };
        let Some(whole) = parcel.whole.bytes(speech) else { return true };
        let (mut is_over, mut is_frozen) = (false, false);
        if let Some(kept) = &mut self.kept {
            let parts = parcel.parts.iter().filter_map(|part| part.bytes(speech));
            parts.for_each(|part| kept.keep(part.clone()));
            (is_over, is_frozen) = (kept.is_over(), kept.is_frozen());
        } else if !self.outgoing.is_empty() && self.outgoing.bytes() + whole.len() > bytes_max {
            is_over = true;
        }
        if is_over {
            self.ask(End::Slow);
        } else if !matches!(self.link, Link::Away) && !is_frozen {
            self.outgoing.push_own(whole.clone());
        }
        !is_over
    }

    /// Keeps what the session is to outlive its socket with; `false` if that is too much.
    fn keep(&mut self, batch: &Batch<'_>, speech: Speech) -> bool {
        let Some(kept) = &mut self.kept else { return true };
        let frames = batch.messages().iter().filter_map(|message| message.bytes(speech));
        frames.for_each(|frame| kept.keep(frame.clone()));
        let is_over = kept.is_over();
        if is_over {
            self.ask(End::Slow);
        }
        !is_over
    }

    /// Queues a batch but for the bytes of it that are `written`.
    fn queue(
        &mut self,
        batch: &Batch<'_>,
        speech: Speech,
        mut written: usize,
        now: Time,
        config: &HubConfig,
    ) -> Delivered {
        let mut delivered = Delivered::default();
        // What is counted must not be left out: the limit of what is kept is the limit.
        let (policy, bytes_max) = match &self.kept {
            Some(kept) if !kept.is_given_up() => (SlowPolicy::Close, usize::MAX),
            _ => (config.slow, config.queue_max),
        };
        for message in batch.messages() {
            let Some(frame) = message.bytes(speech) else { continue };
            delivered.messages += 1;
            if written >= frame.len() {
                written -= frame.len();
                continue;
            }
            if written > 0 {
                self.outgoing.push_rest(frame.clone(), std::mem::take(&mut written));
            } else {
                let key = message.key();
                match self.outgoing.push_shared(frame, key, policy, bytes_max) {
                    Ok(dropped) => delivered.dropped += dropped as u64,
                    Err(_) => {
                        self.ask(End::Slow);
                        break;
                    }
                }
            }
            delivered.queued += 1;
        }
        if delivered.dropped > 0 {
            self.follows.iter_mut().for_each(|follows| follows.handle_dropped());
        }
        self.pulse.waits(now);
        delivered
    }

    /// Adds a frame of the client's own, unless the last has been said.
    pub(crate) fn push_own(&mut self, own: Own) {
        if self.closed {
            return;
        }
        let frame = match (own, &mut self.kept) {
            (Own::Counted(frame), Some(kept)) => {
                kept.keep(frame.clone());
                let is_frozen = kept.is_frozen();
                if kept.is_over() {
                    self.ask(End::Slow);
                }
                if is_frozen {
                    return;
                }
                frame
            }
            (Own::Counted(frame) | Own::Passing(frame), _) => frame,
        };
        if !matches!(self.link, Link::Away) {
            self.outgoing.push_own(frame);
        }
    }

    /// Whether what the client has acknowledged leaves room for further answers.
    pub(crate) fn is_acknowledged(&self, config: &HubConfig) -> bool {
        self.kept.as_ref().is_none_or(|kept| kept.has_room(config.stateful_max))
    }

    /// The session is to outlive this socket.
    pub(crate) fn begin_keeping(&mut self, config: &HubConfig, keepers: &Arc<Keepers>) {
        let bytes_max = config.stateful_max + config.queue_max;
        self.kept = Some(Box::new(Kept::new(bytes_max, Arc::clone(keepers))));
    }

    /// All sessions, if this one keeps something and all together more than they may.
    pub(crate) fn crowd(&self) -> Option<Arc<Keepers>> {
        self.kept.as_ref()?.crowd()
    }

    /// Keeps nothing any more: the session ends with its socket, or now if it has none. Gives
    /// whether there was one to give up.
    pub(crate) fn give_up(&mut self) -> bool {
        let Some(kept) = self.kept.as_mut().filter(|kept| !kept.is_given_up()) else {
            return false;
        };
        kept.give_up();
        if self.is_away() {
            self.ask(End::Vanished);
        }
        true
    }

    pub(crate) fn kept(&mut self) -> Option<&mut Kept> {
        self.kept.as_deref_mut()
    }

    /// Whether the client may come back with another socket.
    pub(crate) fn is_resumable(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| !kept.is_given_up()) && !self.closed
    }

    /// Whether it is expected to.
    pub(crate) const fn is_away(&self) -> bool {
        matches!(self.link, Link::Away)
    }

    /// The socket is lost, and its client may come back.
    pub(crate) fn suspend(&mut self, now: Time, connection: &Arc<Connection>) {
        if let Some(kept) = &mut self.kept {
            kept.wait(Arc::downgrade(connection));
        }
        self.link = Link::Away;
        self.outgoing.clear();
        self.asked = None;
        self.pulse.watch(Watch::Nothing, now);
        self.pulse.left_alone(now);
    }

    /// The client is back: it is told what it may have missed.
    pub(crate) fn resume(&mut self, link: Link, head: Bytes, now: Time) {
        self.link = link;
        self.outgoing.clear();
        self.asked = None;
        self.pulse.visited();
        self.pulse.watch(Watch::Nothing, now);
        if !head.is_empty() {
            self.outgoing.push_own(head);
        }
        let (Some(kept), Some(speech)) = (&mut self.kept, self.speech) else { return };
        let (sequence, frames) = kept.resume();
        // A sequence always has an encoding.
        encode(&sequence, speech).into_iter().for_each(|frame| self.outgoing.push_own(frame));
        frames.for_each(|frame| self.outgoing.push_own(frame.clone()));
    }

    /// Tells the client what it need not keep any longer.
    pub(crate) fn acknowledge(&mut self, now: Time) {
        let (Some(kept), Some(speech)) = (&mut self.kept, self.speech) else { return };
        if matches!(self.link, Link::Away) {
            return;
        }
        if let Some(Ok(frame)) = kept.acknowledge().map(|ack| encode(&ack, speech)) {
            self.push_own(Own::Passing(frame));
            self.write(now);
        }
    }

    /// Nothing is said after what waits already.
    pub(crate) const fn close(&mut self, now: Time) {
        self.closed = true;
        self.pulse.watch(Watch::Farewell, now);
    }

    /// Whether the last has been said.
    pub(crate) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Writes what waits; gives whether nothing waits any more, or nobody takes it.
    pub(crate) fn write(&mut self, now: Time) -> bool {
        while !self.outgoing.is_empty() {
            let Link::Tcp(socket) = &self.link else { return false };
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = self.outgoing.slices(&mut slices);
            match socket.try_write_vectored(&slices[..count]) {
                Ok(count) => {
                    self.outgoing.wrote(count);
                    self.pulse.sent(now, !self.outgoing.is_empty());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.pulse.waits(now);
                    return false;
                }
                Err(_) => {
                    self.ask(End::Vanished);
                    return false;
                }
            }
        }
        true
    }

    /// Shows the client that we are there. Polls are answered often enough without.
    pub(crate) fn ping(&mut self, now: Time, transport: Transport) {
        if transport == Transport::LongPolling {
            return;
        }
        // A ping always has an encoding.
        if let Some(Ok(frame)) = self.speech.map(|speech| encode(&HubMessage::Ping, speech)) {
            self.push_own(Own::Passing(frame));
            self.write(now);
        }
    }

    /// Begins to speak as the client does; `answer` is what it is told first.
    pub(crate) fn open(&mut self, speech: Speech, answer: Bytes, now: Time) {
        self.push_own(Own::Passing(answer));
        self.speech = Some(speech);
        self.pulse.watch(Watch::Nothing, now);
    }

    /// Has the connection end; the first to ask says why.
    pub(crate) fn ask(&mut self, end: End) {
        self.asked.get_or_insert(end);
    }

    pub(crate) const fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    pub(crate) const fn take_asked(&mut self) -> Option<End> {
        self.asked.take()
    }

    /// Nothing is sent any more.
    pub(crate) fn retire(&mut self) {
        self.link = Link::Gone;
        self.speech = None;
        self.closed = true;
        self.kept = None;
        self.follows = None;
        self.outgoing.clear();
    }
}

/// Slices of one write of what was queued: as many as fit the stack without thought.
const SLICES_MAX: usize = 32;
