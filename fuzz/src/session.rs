//! Numbered replay against a model: an outbox under any order of operations, written down and
//! continued at any point, keeps exactly what was not released.

use std::collections::VecDeque;

use everwire_proto::session::inbox::{Arrival, Inbox};
use everwire_proto::session::outbox::{Outbox, Resume};

use crate::bytes::Bytes;

/// Memory beside the data: a first and a last segment half used, and the queues' own.
const OVERHEAD_MAX: usize = 160 * 1024;

/// Operations per input: enough for any order of a few, few enough to try many inputs.
const OPERATIONS_MAX: usize = 64;

/// Applies operations to an outbox and to its model, and compares after each.
pub fn session(input: &[u8]) {
    let mut input = Bytes(input);
    let mut outbox = Outbox::default();
    let mut model = Model { kept: VecDeque::new(), open: Vec::new(), first: 1 };
    for _ in 0..OPERATIONS_MAX {
        if input.is_empty() {
            break;
        }
        match input.byte() % 6 {
            0 => {
                let count = input.number();
                let bytes = input.take(count);
                outbox.append(bytes);
                model.open.extend_from_slice(bytes);
            }
            1 => assert_eq!(outbox.commit(), model.commit()),
            2 => {
                outbox.abort();
                model.open.clear();
            }
            3 => {
                let number = model.first + u64::from(input.byte() % 8);
                outbox.release_through(number);
                model.release_through(number);
            }
            4 => {
                let received = (model.first + u64::from(input.byte() % 8)).saturating_sub(4);
                assert_eq!(outbox.resume(received), model.resume(received));
            }
            _ => outbox = continued(&outbox),
        }
        model.assert_same(&outbox);
    }
    replay(&model, &outbox);
}

/// What a process reads that continues another's work.
fn continued(outbox: &Outbox) -> Outbox {
    let written = serde_json::to_string(outbox).expect("can be written down");
    serde_json::from_str(&written).expect("can be continued")
}

/// A receiver that takes everything kept, twice, takes each message once.
fn replay(model: &Model, outbox: &Outbox) {
    let mut inbox = Inbox::resumed(outbox.first() - 1);
    for number in outbox.first()..=outbox.last() {
        assert_eq!(inbox.accept(number), Arrival::New);
        assert_eq!(inbox.accept(number), Arrival::Doubled);
    }
    assert_eq!(inbox.received(), model.last());
}

/// The simplest thing that does the same.
struct Model {
    kept: VecDeque<Vec<u8>>,
    open: Vec<u8>,
    first: u64,
}

impl Model {
    fn last(&self) -> u64 {
        self.first + self.kept.len() as u64 - 1
    }

    fn commit(&mut self) -> u64 {
        self.kept.push_back(std::mem::take(&mut self.open));
        self.last()
    }

    fn release_through(&mut self, number: u64) {
        while self.first <= number && self.kept.pop_front().is_some() {
            self.first += 1;
        }
    }

    fn resume(&self, received: u64) -> Resume {
        match received {
            _ if received > self.last() => Resume::Impossible,
            _ if received + 1 < self.first => Resume::Gap { from: self.first },
            _ => Resume::Replay { from: received + 1 },
        }
    }

    fn assert_same(&self, outbox: &Outbox) {
        assert_eq!((outbox.first(), outbox.last()), (self.first, self.last()));
        assert_eq!(outbox.has_open(), !self.open.is_empty());
        for (number, message) in (self.first..).zip(&self.kept) {
            assert_eq!(outbox.length(number), Some(message.len() as u64));
        }
        let kept = outbox.slices(outbox.start(), outbox.readable_end());
        let wanted: Vec<u8> = self.kept.iter().flatten().copied().collect();
        assert_eq!(kept.collect::<Vec<_>>().concat(), wanted);
        let held = wanted.len() + self.open.len();
        assert!(outbox.charged() <= 2 * held + OVERHEAD_MAX, "{} for {held}", outbox.charged());
    }
}
