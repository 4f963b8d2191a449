//! Any order of messages and of a client's steps.

use everwire_proto::signalr::{message::HubMessage, payload::Arguments};
use proptest::prelude::*;

use super::*;

fn at(offset: u64) -> Cursor {
    Cursor { epoch: 1, offset }
}

fn frames(count: u64) -> Vec<Arc<Frames>> {
    let one = || Arc::new(Frames::new(HubMessage::call("m", Arguments::none())));
    (0..count).map(|_| one()).collect()
}

/// Messages with these numbers come; which of them go to the client.
fn come(follows: &mut Follows, first: u64, last: u64) -> Vec<u64> {
    let messages = frames(last + 1 - first);
    match follows.handle_messages(&Scope::Hub, at(first), &messages, false) {
        Verdict::Plain(skipped) | Verdict::WithCursor(skipped) => {
            (first + skipped as u64..=last).collect()
        }
        Verdict::BehindGap => panic!("a gap before {first}"),
        Verdict::Nothing => Vec::new(),
    }
}

/// What has waited, as numbers that end with the place behind it.
fn waited(Released { junction, frames, end }: Released) -> Vec<u64> {
    assert_eq!(junction, Junction::Whole);
    (end.offset - frames.len() as u64 + 1..=end.offset).collect()
}

proptest! {
    /// A client that recovers at any moment from any cursor gets, with what it is sent from the
    /// history, every message once; those that wait in the order of the history.
    #[test]
    fn what_is_sent_live_and_what_is_recovered_join(
        live in 0..20_u64,
        meanwhile in 0..20_u64,
        cursor in 0..25_u64,
        later in 1..20_u64,
    ) {
        let mut follows = Follows::default();
        let begun = 10;
        let mut sent = Vec::new();
        for offset in begun + 1..=begun + live {
            sent.extend(come(&mut follows, offset, offset));
        }
        let span = follows.begin(&Scope::Hub, 9).unwrap();
        let expected = (live > 0).then(|| Span { since: at(begun), at: at(begun + live) });
        prop_assert_eq!(span, expected);
        prop_assert_eq!(follows.begin(&Scope::Hub, 9), Err(Unfollowable::Already));
        let now = begun + live;
        for offset in now + 1..=now + meanwhile {
            prop_assert!(come(&mut follows, offset, offset).is_empty());
        }
        // The history is read up to what was sent before, or to anywhere in what waits.
        let cursor = cursor.min(begun);
        let until = span.map_or(now + meanwhile / 2, |span| span.since.offset);
        sent.extend(cursor + 1..=until);
        let end = until.max(now);
        prop_assert_eq!(follows.junction(&Scope::Hub, at(end)), Junction::Whole);
        let span = Span { since: at(cursor), at: at(end) };
        sent.extend(waited(follows.release(&Scope::Hub, span).unwrap()));
        // The shard may be behind what was read.
        sent.extend(come(&mut follows, now + 1, now + meanwhile + later));
        sent.sort_unstable();
        let all: Vec<u64> = (cursor + 1..=now + meanwhile + later).collect();
        prop_assert_eq!(sent, all);
    }
}

#[test]
fn who_wants_to_recover_first_gets_nothing_before() {
    let mut follows = Follows::default();
    let verdict = follows.handle_messages(&Scope::Hub, at(1), &frames(3), true);
    assert_eq!(verdict, Verdict::Nothing);
    assert_eq!(follows.begin(&Scope::Hub, 1), Ok(None));
    assert!(come(&mut follows, 4, 5).is_empty());
    let span = Span { since: at(0), at: at(3) };
    assert_eq!(waited(follows.release(&Scope::Hub, span).unwrap()), [4, 5]);
    assert_eq!(come(&mut follows, 6, 6), [6]);
}

#[test]
fn a_connection_follows_no_more_channels_than_it_may() {
    let mut follows = Follows::default();
    let group = |name: &str| Scope::Group(name.into());
    for name in ["a", "b"] {
        assert_eq!(follows.begin(&group(name), 2), Ok(None));
        follows.release(&group(name), Span { since: at(1), at: at(1) }).unwrap();
    }
    assert_eq!(follows.begin(&group("c"), 2), Err(Unfollowable::TooMany));
    assert!(follows.begin(&group("a"), 2).is_ok(), "it follows that one already");
    follows.forget(&group("b"));
    assert_eq!(follows.begin(&group("c"), 2), Ok(None));
    assert_eq!(follows.junction(&group("b"), at(1)), Junction::Gone);
}

#[test]
fn what_waits_is_bounded_and_the_rest_is_read() {
    let mut follows = Follows::default();
    follows.begin(&Scope::Hub, 1).unwrap();
    let count = PENDING_MAX as u64 + 10;
    for offset in 1..=count {
        come(&mut follows, offset, offset);
    }
    assert_eq!(follows.junction(&Scope::Hub, at(0)), Junction::Hole);
    let begin = count - 10;
    assert_eq!(follows.junction(&Scope::Hub, at(begin)), Junction::Whole);
    let span = Span { since: at(0), at: at(begin) };
    let waited = waited(follows.release(&Scope::Hub, span).unwrap());
    assert_eq!(waited, (begin + 1..=count).collect::<Vec<_>>());
}

