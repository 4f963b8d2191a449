//! `access_key`, `access_keys` and `audiences`: who is let into a hub.

use everwire_hub::token::{AccessKey, AccessKeys};

use super::LEEWAY;
use crate::config::{
    reader::{self, Reader},
    tree::Node,
};

/// Who is let in: clients with a token that one of the keys has signed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Access {
    /// The first signs, all verify.
    first: AccessKey,
    others: Vec<AccessKey>,
    pub(crate) audiences: Vec<String>,
}

impl Access {
    /// What signs and reads tokens.
    pub(crate) fn keys(&self) -> AccessKeys {
        let first = AccessKeys::new(&self.first).audiences(self.audiences.clone()).leeway(LEEWAY);
        self.others.iter().fold(first, AccessKeys::or)
    }
}

/// Reads who is let in; `None` where everybody is.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<Access> {
    let before = reader.mistakes().count();
    let audiences = reader.read_list("audiences", reader::string).unwrap_or_default();
    let one = reader.take("access_key");
    let several = take_keys(reader);
    if one.is_some() && several.is_some() {
        reader.contradict(&["access_key"], "is written beside access_keys; write one of them");
    }
    let written = several.is_some();
    let named = one.map(|node| ("access_key".to_owned(), node)).into_iter();
    let listed = several.into_iter().flatten().enumerate();
    let listed = listed.map(|(index, node)| (format!("access_keys[{index}]"), node));
    let mut keys = Vec::new();
    for (name, node) in named.chain(listed) {
        match access_key(&node) {
            Ok(key) if keys.contains(&key) => {
                reader.complain(&node.origin, &name, "is listed twice")
            }
            Ok(key) => keys.push(key),
            // The value is a secret even when it is wrong: it is not repeated.
            Err(what) => reader.complain(&node.origin, &name, what),
        }
    }
    let has_mistakes = reader.mistakes().count() > before;
    if keys.is_empty() && !has_mistakes {
        if written {
            reader.contradict(&["access_keys"], "is empty: leave it out to let everybody in");
        }
        if !audiences.is_empty() {
            reader.contradict(&["audiences"], "means nothing without access_key");
        }
    }
    let mut keys = keys.into_iter();
    Some(Access { first: keys.next()?, others: keys.collect(), audiences })
}

/// The elements of `access_keys`. What is no list may be a key, and is not repeated either.
fn take_keys(reader: &mut Reader<'_>) -> Option<Vec<Node>> {
    let node = reader.take("access_keys")?;
    let origin = node.origin.clone();
    let list = node.into_list().ok();
    if list.is_none() {
        reader.complain(&origin, "access_keys", "is not a list");
    }
    list
}

fn access_key(node: &Node) -> Result<AccessKey, String> {
    let text = reader::string(node)?;
    AccessKey::new(&text)
        .map_err(|bad| format!("{bad}; `openssl rand -base64 32` makes a good one"))
}
