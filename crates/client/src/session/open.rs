//! An open session: what was said and heard last, and what comes in, one message at a time.

use std::time::Duration;

use bytes::Bytes;
use everwire_proto::{
    signalr::{
        Reader,
        message::{
            Close, Completion, HubMessage, Invocation, InvocationId, Outcome, SequenceId,
            StreamItem,
        },
        payload::Payload,
    },
    time::Time,
};

use super::{Blocker, CallId, SessionConfig, Upkeep, replay::Replay};
use crate::error::Loss;

/// A session whose handshake is done.
#[derive(Debug)]
pub(super) struct Open {
    reader: Reader,
    /// What has come and is not looked at yet, from `looked_at` on.
    input: Vec<u8>,
    looked_at: usize,
    /// When something came last, or could be read again.
    heard: Time,
    /// When something was said last.
    spoken: Time,
    upkeep: Upkeep,
    /// What is said again on another socket, if the server keeps the session.
    replay: Option<Replay>,
    /// Whether this socket has brought anything. One that has not is not replaced by a third.
    is_proved: bool,
    blocked: Option<(Blocker, Time)>,
}

/// What a session above the counting has to know of.
#[derive(Debug)]
pub(super) enum Heard {
    Invocation(Invocation),
    Item(CallId, Payload),
    Completion(CallId, Outcome),
    Close(Close),
}

impl Open {
    /// A session that begins; `ahead` came behind the server's handshake.
    pub(super) fn new(config: &SessionConfig, now: Time, upkeep: Upkeep, ahead: Vec<u8>) -> Self {
        Self {
            reader: Reader::new(config.protocol, config.message_max),
            input: ahead,
            looked_at: 0,
            heard: now,
            spoken: now,
            upkeep,
            replay: (upkeep == Upkeep::Kept).then(Replay::default),
            is_proved: true,
            blocked: None,
        }
    }

    /// Another socket continues the session; gives what is said on it first. What came on the old
    /// one and was not looked at is dropped, for it is not counted and comes again.
    pub(super) fn resume(&mut self, config: &SessionConfig, now: Time) -> Vec<Bytes> {
        let protocol = config.protocol;
        self.reader = Reader::new(protocol, config.message_max);
        self.input = Vec::new();
        self.looked_at = 0;
        (self.heard, self.spoken) = (now, now);
        self.is_proved = false;
        self.replay.as_mut().map(|replay| replay.resume(now, protocol)).unwrap_or_default()
    }

    pub(super) const fn is_resumable(&self) -> bool {
        self.replay.is_some() && self.is_proved
    }

    pub(super) const fn wants_data(&self) -> bool {
        self.blocked.is_none()
    }

    pub(super) const fn heard(&self) -> Time {
        self.heard
    }

    pub(super) fn handle_data(&mut self, now: Time, bytes: Vec<u8>) {
        self.heard = now;
        if self.input.is_empty() {
            self.input = bytes;
        } else {
            self.input.extend_from_slice(&bytes);
        }
    }

    pub(super) const fn handle_spoken(&mut self, now: Time) {
        self.spoken = now;
    }

    pub(super) fn handle_blocked(&mut self, now: Time, by: Blocker) {
        if self.blocked.is_none_or(|(blocker, _)| blocker != by) {
            self.blocked = Some((by, now));
        }
    }

    /// What was not read meanwhile is not the server's silence.
    pub(super) const fn handle_unblocked(&mut self, now: Time) {
        if self.blocked.take().is_some() {
            self.heard = now;
        }
    }

    /// The next message that matters above.
    pub(super) fn next(&mut self) -> Result<Option<Heard>, Loss> {
        if self.blocked.is_some() {
            return Ok(None);
        }
        loop {
            let mut rest = &self.input[self.looked_at..];
            let before = rest.len();
            let next = self.reader.next(&mut rest).map_err(Loss::Read)?;
            let used = before - rest.len();
            self.looked_at += used;
            let Some(message) = next else {
                self.input = Vec::new();
                self.looked_at = 0;
                return Ok(None);
            };
            self.is_proved = true;
            let is_new = match &mut self.replay {
                Some(replay) => replay.judge(self.heard, &message, used)?,
                None => true,
            };
            if let Some(heard) = heard(message).filter(|_| is_new) {
                return Ok(Some(heard));
            }
        }
    }

