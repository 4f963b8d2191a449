//! A client, successive backends and a network between them, following a random schedule.

use everwire_proto::ws::frame::Opcode;

use super::{
    super::{LegUp, Note, SocketWish, Who, Why},
    backend::{Backend, Pongs, Process, Store, Style},
    rig::Rig,
    wire::{Got, MASK, close_payload, fragments, masked},
};
use crate::config::{Delivery, RouteConfig};

/// One thing that happens.
#[derive(Debug, Clone)]
pub(super) enum Step {
    ClientSends {
        size: usize,
        pieces: usize,
    },
    ClientPings,
    ClientCloses,
    ClientVanishes,
    /// Bytes of the client arrive at the gateway.
    ClientArrives(usize),
    /// The client's kernel takes so many bytes more.
    ClientTakes(usize),
    LegArrives(usize),
    LegTakes(usize),
    BackendReads(usize),
    BackendPushes {
        size: usize,
        pieces: usize,
    },
    BackendPongs,
    BackendRestarts,
    BackendDies {
        sent: usize,
    },
    BackendFreezes,
    BackendBreaksRules,
    Dials(Style),
    Moves,
    Pauses(bool),
    Waits(u64),
}

/// Everything that takes part, and what it has seen.
pub(super) struct World {
    pub(super) rig: Rig,
    backend: Option<Backend>,
    past: Vec<Backend>,
    store: Store,
    resets: u32,
    /// Messages that the client has sent, each with the position at which it ends.
    sent: Vec<(u64, Opcode, Vec<u8>)>,
    outgoing: Vec<u8>,
    sent_bytes: u64,
    arrived_bytes: u64,
    pinged: u32,
    /// How much of what the client has got it has acted on.
    seen: usize,
    said_goodbye: bool,
}

const GOOD: Style = Style { pongs: Pongs::Prompt, echoes: false };

impl World {
    pub(super) fn new(config: RouteConfig, style: Style) -> Self {
        let durable = config.delivery == Delivery::ExactlyOnce;
        let first = LegUp { received: durable.then_some(0) };
        let mut rig = Rig::with(config, first);
        (rig.client.window, rig.leg.window, rig.client_pongs) = (0, 0, false);
        Self {
            rig,
            backend: Some(Backend::new(1, style, durable, 1)),
            past: Vec::new(),
            store: Store { highest_leg: 1, log: Vec::new() },
            resets: 0,
            sent: Vec::new(),
            outgoing: Vec::new(),
            sent_bytes: 0,
            arrived_bytes: 0,
            pinged: 0,
            seen: 0,
            said_goodbye: false,
        }
    }

    pub(super) fn step(&mut self, step: &Step) {
        match *step {
            Step::ClientSends { size, pieces } => self.client_sends(size, pieces),
            Step::ClientPings => {
                self.pinged += 1;
                self.queue(&masked(Opcode::Ping, &self.pinged.to_be_bytes()));
            }
            Step::ClientCloses => {
                self.queue(&masked(Opcode::Close, &close_payload(1000, "done")));
                self.said_goodbye = true;
            }
            Step::ClientVanishes => {
                self.said_goodbye = true;
                self.outgoing.clear();
                if !self.rig.client.dropped {
                    self.rig.client_vanishes();
                }
            }
            Step::ClientArrives(count) => self.client_arrives(count),
            Step::ClientTakes(count) => {
                self.rig.client_takes(self.rig.client.window.saturating_add(count));
            }
            Step::LegArrives(count) => self.leg_arrives(count),
            Step::LegTakes(count) => {
                self.rig.leg_takes(self.rig.leg.window.saturating_add(count));
            }
            Step::Dials(style) => self.dials(style),
            Step::Moves => {
                self.rig.relay.handle_move(self.rig.now);
                self.rig.settle();
            }
            Step::Pauses(paused) => {
                self.rig.relay.handle_pause(self.rig.now, paused);
                self.rig.settle();
            }
            Step::Waits(millis) => self.rig.wait(millis),
            Step::BackendReads(_)
            | Step::BackendPushes { .. }
            | Step::BackendPongs
            | Step::BackendRestarts
            | Step::BackendDies { .. }
            | Step::BackendFreezes
            | Step::BackendBreaksRules => self.backend_step(step),
        }
        self.follow();
    }

