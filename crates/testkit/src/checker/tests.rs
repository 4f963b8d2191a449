//! The negative controls: a checker that does not fail on these would prove nothing elsewhere.

use super::*;
use crate::message::{self, Kind};

/// What a checker says of `arrivals` when 1 to 5 were sent.
fn check(arrivals: &[u64]) -> Tally {
    let mut checker = Checker::new();
    checker.sent("s", 5);
    for &sequence in arrivals {
        let (kind, payload) = message::write("s", sequence, 20);
        checker.arrived(message::read(kind, &payload).as_ref());
    }
    checker.tally()
}

/// The same at a backend, where (leg, sequence) arrive.
fn check_legs(arrivals: &[(&str, u64)]) -> Tally {
    let mut checker = Checker::new();
    checker.sent("s", 5);
    for &(leg, sequence) in arrivals {
        let (kind, payload) = message::write("s", sequence, 20);
        checker.arrived_on(leg, message::read(kind, &payload).as_ref());
    }
    checker.tally()
}

/// What a checker says of one payload where message 1 was sent.
fn check_bytes(kind: Kind, payload: &[u8]) -> Tally {
    let mut checker = Checker::new();
    checker.sent("s", 1);
    checker.arrived(message::read(kind, payload).as_ref());
    checker.tally()
}

#[test]
fn a_faithful_stream_is_exact() {
    let tally = check(&[1, 2, 3, 4, 5]);
    assert!(tally.is_exact(), "{tally}");
    assert_eq!((tally.sent, tally.arrived), (5, 5));
}

#[test]
fn a_lossy_stream_is_counted() {
    assert_eq!(check(&[1, 2, 4, 5]).lost, 1);
    assert_eq!(check(&[1, 2]).lost, 3);
    assert_eq!(check(&[]).lost, 5);
    assert!(!check(&[1, 2, 4, 5]).is_unbroken());
}

#[test]
fn a_doubling_stream_is_counted_but_not_broken() {
    let tally = check(&[1, 2, 2, 3, 4, 5]);
    assert_eq!(tally.doubled, 1);
    assert!(tally.is_unbroken() && !tally.is_exact());
}

#[test]
fn a_replay_doubles_without_reordering() {
    let tally = check(&[1, 2, 3, 2, 3, 4, 5]);
    assert_eq!((tally.doubled, tally.reordered), (2, 0));
}

#[test]
fn a_reordering_stream_is_counted() {
    let tally = check(&[1, 3, 2, 4, 5]);
    assert_eq!((tally.reordered, tally.doubled, tally.lost), (1, 0, 0));
    assert!(!tally.is_unbroken());
}

#[test]
fn a_leg_may_repeat_what_another_had_but_not_its_own() {
    let replayed = check_legs(&[("a", 1), ("a", 2), ("b", 2), ("b", 3), ("b", 4), ("b", 5)]);
    assert_eq!((replayed.doubled, replayed.reordered), (1, 0));
    let repeated = check_legs(&[("a", 1), ("a", 2), ("a", 2), ("a", 3), ("a", 4), ("a", 5)]);
    assert_eq!((repeated.doubled, repeated.reordered), (1, 1));
}

#[test]
fn a_torn_message_is_counted_and_its_loss_too() {
    let (kind, payload) = message::write("s", 1, 100);
    assert!(check_bytes(kind, &payload).is_exact());
    let half = check_bytes(kind, &payload[..60]);
    assert_eq!((half.torn, half.lost), (1, 1));
    assert_eq!(check_bytes(kind, &payload[60..]).torn, 1);
    assert_eq!(check_bytes(Kind::Binary, &payload).torn, 1);
    assert_eq!(check_bytes(kind, &payload.repeat(2)).torn, 1);
}

#[test]
fn a_message_that_nobody_sent_is_foreign() {
    let tally = check(&[1, 2, 3, 4, 5, 6]);
    assert_eq!(tally.foreign, 1);
    assert!(!tally.is_unbroken());
}

#[test]
fn a_dropped_socket_is_counted() {
    let mut checker = Checker::new();
    checker.dropped();
    assert!(!checker.tally().is_unbroken());
}

#[test]
fn losses_are_named() {
    let mut checker = Checker::new();
    checker.sent("s", 3);
    let (kind, payload) = message::write("s", 2, 0);
    checker.arrived(message::read(kind, &payload).as_ref());
    assert_eq!(checker.losses(), [("s".to_owned(), vec![1, 3])]);
}
