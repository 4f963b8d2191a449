//! One entry of a set's log, `{"v":1,"changes":[…],"by":…,"at":…}`: how it is written and read.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::value::{Key, Stored};

/// What one version changes, by whom and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct SetEntry {
    v: u8,
    pub(crate) changes: Vec<Step>,
    #[serde(flatten)]
    pub(crate) about: About,
}

/// What is known of a version besides its changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Who made it, as the admin API or a bridge calls them.
    #[serde(default)]
    pub by: Box<str>,
    /// When, in milliseconds since 1970, by the clock of the node that took it.
    #[serde(default)]
    pub at: u64,
    /// Why, in the words of who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Box<str>>,
    /// The version whose values are back with this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back_to: Option<u64>,
}

/// One step of a change; steps are done one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Step {
    /// A value moves to another key.
    Rename {
        rename: Renamed,
        /// The same value sealed for its new key, if it is a secret.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<Stored>,
    },
    /// A key has another value, or none any more.
    Put {
        key: Key,
        /// Has to be there: what says nothing of it is not understood.
        #[serde(deserialize_with = "Option::deserialize")]
        value: Option<Stored>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        secret: bool,
    },
}

/// Which key has become which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renamed {
    /// What is no longer there.
    pub from: Key,
    /// What has its value.
    pub to: Key,
}

/// An entry as it is read: a step of a later version of this program is not understood.
#[derive(Deserialize)]
struct Read {
    v: u8,
    changes: Vec<serde_json::Value>,
    #[serde(flatten)]
    about: About,
}

impl Step {
    pub(crate) fn put(key: Key, value: Option<Stored>) -> Self {
        let secret = value.as_ref().is_some_and(Stored::is_secret);
        Self::Put { key, value, secret }
    }
}

impl SetEntry {
    pub(crate) const fn new(changes: Vec<Step>, about: About) -> Self {
        Self { v: FORMAT, changes, about }
    }

    pub(crate) fn write(&self) -> Bytes {
        // Texts as keys and no maps of anything else: there is nothing that JSON cannot say.
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// What an entry says, and how many of its steps are not understood; `None` if it is no entry.
    pub(crate) fn read(bytes: &[u8]) -> Option<(Self, u64)> {
        let Read { v, changes, about } = serde_json::from_slice(bytes).ok()?;
        if v != FORMAT {
            return None;
        }
        let count = changes.len();
        let changes: Vec<Step> =
            changes.into_iter().filter_map(|step| serde_json::from_value(step).ok()).collect();
        let unknown = (count - changes.len()) as u64;
        Some((Self::new(changes, about), unknown))
    }
}

/// The version of the format.
const FORMAT: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let text = r#"{"v":1,"changes":[{"key":"A","value":"x"},{"key":"B","value":null},{"key":"S","value":{"sealed":"AAEC"},"secret":true},{"rename":{"from":"A","to":"C"}}],"by":"ann","at":7,"note":"why"}"#;
        let (entry, unknown) = SetEntry::read(text.as_bytes()).unwrap();
        assert_eq!((entry.changes.len(), unknown), (4, 0));
        assert!(
            matches!(&entry.changes[3], Step::Rename { rename, value: None } if rename.to.as_str() == "C")
        );
        assert_eq!(entry.write(), text.as_bytes());
    }

    #[test]
    fn what_a_later_version_says_is_counted_and_the_rest_is_read() {
        let text = r#"{"v":1,"changes":[{"copy":["A","B"]},{"key":"C","append":"y"},{"key":"B","value":"x"}],"by":"ann","at":7,"mood":1}"#;
        let (entry, unknown) = SetEntry::read(text.as_bytes()).unwrap();
        assert_eq!((entry.changes.len(), unknown), (1, 2));
        for not in [&b"{}"[..], b"", b"x", br#"{"v":2,"changes":[],"by":"","at":0}"#] {
            assert_eq!(SetEntry::read(not), None);
        }
    }
}
