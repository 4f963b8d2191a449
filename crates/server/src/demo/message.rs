//! What the clients say: numbered, of different lengths, and with a hash at the end.

use std::hash::{DefaultHasher, Hash, Hasher};

/// The text of a client's message; whoever has it knows whether it is whole.
pub(super) fn write(client: usize, number: u64) -> String {
    let padding = ".".repeat((number % PADDINGS) as usize);
    let text = format!("{client} {number} {padding}");
    format!("{text} {:016x}", hash(text.as_bytes()))
}

/// Client and number of a message, if it is whole.
pub(super) fn read(bytes: &[u8]) -> Option<(usize, u64)> {
    let text = str::from_utf8(bytes).ok()?;
    let mut words = text.split(' ');
    let (client, number) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    (write(client, number) == text).then_some((client, number))
}

/// What makes a torn or merged message visible.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// Messages of different lengths show torn and merged ones.
const PADDINGS: u64 = 97;
