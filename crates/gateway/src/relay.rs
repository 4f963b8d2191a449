//! The state of one pipe: what to forward, hold, replay, dial and close. No IO, no clock.
//!
//! The caller tells what happened (`handle_*`), then asks what to do until nothing changes:
//! bytes to write ([`Relay::client_output`], [`Relay::leg_output`]), whether to read, shut down or
//! drop each socket ([`Relay::client_wish`], [`Relay::leg_wish`]), whether to dial
//! ([`Relay::dial_wish`]), and when to come back ([`Relay::poll_timeout`]). The answers follow from
//! the state alone, so a pipe that was written down goes on where it stood.
//!
//! A message's way: the client's frames are judged by `uplink`, numbered and kept; they are
//! written to the leg and stay until confirmed. The leg's frames go through `downlink` and are
//! gone once written. When the leg is lost, `Leg::Wanted` asks for another, which gets the
//! unconfirmed messages first.

mod client;
mod closing;
mod control;
mod downlink;
mod end;
mod heartbeat;
mod leg;
mod legs;
mod prelude;
mod report;
mod settle;
mod strikes;
mod timing;
mod uplink;
mod wish;

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use everwire_proto::{
    time::Time,
    ws::{
        close::{Close, CloseCode},
        frame::{Mask, Opcode, Violation, write_frame},
        intake::{Event, Limits},
    },
};

use self::{
    client::{Client, Dismissal, State},
    control::Pongs,
    downlink::Downlink,
    leg::{Leaving, LeavingReason, Leg, Live},
    report::Notes,
    uplink::{Trust, Uplink},
};
pub use self::{
    end::{End, Who, Why},
    leg::Loss,
    report::{Note, Tally},
    wish::{DialWish, SocketWish},
};
use crate::config::{Delivery, OnFull, RouteConfig};

/// One client and its successive backends.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Relay {
    /// The route's rules; given again when a written-down pipe is continued.
    #[serde(skip)]
    config: Arc<RouteConfig>,
    up: Uplink,
    down: Downlink,
    client: Client,
    leg: Leg,
    leg_pongs: Pongs,
    /// Since when the pipe has had no backend that answered.
    outage: Option<Time>,
    /// Since when the buffer is full without a leg.
    full: Option<Time>,
    protocol_errors: u8,
    end: Option<Box<End>>,
    /// Whether the process holds so much that this pipe must not read.
    paused: bool,
    legs: u32,
    up_bytes: u64,
    down_bytes: u64,
    replayed: u64,
    notes: Notes,
}

/// A leg that has been dialled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LegUp {
    /// The number that a cooperating backend says it has received.
    pub received: Option<u64>,
}

/// Why no further leg can be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DialFailure {
    /// A backend refuses the client's credentials.
    Unauthorized,
    /// No backend continues the session as it was agreed.
    Mismatch(String),
}

impl Relay {
    /// A pipe whose first leg has just been accepted.
    pub fn new(
        config: Arc<RouteConfig>,
        now: Time,
        deflate: bool,
        first: LegUp,
        mask_seed: u64,
    ) -> Self {
        let mut relay = Self {
            up: Uplink::new(deflate, config.restore.first, mask_seed),
            down: Downlink::new(deflate),
            client: Client::new(now),
            leg: Leg::Wanted,
            leg_pongs: Pongs::default(),
            outage: None,
            full: None,
            protocol_errors: 0,
            end: None,
            paused: false,
            legs: 0,
            up_bytes: 0,
            down_bytes: 0,
            replayed: 0,
            notes: Notes::default(),
            config,
        };
        relay.handle_leg_up(now, first);
        relay
    }

    /// Continues a pipe that was written down, under the rules of its route.
    #[must_use]
    pub fn continued(mut self, config: Arc<RouteConfig>) -> Self {
        self.config = config;
        self
    }

