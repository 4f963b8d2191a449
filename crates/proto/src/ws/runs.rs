//! Messages that come in fragments, or are too large to be held: repacked into runs.
//!
//! A peer may cut a message into any number of frames, down to single bytes with seven bytes of
//! header each. RFC 6455 section 5.4 lets an intermediary change the fragmentation, so fragments
//! are joined into frames of [`RUN_MAX`] bytes: memory stays close to the payload, receivers that
//! limit the number of fragments are content, and there is a frame boundary often enough to put a
//! control frame, or the end of a message that will never be complete, in between.

use serde::{Deserialize, Serialize};

use super::frame::{HEADER_MAX, Header, Mask, Opcode, apply_mask, rotated};
use crate::session::outbox::Outbox;

/// Payload of a run at most, in bytes; a multiple of four, so that a masking key continues over
/// runs.
pub const RUN_MAX: usize = 64 * 1024;

/// One message on its way from many frames into few.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Runs {
    opcode: Opcode,
    rsv1: bool,
    /// The key under which all runs are masked: that of the message's first frame.
    mask: Option<Mask>,
    /// Payload of a run, in bytes; a multiple of four.
    size: u32,
    /// Payload of the run being filled, masked from its first byte on.
    staged: Vec<u8>,
}

impl Runs {
    /// Begins a message with the header of its first frame; its runs hold `size` bytes, rounded
    /// down to a multiple of four, but no more than [`RUN_MAX`].
    pub fn begin(first: &Header, size: u64) -> Self {
        let size = (size.min(RUN_MAX as u64) as u32 / 4).max(1) * 4;
        Self { opcode: first.opcode, rsv1: first.rsv1, mask: first.mask, size, staged: Vec::new() }
    }

    /// Memory held, in bytes.
    pub const fn charged(&self) -> usize {
        self.staged.capacity()
    }

    /// Adds payload that lies `offset` bytes into a frame masked with `mask`.
    pub fn add(
        &mut self,
        mut payload: &[u8],
        mask: Option<Mask>,
        mut offset: u64,
        to: &mut Outbox,
    ) {
        while !payload.is_empty() {
            let room = self.size as usize - self.staged.len();
            if room == 0 {
                self.write_run(false, to);
                continue;
            }
            let (now, later) = payload.split_at(payload.len().min(room));
            self.stage(now, mask, offset);
            offset += now.len() as u64;
            payload = later;
        }
    }

    /// Ends the message.
    pub fn finish(mut self, to: &mut Outbox) {
        self.write_run(true, to);
    }

    fn stage(&mut self, payload: &[u8], mask: Option<Mask>, offset: u64) {
        let begin = self.staged.len();
        self.staged.extend_from_slice(payload);
        if let (Some(theirs), Some(ours)) = (mask, self.mask) {
            let theirs = u32::from_ne_bytes(rotated(theirs, offset));
            let ours = u32::from_ne_bytes(rotated(ours, begin as u64));
            if theirs != ours {
                apply_mask(&mut self.staged[begin..], (theirs ^ ours).to_ne_bytes(), 0);
            }
        }
    }

    fn write_run(&mut self, fin: bool, to: &mut Outbox) {
        let header = Header {
            fin,
            rsv1: self.rsv1,
            opcode: self.opcode,
            mask: self.mask,
            length: self.staged.len() as u64,
        };
        let mut bytes = [0; HEADER_MAX];
        let used = header.encode(&mut bytes);
        to.append(&bytes[..used]);
        to.append(&self.staged);
        self.staged.clear();
        self.opcode = Opcode::Continuation;
        self.rsv1 = false;
    }
}
