//! The message that the tests send: it carries its own identity and a hash over itself.
//!
//! ```text
//! E1T <stream> <sequence> <sum>\n<filler>
//! ```
//!
//! `E1T` is sent as text, `E1B` as binary, so that a changed opcode is found. A *stream* is one
//! sender's numbered sequence, counted from 1. `sum` is the first 16 hex digits of SHA-1 over
//! everything but itself. The peers in Node and Python implement the format once more.

use sha1::{Digest, Sha1};

/// The opcode a message travels with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Opcode 1.
    Text,
    /// Opcode 2.
    Binary,
}

/// What a message says of itself, and whether that is true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Whose sequence it belongs to.
    pub stream: String,
    /// Its number in that sequence, from 1.
    pub sequence: u64,
    /// Hash and opcode are what they were when it was written.
    pub whole: bool,
}

/// The kind of message `sequence`: text and binary take turns.
pub fn kind_of(sequence: u64) -> Kind {
    if sequence.is_multiple_of(2) { Kind::Binary } else { Kind::Text }
}

/// Message `sequence` of `stream` with `size` bytes of filler.
pub fn write(stream: &str, sequence: u64, size: usize) -> (Kind, Vec<u8>) {
    let kind = kind_of(sequence);
    let head = format!("{} {stream} {sequence}", mark_of(kind));
    let filler = filler(kind, sequence, size);
    let mut payload = format!("{head} {}\n", sum(&head, &filler)).into_bytes();
    payload.extend_from_slice(&filler);
    (kind, payload)
}

/// What `payload` says of itself, or `None` where it is not one of ours (any more).
pub fn read(kind: Kind, payload: &[u8]) -> Option<Mark> {
    let end = payload.iter().take(HEAD_MAX).position(|&byte| byte == b'\n')?;
    let line = str::from_utf8(&payload[..end]).ok()?;
    let (head, said) = line.rsplit_once(' ')?;
    let mut words = head.split(' ');
    let (mark, stream, sequence) = (words.next()?, words.next()?, words.next()?);
    if !matches!(mark, "E1T" | "E1B") || words.next().is_some() {
        return None;
    }
    let whole = said == sum(head, &payload[end + 1..]) && mark == mark_of(kind);
    Some(Mark { stream: stream.to_owned(), sequence: sequence.parse().ok()?, whole })
}

/// The text after the head, where a backend says what it answers.
pub fn filler_text(payload: &[u8]) -> &str {
    let end =
        payload.iter().take(HEAD_MAX).position(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    str::from_utf8(&payload[end..]).unwrap_or("")
}

fn mark_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "E1T",
        Kind::Binary => "E1B",
    }
}

/// Differs from message to message and does not compress to nothing; binary is never UTF-8.
fn filler(kind: Kind, sequence: u64, size: usize) -> Vec<u8> {
    let mut state = sequence.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let byte = (state >> 32) as u8;
        match kind {
            Kind::Text => b' ' + byte % 95,
            Kind::Binary => byte | 0x80,
        }
    };
    std::iter::repeat_with(next).take(size).collect()
}

fn sum(head: &str, filler: &[u8]) -> String {
    let hash = Sha1::new().chain_update(head).chain_update("\n").chain_update(filler).finalize();
    hash[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A head is short; a line feed later than this belongs to something else.
const HEAD_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reads_as_it_was_written() {
        for sequence in 1..=4 {
            let (kind, payload) = write("c1.up", sequence, 1000);
            let mark = Mark { stream: "c1.up".to_owned(), sequence, whole: true };
            assert_eq!(read(kind, &payload), Some(mark));
        }
    }

    #[test]
    fn a_changed_byte_or_opcode_is_seen() {
        let (_, mut payload) = write("c1.up", 1, 100);
        assert!(!read(Kind::Binary, &payload).unwrap().whole);
        *payload.last_mut().unwrap() ^= 1;
        assert!(!read(Kind::Text, &payload).unwrap().whole);
    }

    #[test]
    fn two_merged_messages_are_not_whole() {
        let merged = [write("c1.up", 1, 10).1, write("c1.up", 2, 10).1].concat();
        assert!(!read(Kind::Text, &merged).unwrap().whole);
    }

    #[test]
    fn the_tail_of_a_torn_message_is_not_ours() {
        let (kind, payload) = write("c1.up", 1, 100);
        assert_eq!(read(kind, &payload[30..]), None);
    }
}
