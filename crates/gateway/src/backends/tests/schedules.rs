//! Any sequence of events keeps the counts right and the limits kept.

use super::*;

/// Something that happens to a pool.
#[derive(Debug, Clone)]
enum Event {
    Add(u16, Option<u32>),
    Remove(u64),
    Drain(u64),
    Ready(u64),
    Choose(Option<u64>, Vec<u64>),
    EndDial(usize, Outcome),
    EndSession(usize),
    LegLost(u64),
    Health(u64, Health),
    Pass(u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let id = 1_u64..6;
    let outcome = prop_oneof![
        2 => Just(Outcome::Opened),
        1 => Just(Outcome::Answered),
        3 => Just(failed()),
        1 => Just(Outcome::Abandoned),
    ];
    let health = prop_oneof![Just(Health::Up), Just(Health::Down), Just(Health::Unknown)];
    let avoid = prop::collection::vec(1_u64..6, 0..3);
    let event = prop_oneof![
        2 => (1_u16..5, prop::option::of(1_u32..4)).prop_map(|(port, most)| Event::Add(port, most)),
        1 => id.clone().prop_map(Event::Remove),
        1 => id.clone().prop_map(Event::Drain),
        1 => id.clone().prop_map(Event::Ready),
        12 => (prop::option::of(0_u64..9), avoid).prop_map(|(key, avoid)| Event::Choose(key, avoid)),
        9 => (0_usize..9, outcome).prop_map(|(which, outcome)| Event::EndDial(which, outcome)),
        3 => (0_usize..9).prop_map(Event::EndSession),
        2 => id.clone().prop_map(Event::LegLost),
        1 => (id, health).prop_map(|(id, health)| Event::Health(id, health)),
        5 => prop_oneof![Just(1), Just(60), Just(600), Just(12_000)].prop_map(Event::Pass),
    ];
    prop::collection::vec(event, 1..120)
}

/// A pool, and apart from it who dials and who has a session.
struct Run {
    sim: Sim,
    dials: Vec<Ticket>,
    sessions: Vec<BackendId>,
}

impl Run {
    fn apply(&mut self, event: Event) {
        let sim = &mut self.sim;
        match event {
            Event::Add(port, sessions_max) => {
                let _ = sim.backends.add(BackendConfig { sessions_max, ..config(port) });
            }
            Event::Remove(id) => drop(sim.backends.remove(BackendId(id))),
            Event::Drain(id) => drop(sim.backends.drain(BackendId(id))),
            Event::Ready(id) => drop(sim.backends.ready(BackendId(id))),
            Event::LegLost(id) => {
                sim.backends.leg_lost(BackendId(id), sim.now);
            }
            Event::Health(id, health) => {
                sim.backends.set_health(BackendId(id), health);
            }
            Event::Pass(millis) => sim.pass(millis),
            Event::Choose(key, avoid) => self.choose(key, &avoid),
            Event::EndDial(which, outcome) if which < self.dials.len() => {
                self.end_dial(which, outcome);
            }
            Event::EndSession(which) if which < self.sessions.len() => {
                sim.backends.session_ended(self.sessions.swap_remove(which));
            }
            Event::EndDial(..) | Event::EndSession(_) => {}
        }
    }

    fn choose(&mut self, key: Option<u64>, avoid: &[u64]) {
        let avoid: Vec<BackendId> = avoid.iter().copied().map(BackendId).collect();
        let before: Vec<BackendStatus> = self.sim.backends.statuses().collect();
        let wish = Wish { key, avoid: &avoid };
        match self.sim.backends.choose(self.sim.now, &wish) {
            Choice::Dial(ticket) => {
                let chosen = before.iter().find(|status| status.id == ticket.id);
                let chosen = chosen.expect("a member");
                assert_eq!(chosen.state, State::Ready);
                assert!(!avoid.contains(&ticket.id));
                assert!(chosen.dials_in_flight < DIALS_MAX);
                let load = chosen.sessions + chosen.dials_in_flight;
                assert!(chosen.sessions_max.is_none_or(|most| load < most));
                let rival = |other: &&Ticket| other.id == ticket.id && other.spell == ticket.spell;
                let probing = self.dials.iter().filter(rival).any(|other| other.probe);
                assert!(!(ticket.probe && probing), "two probes at a time");
                self.dials.push(ticket);
            }
            Choice::Wait(until) => assert!(until > self.sim.now, "a wait that is over"),
            Choice::Exhausted => {
                let mut ready = before.iter().filter(|status| status.state == State::Ready);
                assert!(ready.all(|status| avoid.contains(&status.id)));
            }
        }
    }

    fn end_dial(&mut self, which: usize, outcome: Outcome) {
        let ticket = self.dials.swap_remove(which);
        if outcome == Outcome::Opened {
            self.sessions.push(ticket.id);
        }
        self.sim.end(&ticket, outcome);
    }

    fn check_counts(&self) {
        for status in self.sim.backends.statuses() {
            let dials = self.dials.iter().filter(|ticket| ticket.id == status.id).count();
            let sessions = self.sessions.iter().filter(|id| **id == status.id).count();
            assert_eq!(status.dials_in_flight as usize, dials, "{status:?}");
            assert_eq!(status.sessions as usize, sessions, "{status:?}");
            assert!(status.state != State::Removing || dials + sessions > 0, "{status:?}");
        }
    }
}

proptest! {
    #[test]
    fn any_schedule_keeps_the_counts_and_the_limits(events in events(), round_robin in any::<bool>()) {
        let balance = if round_robin { Balance::RoundRobin } else { Balance::Hash };
        let sim = Sim::new(balance, 2);
        let mut run = Run { sim, dials: Vec::new(), sessions: Vec::new() };
        for event in events {
            run.apply(event);
            run.check_counts();
        }
        while !run.dials.is_empty() {
            run.end_dial(0, Outcome::Abandoned);
        }
        while !run.sessions.is_empty() {
            run.apply(Event::EndSession(0));
        }
        let left: Vec<BackendId> = run.sim.backends.statuses().map(|status| status.id).collect();
        for id in left {
            run.sim.backends.remove(id).expect("not removed yet, or it would be forgotten");
        }
        prop_assert_eq!(run.sim.backends.statuses().count(), 0);
    }

    #[test]
    fn a_backend_that_lives_is_found_within_a_second(outcomes in prop::collection::vec(0_u8..3, 0..60)) {
        let mut sim = Sim::new(Balance::LeastSessions, 1);
        for outcome in outcomes {
            match sim.choose() {
                Choice::Dial(ticket) => {
                    let outcome = if outcome == 0 { Outcome::Abandoned } else { failed() };
                    sim.end(&ticket, outcome);
                }
                Choice::Wait(until) => sim.now = until,
                Choice::Exhausted => panic!("nothing was avoided"),
            }
        }
        let start = sim.now;
        let ticket = loop {
            match sim.choose() {
                Choice::Dial(ticket) => break ticket,
                Choice::Wait(until) => sim.now = until,
                Choice::Exhausted => panic!("nothing was avoided"),
            }
        };
        sim.end(&ticket, Outcome::Opened);
        prop_assert!(sim.now.saturating_since(start) <= Duration::from_secs(1));
    }
}
