//! The ledger as a fold: the same for all, whatever is there twice, and after being kept.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    CLUSTER_MAX, Ledger, SETS_MAX,
    commands::{BYTES_MAX, COMMANDS_MAX, DETAIL_MAX, RECORDS_MAX, Standing},
};
use crate::{
    book::Fold,
    command::{CommandId, Outcome},
    events::FleetEvent,
    name::InstanceName,
};

use everwire_backplane::Version;

fn id(number: usize) -> CommandId {
    format!("{number:020x}").parse().unwrap()
}

fn name(number: usize) -> InstanceName {
    format!("shop:0:{number}").parse().unwrap()
}

fn session(number: usize) -> String {
    format!("{number:0>21}A")
}

fn node(number: usize) -> String {
    format!("{number:0>16}")
}

fn joined(instance: usize, by: usize) -> Value {
    json!({"type": "joined", "instance": name(instance), "session": session(by), "node": node(by % 2),
        "incarnation": 1, "labels": {"zone": if instance.is_multiple_of(2) { "a" } else { "b" }}, "at": 5})
}

#[expect(clippy::needless_pass_by_value, reason = "a test says what it means")]
fn accepted(command: usize, rest: Value) -> Value {
    let mut order = json!({"id": id(command), "target": "shop", "name": "refresh", "deadline": 1000,
        "at": 7});
    order.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    json!({"type": "accepted", "command": order})
}

fn outcome(command: usize, instance: usize, outcome: &str) -> Value {
    json!({"type": "outcome", "command": id(command), "instance": name(instance), "outcome": outcome,
        "at": 8})
}

fn expired(command: usize) -> Value {
    json!({"type": "expired", "command": id(command), "at": 1000})
}

/// A ledger, and how far it has read.
struct Reader {
    ledger: Ledger,
    version: u64,
}

impl Reader {
    fn new() -> Self {
        Self { ledger: Ledger::new(), version: 0 }
    }

    fn of(events: impl IntoIterator<Item = Value>) -> Self {
        let mut reader = Self::new();
        events.into_iter().for_each(|event| reader.say(&[event]));
        reader
    }

    fn say(&mut self, events: &[Value]) {
        self.apply(&json!({"v": 1, "events": events}));
    }

    fn apply(&mut self, entry: &Value) {
        self.version += 1;
        self.ledger.apply(Version(self.version), entry.to_string().as_bytes());
    }

    fn outcomes(&self, command: usize) -> Vec<(String, Option<Outcome>)> {
        let command = self.ledger.commands().find(id(command)).unwrap();
        let outcome = |standing: &Standing| match standing {
            Standing::Ended(ended) => Some(ended.outcome),
            _ => None,
        };
        let places = command.places().iter();
        places.map(|place| (place.instance.id().to_owned(), outcome(&place.standing))).collect()
    }
}

fn all(outcomes: &[(&str, Option<Outcome>)]) -> Vec<(String, Option<Outcome>)> {
    outcomes.iter().map(|(id, outcome)| ((*id).to_owned(), *outcome)).collect()
}

#[test]
fn whom_a_command_is_for_is_fixed_when_it_is_accepted() {
    let left =
        json!({"type": "left", "instance": name(1), "session": session(1), "why": "left", "at": 6});
    let lost =
        json!({"type": "left", "instance": name(2), "session": session(2), "why": "lost", "at": 6});
    let joins = (1..=3).map(|number| joined(number, number));
    let reader = Reader::of(joins.chain([left, lost, accepted(1, json!({})), joined(4, 4)]));
    assert_eq!(reader.outcomes(1), all(&[("2", None), ("3", None)]), "away, and there");
    let labelled = Reader::of([
        joined(1, 1),
        joined(2, 2),
        accepted(1, json!({"labels": {"zone": "a"}})),
        accepted(2, json!({"target": "shop:0:1"})),
        accepted(3, json!({"target": "other"})),
    ]);
    assert_eq!(labelled.outcomes(1), all(&[("2", None)]));
    assert_eq!(labelled.outcomes(2), all(&[("1", None)]));
    assert_eq!(labelled.outcomes(3), all(&[]), "it is for nobody, and finished");
    assert_eq!(labelled.ledger.commands().running().count(), 2);
}