    /// Bytes came from the client.
    pub fn handle_client_data(&mut self, now: Time, mut bytes: &[u8]) {
        self.client.heartbeat.heard(now);
        self.up_bytes += bytes.len() as u64;
        let limits = self.limits();
        while !bytes.is_empty() {
            if matches!(self.client.state, State::Dismissed(_) | State::Parting { .. }) {
                self.handle_late_client_data(now, bytes);
                break;
            }
            match self.up.next(&mut bytes, &limits) {
                Ok(Some(event)) => self.handle_client_event(now, event),
                Ok(None) => {}
                Err(violation) => self.client_broke_rules(now, violation),
            }
        }
        self.watch_open_message(now);
        self.settle(now);
    }

    fn handle_client_event(&mut self, now: Time, event: Event) {
        match event {
            Event::Message | Event::Pong(_) => {}
            Event::Ping(payload) => {
                let Self { client, down, .. } = self;
                if client.pongs.answer(payload, &mut down.output, &down.outbox, None).is_err() {
                    let reason = "too many pings, answers not read";
                    self.client_broke_rules(now, Violation { code: CloseCode::POLICY, reason });
                }
            }
            Event::Close(close) => {
                self.up.abandon_open();
                self.client.state = State::Closing { close: Box::new(close), present: true };
            }
        }
    }

    /// Bytes came from the backend.
    pub fn handle_leg_data(&mut self, now: Time, mut bytes: &[u8]) {
        self.down_bytes += bytes.len() as u64;
        if let Leg::Live(live) = &mut self.leg {
            live.heartbeat.heard(now);
        }
        let limits = self.limits();
        while !bytes.is_empty() && matches!(self.leg, Leg::Live(_) | Leg::Leaving(_)) {
            match self.down.next(&mut bytes, &limits) {
                Ok(Some(event)) => self.handle_leg_event(now, event),
                Ok(None) => {}
                Err(violation) => self.backend_broke_rules(now, violation),
            }
        }
        self.settle(now);
    }

    fn handle_leg_event(&mut self, now: Time, event: Event) {
        match event {
            Event::Message => {
                if let Leg::Live(live) = &mut self.leg {
                    live.heard_data = Some(now);
                    live.stirred = now;
                }
                self.notice_unconfirmable(now);
            }
            Event::Ping(payload) => {
                let mask = Some(self.up.masks.next());
                let Self { leg_pongs, up, .. } = self;
                // A backend that floods is not closed: its Pings are answered as it reads.
                let _ = leg_pongs.answer(payload, &mut up.output, &up.outbox, mask);
            }
            Event::Pong(payload) => self.handle_pong(now, payload.as_bytes()),
            Event::Close(close) => self.handle_leg_close(now, close),
        }
    }

    /// A further leg has been dialled and has answered 101.
    pub fn handle_leg_up(&mut self, now: Time, up: LegUp) {
        self.begin_leg(now, up);
        self.settle(now);
    }

    /// The leg's socket has ended; `clean` says that it did in order, with all we wrote taken.
    pub fn handle_leg_end(&mut self, now: Time, clean: bool) {
        self.end_leg(now, clean);
        self.settle(now);
    }

    /// No further leg can be had.
    pub fn handle_dial_failed(&mut self, now: Time, failure: DialFailure) {
        if !matches!(self.leg, Leg::Wanted) {
            return;
        }
        let end = match failure {
            DialFailure::Unauthorized => End::new(
                Who::Backend,
                Why::Unauthorized,
                CloseCode::UNAUTHORIZED,
                "credentials are no longer accepted",
            ),
            DialFailure::Mismatch(why) => {
                let reason = format!("session could not be moved: {why}");
                End::by_gateway(Why::NotMoved, CloseCode::RESTART, &reason)
            }
        };
        self.finish(now, end);
        self.settle(now);
    }

    /// The client's socket has ended.
    pub fn handle_client_end(&mut self, now: Time) {
        self.client_lost(Why::Vanished);
        self.settle(now);
    }

    /// The leg is to be left for another backend, without losing an answer.
    pub fn handle_move(&mut self, now: Time) {
        self.begin_move(now);
        self.settle(now);
    }

