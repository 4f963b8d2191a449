//! The outside of a running pipe: what others may see of it.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use everwire_proto::{
    time::Time,
    ws::upgrade::{Agreed, Forwarded},
};
use serde::Serialize;

use crate::{
    bell::Bell,
    relay::{Relay, Tally},
};

/// Names a pipe for the life of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PipeId(pub u64);

/// A pipe as the registry holds it. The pipe writes what it shows; anybody may ask.
#[derive(Debug)]
pub(crate) struct PipeHandle {
    pub(crate) id: PipeId,
    pub(crate) client: SocketAddr,
    pub(crate) since: Time,
    /// The client's handshake, for every leg.
    pub(crate) forwarded: Forwarded,
    /// What client and first backend agreed on.
    pub(crate) agreed: Agreed,
    /// The opaque name that cooperating backends know the session by.
    pub(crate) session: u128,
    /// The backend of the current leg; 0 without one.
    pub(crate) backend: AtomicU64,
    pub(crate) bell: Bell,
    shown: Shown,
}

/// What every turn of the pipe writes, next to each other.
#[derive(Debug, Default)]
struct Shown {
    state: AtomicU8,
    legs: AtomicU32,
    unconfirmed: AtomicU32,
    up_messages: AtomicU64,
    up_bytes: AtomicU64,
    down_messages: AtomicU64,
    down_bytes: AtomicU64,
    replayed: AtomicU64,
    buffered: AtomicUsize,
}

/// Where a pipe stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum PipeState {
    /// Messages flow both ways.
    Live = 0,
    /// The backend is lost and the next one is being dialled.
    Waiting = 1,
    /// The backend is being left on purpose.
    Moving = 2,
    /// The pipe is ending.
    Closing = 3,
}

impl PipeHandle {
    pub(crate) fn new(
        id: PipeId,
        client: SocketAddr,
        since: Time,
        forwarded: Forwarded,
        agreed: Agreed,
        session: u128,
    ) -> Self {
        Self {
            id,
            client,
            since,
            forwarded,
            agreed,
            session,
            backend: AtomicU64::new(0),
            bell: Bell::default(),
            shown: Shown::default(),
        }
    }

    /// Shows how things stand; for the pipe itself.
    pub(crate) fn show(&self, relay: &Relay, buffered: usize) {
        let Tally { legs, up_messages, up_bytes, down_messages, down_bytes, replayed } =
            relay.tally();
        let shown = &self.shown;
        shown.legs.store(legs, Relaxed);
        shown.unconfirmed.store(u32::try_from(relay.unconfirmed()).unwrap_or(u32::MAX), Relaxed);
        shown.up_messages.store(up_messages, Relaxed);
        shown.up_bytes.store(up_bytes, Relaxed);
        shown.down_messages.store(down_messages, Relaxed);
        shown.down_bytes.store(down_bytes, Relaxed);
        shown.replayed.store(replayed, Relaxed);
        shown.buffered.store(buffered, Relaxed);
        shown.state.store(state_of(relay) as u8, Relaxed);
    }

    /// Where the pipe stands.
    pub(crate) fn state(&self) -> PipeState {
        match self.shown.state.load(Relaxed) {
            0 => PipeState::Live,
            1 => PipeState::Waiting,
            2 => PipeState::Moving,
            _ => PipeState::Closing,
        }
    }

    /// What has gone through so far.
    pub(crate) fn tally(&self) -> Tally {
        let shown = &self.shown;
        Tally {
            legs: shown.legs.load(Relaxed),
            up_messages: shown.up_messages.load(Relaxed),
            up_bytes: shown.up_bytes.load(Relaxed),
            down_messages: shown.down_messages.load(Relaxed),
            down_bytes: shown.down_bytes.load(Relaxed),
            replayed: shown.replayed.load(Relaxed),
        }
    }

    /// Memory held for messages, in bytes.
    pub(crate) fn buffered(&self) -> usize {
        self.shown.buffered.load(Relaxed)
    }

    /// Messages from the client that no backend has confirmed.
    pub(crate) fn unconfirmed(&self) -> u32 {
        self.shown.unconfirmed.load(Relaxed)
    }
}

const fn state_of(relay: &Relay) -> PipeState {
    if relay.is_waiting() {
        PipeState::Waiting
    } else if relay.is_moving() {
        PipeState::Moving
    } else if relay.is_live() {
        PipeState::Live
    } else {
        PipeState::Closing
    }
}
