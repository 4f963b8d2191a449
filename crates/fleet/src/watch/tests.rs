use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;

/// A set, its desk and its watchers, each of which checks what it hears.
struct World {
    desk: Desk<u8>,
    now: Cursor,
    oldest: u64,
    groups: BTreeMap<Pace, BTreeSet<u8>>,
    listeners: BTreeMap<u8, Listener>,
    /// How many of the next tells fail.
    failures: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Gap,
    Snapshot(Cursor),
    Version(Version),
    /// Everything after a version, up to another.
    Merged(Version, Version),
}

#[derive(Default)]
struct Listener {
    has: Option<Cursor>,
    has_gap: bool,
    heard: Vec<Heard>,
}

struct Kept(u64);

impl Past for Kept {
    fn has_since(&self, version: Version) -> bool {
        version.0 >= self.0
    }
}

impl Listener {
    fn hear(&mut self, epoch: u64, heard: Heard) {
        self.heard.push(heard);
        match heard {
            Heard::Gap => self.has_gap = true,
            Heard::Snapshot(at) => {
                if let Some(has) = self.has
                    && has.epoch == at.epoch
                {
                    assert!(at.version >= has.version || self.has_gap, "went back to {at}");
                }
                (self.has, self.has_gap) = (Some(at), false);
            }
            Heard::Version(version) => {
                assert!(!self.has_gap, "a gap is followed by a snapshot");
                self.go_on(epoch, Version(version.0 - 1), version);
            }
            Heard::Merged(after, upto) => {
                assert!(!self.has_gap, "a gap is followed by a snapshot");
                assert!(after < upto, "nothing is no change");
                self.go_on(epoch, after, upto);
            }
        }
    }

    fn go_on(&mut self, epoch: u64, after: Version, upto: Version) {
        assert_eq!(self.has, Some(Cursor { epoch, version: after }), "before {upto}");
        self.has = Some(Cursor { epoch, version: upto });
    }
}

impl World {
    fn new() -> Self {
        Self {
            desk: Desk::new(),
            now: Cursor { epoch: 1, version: Version(0) },
            oldest: 0,
            groups: BTreeMap::new(),
            listeners: BTreeMap::new(),
            failures: 0,
        }
    }

    fn past(&self) -> Kept {
        Kept(self.oldest)
    }

    fn advance(&mut self) {
        let tells = self.desk.advance(self.now, &self.past());
        self.tell(tells);
    }

    fn write(&mut self, versions: u64) {
        self.now.version.0 += versions;
    }

    fn watch(&mut self, who: u8, seed: Seed, pace: Pace) {
        let has = match seed {
            Seed::At(at) => Some(at),
            Seed::Nothing | Seed::Missed => None,
        };
        let tells = self.desk.watch(who, seed, pace);
        let is_live = self.groups.get(&pace).is_some_and(|group| group.contains(&who));
        if !is_live || !tells.is_empty() || has.is_none() {
            self.listeners.insert(who, Listener { has, ..Listener::default() });
        }
        self.tell(tells);
    }

    fn flush(&mut self) {
        for pace in self.desk.held().collect::<Vec<_>>() {
            let tells = self.desk.flush(pace, &self.past());
            self.tell(tells);
        }
    }

    fn tell(&mut self, tells: Vec<Tell<u8>>) {
        let mut tells: VecDeque<_> = tells.into();
        while let Some(tell) = tells.pop_front() {
            let may_fail = matches!(tell, Tell::Snapshot { .. } | Tell::Since { .. });
            if may_fail && self.failures > 0 {
                self.failures -= 1;
                tells.extend(self.desk.failed(&tell));
            } else {
                self.tell_one(&tell);
            }
        }
    }

    fn tell_one(&mut self, tell: &Tell<u8>) {
        let now = self.now;
        match tell {
            Tell::Snapshot { to, gap } => {
                for who in to {
                    let listener = self.listeners.get_mut(who).unwrap();
                    if *gap {
                        listener.hear(now.epoch, Heard::Gap);
                    }
                    listener.hear(now.epoch, Heard::Snapshot(now));
                }
            }
            Tell::Since { to, after, as_one } => {
                let to = match to {
                    Whom::One(who) => BTreeSet::from([*who]),
                    Whom::Live(pace) => self.groups.get(pace).cloned().unwrap_or_default(),
                };
                for who in to {
                    let listener = self.listeners.get_mut(&who).unwrap();
                    if *as_one {
                        listener.hear(now.epoch, Heard::Merged(*after, now.version));
                    } else {
                        for version in after.0 + 1..=now.version.0 {
                            listener.hear(now.epoch, Heard::Version(Version(version)));
                        }
                    }
                }
            }
            Tell::Joins(who, pace) => {
                assert!(self.groups.entry(*pace).or_default().insert(*who));
            }
            Tell::Parts(who, pace) => {
                assert!(self.groups.entry(*pace).or_default().remove(who));
            }
        }
    }