    /// The pipe is to be ended, by the gateway or on somebody's behalf.
    pub fn handle_close(&mut self, now: Time, end: End) {
        self.finish(now, end);
        self.settle(now);
    }

    /// Whether the process holds too much for this pipe to read on.
    pub fn handle_pause(&mut self, now: Time, paused: bool) {
        if self.paused != paused {
            self.paused = paused;
            self.settle(now);
        }
    }

    /// Bytes to write to the client, laid into `into`; gives how many slices.
    pub fn client_output<'a>(&'a self, into: &mut [&'a [u8]]) -> usize {
        self.down.output.slices(&self.down.outbox, into)
    }

    /// The client took `count` of those bytes, and takes `more` only later.
    pub fn handle_client_wrote(&mut self, now: Time, count: usize, blocked: bool) {
        self.client.heartbeat.took(now, count, blocked);
        self.down.wrote(count);
        let Self { client, down, .. } = self;
        client.pongs.flush(&mut down.output, &down.outbox, || None);
        self.settle(now);
    }

    /// Bytes to write to the leg, laid into `into`; gives how many slices.
    pub fn leg_output<'a>(&'a mut self, now: Time, into: &mut [&'a [u8]]) -> usize {
        self.place_marker(now);
        self.up.output.slices(&self.up.outbox, into)
    }

    /// The leg took `count` of those bytes; `blocked` says that it takes more only later.
    pub fn handle_leg_wrote(&mut self, now: Time, count: usize, blocked: bool) {
        if let Leg::Live(live) = &mut self.leg {
            live.heartbeat.took(now, count, blocked);
            if count > 0 {
                live.stirred = now;
            }
        }
        self.up.wrote(count);
        let Self { leg_pongs, up, .. } = self;
        let masks = &mut up.masks;
        leg_pongs.flush(&mut up.output, &up.outbox, || Some(masks.next()));
        self.settle(now);
    }

    /// What to do with the client's socket; whether it is read was settled by the last event.
    pub fn client_wish(&self) -> SocketWish {
        match self.client.state {
            State::Open => SocketWish::Keep { read: self.client.heartbeat.is_listening() },
            State::Closing { present: true, .. } | State::Dismissed(_) => {
                SocketWish::Keep { read: true }
            }
            State::Parting { .. } => SocketWish::Finish,
            State::Lost { why: Why::Hung } => SocketWish::Reset,
            State::Closing { .. } | State::Lost { .. } | State::Gone => SocketWish::Drop,
        }
    }

    /// What to do with the leg's socket.
    pub fn leg_wish(&self) -> SocketWish {
        match &self.leg {
            Leg::None | Leg::Wanted => SocketWish::Drop,
            Leg::Live(live) => SocketWish::Keep { read: live.heartbeat.is_listening() },
            Leg::Leaving(leaving) if leaving.answered || self.is_client_lost() => {
                SocketWish::Finish
            }
            Leg::Leaving(leaving) => SocketWish::Keep { read: leaving.listening },
            Leg::Cut(_) => SocketWish::Reset,
        }
    }

    /// Whether a further leg is wanted.
    pub fn dial_wish(&self) -> Option<DialWish> {
        matches!(self.leg, Leg::Wanted).then(|| DialWish { alone: self.is_suspect() })
    }

    /// Whether the pipe's oldest message is suspected of ending backends.
    pub fn is_suspect(&self) -> bool {
        self.up.strikes.of(self.up.oldest_unconfirmed()) >= strikes::SUSPECT
            && self.up.oldest_unconfirmed() <= self.up.outbox.last()
    }

    /// The end of the pipe, once both sockets are done with.
    pub fn finished(&self) -> Option<&End> {
        let done = matches!(self.client.state, State::Gone) && matches!(self.leg, Leg::None);
        self.end.as_deref().filter(|_| done)
    }

    /// Memory held for messages, in bytes.
    pub fn charged(&self) -> usize {
        self.up.charged() + self.down.charged()
    }

