//! Choosing and coming back, under a clock that the tests turn.

use proptest::prelude::*;

use super::*;

mod schedules;

/// A pool with backends on ports 1, 2, 3 …, and the time.
struct Sim {
    backends: Backends,
    now: Time,
}

impl Sim {
    fn new(balance: Balance, count: u16) -> Self {
        let mut backends = Backends::new(balance, 7);
        for port in 1..=count {
            backends.add(config(port)).expect("a new backend");
        }
        Self { backends, now: Time::from_millis(1_000) }
    }

    fn pass(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
    }

    fn choose(&mut self) -> Choice {
        self.backends.choose(self.now, &Wish::default())
    }

    /// The ticket of a dial that must be possible.
    fn dial(&mut self) -> Ticket {
        match self.choose() {
            Choice::Dial(ticket) => ticket,
            other => panic!("expected a dial, not {other:?}"),
        }
    }

    fn end(&mut self, ticket: &Ticket, outcome: Outcome) -> Wake {
        self.backends.dial_ended(ticket, outcome, self.now)
    }

    /// Opens a session; gives the backend that it went to.
    fn open(&mut self) -> BackendId {
        let ticket = self.dial();
        self.end(&ticket, Outcome::Opened);
        ticket.id
    }

    fn fail(&mut self) -> BackendId {
        let ticket = self.dial();
        self.end(&ticket, failed());
        ticket.id
    }

    fn status(&self, id: u64) -> BackendStatus {
        let found = self.backends.statuses().find(|status| status.id == BackendId(id));
        found.expect("a backend of that id")
    }

    /// How long the next dial must wait, in milliseconds.
    fn wait(&mut self) -> u64 {
        match self.choose() {
            Choice::Wait(until) => until.as_millis() - self.now.as_millis(),
            other => panic!("expected a wait, not {other:?}"),
        }
    }
}

fn config(port: u16) -> BackendConfig {
    BackendConfig::new(format!("ws://127.0.0.1:{port}").parse().expect("a URL"))
}

fn failed() -> Outcome {
    Outcome::Failed("refused".to_owned())
}

const A: BackendId = BackendId(1);
const B: BackendId = BackendId(2);
const C: BackendId = BackendId(3);

#[test]
fn sessions_are_spread_by_weight() {
    for balance in [Balance::LeastSessions, Balance::RoundRobin] {
        let mut sim = Sim::new(balance, 0);
        for (port, weight) in [(1, 1), (2, 3), (3, 0)] {
            sim.backends.add(BackendConfig { weight, ..config(port) }).expect("new");
        }
        for _ in 0..50 {
            sim.open();
        }
        let sessions: Vec<u32> = sim.backends.statuses().map(|status| status.sessions).collect();
        assert_eq!(sessions, [10, 30, 10], "{balance:?}");
    }
}

#[test]
fn an_empty_backend_gets_the_next_sessions() {
    let mut sim = Sim::new(Balance::LeastSessions, 1);
    for _ in 0..5 {
        assert_eq!(sim.open(), A);
    }
    sim.backends.add(config(2)).expect("new");
    for _ in 0..5 {
        assert_eq!(sim.open(), B);
    }
    sim.backends.session_ended(A);
    assert_eq!(sim.open(), A);
}

#[test]
fn a_key_keeps_its_backend_while_others_come_and_go() {
    let mut sim = Sim::new(Balance::Hash, 5);
    let home = |sim: &mut Sim, key: u64| {
        let wish = Wish { key: Some(key), avoid: &[] };
        let Choice::Dial(ticket) = sim.backends.choose(sim.now, &wish) else { panic!("a dial") };
        sim.end(&ticket, Outcome::Abandoned);
        ticket.id
    };
    let before: Vec<_> = (0..500).map(|key| home(&mut sim, key)).collect();
    for id in 1..=5 {
        let share = before.iter().filter(|home| **home == BackendId(id)).count();
        assert!((60..140).contains(&share), "backend {id} has {share} of 500 keys");
    }
    sim.backends.drain(B).expect("there");
    for (key, old) in before.iter().enumerate() {
        let new = home(&mut sim, key as u64);
        assert!(new != B && (new == *old || *old == B), "key {key} went from {old} to {new}");
    }
    sim.backends.ready(B).expect("there");
    let after: Vec<_> = (0..500).map(|key| home(&mut sim, key)).collect();
    assert_eq!(after, before);
}

