//! Any order of stored, doubled, missing and announced messages.

use proptest::prelude::*;

use super::*;

fn member(incarnation: u64) -> Member {
    Member { node: NodeId::from([1; 12]), incarnation: Incarnation(incarnation) }
}

fn at(entry: u64) -> Position {
    Position { epoch: 1, entry: (entry, 0) }
}

fn incoming() -> Incoming {
    Incoming::new(at(0), 8, 1000)
}

fn payload(sequence: u64) -> Bytes {
    Bytes::from(sequence.to_string())
}

fn message(incoming: &mut Incoming, sequence: u64) {
    let origin = Origin { member: member(1), sequence };
    incoming.handle_message(origin, at(sequence), payload(sequence));
}

/// Numbers delivered, numbers lost; answers questions from what the publisher has.
fn drain(incoming: &mut Incoming, has: impl Fn(u64) -> bool) -> (Vec<u64>, Vec<u64>) {
    let (mut delivered, mut lost) = (Vec::new(), Vec::new());
    while let Some(output) = incoming.poll_output() {
        match output {
            Output::Deliver(message) => {
                assert_eq!(message.payload, payload(message.origin.sequence));
                delivered.push(message.origin.sequence);
            }
            Output::Gap(Gap::Lost { first, last, .. }) => lost.extend(first..=last),
            Output::Ask { member, first, last } => {
                let had = (first..=last).filter(|&number| has(number));
                incoming.handle_recalled(member, had.map(|number| (number, payload(number))));
            }
            Output::Gap(_) | Output::Duplicate => {}
        }
    }
    (delivered, lost)
}

proptest! {
    /// Whatever is stored doubled or not at all: each number is delivered once, in order, or lost.
    #[test]
    fn each_number_is_delivered_once_in_order_or_announced(
        stored in proptest::collection::vec((0_usize..6, any::<bool>()), 1..60),
        has: Vec<bool>,
    ) {
        let mut incoming = incoming();
        let has = |number: u64| has.get(number as usize).copied().unwrap_or(true);
        message(&mut incoming, 1);
        let mut all = drain(&mut incoming, has);
        for (index, (repeat, announce)) in stored.iter().enumerate() {
            let number = index as u64 + 2;
            // 0: never stored. Otherwise stored behind a resent tail.
            for number in number.saturating_sub(*repeat as u64 - u64::from(*repeat > 0))..=number {
                if *repeat > 0 && number > 0 {
                    message(&mut incoming, number);
                }
            }
            if *announce {
                let origin = Origin { member: member(1), sequence: number };
                incoming.handle_announcement(origin, at(number));
            }
            let (delivered, lost) = drain(&mut incoming, has);
            prop_assert!(lost.iter().all(|&number| !has(number)), "lost though it was there");
            all.0.extend(delivered);
            all.1.extend(lost);
        }
        let last = stored.len() as u64 + 1;
        incoming.handle_announcement(Origin { member: member(1), sequence: last }, at(last));
        let (delivered, lost) = drain(&mut incoming, has);
        all.0.extend(delivered);
        all.1.extend(lost);
        prop_assert!(all.0.is_sorted_by(|one, next| one < next), "in order: {:?}", all.0);
        let mut every: Vec<u64> = all.0.into_iter().chain(all.1).collect();
        every.sort_unstable();
        prop_assert_eq!(every, (1..=last).collect::<Vec<_>>());
    }
}

#[test]
fn what_comes_after_a_hole_waits_for_the_publisher() {
    let mut incoming = incoming();
    for number in [5, 8, 9] {
        message(&mut incoming, number);
    }
    let Some(Output::Deliver(first)) = incoming.poll_output() else { panic!("the first") };
    assert_eq!(first.origin.sequence, 5);
    let asked = Output::Ask { member: member(1), first: 6, last: 7 };
    assert_eq!(incoming.poll_output(), Some(asked));
    assert_eq!(incoming.poll_output(), None, "and is asked once");
    message(&mut incoming, 6);
    assert_eq!(drain(&mut incoming, |_| false).0, [6], "one that comes after all is delivered");
    incoming.handle_recalled(member(1), [(6, payload(6)), (7, payload(7)), (99, payload(99))]);
    assert_eq!(
        drain(&mut incoming, |_| false),
        (vec![7, 8, 9], vec![]),
        "nothing but what was asked"
    );
}

#[test]
fn what_is_held_has_a_limit_in_number_and_in_bytes() {
    let mut numbers = incoming();
    message(&mut numbers, 1);
    (3..=10).for_each(|number| message(&mut numbers, number));
    assert!(numbers.outputs.iter().all(|output| !matches!(output, Output::Gap(_))), "8 are held");
    message(&mut numbers, 11);
    let gap = Output::Gap(Gap::Lost { member: member(1), first: 2, last: 2 });
    assert!(numbers.outputs.contains(&gap));
    let mut bytes = incoming();
    message(&mut bytes, 1);
    let origin = Origin { member: member(1), sequence: 3 };
    bytes.handle_message(origin, at(3), Bytes::from(vec![0; 1001]));
    assert!(bytes.outputs.contains(&gap));
}

#[test]
fn a_new_life_begins_at_one_and_the_old_one_is_over() {
    let mut incoming = incoming();
    message(&mut incoming, 5);
    message(&mut incoming, 7);
    drop(incoming.outputs.drain(..));
    let origin = Origin { member: member(2), sequence: 2 };
    incoming.handle_message(origin, at(8), payload(2));
    let lost = Output::Gap(Gap::Lost { member: member(1), first: 6, last: 6 });
    assert_eq!(incoming.poll_output(), Some(lost));
    assert!(matches!(incoming.poll_output(), Some(Output::Deliver(_))), "7 was held");
    let asked = Output::Ask { member: member(2), first: 1, last: 1 };
    assert_eq!(incoming.poll_output(), Some(asked), "the new life's first is missing");
    message(&mut incoming, 8);
    assert_eq!(incoming.poll_output(), Some(Output::Duplicate), "from the old life");
}

#[test]
fn a_crowd_of_nodes_does_not_grow_the_memory() {
    let mut incoming = incoming();
    for number in 0..2 * NODES_MAX as u64 {
        let mut node = [0; 12];
        node[..8].copy_from_slice(&number.to_be_bytes());
        let member = Member { node: NodeId::from(node), incarnation: Incarnation(number) };
        incoming.handle_message(Origin { member, sequence: 1 }, at(number), payload(1));
        assert!(matches!(incoming.poll_output(), Some(Output::Deliver(_))));
    }
    assert_eq!(incoming.nodes.len(), NODES_MAX);
}
