//! A peer that loses connections at any moment is understood once and completely.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::signalr::{
    message::{Close, InvocationId, Outcome},
    payload::Arguments,
};

fn tracked() -> HubMessage {
    HubMessage::call("m", Arguments::none())
}

fn sequence(id: u64) -> HubMessage {
    HubMessage::Sequence(SequenceId(id))
}

fn received(count: u64) -> Received {
    let mut received = Received::new();
    (0..count).for_each(|_| assert_eq!(received.judge(&tracked()), Ok(true)));
    received
}

#[test]
fn only_messages_of_types_1_to_5_are_counted() {
    let mut received = received(2);
    let id = || InvocationId::new("1").unwrap();
    for uncounted in [HubMessage::Ping, HubMessage::Close(Close::default())] {
        assert_eq!(received.judge(&uncounted), Ok(true));
    }
    assert_eq!(received.judge(&HubMessage::Ack(SequenceId(9))), Ok(true));
    assert_eq!(received.acknowledge(), Some(SequenceId(2)));
    assert_eq!(received.judge(&HubMessage::completion(id(), Outcome::Void)), Ok(true));
    assert_eq!(received.acknowledge(), Some(SequenceId(3)));
    assert_eq!(received.acknowledge(), None);
}

#[test]
fn what_is_replayed_is_taken_once() {
    let mut received = received(5);
    received.resume();
    assert_eq!(received.judge(&tracked()), Ok(false), "nothing counts before the sequence");
    assert_eq!(received.judge(&HubMessage::Ping), Ok(false));
    assert_eq!(received.judge(&sequence(4)), Ok(false));
    let judged: Vec<_> = (4..8).map(|_| received.judge(&tracked())).collect();
    assert_eq!(judged, [Ok(false), Ok(false), Ok(true), Ok(true)]);
    assert_eq!(received.acknowledge(), Some(SequenceId(7)));
}

#[test]
fn an_acknowledgement_that_a_connection_lost_is_repeated() {
    let mut received = received(3);
    assert_eq!(received.acknowledge(), Some(SequenceId(3)));
    received.resume();
    assert_eq!(received.judge(&sequence(3)), Ok(false));
    assert_eq!(received.acknowledge(), Some(SequenceId(3)));
    assert_eq!(received.acknowledge(), None);
}

#[test]
fn a_sequence_that_leaves_messages_out_ends_the_session() {
    let mut received = received(3);
    received.resume();
    let refused = received.judge(&sequence(5)).expect_err("4 never came");
    assert_eq!(refused.to_string(), "Sequence ID greater than amount of messages we've received.");
    assert_eq!(received.judge(&sequence(0)), Err(SequenceError::Zero));
    assert_eq!(received.judge(&sequence(4)), Ok(false));
}

#[test]
fn a_replay_that_is_cut_short_can_be_continued() {
    let mut received = received(10);
    received.resume();
    assert_eq!(received.judge(&sequence(3)), Ok(false));
    assert_eq!(received.judge(&tracked()), Ok(false), "3 of 10 arrives again, then the end");
    received.resume();
    assert_eq!(received.judge(&sequence(11)), Ok(false), "an acknowledgement of 10 had arrived");
    assert_eq!(received.judge(&tracked()), Ok(true));
}

proptest! {
    /// Connections end after any number of messages; acknowledgements arrive or do not.
    #[test]
    fn each_message_is_taken_once_and_in_order(
        connections in vec((0_u64..10, any::<bool>()), 1..20),
    ) {
        let mut received = Received::new();
        let (mut sent, mut released, mut taken) = (0_u64, 0_u64, Vec::new());
        for (index, (count, acknowledged)) in connections.into_iter().enumerate() {
            let mut at = sent + 1;
            if index > 0 {
                received.resume();
                at = released + 1;
                prop_assert_eq!(received.judge(&sequence(at)), Ok(false));
            }
            for number in at..at + count {
                if received.judge(&tracked()) == Ok(true) {
                    taken.push(number);
                }
                sent = sent.max(number);
            }
            if let (Some(id), true) = (received.acknowledge(), acknowledged) {
                released = id.0;
            }
        }
        prop_assert!(taken.iter().copied().eq(1..=sent));
    }
}
