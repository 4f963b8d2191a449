//! The key that signs and verifies.

use std::{fmt, ops::RangeInclusive};

/// A key of HS256. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey(Box<[u8]>);

/// Bytes that cannot be a key: too few, or so many that they are something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "is not {} to {} bytes long", AccessKey::LENGTH.start(), AccessKey::LENGTH.end()
)]
pub struct BadKey;

impl AccessKey {
    /// How long a key is, in bytes: at least as long as the hash, since a token gives anybody who
    /// has it all the time there is to guess a shorter one (RFC 7518, section 3.2).
    pub const LENGTH: RangeInclusive<usize> = 32..=1024;

    /// The bytes of a text as they are, the way Azure SignalR uses its keys: what looks like Base64
    /// is not decoded.
    ///
    /// # Errors
    /// If the text is too short or too long.
    pub fn new(text: &str) -> Result<Self, BadKey> {
        Self::LENGTH.contains(&text.len()).then(|| Self(text.as_bytes().into())).ok_or(BadKey)
    }

    /// A key that nobody else has.
    pub fn random() -> Self {
        Self(Box::new(rand::random::<[u8; 32]>()))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessKey(…)")
    }
}