#[test]
fn a_backend_gets_no_more_sessions_than_its_limit() {
    let mut sim = Sim::new(Balance::LeastSessions, 0);
    let limited = BackendConfig { sessions_max: Some(2), ..config(1) };
    sim.backends.add(limited).expect("new");
    let first = sim.dial();
    sim.open();
    assert!(matches!(sim.choose(), Choice::Wait(_)), "a dial in flight counts");
    assert_eq!(sim.end(&first, Outcome::Abandoned), Wake::One);
    sim.open();
    assert!(matches!(sim.choose(), Choice::Wait(_)));
    assert_eq!(sim.backends.session_ended(A), Wake::One);
    assert_eq!(sim.open(), A);
}

#[test]
fn dials_in_flight_are_bounded_and_a_free_place_is_told() {
    let mut sim = Sim::new(Balance::LeastSessions, 1);
    let tickets: Vec<_> = (0..DIALS_MAX).map(|_| sim.dial()).collect();
    assert!(matches!(sim.choose(), Choice::Wait(_)));
    assert_eq!(sim.end(&tickets[0], Outcome::Opened), Wake::One);
    sim.dial();
    assert!(matches!(sim.choose(), Choice::Wait(_)));
}

#[test]
fn a_dead_backend_is_probed_by_one_dial_at_a_time() {
    let mut sim = Sim::new(Balance::LeastSessions, 1);
    let storm: Vec<_> = (0..DIALS_MAX).map(|_| sim.dial()).collect();
    for ticket in &storm {
        sim.end(ticket, failed());
    }
    assert_eq!(sim.status(1).failures, u64::from(DIALS_MAX));
    let probe = sim.dial();
    assert!(probe.probe, "the first retry is at once, although 128 dials have failed");
    sim.wait();
    sim.end(&probe, failed());
    for most in [50, 100, 200, 400, 500, 500, 500] {
        let wait = sim.wait();
        assert!((most / 2..=most).contains(&wait), "{wait} ms, at most {most}");
        sim.pass(wait - 1);
        assert_eq!(sim.wait(), 1);
        sim.pass(1);
        let probe = sim.dial();
        assert!(probe.probe && !probe.alternatives);
        assert!(matches!(sim.choose(), Choice::Wait(_)), "one probe at a time");
        sim.end(&probe, failed());
    }
}

#[test]
fn a_probe_that_is_answered_lets_everybody_through() {
    for outcome in [Outcome::Opened, Outcome::Answered] {
        let mut sim = Sim::new(Balance::LeastSessions, 1);
        sim.fail();
        sim.fail();
        sim.pass(500);
        let probe = sim.dial();
        assert_eq!(sim.end(&probe, outcome), Wake::Many);
        assert!(!sim.dial().probe);
        assert!(sim.status(1).healthy);
    }
}

#[test]
fn a_probe_that_is_given_up_leaves_the_place_to_the_next() {
    let mut sim = Sim::new(Balance::LeastSessions, 1);
    sim.fail();
    let probe = sim.dial();
    assert_eq!(sim.end(&probe, Outcome::Abandoned), Wake::One);
    assert!(sim.dial().probe);
}

#[test]
fn a_late_failure_of_the_storm_does_not_lengthen_the_back_off() {
    let mut sim = Sim::new(Balance::LeastSessions, 1);
    let (late, first) = (sim.dial(), sim.dial());
    sim.end(&first, failed());
    let probe = sim.dial();
    sim.end(&probe, failed());
    let wait = sim.wait();
    sim.end(&late, failed());
    assert_eq!(sim.wait(), wait);
    sim.pass(wait);
    let probe = sim.dial();
    sim.end(&probe, Outcome::Opened);
    let old = Ticket { id: A, probe: false, alternatives: false, spell: 0 };
    sim.backends.dial_ended(&old, failed(), sim.now);
    assert!(sim.status(1).healthy, "what began before the recovery says nothing about after it");
}

