//! One relay, driven as the shell drives it: events in, output and wishes out, until nothing is
//! left to do. The peers are played by the test.

use std::{sync::Arc, time::Duration};

use everwire_proto::{time::Time, ws::frame::Opcode};

use super::{
    super::{DialWish, Leg, LegUp, Note, Relay, SocketWish},
    wire::{Got, Reader, bare, close_payload, masked},
};
use crate::config::RouteConfig;

/// A relay between a client and successive legs.
pub(super) struct Rig {
    pub(super) relay: Relay,
    pub(super) config: Arc<RouteConfig>,
    pub(super) now: Time,
    pub(super) client: Peer,
    pub(super) leg: Peer,
    /// Whether the client answers Pings.
    pub(super) client_pongs: bool,
    /// How many legs were cut with a reset.
    pub(super) resets: u32,
    pub(super) notes: Vec<Note>,
}

/// What a peer has taken and seen.
pub(super) struct Peer {
    /// Bytes that it takes before it blocks.
    pub(super) window: usize,
    pub(super) reader: Reader,
    pub(super) got: Vec<Got>,
    /// Bytes that were taken, for a model to read later.
    pub(super) raw: Vec<u8>,
    /// Whether the relay has ended its half towards the peer.
    pub(super) finished: bool,
    /// Whether the relay has let go of the socket.
    pub(super) dropped: bool,
    /// Whether it was given up.
    pub(super) reset: bool,
    /// Whether bytes wait that it does not take.
    pub(super) blocked: bool,
    pings_seen: usize,
}

impl Peer {
    fn new(masked: bool) -> Self {
        Self {
            window: usize::MAX,
            reader: Reader::new(masked),
            got: Vec::new(),
            raw: Vec::new(),
            finished: false,
            dropped: false,
            reset: false,
            blocked: false,
            pings_seen: 0,
        }
    }

    fn take(&mut self, slices: &[&[u8]]) -> (usize, bool) {
        let bytes = slices.concat();
        let taken = bytes.len().min(self.window);
        if self.window != usize::MAX {
            self.window -= taken;
        }
        assert!(taken == 0 || !(self.dropped || self.finished), "bytes for a socket that is gone");
        let got = self.reader.read(&bytes[..taken]);
        self.got.extend(got);
        self.raw.extend_from_slice(&bytes[..taken]);
        self.blocked = taken < bytes.len();
        (taken, self.blocked)
    }

    /// The messages among what was seen.
    pub(super) fn messages(&self) -> Vec<Vec<u8>> {
        let messages = self.got.iter().filter_map(|got| match got {
            Got::Message(_, payload) => Some(payload.clone()),
            _ => None,
        });
        messages.collect()
    }

    /// The messages among what was seen, as text.
    pub(super) fn texts(&self) -> Vec<String> {
        let texts = self.messages().into_iter().map(|text| String::from_utf8(text).expect("text"));
        texts.collect()
    }

    /// The Pings among what was seen.
    pub(super) fn pings(&self) -> Vec<Vec<u8>> {
        let pings = self.got.iter().filter_map(|got| match got {
            Got::Ping(payload) => Some(payload.clone()),
            _ => None,
        });
        pings.collect()
    }

    /// Code and reason of the Close that was seen.
    pub(super) fn close(&self) -> Option<(u16, &str)> {
        self.got.iter().find_map(|got| match got {
            Got::Close(code, reason) => Some((*code, reason.as_str())),
            _ => None,
        })
    }

    /// The code of the Close that was seen.
    pub(super) fn code(&self) -> Option<u16> {
        self.close().map(|(code, _)| code)
    }
}

impl Rig {
    /// A pipe whose first leg ignores the `Everwire-*` headers.
    pub(super) fn new(config: RouteConfig) -> Self {
        Self::with(config, LegUp::default())
    }