    /// Keeps what is said until the server acknowledges it, if it does.
    pub(super) fn keep(&mut self, message: &Bytes) {
        if let Some(replay) = &mut self.replay {
            replay.keep(message);
        }
    }

    /// What is to be acknowledged by now.
    pub(super) fn acknowledge(&mut self, now: Time) -> Option<SequenceId> {
        self.replay.as_mut()?.acknowledge(now)
    }

    pub(super) fn poll_timeout(&self, config: &SessionConfig) -> Option<Time> {
        let is_watched = self.upkeep != Upkeep::Polled;
        let quiet = is_watched.then(|| self.spoken + config.keep_alive);
        let waited_for = match self.blocked {
            Some((_, since)) => Some(since + config.server_timeout),
            None => is_watched.then(|| self.heard + config.server_timeout),
        };
        let acknowledge = self.replay.as_ref().and_then(Replay::poll_timeout);
        [quiet, waited_for, acknowledge].into_iter().flatten().min()
    }

    /// Who has held up reading for too long.
    pub(super) fn overdue_blocker(&self, now: Time, limit: Duration) -> Option<Blocker> {
        let (blocker, since) = self.blocked?;
        (since + limit <= now).then_some(blocker)
    }

    pub(super) fn is_silent(&self, now: Time, limit: Duration) -> bool {
        self.upkeep != Upkeep::Polled && self.blocked.is_none() && self.heard + limit <= now
    }

    pub(super) fn is_quiet(&self, now: Time, limit: Duration) -> bool {
        self.upkeep != Upkeep::Polled && self.spoken + limit <= now
    }

    /// Whether there is room for what the application says. While handlers hold up reading there is
    /// more of it: they may be waiting for just this room, and the acknowledgement that would make
    /// it may lie behind what they hold up.
    pub(super) fn takes_calls(&self, queued: usize) -> bool {
        if matches!(self.blocked, Some((Blocker::Handlers, _))) {
            return self.takes_answers(queued);
        }
        let is_full = self.replay.as_ref().is_some_and(Replay::is_full);
        queued < QUEUE_MAX && !is_full
    }

    /// Whether there is room for what handlers answer.
    pub(super) fn takes_answers(&self, queued: usize) -> bool {
        let is_overfull = self.replay.as_ref().is_some_and(Replay::is_overfull);
        queued < QUEUE_MAX * OVERFULL && !is_overfull
    }
}

/// What a message says to those above; nothing where it is for the machinery, or of nobody's call.
fn heard(message: HubMessage) -> Option<Heard> {
    match message {
        HubMessage::Invocation(invocation) => Some(Heard::Invocation(invocation)),
        HubMessage::StreamItem(StreamItem { id, item, .. }) => Some(Heard::Item(call(&id)?, item)),
        HubMessage::Completion(Completion { id, outcome, .. }) => {
            Some(Heard::Completion(call(&id)?, outcome))
        }
        HubMessage::Close(close) => Some(Heard::Close(close)),
        HubMessage::StreamInvocation(_)
        | HubMessage::CancelInvocation(_)
        | HubMessage::Ping
        | HubMessage::Ack(_)
        | HubMessage::Sequence(_) => None,
    }
}

fn call(id: &InvocationId) -> Option<CallId> {
    id.as_str().parse().ok().map(CallId)
}

/// Bytes that wait to be written at which callers wait, as many as a socket writes at once.
const QUEUE_MAX: usize = 64 * 1024;
/// So many times what callers wait at is the most that is ever kept.
pub(super) const OVERFULL: usize = 4;