#[test]
fn the_first_outcome_stays_and_the_end_of_the_deadline_says_the_rest() {
    let lost =
        json!({"type": "left", "instance": name(3), "session": session(3), "why": "lost", "at": 6});
    let joins = (1..=4).map(|number| joined(number, number));
    let mut reader = Reader::of(joins.chain([
        accepted(1, json!({})),
        lost,
        outcome(1, 1, "failed"),
        outcome(1, 1, "done"),
        outcome(1, 9, "done"),
        outcome(2, 1, "done"),
        expired(1),
        outcome(1, 2, "done"),
    ]));
    use Outcome::{Failed, Gone, TimedOut};
    let wanted =
        [("1", Some(Failed)), ("2", Some(TimedOut)), ("3", Some(Gone)), ("4", Some(TimedOut))];
    assert_eq!(reader.outcomes(1), all(&wanted));
    assert_eq!(reader.ledger.commands().running().count(), 0);
    let finished = reader.ledger.take_news().events;
    let finished =
        finished.iter().filter(|(_, event)| matches!(event, FleetEvent::CommandFinished { .. }));
    assert_eq!(finished.count(), 1);
}

#[test]
fn a_key_that_is_known_means_the_first_command() {
    let keyed = |number| accepted(number, json!({"key": "once"}));
    let dropped = json!({"type": "dropped_commands", "ids": [id(1)]});
    let mut reader = Reader::of([joined(1, 1), keyed(1), keyed(2), accepted(1, json!({}))]);
    let commands = reader.ledger.commands();
    assert_eq!((commands.len(), commands.find_key("once").unwrap().order.id), (1, id(1)));
    reader.say(std::slice::from_ref(&dropped));
    assert_eq!(reader.ledger.commands().len(), 1, "it is not finished");
    reader.say(&[outcome(1, 1, "done"), dropped, keyed(2)]);
    assert!(reader.ledger.commands().find(id(1)).is_none());
    assert_eq!(reader.ledger.commands().find_key("once").unwrap().order.id, id(2));
    assert_eq!(reader.ledger.commands().records(), 1);
}

#[test]
fn a_rollout_releases_in_turn_and_what_is_cancelled_is_withheld() {
    let released = |batch: u32, instances: &[usize]| {
        let instances: Vec<_> = instances.iter().map(|number| name(*number)).collect();
        json!({"type": "released", "command": id(1), "batch": batch, "instances": instances, "at": 9})
    };
    let joins = (1..=4).map(|number| joined(number, number));
    let paced = accepted(1, json!({"rollout": {"at_once": 1}}));
    let mut reader = Reader::of(joins.chain([
        paced,
        outcome(1, 1, "done"),
        released(2, &[4]),
        released(1, &[1, 9]),
        released(1, &[2]),
        released(2, &[2]),
    ]));
    let open = |reader: &Reader| {
        let command = reader.ledger.commands().find(id(1)).unwrap();
        command.who(&Standing::Open).cloned().collect::<Vec<_>>()
    };
    assert_eq!(open(&reader), [name(1), name(2)], "out of turn counts for nothing");
    let cancelled = json!({"type": "cancelled", "command": id(1), "at": 10});
    reader.say(&[cancelled.clone(), cancelled, released(3, &[3]), outcome(1, 1, "done")]);
    use Outcome::{Done, Withheld};
    let wanted = [("1", Some(Done)), ("2", None), ("3", Some(Withheld)), ("4", Some(Withheld))];
    assert_eq!(reader.outcomes(1), all(&wanted));
    assert_eq!(reader.ledger.commands().running().count(), 1);
}

#[test]
fn what_is_unknown_is_passed_over_and_counted() {
    let mut reader = Reader::new();
    reader.ledger.apply(Version(1), b"\xff");
    reader.say(&[json!({"type": "later"}), joined(1, 1)]);
    assert_eq!((reader.ledger.unknown(), reader.ledger.roster().len()), (2, 1));
}