    pub(super) fn with(config: RouteConfig, first: LegUp) -> Self {
        let (config, now) = (Arc::new(config), Time::from_millis(1_000_000));
        let relay = Relay::new(config.clone(), now, false, first, 7);
        let (client, leg) = (Peer::new(false), Peer::new(true));
        let mut rig = Self {
            relay,
            config,
            now,
            client,
            leg,
            client_pongs: true,
            resets: 0,
            notes: Vec::new(),
        };
        rig.settle();
        rig
    }

    pub(super) fn client_sends(&mut self, bytes: &[u8]) {
        self.relay.handle_client_data(self.now, bytes);
        self.settle();
    }

    /// Sends in parts of `size` bytes.
    pub(super) fn client_sends_in(&mut self, bytes: &[u8], size: usize) {
        for part in bytes.chunks(size) {
            self.client_sends(part);
        }
    }

    pub(super) fn client_says(&mut self, text: &str) {
        self.client_sends(&masked(Opcode::Text, text.as_bytes()));
    }

    pub(super) fn client_closes(&mut self, code: u16, reason: &str) {
        self.client_sends(&masked(Opcode::Close, &close_payload(code, reason)));
    }

    pub(super) fn client_vanishes(&mut self) {
        self.client.dropped = true;
        self.relay.handle_client_end(self.now);
        self.settle();
    }

    pub(super) fn leg_sends(&mut self, bytes: &[u8]) {
        self.relay.handle_leg_data(self.now, bytes);
        self.settle();
    }

    pub(super) fn leg_says(&mut self, text: &str) {
        self.leg_sends(&bare(Opcode::Text, text.as_bytes()));
    }

    pub(super) fn leg_closes(&mut self, code: u16, reason: &str) {
        self.leg_sends(&bare(Opcode::Close, &close_payload(code, reason)));
    }

    /// Answers the latest Ping that the leg has seen.
    pub(super) fn leg_pongs(&mut self) {
        let ping = self.leg.pings().pop().expect("a Ping was seen");
        self.leg_sends(&bare(Opcode::Pong, &ping));
    }

    /// Answers the latest Ping that the leg has seen, if it has seen any.
    pub(super) fn leg_pongs_if_asked(&mut self) {
        if !self.leg.pings().is_empty() {
            self.leg_pongs();
        }
    }

    /// Answers Pings until everything is confirmed.
    pub(super) fn confirms_all(&mut self) {
        for _ in 0..100 {
            if self.relay.unconfirmed() == 0 {
                return;
            }
            self.leg_pongs();
            self.wait(50);
        }
        panic!("never confirmed: {:?}", self.relay);
    }

    /// The leg's socket ends, in order or not.
    pub(super) fn leg_ends(&mut self, clean: bool) {
        self.relay.handle_leg_end(self.now, clean);
        self.settle();
    }

    /// A further leg, as wished.
    pub(super) fn dials(&mut self) -> DialWish {
        self.dials_with(LegUp::default())
    }

    pub(super) fn dials_with(&mut self, up: LegUp) -> DialWish {
        self.dials_with_window(up, usize::MAX)
    }

    /// A further leg whose kernel takes `window` bytes before it blocks.
    pub(super) fn dials_with_window(&mut self, up: LegUp, window: usize) -> DialWish {
        let wish = self.relay.dial_wish().expect("a leg is wanted");
        self.leg = Peer { window, ..Peer::new(true) };
        self.relay.handle_leg_up(self.now, up);
        self.settle();
        wish
    }

    pub(super) fn leg_takes(&mut self, window: usize) {
        if self.leg.window != window {
            self.leg.window = window;
            self.settle();
        }
    }

    pub(super) fn client_takes(&mut self, window: usize) {
        if self.client.window != window {
            self.client.window = window;
            self.settle();
        }
    }

