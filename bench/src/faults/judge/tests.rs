use super::*;

/// A conversation as `(what, number, leg_number)`, one event per millisecond, all on one leg.
fn check(events: &[(What, u64, u64)]) -> Verdict {
    let records = events.iter().zip(1..).map(|((what, number, leg_number), at)| Record {
        at: at * 1_000_000,
        what: *what,
        client: 1,
        number: *number,
        leg: 1 << BACKEND_SHIFT,
        leg_number: *leg_number,
    });
    judge(records.collect())
}

const ANSWERED: [(What, u64, u64); 4] =
    [(What::Sent, 1, 0), (What::Took, 1, 0), (What::Told, 1, 1), (What::Got, 1, 1)];

#[test]
fn an_answered_question_is_nothing_to_report() {
    let verdict = check(&ANSWERED);
    assert_eq!((verdict.sent, verdict.lost(), verdict.doubled, verdict.unanswered), (1, 0, 0, 0));
    assert_eq!(verdict.silences.at(1.0), Some(3.0));
}

#[test]
fn a_question_no_backend_took_is_lost() {
    assert_eq!(check(&ANSWERED[..1]).lost_up, 1);
}

#[test]
fn a_reply_handed_over_and_never_got_is_lost() {
    let verdict = check(&ANSWERED[..3]);
    assert_eq!((verdict.lost_up, verdict.lost_down, verdict.unanswered), (0, 1, 0));
}

#[test]
fn a_question_taken_without_a_reply_is_unanswered_and_not_lost() {
    let verdict = check(&ANSWERED[..2]);
    assert_eq!((verdict.lost(), verdict.unanswered), (0, 1));
}

#[test]
fn what_arrives_twice_is_doubled_either_way() {
    assert_eq!(check(&[&ANSWERED[..], &ANSWERED[1..2]].concat()).doubled, 1);
    assert_eq!(check(&[&ANSWERED[..], &ANSWERED[3..]].concat()).doubled, 1);
}

#[test]
fn what_arrives_after_a_later_one_is_reordered() {
    assert_eq!(check(&[(What::Took, 2, 0), (What::Took, 1, 0)]).reordered, 1);
    assert_eq!(check(&[(What::Got, 2, 2), (What::Got, 1, 1)]).reordered, 1);
}

#[test]
fn a_replay_within_one_leg_is_reordered_and_doubled() {
    let verdict = check(&[1, 2, 3, 1, 2, 3].map(|number| (What::Took, number, 0)));
    assert_eq!((verdict.doubled, verdict.reordered), (3, 1));
}

#[test]
fn a_torn_question_is_torn_and_not_lost_too() {
    let verdict = check(&[(What::Sent, 1, 0), (What::Torn, 1, 0)]);
    assert_eq!((verdict.torn, verdict.lost_up), (1, 0));
}

#[test]
fn recovery_runs_from_the_drop_to_the_next_reply() {
    let verdict = check(&[
        (What::Sent, 1, 0),
        (What::Dropped, 1006, 0),
        (What::Refused, 0, 0),
        (What::Sent, 2, 0),
        (What::Got, 2, 1),
    ]);
    assert_eq!((verdict.dropped, verdict.refused), (1, 1));
    assert_eq!(verdict.recoveries.at(1.0), Some(3.0));
    assert_eq!(verdict.silences.at(1.0), Some(4.0));
}

#[test]
fn a_client_that_is_never_answered_again_is_silent_to_its_last_question() {
    let unanswered: Vec<_> = (1..=10).map(|number| (What::Sent, number, 0)).collect();
    assert_eq!(check(&unanswered).silences.at(1.0), Some(9.0));
}

/// Events as `(what, client, backend, at)`, of a backend 0 that ends at 10.
fn check_silences(events: &[(What, u32, u64, u64)]) -> Vec<u64> {
    let record = |&(what, client, backend, at): &(What, u32, u64, u64)| Record {
        at,
        what,
        client,
        number: at,
        leg: backend << BACKEND_SHIFT,
        leg_number: at,
    };
    let mut records: Vec<Record> = events.iter().map(record).collect();
    let mut silences = silences_after(&mut records, 0, 10, 1000);
    silences.sort_unstable();
    silences
}

/// Two clients of backend 0 that are back at 20 and at 30.
const BACK: [(What, u32, u64, u64); 6] = [
    (What::Got, 1, 0, 1),
    (What::Got, 2, 0, 1),
    (What::Sent, 1, 0, 9),
    (What::Got, 1, 1, 20),
    (What::Sent, 2, 0, 12),
    (What::Got, 2, 1, 30),
];

#[test]
fn silence_is_that_of_the_clients_of_the_backend_that_ended() {
    assert_eq!(check_silences(&BACK), [11, 18]);
    let other = [(What::Got, 3, 1, 1), (What::Sent, 3, 1, 9), (What::Got, 3, 1, 500)];
    assert_eq!(check_silences(&[&BACK[..], &other].concat()), [11, 18]);
}

#[test]
fn a_wait_counts_as_silence_until_the_last_client_is_back_and_no_longer() {
    let meanwhile = [(What::Sent, 1, 0, 29), (What::Got, 1, 1, 60)];
    assert_eq!(check_silences(&[&BACK[..], &meanwhile].concat()), [18, 31]);
    let later = [(What::Sent, 1, 0, 31), (What::Got, 1, 1, 90)];
    assert_eq!(check_silences(&[&BACK[..], &later].concat()), [11, 18]);
}

#[test]
fn a_client_that_is_not_back_is_waited_for_as_long_as_is_allowed() {
    let gone = [(What::Got, 3, 0, 1), (What::Sent, 3, 0, 15), (What::Sent, 3, 0, 2000)];
    let other = [(What::Sent, 1, 0, 1005), (What::Got, 1, 1, 1105)];
    assert_eq!(check_silences(&[&BACK[..], &gone, &other].concat()), [18, 100, 1985]);
}
