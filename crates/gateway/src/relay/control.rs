//! The control frames that the gateway itself speaks: masks for them, and bounded Pongs.

use serde::{Deserialize, Serialize};

use everwire_proto::{
    session::outbox::Outbox,
    ws::{
        frame::{Mask, Opcode, write_frame},
        intake::ControlPayload,
        output::Output,
    },
};

/// Masking keys for the frames that we send to backends; seeded from outside.
///
/// A key need not be secret from us, only unpredictable for whoever writes the payload (RFC 6455
/// section 10.3): the seed is random and no key is shown to a client.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Masks(u64);

impl Masks {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next key (the SplitMix64 sequence).
    pub(super) const fn next(&mut self) -> Mask {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) as u32).to_be_bytes()
    }
}

/// The Pongs owed to one peer.
///
/// Every Ping is answered as long as the peer takes the answers; beyond [`PONGS_MAX`] bytes of
/// waiting control frames only the latest is, as RFC 6455 section 5.5.3 permits.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Pongs(Option<Box<Owed>>);

/// The Pong that waits for room, and how many Pings it stands for.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Owed {
    latest: ControlPayload,
    skipped: u32,
}

/// The peer sends Pings and does not take the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PingFlood;

impl Pongs {
    /// Answers a Ping, or remembers it until there is room.
    pub(super) fn answer(
        &mut self,
        payload: ControlPayload,
        output: &mut Output,
        outbox: &Outbox,
        mask: Option<Mask>,
    ) -> Result<(), PingFlood> {
        if output.control_waiting() < PONGS_MAX {
            write_pong(&payload, output, outbox, mask);
            self.0 = None;
            return Ok(());
        }
        let skipped = self.0.as_ref().map_or(0, |owed| owed.skipped).saturating_add(1);
        self.0 = Some(Box::new(Owed { latest: payload, skipped }));
        if skipped > SKIPPED_MAX { Err(PingFlood) } else { Ok(()) }
    }

    /// Sends the Pong that waited for room, if there is room.
    pub(super) fn flush(
        &mut self,
        output: &mut Output,
        outbox: &Outbox,
        mask: impl FnOnce() -> Option<Mask>,
    ) {
        if self.0.is_some()
            && output.control_waiting() < PONGS_MAX
            && let Some(owed) = self.0.take()
        {
            write_pong(&owed.latest, output, outbox, mask());
        }
    }
}

fn write_pong(payload: &ControlPayload, output: &mut Output, outbox: &Outbox, mask: Option<Mask>) {
    output.push_control(outbox, |to| write_frame(to, Opcode::Pong, mask, payload.as_bytes()));
}

/// Control frames waiting for one peer, in bytes; thirty Pongs of the largest size.
const PONGS_MAX: usize = 4096;
/// Pings that may go unanswered before the peer is told 1008: nobody needs a thousand.
const SKIPPED_MAX: u32 = 1000;
