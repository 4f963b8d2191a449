//! Names of connections and users.
//!
//! A connection's id is public: other clients may learn it and send to it. What attaches to a
//! connection is its token, the id and a secret behind it.

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

/// What attaches to a connection that was negotiated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) id: ConnectionId,
    /// `None` in version 0 of negotiation, where the id alone attaches.
    pub(crate) secret: Option<[u8; 16]>,
}

impl ConnectionId {
    pub(crate) fn random() -> Self {
        Self(rand::random())
    }

    /// The bytes, as another node wrote them.
    pub(crate) const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, for another node.
    pub(crate) const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// One of so many numbers, each as likely as another.
    pub(crate) const fn spread(self, over: usize) -> usize {
        self.0[0] as usize % over
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; ID_LENGTH];
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

impl Token {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.split_at_checked(ID_LENGTH)?;
        let id = ConnectionId(sixteen(id)?);
        let secret = if secret.is_empty() { None } else { Some(sixteen(secret)?) };
        Some(Self { id, secret })
    }

    /// Whether this is the token that was issued. Takes the same time wherever they differ, so that
    /// nobody finds a secret byte by byte.
    pub(crate) fn opens(&self, issued: &Self) -> bool {
        match (self.secret, issued.secret) {
            (None, None) => self.id == issued.id,
            (Some(shown), Some(issued_secret)) => {
                let pairs = shown.iter().zip(issued_secret);
                let differences = pairs.fold(0, |all, (one, other)| all | (one ^ other));
                self.id == issued.id && differences == 0
            }
            _ => false,
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("id", &self.id).finish_non_exhaustive()
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)?;
        self.secret.map_or(Ok(()), |secret| ConnectionId(secret).fmt(f))
    }
}

fn sixteen(text: &str) -> Option<[u8; 16]> {
    // The decoder judges room by the length of the text, not by what is in it.
    let mut bytes = [0; 18];
    let count = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    bytes[..count].try_into().ok()
}

/// Characters of an id.
const ID_LENGTH: usize = 22;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_as_it_was_written() {
        let id = ConnectionId::random();
        assert_eq!(id.to_string().len(), ID_LENGTH);
        assert_eq!(id.to_string().parse(), Ok(id));
        for wrong in ["", "x", "ÄÄÄÄÄÄÄÄÄÄÄ", &"a".repeat(23), &"=".repeat(22)] {
            assert_eq!(wrong.parse::<ConnectionId>(), Err(NotAnId), "{wrong}");
        }
    }

    #[test]
    fn a_token_opens_its_own_connection_only() {
        let issued = Token { id: ConnectionId::random(), secret: Some([7; 16]) };
        assert!(Token::parse(&issued.to_string()).expect("a token").opens(&issued));
        let guessed = Token { secret: Some([8; 16]), ..issued };
        let bare = Token { secret: None, ..issued };
        assert!(!guessed.opens(&issued) && !bare.opens(&issued) && !issued.opens(&bare));
        assert!(Token::parse(&bare.to_string()).expect("a token").opens(&bare));
    }
}
