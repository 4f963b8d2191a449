//! What is known of a user.

use serde::{Deserialize, Serialize};

/// Names and values, as a token or an authenticating proxy gives them; a name may occur more than
/// once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Claims(Vec<(Box<str>, Box<str>)>);

impl Claims {
    /// Adds a claim.
    pub fn add(&mut self, name: impl Into<Box<str>>, value: impl Into<Box<str>>) {
        self.0.push((name.into(), value.into()));
    }

    /// The first value of this name.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All values of this name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.iter().filter(move |(there, _)| *there == name).map(|(_, value)| value)
    }

    /// Whether this name has this value among others.
    pub fn has(&self, name: &str, value: &str) -> bool {
        self.all(name).any(|there| there == value)
    }

    /// All names and values.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_may_have_several_values() {
        let mut claims = Claims::default();
        claims.add("sub", "anna");
        claims.add("role", "reader");
        claims.add("role", "admin");
        assert_eq!(claims.first("role"), Some("reader"));
        assert!(claims.has("role", "admin"));
        assert!(!claims.has("Role", "admin"), "names and values are compared as they are");
        assert_eq!(claims.first("email"), None);
    }
}
