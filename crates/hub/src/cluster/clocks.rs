//! What time it is at the other nodes. Pure.
//!
//! A letter names the moment at which it was written by the clock of the node that reads it. So it
//! does not matter how wrong the clock of any machine is: whoever writes to a node has asked it
//! before what time it is there, and goes by its own steady clock from then on.

use std::{collections::HashMap, time::Duration};

use everwire_proto::time::Time;

use crate::seal::{Seal, TAG, Tag};

/// The clocks of the nodes that this one has asked, by their addresses.
#[derive(Debug, Default)]
pub(super) struct Clocks(HashMap<Box<str>, Known>);

#[derive(Debug)]
struct Known {
    /// What it said, in milliseconds.
    said: u64,
    /// When it did, by this node's clock.
    heard: Time,
}

impl Clocks {
    /// What time it is at a node; `None` if it has not been asked, or not for long.
    pub(super) fn at(&self, node: &str, now: Time) -> Option<u64> {
        let known = self.0.get(node)?;
        let since = now.saturating_since(known.heard);
        (since < GOOD_FOR).then(|| known.said.saturating_add(since.as_millis() as u64))
    }

    /// A node has said what time it is.
    pub(super) fn learn(&mut self, node: &str, said: u64, now: Time) {
        if self.0.len() >= NODES_MAX && !self.0.contains_key(node) {
            self.0.retain(|_, known| now.saturating_since(known.heard) < GOOD_FOR);
        }
        if self.0.len() < NODES_MAX || self.0.contains_key(node) {
            self.0.insert(node.into(), Known { said, heard: now });
        }
    }

    /// A node goes by another clock than was believed.
    pub(super) fn forget(&mut self, node: &str) {
        self.0.remove(node);
    }
}

/// The answer to a hello: what time it is here, signed for who asks and for this once.
pub(super) fn tell(seal: &Seal, letter: &[u8], now: u64) -> Vec<u8> {
    let now = now.to_be_bytes();
    let tag = seal.sign(PURPOSE, &[letter, &now]);
    [now.as_slice(), &tag].concat()
}

/// What time a node says it is, if it is one and answers this letter.
pub(super) fn read(seal: &Seal, letter: &[u8], answer: &[u8]) -> Option<u64> {
    let (now, tag) = answer.split_first_chunk::<8>()?;
    let tag: &Tag = tag.first_chunk::<TAG>().filter(|_| tag.len() == TAG)?;
    seal.verify(PURPOSE, &[letter, now], tag).then(|| u64::from_be_bytes(*now))
}

const PURPOSE: &str = "everwire time of a node";

/// How long what a node has said is gone by: two machines' steady clocks drift by less than a second
/// meanwhile.
const GOOD_FOR: Duration = Duration::from_secs(3600);

/// Nodes whose clocks are known; as many as whose letters are.
const NODES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_millis(seconds * 1000)
    }

    #[test]
    fn a_clock_goes_on_and_is_asked_for_again_after_an_hour() {
        let mut clocks = Clocks::default();
        assert_eq!(clocks.at("a:1", at(5)), None);
        clocks.learn("a:1", 7, at(5));
        assert_eq!(clocks.at("a:1", at(15)), Some(10_007));
        assert_eq!(clocks.at("b:1", at(15)), None);
        assert_eq!(clocks.at("a:1", at(3605)), None);
        clocks.learn("a:1", 9, at(3605));
        assert_eq!(clocks.at("a:1", at(3605)), Some(9));
        clocks.forget("a:1");
        assert_eq!(clocks.at("a:1", at(3605)), None);
    }

    #[test]
    fn so_many_clocks_are_known_and_those_that_are_old_make_room() {
        let mut clocks = Clocks::default();
        (0..NODES_MAX).for_each(|node| clocks.learn(&node.to_string(), 1, at(0)));
        clocks.learn("one more", 1, at(1));
        assert_eq!(clocks.at("one more", at(1)), None);
        clocks.learn("0", 5, at(1));
        assert_eq!(clocks.at("0", at(1)), Some(5), "it has a place");
        clocks.learn("one more", 1, at(3600));
        assert_eq!(clocks.at("one more", at(3600)), Some(1));
        assert_eq!(clocks.0.len(), 2);
    }

    #[test]
    fn attack_s8_the_time_is_taken_from_a_node_only_and_as_the_answer_to_this_question_only() {
        let seal = Seal::random();
        let answer = tell(&seal, b"letter", 77);
        assert_eq!(read(&seal, b"letter", &answer), Some(77));
        assert_eq!(read(&seal, b"lette", &answer), None);
        assert_eq!(read(&Seal::random(), b"letter", &answer), None);
        for length in 0..answer.len() {
            assert_eq!(read(&seal, b"letter", &answer[..length]), None);
        }
        for at in 0..answer.len() {
            let mut forged = answer.clone();
            forged[at] ^= 1;
            assert_eq!(read(&seal, b"letter", &forged), None, "{at}");
        }
        assert_eq!(read(&seal, b"letter", &[&answer[..], b"x"].concat()), None);
    }
}
