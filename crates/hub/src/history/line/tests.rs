//! Any order of messages that come, are missing, come twice, or come of another epoch.

use everwire_backplane::Member;
use proptest::prelude::*;

use super::*;

/// A history, of which what is before `first` was trimmed.
#[derive(Debug)]
struct Reel {
    epoch: u64,
    first: u64,
    entries: Vec<Recorded>,
}

impl Reel {
    fn of(epoch: u64, count: u64) -> Self {
        let entries = (1..=count).map(recorded).collect();
        Self { epoch, first: 1, entries }
    }

    fn read(&self, after: u64, limit: usize) -> Stretch {
        let wanted = |entry: &&Recorded| entry.offset > after && entry.offset >= self.first;
        let entries = self.entries.iter().filter(wanted).take(limit).cloned().collect();
        let last = self.entries.len() as u64;
        Stretch { epoch: self.epoch, first: self.first, last, entries }
    }
}

fn origin(sequence: u64) -> Origin {
    let node = NodeId::from([1; 12]);
    Origin { member: Member { node, incarnation: Incarnation(1) }, sequence }
}

fn recorded(offset: u64) -> Recorded {
    Recorded { offset, origin: origin(offset), payload: Bytes::from(offset.to_string()) }
}

fn at(epoch: u64, offset: u64) -> Cursor {
    Cursor { epoch, offset }
}

fn hear(line: &mut Line, epoch: u64, offset: u64) {
    let Recorded { origin, payload, .. } = recorded(offset);
    line.handle_message(at(epoch, offset), origin, payload);
}

/// Does what the line says; the numbers that were delivered, and the places of gaps.
fn obey(line: &mut Line, reel: &Reel, limit: usize) -> (Vec<u64>, Vec<Cursor>) {
    let (mut delivered, mut gaps) = (Vec::new(), Vec::new());
    for _ in 0..10_000 {
        let Some(output) = line.poll_output() else { return (delivered, gaps) };
        match output {
            Output::Deliver(cursor, payload) => {
                assert_eq!(payload, cursor.offset.to_string());
                delivered.push(cursor.offset);
            }
            Output::Gap(cursor) => gaps.push(cursor),
            Output::Pass(_) => {}
            Output::Read(after) => line.handle_stretch(reel.read(after, limit)),
        }
    }
    panic!("it never ends");
}

proptest! {
    /// Whatever of the bus' messages gets lost, doubled or comes late: each message is told once and
    /// in the order of the history.
    #[test]
    fn every_message_is_told_once_and_in_order(
        steps in prop::collection::vec((1..40_u64, any::<bool>()), 0..80),
        limit in 1..5_usize,
    ) {
        let reel = Reel::of(1, 40);
        let mut line = Line::default();
        line.handle_wanted(at(1, 0));
        let mut all = Vec::new();
        for (offset, doubts) in steps {
            hear(&mut line, 1, offset);
            if doubts {
                line.handle_doubt();
            }
            let (delivered, gaps) = obey(&mut line, &reel, limit);
            prop_assert_eq!(gaps, []);
            all.extend(delivered);
        }
        line.handle_doubt();
        all.extend(obey(&mut line, &reel, limit).0);
        prop_assert_eq!(all, (1..=40).collect::<Vec<_>>());
        prop_assert!(line.held.is_empty() && line.held_bytes == 0);
    }

    /// While the history cannot be read nothing overtakes, and nothing is lost afterwards.
    #[test]
    fn what_comes_while_the_history_is_read_waits_for_it(heard in prop::collection::vec(3..30_u64, 1..60)) {
        let reel = Reel::of(1, 30);
        let mut line = Line::default();
        line.handle_wanted(at(1, 0));
        for offset in heard {
            hear(&mut line, 1, offset);
        }
        prop_assert_eq!(line.poll_output(), Some(Output::Read(0)));
        prop_assert_eq!(line.poll_output(), None);
        line.handle_unread();
        prop_assert_eq!(line.poll_output(), None);
        line.handle_doubt();
        prop_assert_eq!(obey(&mut line, &reel, 7).0, (1..=30).collect::<Vec<_>>());
    }
}