    fn backend_step(&mut self, step: &Step) {
        let Some(backend) = &mut self.backend else { return };
        match *step {
            Step::BackendReads(count) => backend.reads(count, &mut self.store),
            Step::BackendPushes { size, pieces } => backend.pushes(size, pieces),
            Step::BackendPongs => backend.sends_late_pongs(),
            Step::BackendRestarts => backend.restarts(),
            Step::BackendDies { sent } => backend.dies(sent),
            Step::BackendFreezes => backend.freezes(),
            Step::BackendBreaksRules => backend.breaks_rules(),
            _ => {}
        }
    }

    fn queue(&mut self, bytes: &[u8]) {
        if !self.said_goodbye && !self.rig.client.dropped {
            self.sent_bytes += bytes.len() as u64;
            self.outgoing.extend_from_slice(bytes);
        }
    }

    fn client_sends(&mut self, size: usize, pieces: usize) {
        if self.said_goodbye || self.rig.client.dropped {
            return;
        }
        let number = self.sent.len() as u8;
        let payload: Vec<u8> = (0..size).map(|at| (at as u8).wrapping_mul(3) ^ number).collect();
        let opcode = if number.is_multiple_of(3) { Opcode::Text } else { Opcode::Binary };
        self.queue(&match pieces {
            1 => masked(opcode, &payload),
            pieces => fragments(opcode, MASK, &payload, pieces),
        });
        self.sent.push((self.sent_bytes, opcode, payload));
    }

    fn client_arrives(&mut self, count: usize) {
        if self.rig.client.dropped || !self.reads_client() {
            return;
        }
        let count = count.min(self.outgoing.len());
        let bytes: Vec<u8> = self.outgoing.drain(..count).collect();
        if !bytes.is_empty() {
            self.arrived_bytes += count as u64;
            self.rig.client_sends(&bytes);
        }
    }

    fn reads_client(&self) -> bool {
        match self.rig.relay.client_wish() {
            SocketWish::Keep { read } => read,
            SocketWish::Finish => true,
            SocketWish::Drop | SocketWish::Reset => false,
        }
    }

    fn leg_arrives(&mut self, count: usize) {
        let reads = match self.rig.relay.leg_wish() {
            SocketWish::Keep { read } => read,
            SocketWish::Finish => true,
            SocketWish::Drop | SocketWish::Reset => false,
        };
        let Some(backend) = self.backend.as_mut().filter(|_| reads) else { return };
        let count = count.min(backend.outgoing.len());
        let bytes: Vec<u8> = backend.outgoing.drain(..count).collect();
        if !bytes.is_empty() {
            return self.rig.leg_sends(&bytes);
        }
        if backend.process == Process::Ended {
            // A socket that is closed with unread bytes is reset.
            let clean = backend.kernel.is_empty();
            self.past.extend(self.backend.take());
            self.rig.leg_ends(clean);
        }
    }

    fn dials(&mut self, style: Style) {
        if self.rig.relay.dial_wish().is_none() {
            return;
        }
        assert!(self.backend.is_none(), "the old leg is done with before another is dialled");
        let durable = self.rig.config.delivery == Delivery::ExactlyOnce;
        let leg = self.past.len() as u32 + 1;
        self.store.highest_leg = leg;
        let received = durable.then_some(self.store.log.len() as u64);
        let before =
            self.past.last().map_or(1, |last| last.first + self.rig.leg.messages().len() as u64);
        self.rig.dials_with_window(LegUp { received }, 0);
        let first = self.rig.relay.client_next();
        let reached = self.past.iter().map(Backend::reached).max().unwrap_or(0);
        match self.rig.config.delivery {
            Delivery::AtMostOnce => assert_eq!(first, before, "goes on where the kernel stopped"),
            Delivery::AtLeastOnce if self.is_unconfirmable() => {}
            Delivery::AtLeastOnce => assert!(first <= reached + 1, "{first} after {reached}"),
            Delivery::ExactlyOnce => assert_eq!(first, self.store.log.len() as u64 + 1),
        }
        self.backend = Some(Backend::new(leg, style, durable, first));
    }

