//! The checker sees what it is there to see.

use super::*;

const STREAM: Stream = Stream { publisher: 0, node: 0, life: 0 };

fn said(numbers: std::ops::RangeInclusive<u64>) -> Vec<Said> {
    numbers
        .map(|number| Said { stream: STREAM, number, at: number * 10, fate: Fate::Accepted })
        .collect()
}

/// A receiver on node 1 that gets these, each a moment after it was said.
fn diary(numbers: impl IntoIterator<Item = u64>) -> Diary {
    let got = numbers.into_iter().map(|number| (number * 10 + 5, Event::Got(STREAM, number)));
    Diary(std::iter::once((0, Event::Joined(1))).chain(got).collect())
}

fn check(said: Vec<Said>, diary: Diary) -> Verdict {
    judge(&Evidence { said, diaries: vec![diary], ..Evidence::default() })
}

/// Silent, announced, doubled, reordered.
fn counts(verdict: &Verdict) -> [u64; 4] {
    [verdict.silent, verdict.announced, verdict.doubled, verdict.reordered]
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    let verdict = check(said(1..=9), diary(1..=9));
    assert_eq!((counts(&verdict), verdict.heard), ([0; 4], 9));
}

#[test]
fn a_missing_message_is_lost_silently() {
    assert_eq!(counts(&check(said(1..=9), diary([1, 2, 4, 5, 6, 7, 8, 9]))), [1, 0, 0, 0]);
    assert_eq!(counts(&check(said(1..=9), diary(1..=6))), [3, 0, 0, 0], "at the end as well");
}

#[test]
fn a_message_that_comes_again_is_doubled() {
    assert_eq!(counts(&check(said(1..=4), diary([1, 2, 2, 3, 1, 4]))), [0, 0, 2, 0]);
}

#[test]
fn a_message_behind_a_later_one_is_reordered() {
    assert_eq!(counts(&check(said(1..=4), diary([1, 3, 2, 4]))), [0, 0, 0, 1]);
}

#[test]
fn what_the_publisher_was_told_of_is_announced() {
    let mut all = said(1..=5);
    all[2].fate = Fate::Refused;
    all[3].fate = Fate::Unknown;
    assert_eq!(counts(&check(all.clone(), diary([1, 2, 5]))), [0, 2, 0, 0]);
    assert_eq!(counts(&check(all, diary(1..=5))), [0; 4], "what came all the same is not lost");
}

#[test]
fn an_absence_excuses_what_was_said_meanwhile_and_nothing_else() {
    let mut diary = diary([1, 2]);
    diary.0.extend([(30, Event::Cut), (55, Event::Joined(2))]);
    diary.0.extend([7, 8].map(|number| (number * 10 + 5, Event::Got(STREAM, number))));
    let verdict = check(said(1..=8), diary.clone());
    // 3, 4 and 5 were said while it was away, 6 when it was back.
    assert_eq!((counts(&verdict), verdict.dropped), ([1, 3, 0, 0], 1));
    diary.0.remove(1);
    assert_eq!(counts(&check(said(1..=8), diary)), [2, 3, 0, 0], "1 was missing before");
}

#[test]
fn a_gap_excuses_as_many_as_it_names_on_its_own_node() {
    let gap = |node, at, messages_max| {
        let diaries = vec![diary([1, 2, 6, 7])];
        let gaps = vec![Gap { node, at, messages_max }];
        counts(&judge(&Evidence { said: said(1..=7), diaries, gaps, ..Evidence::default() }))
    };
    assert_eq!(gap(1, 60, Some(3)), [0, 3, 0, 0]);
    assert_eq!(gap(1, 60, None), [0, 3, 0, 0]);
    assert_eq!(gap(1, 60, Some(2)), [1, 2, 0, 0]);
    assert_eq!(gap(2, 60, Some(3)), [3, 0, 0, 0]);
    assert_eq!(gap(1, 45, None), [1, 2, 0, 0], "a gap says nothing of what comes after it");
}

#[test]
fn what_was_said_before_all_were_there_does_not_count() {
    let diaries = vec![diary(3..=5)];
    let evidence = Evidence { opened: 30, said: said(1..=5), diaries, ..Evidence::default() };
    assert_eq!(counts(&judge(&evidence)), [0; 4]);
}

#[test]
fn recovery_is_the_longest_silence_from_the_fault_on() {
    let check = |heard: Vec<u64>| {
        let diaries = vec![diary(heard)];
        let evidence =
            Evidence { said: said(1..=9), diaries, faults: vec![40], ..Evidence::default() };
        let verdict = judge(&evidence);
        assert_eq!(verdict.local_ms, None, "the publisher is on another node");
        verdict.recovery_ms
    };
    assert_eq!(check((1..=9).collect()), Some(10e-6));
    assert_eq!(check(vec![1, 4, 7, 8, 9]), Some(30e-6), "what was before the fault does not count");
    assert_eq!(check(vec![1, 2, 3, 4]), Some(45e-6), "it may not be over at the end");
}

#[test]
fn only_the_gone_leave_and_once() {
    let told = |at, name: &str, is_there| (at, Event::Told(name.to_owned(), is_there));
    let check = |events: Vec<(u64, Event)>| {
        let gone = vec![(String::from("a"), 100)];
        let verdict =
            judge(&Evidence { diaries: vec![Diary(events)], gone, ..Evidence::default() });
        (verdict.false_leaves, verdict.ghosts, verdict.ghost_ms)
    };
    let there = [told(1, "a", true), told(1, "b", true)];
    let with = |more: &[(u64, Event)]| check(there.iter().chain(more).cloned().collect());
    assert_eq!(with(&[told(150, "a", false)]), (0, 0, Some(50e-6)));
    assert_eq!(with(&[]), (0, 1, None), "it is still said to be there");
    assert_eq!(with(&[told(150, "a", false), told(160, "a", false)]).0, 1, "twice");
    assert_eq!(with(&[told(150, "a", false), told(160, "b", false)]).0, 1, "another");
    assert_eq!(with(&[told(50, "a", false)]).0, 1, "too early");
}
