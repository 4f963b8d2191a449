//! Names of connections and users.
//!
//! A connection's id is public: other clients may learn it and send to it. What attaches to a
//! connection is its token, which is signed: see `ticket`.

use std::{fmt, str::FromStr, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// Names a connection: 16 random bytes, written as 22 characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId([u8; 16]);

/// The text is not a connection's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a connection id")]
pub struct NotAnId;

/// Names a user, who may have many connections. Compared with regard to case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(Arc<str>);

/// Names a group. Compared with regard to case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupName(Arc<str>);

impl ConnectionId {
    /// Characters of an id.
    pub(crate) const LENGTH: usize = 22;

    /// Bytes of an id.
    pub(crate) const BYTES: usize = 16;

    pub(crate) fn random() -> Self {
        Self(rand::random())
    }

    pub(crate) const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// One of so many numbers, each as likely as another.
    pub(crate) const fn spread(self, over: usize) -> usize {
        self.0[0] as usize % over
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; Self::LENGTH];
        // The bytes fill the text exactly.
        let _ = URL_SAFE_NO_PAD.encode_slice(self.0, &mut text);
        f.write_str(str::from_utf8(&text).unwrap_or_default())
    }
}

impl FromStr for ConnectionId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        sixteen(text).map(Self).ok_or(NotAnId)
    }
}

impl UserId {
    /// The user of this name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) const fn shared(&self) -> &Arc<str> {
        &self.0
    }
}

impl From<&str> for UserId {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<String> for UserId {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl GroupName {
    /// The group of this name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) const fn shared(&self) -> &Arc<str> {
        &self.0
    }
}

impl From<&str> for GroupName {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<String> for GroupName {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn sixteen(text: &str) -> Option<[u8; 16]> {
    // The decoder judges room by the length of the text, not by what is in it.
    let mut bytes = [0; 18];
    let count = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    bytes[..count].try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_as_it_was_written() {
        let id = ConnectionId::random();
        assert_eq!(id.to_string().len(), ConnectionId::LENGTH);
        assert_eq!(id.to_string().parse(), Ok(id));
        for wrong in ["", "x", "ÄÄÄÄÄÄÄÄÄÄÄ", &"a".repeat(23), &"=".repeat(22)] {
            assert_eq!(wrong.parse::<ConnectionId>(), Err(NotAnId), "{wrong}");
        }
    }
}