#[test]
fn pred_p13_failures_of_the_past_do_not_count() {
    let mut sim = Sim::new(Balance::LeastSessions, 1);
    for _ in 0..200 {
        sim.fail();
        sim.open();
    }
    assert!(sim.status(1).healthy);
    assert_eq!((sim.status(1).failures, sim.status(1).sessions_total), (200, 200));
}

#[test]
fn a_failing_backend_is_left_alone_while_another_is_well() {
    let mut sim = Sim::new(Balance::LeastSessions, 2);
    assert_eq!(sim.fail(), A);
    let mut looked = Vec::new();
    for millis in 0..60_000 {
        let ticket = sim.dial();
        if ticket.id == A {
            assert!(ticket.probe && ticket.alternatives);
            looked.push(millis);
            sim.end(&ticket, failed());
        } else {
            sim.end(&ticket, Outcome::Opened);
        }
        sim.pass(1);
    }
    assert!((500..=1_000).contains(&looked[0]), "{looked:?}");
    assert!((7..=20).contains(&looked.len()), "{looked:?}");
    sim.pass(10_000);
    let probe = sim.dial();
    assert_eq!((probe.id, sim.end(&probe, Outcome::Opened)), (A, Wake::Many));
}

#[test]
fn a_backend_that_has_just_ended_a_leg_is_chosen_last() {
    let mut sim = Sim::new(Balance::LeastSessions, 2);
    assert_eq!(sim.open(), A);
    assert!(sim.backends.leg_lost(A, sim.now));
    assert!(!sim.backends.leg_lost(A, sim.now), "not the first of its legs");
    sim.backends.session_ended(A);
    for _ in 0..5 {
        assert_eq!(sim.open(), B);
    }
    sim.pass(1_999);
    assert_eq!(sim.open(), B);
    sim.pass(1);
    assert_eq!(sim.open(), A, "it is an ordinary one again");
    sim.backends.leg_lost(A, sim.now);
    sim.backends.leg_lost(B, sim.now);
    sim.open();
}

#[test]
fn of_backends_that_are_replaced_in_turn_the_dead_one_is_chosen_last() {
    let mut sim = Sim::new(Balance::LeastSessions, 3);
    for id in [A, B, C] {
        sim.pass(600);
        sim.backends.leg_lost(id, sim.now);
    }
    let legs: Vec<BackendId> = (0..6).map(|_| sim.open()).collect();
    assert_eq!(legs, [A, B, A, B, A, B]);
    sim.pass(500);
    assert_eq!(sim.open(), C, "no later than others that have ended legs");
}

#[test]
fn a_backend_that_answers_after_failing_is_an_ordinary_one_again() {
    let mut sim = Sim::new(Balance::LeastSessions, 1);
    sim.backends.leg_lost(A, sim.now);
    sim.fail();
    assert_eq!(sim.open(), A);
    sim.backends.add(config(2)).expect("new");
    assert_eq!([sim.open(), sim.open()], [B, A]);
}

#[test]
fn a_lone_backend_that_has_just_ended_a_leg_is_dialled_at_once() {
    let mut sim = Sim::new(Balance::LeastSessions, 1);
    sim.open();
    sim.backends.leg_lost(A, sim.now);
    assert_eq!(sim.open(), A);
}

#[test]
fn health_decides_unless_nobody_is_healthy() {
    let mut sim = Sim::new(Balance::LeastSessions, 2);
    assert_eq!(sim.backends.set_health(A, Health::Down), Wake::None);
    for _ in 0..5 {
        assert_eq!(sim.open(), B);
    }
    sim.backends.set_health(B, Health::Down);
    assert_eq!(sim.open(), A, "all are tried");
    assert_eq!(sim.backends.set_health(B, Health::Up), Wake::Many);
    assert_eq!(sim.open(), B);
    assert!(!sim.status(1).healthy && sim.status(2).healthy);
}