    /// All that is outstanding is told, and everybody has what there is.
    fn settle(&mut self) {
        self.failures = 0;
        self.advance();
        for _ in 0..PATIENCE {
            self.desk.grow_impatient();
        }
        for _ in 0..3 {
            self.advance();
            self.flush();
        }
        assert!(!self.desk.is_behind() && self.desk.held().next().is_none());
        for who in self.desk.watchers().collect::<Vec<_>>() {
            assert_eq!(self.listeners[&who].has, Some(self.now), "watcher {who}");
        }
    }

    fn heard(&self, who: u8) -> &[Heard] {
        &self.listeners[&who].heard
    }
}

fn at(version: u64) -> Cursor {
    Cursor { epoch: 1, version: Version(version) }
}

fn version(version: u64) -> Heard {
    Heard::Version(Version(version))
}

#[test]
fn a_newcomer_gets_a_snapshot_and_each_version_from_then_on() {
    let mut world = World::new();
    world.write(3);
    world.watch(1, Seed::Nothing, Pace::Each);
    assert_eq!(world.heard(1), []);
    world.advance();
    world.write(2);
    world.advance();
    assert_eq!(world.heard(1), [Heard::Snapshot(at(3)), version(4), version(5)]);
}

#[test]
fn pred_k7_who_returns_is_told_what_it_missed_or_that_too_much_is_missing() {
    let mut world = World::new();
    world.write(9);
    world.oldest = 5;
    world.watch(1, Seed::At(at(7)), Pace::Each);
    world.watch(2, Seed::At(at(9)), Pace::Each);
    world.watch(3, Seed::At(at(4)), Pace::Each);
    world.watch(4, Seed::At(Cursor { epoch: 2, ..at(7) }), Pace::Each);
    world.watch(5, Seed::At(at(6)), Pace::of_millis(100));
    world.advance();
    assert_eq!(world.heard(1), [version(8), version(9)]);
    assert_eq!(world.heard(2), []);
    assert_eq!(world.heard(3), [Heard::Gap, Heard::Snapshot(at(9))]);
    assert_eq!(world.heard(4), [Heard::Gap, Heard::Snapshot(at(9))]);
    assert_eq!(world.heard(5), [Heard::Merged(Version(6), Version(9))]);
}

#[test]
fn pred_k8_nobody_goes_back_to_what_another_node_has_yet_to_read() {
    let mut world = World::new();
    world.write(4);
    world.watch(1, Seed::At(at(6)), Pace::Each);
    world.advance();
    assert_eq!(world.heard(1), []);
    world.write(3);
    world.advance();
    assert_eq!(world.heard(1), [version(7)]);
    world.watch(2, Seed::At(at(99)), Pace::Each);
    world.settle();
    assert_eq!(world.heard(2), [Heard::Gap, Heard::Snapshot(at(7))], "it is mistaken");
}

#[test]
fn a_burst_is_one_change_for_who_asks_for_that() {
    let mut world = World::new();
    world.watch(1, Seed::Nothing, Pace::of_millis(100));
    world.watch(2, Seed::Nothing, Pace::Each);
    world.advance();
    for _ in 0..3 {
        world.write(1);
        world.advance();
    }
    assert_eq!(world.desk.held().collect::<Vec<_>>(), [Pace::After(128)]);
    assert_eq!(world.heard(1), [Heard::Snapshot(at(0))]);
    assert_eq!(world.heard(2).len(), 4);
    world.watch(3, Seed::Nothing, Pace::of_millis(100));
    world.advance();
    assert_eq!(
        world.heard(1)[1..],
        [Heard::Merged(Version(0), Version(3))],
        "before the third joins"
    );
    assert_eq!(world.heard(3), [Heard::Snapshot(at(3))]);
    world.write(1);
    world.advance();
    world.flush();
    assert_eq!(world.heard(3)[1..], [Heard::Merged(Version(3), Version(4))]);
}

