//! Names: of nodes, of their incarnations, of channels and logs.

use std::{fmt, str::FromStr, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// Names a node: 12 random bytes, written as 16 characters that fit into a URL and a token.
///
/// Issued by the node itself each time it starts, so that no two runs share one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId([u8; 12]);

/// Which life of a node: larger after each start, and after each time the others gave it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

/// Names a channel or a log: 1 to [`NAME_MAX`] bytes of any text.
///
/// No name can be chosen such that it meets another one's key, whatever characters it has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Channel(Arc<str>);

/// The text names nothing of this kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// A channel's or a log's name has no characters.
    #[error("a name has at least one character")]
    Empty,
    /// A channel's or a log's name has more than [`NAME_MAX`] bytes.
    #[error("a name has at most {NAME_MAX} bytes")]
    TooLong,
    /// The text is no node's.
    #[error("not the name of a node")]
    NotANode,
}

impl NodeId {
    /// A name that nobody has.
    pub fn random() -> Self {
        Self(rand::random())
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

impl FromStr for NodeId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidName::NotANode)?;
        bytes.try_into().map(Self).map_err(|_| InvalidName::NotANode)
    }
}

impl From<[u8; 12]> for NodeId {
    fn from(bytes: [u8; 12]) -> Self {
        Self(bytes)
    }
}

impl From<NodeId> for [u8; 12] {
    fn from(node: NodeId) -> Self {
        node.0
    }
}

impl Incarnation {
    /// The one after this.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Channel {
    /// The channel or log of this name.
    ///
    /// # Errors
    /// It is empty, or longer than [`NAME_MAX`].
    pub fn new(name: impl Into<Arc<str>>) -> Result<Self, InvalidName> {
        let name = name.into();
        match name.len() {
            0 => Err(InvalidName::Empty),
            length if length > NAME_MAX => Err(InvalidName::TooLong),
            _ => Ok(Self(name)),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Bytes of a channel's or a log's name: a path and a group's name fit, and a key stays small.
pub const NAME_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_reads_as_it_was_written() {
        let node = NodeId::random();
        assert_eq!(node.to_string().parse(), Ok(node));
        assert_eq!(node.to_string().len(), 16);
        for text in ["", "AAAA", "AAAAAAAAAAAAAAA!", "AAAAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(text.parse::<NodeId>(), Err(InvalidName::NotANode), "{text}");
        }
    }

    #[test]
    fn a_name_has_a_length() {
        assert_eq!(Channel::new(""), Err(InvalidName::Empty));
        assert_eq!(Channel::new("x".repeat(NAME_MAX + 1)), Err(InvalidName::TooLong));
        assert!(Channel::new("x".repeat(NAME_MAX)).is_ok());
        assert!(Channel::new("\r\n*{}\0").is_ok());
    }
}