#[test]
fn no_more_commands_are_accepted_than_may_be() {
    let mut reader = Reader::of((0..1000).map(|number| joined(number, number)));
    let most = RECORDS_MAX / 1000;
    for command in 0..most + 1 {
        reader.say(&[accepted(command, json!({}))]);
    }
    let commands = reader.ledger.commands();
    assert_eq!((commands.len(), commands.records()), (most, RECORDS_MAX));
    assert!(!commands.has_room(1, 0) && commands.has_room(0, 0));

    let mut reader = Reader::new();
    for command in 0..COMMANDS_MAX + 1 {
        reader.say(&[accepted(command, json!({}))]);
    }
    assert_eq!(reader.ledger.commands().len(), COMMANDS_MAX);

    let mut reader = Reader::new();
    assert!(reader.ledger.commands().has_room(0, BYTES_MAX));
    reader.say(&[accepted(1, json!({"args": "x".repeat(1000)}))]);
    let commands = reader.ledger.commands();
    assert!(commands.has_room(0, BYTES_MAX - commands.bytes()) && commands.bytes() > 1000);
    assert!(!commands.has_room(0, BYTES_MAX - commands.bytes() + 1));

    let mut reader = Reader::of([joined(1, 1), accepted(1, json!({}))]);
    let mut said = outcome(1, 1, "done");
    said["detail"] = json!("x".repeat(DETAIL_MAX + 1));
    reader.say(&[said]);
    let command = reader.ledger.commands().find(id(1)).unwrap();
    let Standing::Ended(ended) = &command.places()[0].standing else { panic!("it is done") };
    assert_eq!((ended.outcome, &ended.detail), (Outcome::Done, &None));
}

#[test]
fn no_more_sets_and_no_longer_ids_are_known_than_may_be() {
    let sets = (0..=SETS_MAX).map(|number| json!({"type": "set", "name": format!("s{number}")}));
    let founded = |length: usize| json!({"type": "founded", "cluster": "c".repeat(length)});
    let mut reader = Reader::of(sets.chain([founded(CLUSTER_MAX + 1)]));
    assert_eq!((reader.ledger.sets().len(), reader.ledger.cluster()), (SETS_MAX, None));
    reader.say(&[founded(CLUSTER_MAX), founded(1)]);
    assert_eq!(reader.ledger.cluster().unwrap().len(), CLUSTER_MAX, "the first one stays");
}

/// Anything that may be said about a few instances and commands.
fn event() -> impl Strategy<Value = Value> {
    let (few, sessions, commands) = (0..4usize, 0..6usize, 0..4usize);
    let rollout = prop_oneof![Just(json!({"all": true})), Just(json!({"at_once": 1}))];
    let outcomes = prop_oneof![Just("done"), Just("failed"), Just("refused")];
    prop_oneof![
        (few.clone(), sessions.clone(), any::<bool>()).prop_map(|(instance, by, again)| {
            let mut joined = joined(instance, by);
            joined["again"] = json!(again);
            joined
        }),
        (few.clone(), sessions, prop_oneof![Just("left"), Just("lost")])
            .prop_map(|(instance, by, why)| json!({"type": "left", "instance": name(instance),
                "session": session(by), "why": why, "at": 6})),
        (0..2usize).prop_map(|number| json!({"type": "node_gone", "node": node(number),
            "incarnation": 1, "at": 6})),
        few.clone().prop_map(|instance| json!({"type": "forgot", "instances": [name(instance)]})),
        (commands.clone(), rollout, any::<bool>()).prop_map(|(command, rollout, has_key)| {
            let key = has_key.then_some("key");
            accepted(command, json!({"rollout": rollout, "key": key}))
        }),
        (commands.clone(), 1..4u32, prop::collection::vec(few.clone(), 0..3)).prop_map(
            |(command, batch, instances)| {
                let instances: Vec<_> = instances.into_iter().map(name).collect();
                json!({"type": "released", "command": id(command), "batch": batch,
                    "instances": instances, "at": 9})
            }
        ),
        (commands.clone(), few, outcomes)
            .prop_map(|(command, instance, said)| outcome(command, instance, said)),
        commands.clone().prop_map(expired),
        commands.clone().prop_map(|command| json!({"type": "cancelled", "command": id(command),
            "at": 9})),
        commands.prop_map(|command| json!({"type": "dropped_commands", "ids": [id(command)]})),
        Just(json!({"type": "founded", "cluster": "c"})),
        Just(json!({"type": "set", "name": "shop/prod"})),
        Just(json!({"type": "unheard_of"})),
    ]
}

