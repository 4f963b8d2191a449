//! Keys and values of a set. No value is shown by `Debug`: each may be what somebody forgot to mark secret.

use std::{fmt, str::FromStr, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

/// What a value is called: 1 to [`KEY_MAX`] bytes without `=`, control characters or blanks around it, so
/// that it can be a variable of an environment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(Arc<str>);

/// A text of at most [`VALUE_MAX`] bytes. `Debug` shows its length only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Value(Arc<str>);

/// A secret value as it lies in the log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sealed(Arc<[u8]>);

/// A value as it lies in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Stored {
    /// As it is.
    Plain(Value),
    /// A secret.
    Sealed {
        /// What [`Sealer`](crate::seal::Sealer) opens.
        sealed: Sealed,
    },
}

/// A text is no key, or no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAValue {
    /// It is no key.
    #[error(
        "{0:?} is not a key: use 1 to {KEY_MAX} bytes without '=', control characters and blanks around it"
    )]
    Key(Box<str>),
    /// The value is too long.
    #[error(
        "a value has {0} bytes, and at most {VALUE_MAX} are allowed; keep what is larger elsewhere and \
             its address in the set"
    )]
    TooLong(usize),
    /// An environment cannot carry it.
    #[error(
        "a value has a zero byte, which no environment can carry; encode it, as Base64 for example"
    )]
    Zero,
    /// What should be Base64 is not.
    #[error("a sealed value is not Base64")]
    NotBase64,
}

impl Key {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value {
    /// Takes a text.
    ///
    /// # Errors
    /// If it is too long or has a zero byte.
    pub fn new(text: &str) -> Result<Self, NotAValue> {
        if text.len() > VALUE_MAX {
            return Err(NotAValue::TooLong(text.len()));
        }
        if text.contains('\0') {
            return Err(NotAValue::Zero);
        }
        Ok(Self(text.into()))
    }

    /// The text, which may be secret.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Sealed {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Stored {
    /// Whether it is a secret.
    pub const fn is_secret(&self) -> bool {
        matches!(self, Self::Sealed { .. })
    }

    /// Bytes that it takes in a log, but for what JSON escapes.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Plain(value) => value.0.len(),
            Self::Sealed { sealed } => sealed.0.len().div_ceil(3) * 4,
        }
    }
}

impl FromStr for Key {
    type Err = NotAValue;

    fn from_str(text: &str) -> Result<Self, NotAValue> {
        let is_bad = text.is_empty()
            || text.len() > KEY_MAX
            || text.trim() != text
            || text.chars().any(|char| char == '=' || char.is_control());
        if is_bad {
            // As much as a person needs to find it again.
            return Err(NotAValue::Key(text.chars().take(KEY_MAX).collect()));
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for Key {
    type Error = NotAValue;

    fn try_from(text: String) -> Result<Self, NotAValue> {
        text.parse()
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.as_str().to_owned()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Value {
    type Error = NotAValue;

    fn try_from(text: String) -> Result<Self, NotAValue> {
        Self::new(&text)
    }
}

impl From<Value> for String {
    fn from(value: Value) -> Self {
        value.as_str().to_owned()
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({} bytes)", self.0.len())
    }
}

impl TryFrom<String> for Sealed {
    type Error = NotAValue;

    fn try_from(text: String) -> Result<Self, NotAValue> {
        STANDARD.decode(text).map(Self::new).map_err(|_| NotAValue::NotBase64)
    }
}

impl From<Sealed> for String {
    fn from(sealed: Sealed) -> Self {
        STANDARD.encode(sealed.bytes())
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

/// Bytes of a key.
pub const KEY_MAX: usize = 256;

/// Bytes of a value.
pub const VALUE_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_can_be_a_variable_of_an_environment() {
        let long = "k".repeat(KEY_MAX);
        for good in ["A", "DB_URL", "feature.new-cart", "größe", "two words", &long] {
            assert_eq!(good.parse::<Key>().unwrap().as_str(), good);
        }
        for bad in ["", "A=B", "A\n", " A", "A ", "A\0", &format!("{long}k")] {
            assert!(bad.parse::<Key>().is_err(), "{bad:?}");
            assert!(serde_json::from_value::<Key>(bad.into()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_value_is_limited_and_not_shown() {
        assert!(Value::new(&"v".repeat(VALUE_MAX)).is_ok());
        let refused = Value::new(&"v".repeat(VALUE_MAX + 1)).unwrap_err();
        assert!(refused.to_string().contains("keep what is larger elsewhere"), "{refused}");
        assert_eq!(Value::new("a\0b"), Err(NotAValue::Zero));
        assert_eq!(format!("{:?}", Value::new("hunter2").unwrap()), "Value(7 bytes)");
    }

    #[test]
    fn both_kinds_of_values_are_read_as_they_were_written() {
        for (text, is_secret) in [(r#""x""#, false), (r#"{"sealed":"AAECAw=="}"#, true)] {
            let stored: Stored = serde_json::from_str(text).unwrap();
            assert_eq!(stored.is_secret(), is_secret);
            assert_eq!(serde_json::to_string(&stored).unwrap(), text);
        }
        assert!(serde_json::from_str::<Stored>(r#"{"sealed":"?"}"#).is_err());
    }
}