    fn is_unconfirmable(&self) -> bool {
        self.rig.notes.contains(&Note::Unconfirmable)
    }

    /// Passes on what the relay has written, and checks what must hold at every moment.
    fn follow(&mut self) {
        let bytes = std::mem::take(&mut self.rig.leg.raw);
        if self.rig.resets > self.resets {
            self.resets = self.rig.resets;
            self.past.extend(self.backend.take());
        }
        if let Some(backend) = &mut self.backend {
            backend.kernel.extend(bytes);
            backend.eof |= self.rig.leg.finished;
        }
        let pings = self.rig.client.got[self.seen..].iter().filter_map(|got| match got {
            Got::Ping(payload) => Some(masked(Opcode::Pong, payload)),
            _ => None,
        });
        for pong in pings.collect::<Vec<_>>() {
            self.queue(&pong);
        }
        self.seen = self.rig.client.got.len();
        let relay = &self.rig.relay;
        let limit = 2 * (self.rig.config.buffer_max + READ_MAX) + 8192;
        assert!(relay.charged() <= limit, "{} charged", relay.charged());
        for outbox in [&relay.up.outbox, &relay.down.outbox] {
            let kept = outbox.readable_end() - outbox.start();
            assert!(kept as usize <= outbox.charged(), "{kept} kept");
        }
    }

    /// Lets everything go well until nothing is left to do, and checks what was promised.
    pub(super) fn calm(&mut self) {
        self.step(&Step::Pauses(false));
        for _ in 0..3000 {
            let before = self.progress();
            self.end_what_nobody_can_see();
            self.step(&Step::ClientTakes(usize::MAX));
            self.step(&Step::LegTakes(usize::MAX));
            self.step(&Step::ClientArrives(READ_MAX));
            self.step(&Step::BackendReads(READ_MAX));
            self.step(&Step::BackendPongs);
            self.step(&Step::LegArrives(READ_MAX));
            self.step(&Step::Dials(GOOD));
            if self.rig.client.finished && !self.rig.client.dropped {
                self.step(&Step::ClientVanishes);
            }
            if self.rig.relay.finished().is_some() || self.is_done() {
                return self.check();
            }
            if self.progress() == before {
                let at = self.rig.relay.poll_timeout().expect("something is still awaited");
                self.rig.wait(at.saturating_since(self.rig.now).as_millis() as u64);
                self.follow();
            }
        }
        let relay = &self.rig.relay;
        let (leg, client, end) = (&relay.leg, &relay.client.state, &relay.end);
        let up = (relay.up.charged(), relay.up.confirmed(), relay.up.output.written());
        panic!("never done: {leg:?} {client:?} {end:?} {up:?} {:?}", self.backend);
    }

    /// A stack that was taken for one without Pongs is not asked again: its operator ends it.
    fn end_what_nobody_can_see(&mut self) {
        if self.is_unconfirmable()
            && let Some(backend) = &mut self.backend
            && backend.process == Process::Frozen
        {
            backend.dies(0);
        }
    }

    fn progress(&self) -> impl PartialEq + use<> {
        let backend = self
            .backend
            .as_ref()
            .map(|backend| (backend.kernel.len(), backend.outgoing.len(), backend.received.len()));
        (backend, self.past.len(), self.outgoing.len(), self.rig.client.got.len())
    }

