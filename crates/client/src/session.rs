//! The state of one client: when to connect, what to say, what was said, when to give up. No IO, no
//! clock.
//!
//! The caller tells what happened (`handle_*`), then asks until nothing changes: what to deliver
//! ([`Session::poll_event`]), what to write ([`Session::poll_output`]), what to do with the socket
//! ([`Session::wish`]), and when to come back ([`Session::poll_timeout`]).
//!
//! The story. A session dials, says its handshake and is open. A socket that is lost is replaced: at
//! once and once where the server keeps the session (`Resuming`), and then nothing has happened as
//! far as anybody above can see; otherwise after the waits of the policy, and then calls in flight
//! have failed and the server knows the client under another id.

mod losing;
mod open;
mod phase;
mod replay;
#[cfg(test)]
mod tests;
mod words;

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use everwire_proto::{
    signalr::{
        Protocol, TransferFormat,
        handshake::{HandshakeReader, HandshakeRequest, Spoken},
        message::{CancelInvocation, Close, Headers, HubMessage},
    },
    time::Time,
};
use rand::{SeedableRng, rngs::SmallRng};

use crate::{
    error::{CloseReason, ConnectError, Loss, SendError},
    reconnect::ReconnectPolicy,
    state::State,
};
use open::{Heard, Open};
use phase::{Link, Phase};
pub(crate) use phase::{Linked, Upkeep, Wish};
pub(crate) use words::{Blocker, CallId, CallKind, Epoch, Event, Output};

/// What a session goes by.
#[derive(Debug, Clone)]
pub(crate) struct SessionConfig {
    pub(crate) protocol: Protocol,
    pub(crate) reconnect: ReconnectPolicy,
    /// How long a connection may take to be dialled, and as long again its handshake.
    pub(crate) connect_timeout: Duration,
    pub(crate) server_timeout: Duration,
    pub(crate) keep_alive: Duration,
    pub(crate) message_max: usize,
    pub(crate) calls_max: usize,
}

/// One client of one hub.
#[derive(Debug)]
pub(crate) struct Session {
    config: SessionConfig,
    phase: Phase,
    epoch: u64,
    calls: HashMap<CallId, CallKind>,
    output: VecDeque<Output>,
    events: VecDeque<Event>,
    random: SmallRng,
}

impl Session {
    /// A session that is about to dial.
    pub(crate) fn new(config: SessionConfig, now: Time, seed: u64) -> Self {
        Self {
            phase: Phase::Dialling { deadline: now + config.connect_timeout, retry: None },
            config,
            epoch: 0,
            calls: HashMap::new(),
            output: VecDeque::new(),
            events: VecDeque::new(),
            random: SmallRng::seed_from_u64(seed),
        }
    }

    /// A new connection is dialled.
    pub(crate) fn handle_dialled(&mut self, now: Time, linked: Linked) {
        let Phase::Dialling { retry, .. } = &mut self.phase else { return };
        let spoken = Spoken {
            protocol: self.config.protocol,
            allows_stateful_reconnect: linked.upkeep == Upkeep::Kept,
        };
        let link = Link { linked, retry: retry.take(), reader: HandshakeReader::default() };
        self.phase = Phase::Shaking { deadline: now + self.config.connect_timeout, link };
        let bytes = HandshakeRequest::new(spoken).to_bytes().into();
        self.output.push_back(Output { format: TransferFormat::Text, bytes });
    }

    /// Another socket is dialled for the session that lost one.
    pub(crate) fn handle_resumed(&mut self, now: Time) {
        let Some(mut open) = self.phase.take_resuming() else { return };
        self.write_all(open.resume(&self.config, now));
        self.phase = Phase::Open(open);
    }

    /// Bytes came.
    pub(crate) fn handle_data(&mut self, now: Time, bytes: Vec<u8>) {
        match &mut self.phase {
            Phase::Open(open) => open.handle_data(now, bytes),
            Phase::Shaking { link, .. } => {
                let mut rest = &bytes[..];
                match link.reader.response(&mut rest) {
                    Ok(None) => {}
                    Ok(Some(answer)) => match answer.error {
                        None => self.open(now, rest.to_vec()),
                        Some(error) => self.fail_shaking(now, ConnectError::Handshake(error)),
                    },
                    Err(error) => self.fail_shaking(now, error.into()),
                }
            }
            _ => {}
        }
    }