    /// Lets time pass, with everything that falls due.
    pub(super) fn wait(&mut self, millis: u64) {
        let until = self.now + Duration::from_millis(millis);
        let mut last = (self.now, 0);
        while let Some(at) = self.relay.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            last = if last.0 == self.now { (self.now, last.1 + 1) } else { (self.now, 0) };
            assert!(last.1 < 8, "busy: {:?}", self.relay);
            self.relay.handle_timeout(self.now);
            self.settle();
        }
        self.now = until;
    }

    pub(super) fn client_may_be_read(&self) -> bool {
        matches!(self.relay.client_wish(), SocketWish::Keep { read: true })
    }

    pub(super) fn leg_may_be_read(&self) -> bool {
        matches!(self.relay.leg_wish(), SocketWish::Keep { read: true })
    }

    /// The end of the pipe as (who, why, code).
    pub(super) fn end(&self) -> (String, String, u16) {
        let end = self.relay.finished().expect("the pipe has ended");
        (end.who.to_string(), end.why.to_string(), end.close.reported_code().0)
    }

    /// Does what the relay wants until it wants nothing more.
    pub(super) fn settle(&mut self) {
        for _ in 0..10_000 {
            self.write_down();
            if !(self.write_leg() || self.write_client() || self.answer() || self.obey()) {
                self.notes.extend(self.relay.take_notes());
                return;
            }
        }
        panic!("no end: {:?}", self.relay);
    }

    /// Continues from a copy that went through text.
    fn write_down(&mut self) {
        let written = serde_json::to_string(&self.relay).expect("can be written down");
        let relay: Relay = serde_json::from_str(&written).expect("can be continued");
        self.relay = relay.continued(self.config.clone());
    }

    fn write_leg(&mut self) -> bool {
        if !matches!(self.relay.leg, Leg::Live(_) | Leg::Leaving(_)) {
            return false;
        }
        let mut slices: [&[u8]; 4] = [&[]; 4];
        let was_blocked = self.leg.blocked;
        let count = self.relay.leg_output(self.now, &mut slices);
        if count == 0 {
            return false;
        }
        let (taken, blocked) = self.leg.take(&slices[..count]);
        if taken == 0 && was_blocked {
            return false;
        }
        self.relay.handle_leg_wrote(self.now, taken, blocked);
        true
    }

    fn write_client(&mut self) -> bool {
        if self.client.dropped {
            return false;
        }
        let mut slices: [&[u8]; 4] = [&[]; 4];
        let was_blocked = self.client.blocked;
        let count = self.relay.client_output(&mut slices);
        if count == 0 {
            return false;
        }
        let (taken, blocked) = self.client.take(&slices[..count]);
        if taken == 0 && was_blocked {
            return false;
        }
        self.relay.handle_client_wrote(self.now, taken, blocked);
        true
    }

    /// Lets the client answer what it was asked.
    fn answer(&mut self) -> bool {
        let pings = self.client.pings().len();
        let asked = std::mem::replace(&mut self.client.pings_seen, pings) < pings;
        if asked && self.client_pongs && self.client_may_be_read() {
            self.relay.handle_client_data(self.now, &masked(Opcode::Pong, b""));
        }
        asked
    }

    /// Obeys what the relay wishes for its sockets.
    fn obey(&mut self) -> bool {
        match self.relay.client_wish() {
            SocketWish::Reset => (self.client.dropped, self.client.reset) = (true, true),
            SocketWish::Drop => self.client.dropped = true,
            SocketWish::Finish => self.client.finished |= !self.client.blocked,
            SocketWish::Keep { .. } => {}
        }
        match self.relay.leg_wish() {
            SocketWish::Reset => {
                self.resets += 1;
                self.leg.reset = true;
                self.relay.handle_leg_end(self.now, false);
                return true;
            }
            SocketWish::Drop => self.leg.dropped = true,
            SocketWish::Finish => self.leg.finished |= !self.leg.blocked,
            SocketWish::Keep { .. } => {}
        }
        false
    }
}