#[test]
fn a_loss_is_told_to_who_follows_and_nothing_before_it_is_recovered() {
    let mut follows = Follows::default();
    come(&mut follows, 1, 3);
    assert!(!follows.handle_mark(&Scope::Hub, at(9), true), "it does not follow");
    come(&mut follows, 10, 10);
    let span = follows.begin(&Scope::Hub, 1).unwrap().unwrap();
    assert_eq!(span, Span { since: at(9), at: at(10) });
    follows.release(&Scope::Hub, span).unwrap();
    assert!(!follows.handle_mark(&Scope::Hub, at(12), false), "nothing is lost");
    assert!(!follows.handle_mark(&Scope::Hub, at(11), true), "it has that");
    assert!(follows.handle_mark(&Scope::Hub, at(20), true));
    assert!(follows.handle_mark(&Scope::Hub, Cursor { epoch: 2, offset: 0 }, true));
    let lost =
        follows.handle_messages(&Scope::Hub, Cursor { epoch: 2, offset: 5 }, &frames(1), false);
    assert_eq!(lost, Verdict::BehindGap, "nothing is left out without a word");
}

#[test]
fn what_was_dropped_is_not_taken_for_sent() {
    let mut follows = Follows::default();
    come(&mut follows, 1, 3);
    follows.handle_dropped();
    assert_eq!(follows.begin(&Scope::Hub, 1), Ok(None));
}

#[test]
fn a_recovery_that_fails_leaves_everything_as_it_was() {
    let mut follows = Follows::default();
    follows.begin(&Scope::Hub, 1).unwrap();
    come(&mut follows, 1, 2);
    assert!(follows.go_on(&Scope::Hub).is_none() && follows.0.is_empty());
    come(&mut follows, 3, 4);
    follows.begin(&Scope::Hub, 1).unwrap();
    come(&mut follows, 5, 6);
    let (released, mode) = follows.go_on(&Scope::Hub).unwrap();
    assert_eq!((waited(released), mode), (vec![5, 6], Mode::Live));
    assert_eq!(come(&mut follows, 7, 7), [7]);
    let span = follows.begin(&Scope::Hub, 1).unwrap();
    assert_eq!(span, Some(Span { since: at(2), at: at(7) }));
}

/// A follower that another node had sent everything up to 5.
fn arrived(mode: Mode, is_next: bool) -> Follows {
    let mut follows = Follows::default();
    let span = Span { since: at(2), at: at(5) };
    follows.arrive(Followed { scope: Scope::Hub, span, mode }, is_next);
    follows
}

#[test]
fn what_a_session_that_has_come_was_sent_elsewhere_does_not_come_again() {
    for mode in [Mode::Live, Mode::Following] {
        let mut follows = arrived(mode, true);
        assert!(come(&mut follows, 4, 4).is_empty());
        assert_eq!(come(&mut follows, 5, 7), [6, 7]);
        let still = follows.still().unwrap();
        assert_eq!((still[0].span, still[0].mode), (Span { since: at(2), at: at(7) }, mode));
    }
}

#[test]
fn what_comes_waits_until_a_session_that_has_come_was_brought_the_rest() {
    let mut follows = arrived(Mode::Following, false);
    assert!(come(&mut follows, 9, 10).is_empty());
    assert_eq!(follows.junction(&Scope::Hub, at(5)), Junction::Hole);
    assert!(follows.bring(&Scope::Hub, at(9), false));
    // It moves on at this moment: with what it was sent, and without what waits.
    assert_eq!(follows.still().unwrap()[0].span, Span { since: at(2), at: at(9) });
    assert_eq!(follows.junction(&Scope::Hub, at(9)), Junction::Whole);
    let (released, mode) = follows.go_on(&Scope::Hub).unwrap();
    assert_eq!((waited(released), mode), (vec![10], Mode::Following));
    assert!(!follows.bring(&Scope::Hub, at(20), false), "it has what it missed");
    assert_eq!(come(&mut follows, 11, 11), [11]);
}

#[test]
fn what_was_lost_for_a_session_that_has_come_is_not_taken_for_sent() {
    let mut follows = arrived(Mode::Following, false);
    assert!(follows.bring(&Scope::Hub, at(30), true));
    let still = follows.still().unwrap();
    assert_eq!(still[0].span, Span { since: at(30), at: at(30) });
}

#[test]
fn nobody_else_goes_on_while_a_client_recovers() {
    let mut follows = arrived(Mode::Live, true);
    follows.begin(&Scope::Hub, 9).unwrap();
    assert_eq!(follows.still(), None);
}
