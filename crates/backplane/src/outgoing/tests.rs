//! Any order of publishing, confirming, cutting and forgetting.

use proptest::prelude::*;

use super::*;
use crate::{Incarnation, NodeId};

const BOUNDS: Bounds = Bounds { entries_max: 8, bytes_max: 8 * ENTRY_BYTES + 100 };

fn outgoing() -> Outgoing<u64> {
    let member = Member { node: NodeId::from([1; 12]), incarnation: Incarnation(1) };
    Outgoing::new(member, BOUNDS)
}

fn channel() -> Channel {
    Channel::new("c").unwrap()
}

fn publish(outgoing: &mut Outgoing<u64>, bytes: usize, token: u64) -> Result<(), Refusal> {
    let stream = Stream::Channel(channel());
    let payload = Bytes::from(vec![0; bytes]);
    let parcel = Parcel { stream, kind: Kind::Message, payload, history: None };
    let now = Time::from_millis(0);
    outgoing.handle_publish(parcel, token, now).map(drop).map_err(|(why, _)| why)
}

fn send(outgoing: &mut Outgoing<u64>) -> Option<u64> {
    outgoing.poll_send().map(|sent| sent.origin.sequence)
}

proptest! {
    /// A server that takes everything in order, through any faults, ends with each number, and each
    /// publisher's token is told once.
    #[test]
    fn every_number_reaches_the_server_and_every_token_is_told_once(
        steps in proptest::collection::vec(0_u8..6, 0..200)
    ) {
        let mut outgoing = outgoing();
        let (mut accepted, mut told, mut server) = (0, Vec::new(), Vec::new());
        let mut finish = vec![2, 3];
        finish.resize(2 * BOUNDS.entries_max * 2, 2);
        for step in steps.into_iter().chain(std::iter::repeat_n([2, 3], 40).flatten()) {
            match step {
                0 | 1 => accepted += u64::from(publish(&mut outgoing, 1, accepted + 1).is_ok()),
                2 => server.extend(send(&mut outgoing)),
                3 => told.extend(outgoing.handle_confirmed()),
                4 => drop(outgoing.handle_cut()),
                _ => drop(outgoing.handle_forgotten()),
            }
            prop_assert!(outgoing.queue.len() <= 2 * BOUNDS.entries_max);
        }
        prop_assert!(outgoing.is_settled());
        prop_assert_eq!(told, (1..=accepted).collect::<Vec<_>>());
        // What a receiver makes of it that drops what it has and misses no number.
        let mut last = 0;
        for number in server {
            prop_assert!(number <= last + 1, "{number} after {last}");
            last = last.max(number);
        }
        prop_assert_eq!(last, accepted);
    }
}

#[test]
fn what_waits_has_a_limit_in_number_and_in_bytes() {
    let mut numbers = outgoing();
    (1..=8).for_each(|token| publish(&mut numbers, 0, token).unwrap());
    assert_eq!(publish(&mut numbers, 0, 9), Err(Refusal::Full));
    assert_eq!((send(&mut numbers), numbers.handle_confirmed()), (Some(1), Some(1)));
    assert_eq!(publish(&mut numbers, 0, 9), Ok(()), "room again");
    let mut bytes = outgoing();
    publish(&mut bytes, BOUNDS.bytes_max - ENTRY_BYTES, 1).unwrap();
    assert_eq!(publish(&mut bytes, 0, 2), Err(Refusal::Full));
    assert_eq!(bytes.numbers[&Stream::Channel(channel())].last, 1, "a refusal takes no number");
}

#[test]
fn what_was_confirmed_lately_can_be_recalled_and_sent_again() {
    let mut outgoing = outgoing();
    for token in 1..=20 {
        publish(&mut outgoing, 0, token).unwrap();
        send(&mut outgoing);
        assert_eq!(outgoing.handle_confirmed(), Some(token));
    }
    let channel = channel();
    let recalled = outgoing.recall(&channel, outgoing.member(), 5, 15);
    let recalled: Vec<_> = recalled.map(|sent| sent.origin.sequence).collect();
    assert_eq!(recalled, [13, 14, 15], "the last eight are kept");
    assert_eq!(outgoing.handle_forgotten(), 8);
    assert_eq!(send(&mut outgoing), Some(13));
    assert_eq!(outgoing.handle_confirmed(), None, "its publisher knows already");
}

#[test]
fn a_next_life_counts_from_one_and_what_is_underway_keeps_its_number() {
    let mut outgoing = outgoing();
    publish(&mut outgoing, 0, 1).unwrap();
    let next = outgoing.handle_expired();
    publish(&mut outgoing, 0, 2).unwrap();
    let origins: Vec<_> =
        std::iter::from_fn(|| outgoing.poll_send().map(|sent| sent.origin)).collect();
    assert_eq!((origins[0].member.incarnation, origins[0].sequence), (Incarnation(1), 1));
    assert_eq!(origins[1], Origin { member: next, sequence: 1 });
}

#[test]
fn a_last_number_is_announced_for_a_while() {
    let mut outgoing = outgoing();
    publish(&mut outgoing, 0, 1).unwrap();
    let at = |outgoing: &Outgoing<u64>, after| {
        let now = Time::from_millis(0) + after;
        outgoing.announcements(now).map(|(_, origin)| origin.sequence).collect::<Vec<_>>()
    };
    assert_eq!(at(&outgoing, ANNOUNCED_FOR), [1]);
    assert!(at(&outgoing, ANNOUNCED_FOR + Duration::from_millis(1)).is_empty());
}
