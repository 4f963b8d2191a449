//! The messages of the fault runs: whose, which one, and a hash over it all.
//!
//! A question is `client, number, filler, hash`; its reply is `leg, leg_number`, the question, and
//! a hash of its own. Sizes vary so that every length form of a frame occurs.

use std::hash::{DefaultHasher, Hasher as _};

/// A client's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) client: u32,
    pub(crate) number: u64,
}

impl Question {
    /// The message's bytes.
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(QUESTION_HEAD + self.filler_len() + HASH);
        bytes.extend_from_slice(&self.client.to_le_bytes());
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.resize(QUESTION_HEAD + self.filler_len(), self.number.to_le_bytes()[0]);
        sealed(bytes)
    }

    /// Reads a question; `Err` with what can be read of it if it is not as it was sent.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Option<Self>> {
        let fields = || {
            let client = u32::from_le_bytes(*bytes.first_chunk()?);
            let number = u64::from_le_bytes(*bytes.get(4..)?.first_chunk()?);
            Some(Self { client, number })
        };
        let question = fields().ok_or(None)?;
        let whole = is_sealed(bytes) && bytes.len() == QUESTION_HEAD + question.filler_len() + HASH;
        if whole { Ok(question) } else { Err(Some(question)) }
    }

    fn filler_len(self) -> usize {
        match self.number % 200 {
            0 => 70_000,
            50 | 100 | 150 => 5_000,
            other => usize::try_from(other * 37 % 400).unwrap_or(0),
        }
    }
}

/// A backend's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) leg: u64,
    pub(crate) leg_number: u64,
    pub(crate) question: Question,
}

impl Reply {
    /// The bytes of a reply to a question that came as `question`.
    pub(crate) fn encode(leg: u64, leg_number: u64, question: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(REPLY_HEAD + question.len() + HASH);
        bytes.extend_from_slice(&leg.to_le_bytes());
        bytes.extend_from_slice(&leg_number.to_le_bytes());
        bytes.extend_from_slice(question);
        sealed(bytes)
    }

    /// Reads a reply; `Err` with what can be read of it if it is not as it was sent.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Option<Self>> {
        let fields = || {
            let leg = u64::from_le_bytes(*bytes.first_chunk()?);
            let leg_number = u64::from_le_bytes(*bytes.get(8..)?.first_chunk()?);
            let inner = bytes.get(REPLY_HEAD..bytes.len().checked_sub(HASH)?)?;
            let question = Question::decode(inner).ok()?;
            Some(Self { leg, leg_number, question })
        };
        let reply = fields().ok_or(None)?;
        if is_sealed(bytes) { Ok(reply) } else { Err(Some(reply)) }
    }
}

fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let hash = hash(&bytes);
    bytes.extend_from_slice(&hash.to_le_bytes());
    bytes
}

fn is_sealed(bytes: &[u8]) -> bool {
    bytes.split_last_chunk().is_some_and(|(body, seal)| u64::from_le_bytes(*seal) == hash(body))
}

/// What makes a changed byte visible.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

const QUESTION_HEAD: usize = 12;
const REPLY_HEAD: usize = 16;
const HASH: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_flipped_byte_is_noticed() {
        let question = Question { client: 3, number: 9 };
        let bytes = question.encode();
        assert_eq!(Question::decode(&bytes), Ok(question));
        for at in 0..bytes.len() {
            let mut torn = bytes.clone();
            torn[at] ^= 1;
            assert!(Question::decode(&torn).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_reply_carries_its_question() {
        let question = Question { client: 3, number: 200 };
        let reply = Reply { leg: 5, leg_number: 6, question };
        assert_eq!(Reply::decode(&Reply::encode(5, 6, &question.encode())), Ok(reply));
    }
}
