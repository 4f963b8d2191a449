//! The fold of logs: its changes lead to the same logs, and it counts what they cost.

use proptest::prelude::*;

use super::*;

fn name(number: u8) -> Channel {
    Channel::new(format!("log {number}")).unwrap()
}

/// A request, and how much later it comes.
fn requests() -> impl Strategy<Value = Vec<(u8, Request, u64)>> {
    let payload = (0..40_usize).prop_map(|length| Bytes::from(vec![7; length]));
    let snapshot = (0..12_u64, payload.clone())
        .prop_map(|(version, payload)| Snapshot { version: Version(version), payload });
    let keep = prop_oneof![
        (0..12_u64).prop_map(|version| Keep::After(Version(version))),
        (0..5_u64).prop_map(Keep::Last),
        (0..30_u64).prop_map(|age| Keep::Younger(Duration::from_millis(age))),
    ];
    let expected = prop_oneof![
        Just(Expected::Any),
        (0..6_u64).prop_map(|version| Expected::At(Version(version)))
    ];
    let request = prop_oneof![
        5 => (expected, payload).prop_map(|(expected, payload)| Request::Append(expected, payload)),
        1 => snapshot.prop_map(Request::Keep),
        1 => keep.prop_map(Request::Trim),
        1 => (0..40_u64).prop_map(|after| Request::Remove(Duration::from_millis(after))),
    ];
    prop::collection::vec((0..3_u8, request, 0..10_u64), 0..60)
}

fn shown(logs: &Logs, now: u64) -> Vec<(Page, Option<Snapshot>)> {
    let one = |log| (logs.read(&log, Version(0), 100, now, 1), logs.snapshot(&log, now));
    (0..3).map(|number| one(name(number))).collect()
}

proptest! {
    #[test]
    fn changes_lead_to_the_same_logs_whether_all_or_only_what_is_left_of_them(asked in requests()) {
        let (mut logs, mut again, mut now) = (Logs::default(), Logs::default(), 0);
        for (log, request, later) in asked {
            now += later;
            if let Ok(change) = logs.judge(&name(log), request, now) {
                prop_assert_eq!(logs.apply(change.clone()), Ok(()));
                prop_assert_eq!(again.apply(change), Ok(()));
            }
            prop_assert_eq!(shown(&logs, now), shown(&again, now));
        }
        logs.forget_ended(now);
        let mut anew = Logs::default();
        for change in logs.changes() {
            prop_assert_eq!(anew.apply(change), Ok(()));
        }
        prop_assert_eq!(shown(&logs, now), shown(&anew, now));
        prop_assert_eq!(shown(&logs, now + 20), shown(&anew, now + 20));
        prop_assert_eq!(logs.bytes(), anew.bytes(), "what is kept costs the same, however it came");
        for number in 0..3 {
            if let Ok(change) = anew.judge(&name(number), Request::Remove(Duration::ZERO), 0) {
                prop_assert_eq!(anew.apply(Change { at: now, ..change }), Ok(()));
            }
        }
        prop_assert_eq!(anew.bytes(), 0, "nothing costs nothing");
    }
}

#[test]
fn what_is_kept_has_a_limit_and_trimming_makes_room() {
    let (mut logs, log) = (Logs::default(), name(0));
    let large = Bytes::from(vec![0; PAYLOAD_MAX]);
    let append = || Request::Append(Expected::Any, large.clone());
    let mut stored = 0;
    while let Ok(change) = logs.judge(&log, append(), 0) {
        logs.apply(change).unwrap();
        stored += 1;
    }
    assert_eq!(logs.judge(&log, append(), 0), Err(Outcome::Refused(Refusal::Full)));
    assert_eq!(stored, BYTES_MAX / PAYLOAD_MAX - 1, "each costs a little more than its payload");
    let snapshot = Snapshot { version: Version(1), payload: large.clone() };
    let refused = logs.judge(&log, Request::Keep(snapshot), 0);
    assert_eq!(refused, Err(Outcome::Refused(Refusal::Full)));
    let trim = logs.judge(&log, Request::Trim(Keep::Last(1)), 0).unwrap();
    logs.apply(trim).unwrap();
    assert!(logs.judge(&log, append(), 0).is_ok());
    let names =
        std::iter::from_fn(|| Some(Channel::new(rand::random::<u64>().to_string()).unwrap()));
    let empty = || Request::Append(Expected::Any, Bytes::new());
    for log in names.take(1000) {
        let change = logs.judge(&log, empty(), 0).unwrap();
        logs.apply(change).unwrap();
    }
    assert!(logs.bytes() > 1000 * LOG_COST, "logs of empty entries cost something");
}

#[test]
fn an_entry_that_does_not_come_next_is_out_of_order() {
    let mut logs = Logs::default();
    let change = |version, what: fn(Version) -> What| Change {
        log: name(0),
        at: 0,
        what: what(Version(version)),
    };
    let append = |at| change(at, |version| What::Append(Entry { version, payload: Bytes::new() }));
    assert_eq!(logs.apply(append(2)), Err(OutOfOrder));
    assert_eq!(logs.apply(append(1)), Ok(()));
    assert_eq!(logs.apply(append(1)), Err(OutOfOrder));
    assert_eq!(logs.apply(change(7, What::Begin)), Err(OutOfOrder));
}
