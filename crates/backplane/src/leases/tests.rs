//! Readings of beats under a virtual clock.

use proptest::prelude::*;

use super::*;

const LEASE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_secs(1);

fn member(node: u8, incarnation: u64) -> Member {
    Member { node: NodeId::from([node; 12]), incarnation: Incarnation(incarnation) }
}

fn beat(node: u8, count: u64) -> Beat {
    Beat { member: member(node, 1), count }
}

fn leases() -> Leases {
    Leases::new(LEASE, PAUSE)
}

proptest! {
    /// However often and long the backplane is away: nobody who beats whenever it is there expires.
    #[test]
    fn an_outage_expires_nobody(pauses in proptest::collection::vec(0_u64..100_000, 0..100)) {
        let mut leases = leases();
        let (mut now, mut count) = (0, 0);
        for pause in pauses {
            now += pause;
            // After the outage the observer reads before the other has beaten again.
            let sights = leases.handle_read(Time::from_millis(now), &[beat(1, count)]);
            prop_assert!(!sights.iter().any(|sight| matches!(sight, Sight::Silent(_))));
            now += 500;
            count += 1;
            let sights = leases.handle_read(Time::from_millis(now), &[beat(1, count)]);
            prop_assert!(!sights.iter().any(|sight| matches!(sight, Sight::Silent(_))));
        }
    }

    /// One who stops beating is silent after a lease of readings, whenever it stopped.
    #[test]
    fn a_stopped_node_is_silent_after_its_lease(beats in 0_u64..20, step in 1_u64..1000) {
        let mut leases = leases();
        let mut now = 0;
        for count in 0..=beats {
            now += step;
            leases.handle_read(Time::from_millis(now), &[beat(1, count)]);
        }
        let stopped = now;
        loop {
            now += step;
            let sights = leases.handle_read(Time::from_millis(now), &[beat(1, beats)]);
            let silent = Duration::from_millis(now - stopped) > LEASE;
            prop_assert_eq!(sights.contains(&Sight::Silent(beat(1, beats))), silent);
            if silent {
                break;
            }
        }
    }
}

#[test]
fn who_is_absent_is_told_from_who_is_silent() {
    let mut leases = leases();
    let at = Time::from_millis;
    assert_eq!(leases.handle_read(at(0), &[beat(1, 0)]), [Sight::Appeared(member(1, 1))]);
    assert_eq!(leases.handle_read(at(500), &[]), [Sight::Absent(member(1, 1))]);
    assert_eq!(leases.handle_read(at(1000), &[beat(1, 1)]), [], "an emptied backplane fills again");
    leases.forget(member(1, 1));
    assert_eq!(leases.handle_read(at(1500), &[]), []);
}

#[test]
fn a_new_life_appears_when_the_old_one_is_settled() {
    let mut leases = leases();
    leases.handle_read(Time::from_millis(0), &[beat(1, 7)]);
    let later = Beat { member: member(1, 2), count: 0 };
    let sights = leases.handle_read(Time::from_millis(1), &[later]);
    assert!(sights.contains(&Sight::Absent(member(1, 1))));
    leases.forget(member(1, 1));
    let sights = leases.handle_read(Time::from_millis(2), &[later]);
    assert_eq!(sights, [Sight::Appeared(member(1, 2))]);
    let old = leases.handle_read(Time::from_millis(3), &[beat(1, 8), later]);
    assert_eq!(old, [], "the old life does not come back");
}

#[test]
fn a_crowd_of_nodes_does_not_grow_the_memory() {
    let mut leases = leases();
    let crowd: Vec<Beat> = (0..NODES_MAX as u64 + 5)
        .map(|number| {
            let mut node = [0; 12];
            node[..8].copy_from_slice(&number.to_be_bytes());
            Beat {
                member: Member { node: NodeId::from(node), incarnation: Incarnation(1) },
                count: 0,
            }
        })
        .collect();
    assert_eq!(leases.handle_read(Time::from_millis(0), &crowd).len(), NODES_MAX);
}