    fn is_done(&self) -> bool {
        let relay = &self.rig.relay;
        let idle = self.backend.as_ref().is_some_and(|backend| {
            backend.outgoing.is_empty()
                && backend.kernel.is_empty()
                && backend.process == Process::Serving
        });
        idle && self.outgoing.is_empty()
            && !self.said_goodbye
            && relay.is_live()
            && relay.unconfirmed() == 0
            && relay.charged() == 0
            && relay.end.is_none()
    }

    fn check(&mut self) {
        let alive = self.rig.relay.finished().is_none();
        if let Some(backend) = self.backend.take() {
            self.past.push(backend);
        }
        for zombie in &mut self.past {
            zombie.thaws(&mut self.store);
        }
        self.check_backends();
        self.check_client(alive);
        let complete = self.sent.iter().filter(|(end, ..)| *end <= self.arrived_bytes).count();
        let announced = self.rig.client.code().is_some_and(|code| code != 1000);
        let hung = self.rig.relay.finished().is_some_and(|end| end.why == Why::Hung);
        let unreachable = hung || self.rig.client.reset || self.rig.client.blocked;
        let told = announced || unreachable || self.said_goodbye;
        assert!(alive || told, "a socket that ends without a word");
        match self.rig.config.delivery {
            _ if announced || (!alive && !self.left_in_peace()) => {}
            Delivery::AtMostOnce => {}
            Delivery::AtLeastOnce if self.is_unconfirmable() => {}
            Delivery::AtLeastOnce => {
                let reached = self.past.iter().map(Backend::reached).max().unwrap_or(0);
                assert!(reached >= complete as u64, "{reached} of {complete} arrived");
            }
            Delivery::ExactlyOnce => assert_eq!(self.store.log.len(), complete),
        }
    }

    /// Whether the pipe ended because the client left it.
    fn left_in_peace(&self) -> bool {
        self.rig.relay.finished().is_some_and(|end| end.who == Who::Client)
    }

    fn check_backends(&self) {
        let mut highest = 0;
        for backend in &self.past {
            for (index, (opcode, payload)) in backend.received.iter().enumerate() {
                let number = backend.first + index as u64;
                let (_, sent_opcode, sent) = &self.sent[number as usize - 1];
                assert_eq!((opcode, payload), (sent_opcode, sent), "message {number}");
                if self.rig.config.delivery == Delivery::AtMostOnce {
                    assert!(number > highest, "message {number} doubled");
                    highest = number;
                }
            }
        }
        if self.rig.config.delivery == Delivery::ExactlyOnce {
            let sent = self.sent.iter().map(|(_, opcode, payload)| (opcode, payload));
            let stored = self.store.log.iter().map(|(opcode, payload)| (opcode, payload));
            assert!(stored.eq(sent.take(self.store.log.len())), "stored exactly once, in order");
        }
    }

    fn check_client(&self, alive: bool) {
        let (mut leg, mut next, mut pongs) = (1, 0, 0);
        for got in &self.rig.client.got {
            match got {
                Got::Message(opcode, payload) => {
                    let from = u32::from_be_bytes(*payload.first_chunk().expect("names its leg"));
                    if from != leg {
                        assert!(from > leg, "an older leg's message after a younger one's");
                        (leg, next) = (from, 0);
                    }
                    let pushed = &self.past[leg as usize - 1].pushed;
                    assert_eq!(&(*opcode, payload.clone()), &pushed[next], "leg {leg}, {next}");
                    next += 1;
                }
                Got::Pong(payload) => {
                    let number = u32::from_be_bytes(*payload.first_chunk().expect("is ours"));
                    assert!(number > pongs && number <= self.pinged, "a Pong for a Ping");
                    pongs = number;
                }
                Got::Ping(_) | Got::Close(..) => {}
            }
        }
        if alive {
            let last = self.past.last().expect("there was a leg");
            let all = last.pushed.is_empty()
                || (leg as usize == self.past.len() && next == last.pushed.len());
            assert!(all, "the living leg's messages have all arrived");
            assert_eq!(pongs, self.pinged, "the latest Ping is answered");
        }
    }
}

/// The largest read.
pub(super) const READ_MAX: usize = 16 * 1024;