    /// An event cannot be delivered; nothing is read until it can.
    pub(crate) fn handle_blocked(&mut self, now: Time, by: Blocker) {
        if let Some(open) = self.phase.session() {
            open.handle_blocked(now, by);
        }
    }

    /// What could not be delivered is, or is not wanted any more.
    pub(crate) fn handle_unblocked(&mut self, now: Time) {
        if let Some(open) = self.phase.session() {
            open.handle_unblocked(now);
        }
    }

    /// The application says something, and expects what `call` says.
    ///
    /// # Errors
    /// If there is no connection, or there are too many calls.
    pub(crate) fn handle_call(
        &mut self,
        now: Time,
        message: Bytes,
        call: Option<(CallId, CallKind)>,
    ) -> Result<(), SendError> {
        if self.phase.session().is_none() {
            return Err(match self.phase {
                Phase::Ended(_) => SendError::Closed,
                _ => SendError::NotConnected,
            });
        }
        if let Some((id, kind)) = call {
            if self.calls.len() >= self.config.calls_max {
                return Err(SendError::TooManyCalls(self.config.calls_max));
            }
            self.calls.insert(id, kind);
        }
        self.say(now, message);
        Ok(())
    }

    /// A handler has answered what came in `epoch`.
    pub(crate) fn handle_answer(&mut self, now: Time, epoch: Epoch, message: Bytes) {
        if epoch == Epoch(self.epoch) {
            self.say(now, message);
        }
    }

    /// Nobody waits for a call any more.
    pub(crate) fn handle_cancel(&mut self, now: Time, id: CallId) {
        if self.calls.remove(&id).is_none() {
            return;
        }
        let cancel = CancelInvocation { headers: Headers::default(), id: id.0.into() };
        let cancel = encode(self.config.protocol, &HubMessage::CancelInvocation(cancel));
        self.say(now, cancel);
    }

    /// The application wants an end, or has caused one.
    pub(crate) fn handle_stop(&mut self, why: CloseReason) {
        if matches!(self.phase, Phase::Ended(_)) {
            return;
        }
        if matches!(self.phase, Phase::Open(_)) {
            let close = HubMessage::Close(Close::default());
            self.write(encode(self.config.protocol, &close));
        }
        self.end(why);
    }

    /// Time has passed.
    pub(crate) fn handle_timeout(&mut self, now: Time) {
        if self.poll_timeout().is_none_or(|deadline| deadline > now) {
            return;
        }
        let limit = self.config.connect_timeout;
        match &mut self.phase {
            Phase::Dialling { .. } | Phase::Resuming { .. } => {
                self.handle_dial_failed(now, ConnectError::Timeout { step: "connecting", limit });
            }
            Phase::Shaking { .. } => {
                let step = "the handshake";
                self.fail_shaking(now, ConnectError::Timeout { step, limit });
            }
            Phase::Waiting { retry, .. } => {
                let retry = Some(retry.clone());
                self.phase = Phase::Dialling { deadline: now + limit, retry };
            }
            Phase::Open(_) => self.handle_open_timeout(now),
            Phase::Ended(_) => {}
        }
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        match &self.phase {
            Phase::Dialling { deadline, .. }
            | Phase::Resuming { deadline, .. }
            | Phase::Shaking { deadline, .. } => Some(*deadline),
            Phase::Waiting { until, .. } => Some(*until),
            Phase::Open(open) => open.poll_timeout(&self.config),
            Phase::Ended(_) => None,
        }
    }