    /// What has gone through.
    pub fn tally(&self) -> Tally {
        Tally {
            legs: self.legs,
            up_messages: self.up.outbox.last(),
            up_bytes: self.up_bytes,
            down_messages: self.down.accepted(),
            down_bytes: self.down_bytes,
            replayed: self.replayed,
        }
    }

    /// Messages from the client that no backend has confirmed.
    pub fn unconfirmed(&self) -> u64 {
        self.up.outbox.last() - self.up.confirmed().min(self.up.outbox.last())
    }

    /// Number of the client message that the next leg will get first.
    pub const fn client_next(&self) -> u64 {
        self.up.outbox.first()
    }

    /// Backend messages accepted for the client so far.
    pub fn server_count(&self) -> u64 {
        self.down.accepted()
    }

    /// Whether a clean end of the leg confirms what nothing else has confirmed.
    pub fn is_confirmed_by_end(&self) -> bool {
        // Both Closes have passed: the backend has read everything before ours. A stack that
        // queues may still drop it, hence the linger.
        let closed = matches!(&self.leg, Leg::Leaving(leaving) if leaving.answered)
            && self.up.output.is_idle(&self.up.outbox);
        closed
            && self.up.trust == Trust::Markers
            && self.config.confirm_linger.is_zero()
            && !self.up.is_written_confirmed()
    }

    /// Whether messages flow both ways.
    pub const fn is_live(&self) -> bool {
        matches!(self.leg, Leg::Live(_))
    }

    /// Whether a leg is wanted and there is none.
    pub const fn is_waiting(&self) -> bool {
        matches!(self.leg, Leg::Wanted)
    }

    /// Whether the leg is being left on purpose.
    pub const fn is_moving(&self) -> bool {
        matches!(&self.leg, Leg::Live(live) if live.moving.is_some())
    }

    /// Whether the leg is being closed by our will, not by its backend's.
    pub const fn has_left_leg(&self) -> bool {
        match &self.leg {
            Leg::Leaving(leaving) => !matches!(leaving.reason, LeavingReason::Restarted),
            _ => false,
        }
    }

    /// Takes what a person or a counter wants to know.
    pub fn take_notes(&mut self) -> Vec<Note> {
        self.notes.take()
    }

    fn limits(&self) -> Limits {
        Limits {
            held_max: (self.config.buffer_max / HELD_SHARE) as u64,
            message_max: self.config.message_max.min(u64::from(u32::MAX)),
        }
    }

    fn may_read_client(&self) -> bool {
        !self.paused && !self.is_full()
    }

    /// Whether no more may be taken from the client for now.
    fn is_full(&self) -> bool {
        self.up.is_full(self.config.buffer_max)
    }

    fn may_read_leg(&self) -> bool {
        // What comes after the end, or after the client has gone, is not kept.
        let kept = self.end.is_none() && self.client.is_present();
        !kept || (!self.paused && !self.down.is_full(self.config.buffer_max))
    }

    const fn is_client_lost(&self) -> bool {
        matches!(self.client.state, State::Lost { .. } | State::Gone)
    }
}

/// Appends a Close frame.
fn write_close(to: &mut Vec<u8>, mask: Option<Mask>, close: &Close) {
    write_frame(to, Opcode::Close, mask, &close.payload());
}

/// A message may be held whole up to this part of the buffer: with the memory that its growth
/// leaves unused, it never fills the buffer before it is complete.
const HELD_SHARE: usize = 4;
/// How long a peer has to answer our Close, and a socket to end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a peer that broke the rules, or has said goodbye, has to end its socket.
const PARTING_TIMEOUT: Duration = Duration::from_secs(1);

/// With its sockets and the runtime's part an idle pipe is a block of 896 bytes, a size that
/// allocators have: a few bytes more here cost every one of them 128.
const _: () = assert!(size_of::<Relay>() <= 648, "an idle pipe outgrows its block");

#[cfg(test)]
mod tests;