#[test]
fn who_was_not_waited_for_begins_with_what_comes_first() {
    let reel = Reel::of(1, 20);
    let mut line = Line::default();
    hear(&mut line, 1, 7);
    hear(&mut line, 1, 8);
    assert_eq!(obey(&mut line, &reel, 9), (vec![7, 8], vec![]));
    let mut line = Line::default();
    line.handle_wanted(at(1, 4));
    hear(&mut line, 1, 3);
    hear(&mut line, 1, 4);
    assert_eq!(obey(&mut line, &reel, 9), (vec![3, 4], vec![]), "others here want it");
    let mut line = Line::default();
    line.handle_wanted(at(1, 4));
    hear(&mut line, 1, 7);
    let expected = (5..=20).collect();
    assert_eq!(obey(&mut line, &reel, 9), (expected, vec![]), "what was to come did not");
}

#[test]
fn what_the_history_has_no_more_is_a_gap() {
    let mut reel = Reel::of(1, 20);
    let mut line = Line::default();
    line.handle_wanted(at(1, 3));
    reel.first = 11;
    hear(&mut line, 1, 12);
    assert_eq!(obey(&mut line, &reel, 4), ((11..=20).collect(), vec![at(1, 10)]));
}

#[test]
fn a_history_that_begins_again_is_a_gap_and_what_was_told_is_not_told_again() {
    let mut line = Line::default();
    line.handle_wanted(at(1, 0));
    (1..=5).for_each(|offset| hear(&mut line, 1, offset));
    assert_eq!(obey(&mut line, &Reel::of(1, 5), 9).0, [1, 2, 3, 4, 5]);
    // The publisher says the last two again, and two more, as the first four.
    let again = [4, 5, 6, 7];
    let entries = (1..).zip(again).map(|(offset, number)| Recorded { offset, ..recorded(number) });
    let reel = Reel { epoch: 2, first: 1, entries: entries.collect() };
    let Recorded { origin, payload, .. } = reel.entries[2].clone();
    line.handle_message(at(2, 3), origin, payload);
    let mut told = Vec::new();
    while let Some(output) = line.poll_output() {
        match output {
            Output::Read(after) => line.handle_stretch(reel.read(after, 9)),
            output => told.push(output),
        }
    }
    let deliver = |offset, number: u64| Output::Deliver(at(2, offset), number.to_string().into());
    let expected = [Output::Gap(at(2, 0)), Output::Pass(at(2, 2)), deliver(3, 6), deliver(4, 7)];
    assert_eq!(told, expected);
}

#[test]
fn a_place_that_the_history_does_not_know_is_given_up() {
    let reel = Reel::of(1, 5);
    for stranger in [at(1, 99), at(7, 1)] {
        let mut line = Line::default();
        line.handle_wanted(at(1, 5));
        line.handle_message(stranger, origin(99), Bytes::new());
        assert_eq!(obey(&mut line, &reel, 9), (vec![], vec![]));
        assert!(line.held.is_empty());
        hear(&mut line, 1, 6);
        assert_eq!(obey(&mut line, &Reel::of(1, 6), 9).0, [6]);
    }
}

#[test]
fn what_is_held_is_bounded() {
    let reel = Reel::of(1, HELD_MAX as u64 * 2);
    let mut line = Line::default();
    line.handle_wanted(at(1, 0));
    for offset in 2..=HELD_MAX as u64 * 2 {
        hear(&mut line, 1, offset);
        assert!(line.held.len() <= HELD_MAX);
    }
    let mut line_of_large = Line::default();
    line_of_large.handle_wanted(at(1, 0));
    for offset in 2..12 {
        let large = Bytes::from(vec![0; HELD_BYTES_MAX / 4]);
        line_of_large.handle_message(at(1, offset), origin(offset), large);
        assert!(line_of_large.held_bytes <= HELD_BYTES_MAX);
    }
    assert_eq!(obey(&mut line, &reel, 500).0.len(), HELD_MAX * 2, "and nothing is lost");
}