    /// What to write next.
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.output.pop_front()
    }

    /// What to deliver next. Messages are looked at one by one as they are asked for.
    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            let Phase::Open(open) = &mut self.phase else { return None };
            let now = open.heard();
            match open.next() {
                Ok(None) => return None,
                Ok(Some(heard)) => self.act(now, heard),
                // What breaks the rules of a session is no session to resume.
                Err(loss) => self.reconnect(now, loss),
            }
        }
    }

    /// What to do with the socket.
    pub(crate) fn wish(&self) -> Wish {
        self.phase.wish()
    }

    /// Whether calls are taken, `queued` bytes being about to be written. A caller waits meanwhile.
    pub(crate) fn takes_calls(&self, queued: usize) -> bool {
        self.phase.session_ref().is_none_or(|open| open.takes_calls(queued))
    }

    /// Whether answers of handlers are taken, `queued` bytes being about to be written.
    pub(crate) fn takes_answers(&self, queued: usize) -> bool {
        self.phase.session_ref().is_none_or(|open| open.takes_answers(queued))
    }

    /// The handshake is agreed to.
    fn open(&mut self, now: Time, ahead: Vec<u8>) {
        let Phase::Shaking { link, .. } = &mut self.phase else { return };
        let Linked { connection_id, upkeep } = link.linked.clone();
        let state = match link.retry {
            None => State::Connected { connection_id },
            Some(_) => State::Reconnected { connection_id },
        };
        self.epoch += 1;
        self.phase = Phase::Open(Box::new(Open::new(&self.config, now, upkeep, ahead)));
        self.events.push_back(Event::State(state));
        if upkeep != Upkeep::Polled {
            // A server does not watch for silence before it has heard a ping.
            self.ping(now);
        }
    }

    fn act(&mut self, now: Time, heard: Heard) {
        match heard {
            Heard::Invocation(invocation) => {
                let event = Event::Invocation(Epoch(self.epoch), invocation);
                self.events.push_back(event);
            }
            Heard::Item(id, item) => {
                if self.calls.get(&id) == Some(&CallKind::Stream) {
                    self.events.push_back(Event::Item(id, item));
                }
            }
            Heard::Completion(id, outcome) => {
                if self.calls.remove(&id).is_some() {
                    self.events.push_back(Event::Completed(id, outcome));
                }
            }
            Heard::Close(Close { error, allow_reconnect: true }) => {
                self.reconnect(now, Loss::Server { error });
            }
            Heard::Close(Close { error, allow_reconnect: false }) => {
                self.end(CloseReason::Server { error });
            }
        }
    }

    fn handle_open_timeout(&mut self, now: Time) {
        let Phase::Open(open) = &mut self.phase else { return };
        let limit = self.config.server_timeout;
        match open.overdue_blocker(now, limit) {
            Some(Blocker::Handlers) => {
                return self.handle_stop(CloseReason::HandlersStalled(limit));
            }
            Some(Blocker::Stream(id)) => {
                open.handle_unblocked(now);
                self.handle_cancel(now, id);
                return self.events.push_back(Event::Overrun(id, limit));
            }
            None => {}
        }
        if open.is_silent(now, limit) {
            return self.lose(now, Loss::ServerTimeout);
        }
        let acknowledgement = open.acknowledge(now);
        if let Some(sequence) = acknowledgement {
            self.write_now(now, &HubMessage::Ack(sequence));
        }
        if let Phase::Open(open) = &self.phase
            && open.is_quiet(now, self.config.keep_alive)
        {
            self.ping(now);
        }
    }

    fn ping(&mut self, now: Time) {
        self.write_now(now, &HubMessage::Ping);
    }

    /// Says what stateful reconnect counts.
    fn say(&mut self, now: Time, message: Bytes) {
        match &mut self.phase {
            Phase::Open(open) => {
                open.keep(&message);
                open.handle_spoken(now);
                self.write(message);
            }
            // It is kept, and goes out with all that is said again.
            Phase::Resuming { open, .. } => open.keep(&message),
            _ => {}
        }
    }

    /// Says what is not counted.
    fn write_now(&mut self, now: Time, message: &HubMessage) {
        if let Phase::Open(open) = &mut self.phase {
            open.handle_spoken(now);
            self.write(encode(self.config.protocol, message));
        }
    }

    fn write_all(&mut self, messages: Vec<Bytes>) {
        messages.into_iter().for_each(|message| self.write(message));
    }

    fn write(&mut self, bytes: Bytes) {
        self.output.push_back(Output { format: self.config.protocol.transfer_format(), bytes });
    }
}

/// A message without payload, which always encodes.
fn encode(protocol: Protocol, message: &HubMessage) -> Bytes {
    protocol.encode(message).unwrap_or_default()
}