#[test]
fn a_good_check_ends_a_failing_spell() {
    let mut sim = Sim::new(Balance::LeastSessions, 1);
    sim.backends.set_health(A, Health::Up);
    sim.fail();
    sim.fail();
    sim.wait();
    assert_eq!(sim.backends.set_health(A, Health::Up), Wake::Many);
    assert!(!sim.dial().probe);
}

#[test]
fn a_draining_backend_keeps_its_sessions_and_gets_none() {
    let mut sim = Sim::new(Balance::LeastSessions, 2);
    sim.open();
    sim.backends.drain(A).expect("there");
    assert!(sim.backends.is_leaving(A) && !sim.backends.is_empty(A));
    for _ in 0..5 {
        assert_eq!(sim.open(), B);
    }
    sim.backends.ready(A).expect("there");
    assert!(!sim.backends.is_leaving(A));
    assert_eq!(sim.open(), A);
    assert_eq!(sim.backends.drain(BackendId(9)), Err(PoolError::Unknown(BackendId(9))));
}

#[test]
fn a_removed_backend_is_forgotten_with_its_last_session_or_dial() {
    let mut sim = Sim::new(Balance::LeastSessions, 1);
    sim.open();
    let dial = sim.dial();
    sim.backends.remove(A).expect("there");
    assert!(matches!(sim.choose(), Choice::Wait(_)), "another may be added");
    assert_eq!(sim.backends.remove(A), Err(PoolError::Removing(A)));
    assert_eq!(sim.backends.ready(A), Err(PoolError::Removing(A)));
    sim.backends.session_ended(A);
    assert!(sim.backends.contains(A));
    sim.end(&dial, Outcome::Opened);
    assert!(sim.backends.contains(A), "a dial that was under way is a session to be moved");
    sim.backends.session_ended(A);
    assert!(!sim.backends.contains(A) && sim.backends.is_empty(A) && sim.backends.is_leaving(A));
}

#[test]
fn pred_p12_a_removed_url_can_be_added_again() {
    let mut sim = Sim::new(Balance::LeastSessions, 1);
    sim.open();
    let url = config(1).url;
    assert_eq!(sim.backends.add(config(1)), Err(PoolError::Duplicate(url.clone())));
    sim.backends.remove(A).expect("there");
    assert_eq!(sim.backends.find(&url), None);
    assert_eq!(sim.backends.add(config(1)), Ok(B), "although the old one still has a session");
    assert_eq!(sim.backends.find(&url), Some(B));
    assert_eq!(sim.open(), B);
}

#[test]
fn a_pool_holds_a_bounded_number_of_backends() {
    let mut sim = Sim::new(Balance::LeastSessions, BACKENDS_MAX as u16);
    assert_eq!(sim.backends.add(config(5_000)), Err(PoolError::Full));
}

#[test]
fn a_dial_that_every_backend_refused_is_told_so() {
    let mut sim = Sim::new(Balance::LeastSessions, 2);
    let ask = |sim: &mut Sim, avoid: &[BackendId]| {
        let choice = sim.backends.choose(sim.now, &Wish { key: None, avoid });
        if let Choice::Dial(ticket) = &choice {
            sim.end(ticket, Outcome::Answered);
        }
        choice
    };
    assert!(matches!(ask(&mut sim, &[A]), Choice::Dial(Ticket { id: B, .. })));
    assert_eq!(ask(&mut sim, &[A, B]), Choice::Exhausted);
    sim.backends.drain(B).expect("there");
    assert_eq!(ask(&mut sim, &[A]), Choice::Exhausted, "who drains is not asked");
    sim.backends.drain(A).expect("there");
    assert!(matches!(ask(&mut sim, &[A]), Choice::Wait(_)), "somebody may become ready");
}
