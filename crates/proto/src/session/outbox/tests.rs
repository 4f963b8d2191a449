//! What the outbox promises about numbers, bytes and memory.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

fn read(outbox: &Outbox) -> Vec<u8> {
    outbox.slices(outbox.start(), outbox.readable_end()).flatten().copied().collect()
}

#[test]
fn numbers_begin_at_one_and_have_no_hole() {
    let mut outbox = Outbox::default();
    assert_eq!((outbox.first(), outbox.last()), (1, 0));
    assert_eq!(outbox.push(b"a"), 1);
    assert_eq!(outbox.push(b""), 2);
    assert_eq!(outbox.push(b"c"), 3);
    outbox.release_through(2);
    assert_eq!((outbox.first(), outbox.last()), (3, 3));
    assert_eq!(read(&outbox), b"c");
    outbox.release_through(9);
    assert_eq!((outbox.first(), outbox.last()), (4, 3));
    assert_eq!(outbox.push(b"d"), 4);
}

#[test]
fn an_open_message_is_not_read_and_can_be_dropped() {
    let mut outbox = Outbox::default();
    outbox.push(b"whole");
    outbox.append(b"half");
    assert!(outbox.has_open());
    assert_eq!(read(&outbox), b"whole");
    outbox.abort();
    assert!(!outbox.has_open());
    assert_eq!(outbox.push(b"next"), 2);
    assert_eq!(read(&outbox), b"wholenext");
}

#[test]
fn an_exposed_message_streams_through_in_little_memory() {
    let mut outbox = Outbox::default();
    outbox.expose();
    for _ in 0..1000 {
        outbox.append(&[7; 10_000]);
        assert_eq!(read(&outbox).len(), 10_000);
        outbox.release_exposed(outbox.readable_end());
    }
    assert!(outbox.charged() < 100_000);
    assert_eq!(outbox.commit(), 1);
    assert_eq!(outbox.length(1), Some(0));
    outbox.release_through(1);
    assert_eq!(outbox.first(), 2);
}

#[test]
fn a_receiver_that_returns_gets_a_replay_or_is_told_of_the_gap() {
    let mut outbox = Outbox::default();
    for _ in 0..5 {
        outbox.push(b"x");
    }
    outbox.release_through(2);
    assert_eq!(outbox.resume(5), Resume::Replay { from: 6 });
    assert_eq!(outbox.resume(3), Resume::Replay { from: 4 });
    assert_eq!(outbox.resume(2), Resume::Replay { from: 3 });
    assert_eq!(outbox.resume(1), Resume::Gap { from: 3 });
    assert_eq!(outbox.resume(6), Resume::Impossible);
}

proptest! {
    #[test]
    fn keeps_exactly_what_is_unconfirmed(
        steps in proptest::collection::vec((0usize..300, any::<bool>(), 0u64..4), 1..60)
    ) {
        let mut outbox = Outbox::default();
        let mut model: VecDeque<(u64, Vec<u8>)> = VecDeque::new();
        for (length, in_two, release) in steps {
            let message: Vec<u8> = (0..length).map(|i| (i ^ model.len()) as u8).collect();
            let (head, tail) = message.split_at(if in_two { length / 2 } else { length });
            outbox.append(head);
            outbox.append(tail);
            model.push_back((outbox.commit(), message));
            let through = outbox.first() + release;
            if release > 0 {
                outbox.release_through(through - 1);
                model.retain(|(number, _)| *number >= through);
            }
            let kept: Vec<u8> = model.iter().flat_map(|(_, message)| message.clone()).collect();
            prop_assert_eq!(read(&outbox), kept);
            for (number, message) in &model {
                prop_assert_eq!(outbox.length(*number), Some(message.len() as u64));
            }
            if model.is_empty() {
                prop_assert_eq!(outbox.charged(), 0);
            }
        }
    }
}
