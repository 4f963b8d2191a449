//! The client's first messages, kept for life to give an unmodified backend its session back.

use serde::{Deserialize, Serialize};

use everwire_proto::{
    session::outbox::Outbox,
    ws::{close::CloseCode, frame::Violation},
};

/// The first messages of a session, as they came.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Prelude {
    /// How many messages are wanted.
    first: u32,
    bytes: Vec<u8>,
    /// Where each message ends.
    ends: Vec<u32>,
}

impl Prelude {
    pub(super) fn new(first: u32) -> Self {
        Self { first, ..Self::default() }
    }

    /// Memory held, in bytes.
    pub(super) const fn charged(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<u32>()
    }

    /// Whether the message with this number is one of the first.
    pub(super) fn wants(&self, number: u64) -> bool {
        number <= u64::from(self.first)
    }

    /// The largest message that can be kept still, in bytes.
    pub(super) const fn room(&self) -> u64 {
        PRELUDE_MAX.saturating_sub(self.bytes.len() as u64)
    }

    /// Keeps the outbox's last message, for which there was room.
    ///
    /// # Errors
    /// 1009 where its beginning has gone already, because it alone filled the buffer.
    pub(super) fn keep(&mut self, outbox: &Outbox, cut: bool) -> Result<(), Violation> {
        let length = outbox.length(outbox.last()).unwrap_or(0);
        if cut {
            let reason = "first messages too large to be restored";
            return Err(Violation { code: CloseCode::TOO_LARGE, reason });
        }
        let end = outbox.readable_end();
        for slice in outbox.slices(end - length, end) {
            self.bytes.extend_from_slice(slice);
        }
        self.ends.push(self.bytes.len() as u32);
        Ok(())
    }

    /// The messages before `number`: those that will not be sent again as unconfirmed.
    pub(super) fn before(&self, number: u64) -> &[u8] {
        let count = usize::try_from(number - 1).unwrap_or(usize::MAX).min(self.ends.len());
        let end = count.checked_sub(1).map_or(0, |last| self.ends[last]);
        &self.bytes[..end as usize]
    }
}

/// All first messages of a pipe together, in bytes: handshakes and logins, not data.
const PRELUDE_MAX: u64 = 64 * 1024;