#[test]
fn pred_k2_to_watch_again_multiplies_nothing() {
    let mut world = World::new();
    world.watch(1, Seed::Nothing, Pace::Each);
    world.advance();
    world.write(1);
    world.advance();
    for _ in 0..3 {
        world.watch(1, Seed::At(at(0)), Pace::Each);
        world.advance();
    }
    world.write(1);
    world.advance();
    assert_eq!(world.heard(1), [Heard::Snapshot(at(0)), version(1), version(2)]);
    world.watch(1, Seed::Nothing, Pace::Each);
    world.write(1);
    world.advance();
    assert_eq!(world.heard(1), [Heard::Snapshot(at(3))], "it asked for everything");
    assert_eq!(world.desk.len(), 1);
}

#[test]
fn a_set_that_begins_anew_is_told_anew() {
    let mut world = World::new();
    world.write(5);
    world.watch(1, Seed::Nothing, Pace::Each);
    world.advance();
    world.now = Cursor { epoch: 2, version: Version(1) };
    world.advance();
    let anew = [Heard::Gap, Heard::Snapshot(world.now)];
    assert_eq!(world.heard(1)[1..], anew);
}

#[test]
fn who_could_not_be_told_hears_of_a_gap_and_not_of_anything_twice() {
    let mut world = World::new();
    world.watch(1, Seed::Nothing, Pace::Each);
    world.advance();
    world.write(2);
    world.failures = 1;
    world.advance();
    assert!(world.desk.is_behind());
    world.advance();
    assert_eq!(world.heard(1)[1..], [Heard::Gap, Heard::Snapshot(at(2))]);
    world.write(1);
    world.advance();
    assert_eq!(world.heard(1)[3..], [version(3)]);
}

#[test]
fn paces_are_few() {
    assert_eq!(Pace::of_millis(0), Pace::Each);
    assert_eq!(Pace::of_millis(1), Pace::After(16));
    assert_eq!(Pace::of_millis(100), Pace::After(128));
    assert_eq!(Pace::of_millis(u64::MAX), Pace::After(PACE_MAX));
    let all: BTreeSet<_> = (1..70_000).map(Pace::of_millis).collect();
    assert_eq!(all.len(), 13);
}

#[derive(Debug, Clone)]
enum Step {
    Write(u64),
    Forget,
    Empty,
    Advance,
    Flush,
    Fail(u8),
    Watch(u8, Option<u64>, u64),
    Unwatch(u8),
    Wait,
}

fn any_step() -> impl Strategy<Value = Step> {
    let who = 0..4_u8;
    prop_oneof![
        4 => (1..4_u64).prop_map(Step::Write),
        1 => Just(Step::Forget),
        1 => Just(Step::Empty),
        6 => Just(Step::Advance),
        2 => Just(Step::Flush),
        1 => (1..3_u8).prop_map(Step::Fail),
        4 => (who.clone(), prop::option::of(0..12_u64), prop_oneof![Just(0), Just(100)])
            .prop_map(|(who, at, pace)| Step::Watch(who, at, pace)),
        1 => who.prop_map(Step::Unwatch),
        1 => Just(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn pred_k1_each_watcher_hears_each_version_once_and_in_order_whatever_happens(
        steps in prop::collection::vec(any_step(), 1..60),
    ) {
        let mut world = World::new();
        for step in steps {
            match step {
                Step::Write(versions) => world.write(versions),
                Step::Forget => world.oldest = world.now.version.0.saturating_sub(2),
                Step::Empty => {
                    world.now = Cursor { epoch: world.now.epoch + 1, version: Version(0) };
                    world.oldest = 0;
                }
                Step::Advance => world.advance(),
                Step::Flush => {
                    world.advance();
                    world.flush();
                }
                Step::Fail(count) => world.failures = count,
                Step::Watch(who, version, pace) => {
                    let at = version.map(|version| Cursor {
                        epoch: world.now.epoch,
                        version: Version(version),
                    });
                    let seed = at.map_or(Seed::Nothing, Seed::At);
                    world.watch(who, seed, Pace::of_millis(pace));
                }
                Step::Unwatch(who) => {
                    let tells = world.desk.unwatch(who);
                    world.tell(tells);
                }
                Step::Wait => world.desk.grow_impatient(),
            }
        }
        world.settle();
    }
}