/// What writers append, each entry perhaps once more somewhere behind itself.
fn entries() -> impl Strategy<Value = (Vec<Value>, Vec<Value>)> {
    let entry = (0..3u64, prop::collection::vec(event(), 1..4), prop::option::of(0..5usize));
    prop::collection::vec(entry, 0..40).prop_map(|said| {
        let mut numbers = [0; 3];
        let (mut once, mut twice, mut late): (Vec<_>, Vec<Value>, Vec<(usize, Value)>) =
            Default::default();
        for (index, (writer, events, again)) in said.into_iter().enumerate() {
            numbers[writer as usize] += 1;
            let number = numbers[writer as usize];
            let entry = json!({"v": 1, "by": format!("{writer:x}"), "n": number, "events": events});
            once.push(entry.clone());
            twice.push(entry.clone());
            late.extend(again.map(|after| (index + after, entry)));
            late.retain(|(at, entry)| {
                let is_due = *at <= index;
                if is_due {
                    twice.push(entry.clone());
                }
                !is_due
            });
        }
        twice.extend(late.into_iter().map(|(_, entry)| entry));
        (once, twice)
    })
}

/// What is known, but for which entries that came from.
fn known(ledger: &Ledger) -> Value {
    let mut kept: Value = serde_json::from_slice(&ledger.save()).unwrap();
    kept["writers"].take();
    kept
}

proptest! {
    #[test]
    fn an_entry_that_is_there_twice_counts_once((once, twice) in entries()) {
        let [mut one, mut other] = [Reader::new(), Reader::new()];
        once.iter().for_each(|entry| one.apply(entry));
        twice.iter().for_each(|entry| other.apply(entry));
        prop_assert_eq!(known(&one.ledger), known(&other.ledger));
    }

    #[test]
    fn what_is_kept_and_what_follows_is_what_would_be_known((entries, _) in entries(), at in 0..40usize) {
        let mut whole = Reader::new();
        let mut kept = Reader::new();
        for (index, entry) in entries.iter().enumerate() {
            whole.apply(entry);
            if index == at {
                kept.ledger = Ledger::load(&kept.ledger.save()).unwrap();
            }
            kept.apply(entry);
        }
        prop_assert_eq!(whole.ledger.save(), kept.ledger.save());
        let restored = Ledger::load(&whole.ledger.save()).unwrap();
        for instance in (0..4).map(name) {
            let open = |ledger: &Ledger| ledger.commands().open_of(&instance).collect::<Vec<_>>();
            prop_assert_eq!(open(&whole.ledger), open(&restored));
        }
        let running = |ledger: &Ledger| ledger.commands().running().map(|(at, _)| at).collect::<Vec<_>>();
        prop_assert_eq!(running(&whole.ledger), running(&restored));
    }

    #[test]
    fn whatever_is_said_everybody_expected_has_one_place_and_what_is_said_first_stays(
        (entries, _) in entries(),
    ) {
        let mut reader = Reader::new();
        let mut said = std::collections::BTreeMap::new();
        let mut expected = std::collections::BTreeMap::new();
        for entry in &entries {
            reader.apply(entry);
            for (_, command) in reader.ledger.commands().iter() {
                let at = command.order.id;
                let names: Vec<_> = command.places().iter().map(|place| place.instance.clone()).collect();
                // An id may be accepted once more when the first command was dropped.
                let known = reader.ledger.commands().number(at).unwrap();
                prop_assert_eq!(expected.entry(known).or_insert_with(|| names.clone()), &names);
                for place in command.places() {
                    if let Standing::Ended(ended) = &place.standing {
                        let first = said.entry((known, place.instance.clone())).or_insert_with(|| ended.clone());
                        prop_assert_eq!(&*first, ended);
                    }
                }
                let open = command.places().len() - command.counts().map(|(_, count)| count as usize).sum::<usize>();
                prop_assert_eq!(open, command.unfinished());
            }
        }
    }

    #[test]
    fn any_bytes_are_accepted(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut ledger = Ledger::new();
        ledger.apply(Version(1), &bytes);
        let _ = Ledger::load(&bytes);
    }
}
