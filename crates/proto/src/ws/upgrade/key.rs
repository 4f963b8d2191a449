//! `Sec-WebSocket-Key` and the `Accept` that proves that it was read.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha1::{Digest, Sha1};

/// The fresh nonce of one leg, written as its key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LegKey([u8; 24]);

impl LegKey {
    /// The key for 16 random bytes, which must not be used twice.
    pub fn new(random: [u8; 16]) -> Self {
        let mut key = [0; 24];
        // Sixteen bytes are always twenty-four characters.
        let _ = STANDARD.encode_slice(random, &mut key);
        Self(key)
    }

    /// The value of `Sec-WebSocket-Key`.
    pub fn as_bytes(&self) -> &[u8; 24] {
        &self.0
    }

    /// The only `Sec-WebSocket-Accept` that answers this key.
    pub fn accept(&self) -> [u8; 28] {
        accept_for(&self.0)
    }
}

impl std::fmt::Debug for LegKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LegKey")
    }
}

/// The `Sec-WebSocket-Accept` that answers `key` (RFC 6455 section 4.2.2).
pub(super) fn accept_for(key: &[u8]) -> [u8; 28] {
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let mut accept = [0; 28];
    // Twenty bytes are always twenty-eight characters.
    let _ = STANDARD.encode_slice(digest, &mut accept);
    accept
}

/// Whether `key` encodes sixteen bytes. The four unused bits at its end may hold anything, as in
/// every server we met: there are clients that fill all twenty-two characters at random.
pub(super) fn is_key(key: &[u8]) -> bool {
    let alphabet = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'+' || *byte == b'/';
    key.len() == 24 && key[..22].iter().all(alphabet) && key.ends_with(b"==")
}

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
