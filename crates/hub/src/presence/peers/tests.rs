//! Nodes that come, change, are missed and go.

use proptest::prelude::*;

use super::*;
use crate::presence::Scope;

fn member(node: u8, incarnation: u64) -> Member {
    Member { node: NodeId::from([node; 12]), incarnation: Incarnation(incarnation) }
}

fn place(name: &str) -> Place {
    (Scope::Hub, name.into())
}

fn page(version: u64, names: &[&str], has_more: bool) -> Option<Page> {
    Some(Page { version, places: names.iter().map(|name| place(name)).collect(), has_more })
}

fn come(name: &str) -> (Place, bool) {
    (place(name), true)
}

fn gone(name: &str) -> (Place, bool) {
    (place(name), false)
}

#[test]
fn changes_in_their_order_are_told_once() {
    let mut peers = Peers::default();
    let one = member(1, 1);
    assert_eq!(peers.handle_change(one, 1, place("a"), true), [come("a")]);
    assert_eq!(peers.handle_change(one, 1, place("a"), true), []);
    assert_eq!(peers.handle_change(one, 2, place("a"), false), [gone("a")]);
    peers.handle_standing(one, 2);
    assert_eq!(peers.poll_ask(), None);
}

#[test]
fn a_node_is_read_as_a_whole_when_it_is_new_or_something_is_missing() {
    let mut peers = Peers::default();
    let one = member(1, 1);
    peers.handle_standing(one, 5);
    assert_eq!(peers.poll_ask(), Some((one, None)));
    assert_eq!(peers.poll_ask(), None, "asked once");
    assert_eq!(peers.handle_page(one, None, page(5, &["a", "b"], true)), []);
    assert_eq!(peers.poll_ask(), Some((one, Some(place("b")))));
    // What changes meanwhile counts, whichever page it would have been on.
    assert_eq!(peers.handle_change(one, 6, place("a"), false), []);
    assert_eq!(peers.handle_change(one, 7, place("d"), true), []);
    assert_eq!(
        peers.handle_page(one, Some(&place("b")), page(7, &["c", "d"], false)),
        ["b", "c", "d"].map(come)
    );
    // Number 9 never came.
    assert_eq!(peers.handle_change(one, 8, place("e"), true), [come("e")]);
    assert_eq!(peers.handle_change(one, 10, place("f"), true), []);
    assert_eq!(peers.poll_ask(), Some((one, None)));
    let told = peers.handle_page(one, None, page(10, &["b", "d", "e", "f"], false));
    assert_eq!(told, [gone("c"), come("f")]);
}

#[test]
fn a_gap_is_read_over_and_who_does_not_answer_is_asked_again() {
    let mut peers = Peers::default();
    let (one, two) = (member(1, 1), member(2, 1));
    peers.handle_change(one, 1, place("a"), true);
    peers.handle_change(two, 1, place("b"), true);
    peers.handle_gap(Some(two));
    assert_eq!(peers.poll_ask(), Some((two, None)));
    assert_eq!(peers.handle_page(two, None, None), []);
    assert_eq!(peers.poll_ask(), None);
    assert_eq!(peers.handle_tick(Some(&[one, two].into())), []);
    assert_eq!(peers.poll_ask(), Some((two, None)));
    assert_eq!(peers.handle_page(two, None, page(1, &["b"], false)), [], "nothing was missing");
    peers.handle_gap(None);
    assert!(peers.poll_ask().is_some() && peers.poll_ask().is_some());
    assert_eq!(peers.poll_ask(), None);
}

#[test]
fn a_change_that_is_missing_behind_the_pages_has_the_whole_read_again() {
    let mut peers = Peers::default();
    let one = member(1, 1);
    peers.handle_standing(one, 3);
    peers.poll_ask();
    peers.handle_change(one, 5, place("x"), true);
    assert_eq!(peers.handle_page(one, None, page(3, &["a"], false)), []);
    assert_eq!(peers.poll_ask(), Some((one, None)));
    assert_eq!(peers.handle_page(one, None, page(5, &["a", "x"], false)), [come("a"), come("x")]);
}

#[test]
fn who_is_gone_takes_its_names_along_and_its_late_words_mean_nothing() {
    let mut peers = Peers::default();
    let one = member(1, 1);
    peers.handle_change(one, 1, place("a"), true);
    assert_eq!(peers.handle_gone(one), [gone("a")]);
    assert_eq!(peers.handle_gone(one), []);
    assert_eq!(peers.handle_change(one, 2, place("b"), true), []);
    // It comes back as somebody new.
    let again = member(1, 2);
    peers.handle_standing(again, 2);
    assert_eq!(peers.poll_ask(), Some((again, None)));
    assert_eq!(
        peers.handle_page(one, None, page(2, &["z"], false)),
        [],
        "an answer of its last life"
    );
    assert_eq!(peers.handle_page(again, None, page(2, &["a", "b"], false)), [come("a"), come("b")]);
    assert_eq!(peers.handle_gone(one), [], "known already");
}

#[test]
fn a_new_life_that_is_heard_of_before_the_old_one_has_ended_is_no_coming_and_going() {
    let mut peers = Peers::default();
    peers.handle_change(member(1, 1), 1, place("a"), true);
    peers.handle_standing(member(1, 2), 1);
    assert_eq!(peers.poll_ask(), Some((member(1, 2), None)));
    assert_eq!(peers.handle_gone(member(1, 1)), []);
    assert_eq!(peers.handle_page(member(1, 2), None, page(1, &["a"], false)), []);
}

#[test]
fn who_is_not_among_the_living_is_forgotten_and_not_at_once() {
    let mut peers = Peers::default();
    let one = member(1, 1);
    peers.handle_change(one, 1, place("a"), true);
    let nobody = BTreeSet::new();
    assert_eq!(peers.handle_tick(Some(&nobody)), []);
    assert_eq!(peers.handle_tick(Some(&[one].into())), []);
    assert_eq!([(); 2].map(|()| peers.handle_tick(Some(&nobody))), [[], []]);
    assert_eq!(peers.handle_tick(Some(&nobody)), [gone("a")]);
}

/// Of a node that has just started names may be heard before it is known to live. An outage then is no
/// reason to forget them.
#[test]
fn fault_b1_nobody_is_forgotten_while_nobody_can_be_seen() {
    let mut peers = Peers::default();
    let one = member(1, 1);
    peers.handle_change(one, 1, place("a"), true);
    peers.handle_change(one, 3, place("c"), true);
    assert_eq!(peers.poll_ask(), Some((one, None)));
    for _ in 0..100 {
        assert_eq!(peers.handle_tick(None), []);
    }
    assert_eq!(peers.poll_ask(), Some((one, None)), "it is asked again");
    let nobody = BTreeSet::new();
    assert_eq!([(); 2].map(|()| peers.handle_tick(Some(&nobody))), [[], []]);
    assert_ne!(peers.handle_tick(Some(&nobody)), []);
}

#[test]
fn attack_s8_what_a_node_claims_is_bounded() {
    let mut peers = Peers::default();
    let one = member(1, 1);
    peers.handle_standing(one, u64::MAX);
    for version in 0..2 * CHANGES_MAX as u64 {
        peers.handle_change(one, version * 2, place("a"), true);
    }
    let reading = |peers: &Peers| peers.peers[&one.node].reading.as_ref().unwrap().changes.len();
    assert!(reading(&peers) <= CHANGES_MAX);
    assert_eq!(peers.handle_page(one, None, page(0, &[], true)), [], "an empty page is the last");
    for number in 0..2 * PEERS_MAX {
        let mut node = [0; 12];
        node[..8].copy_from_slice(&number.to_be_bytes());
        let incarnation = Incarnation(1);
        peers.handle_standing(Member { node: NodeId::from(node), incarnation }, 1);
        peers.handle_gone(Member { node: NodeId::from(node), incarnation: Incarnation(0) });
    }
    assert!(peers.peers.len() <= PEERS_MAX && peers.ended.len() <= ENDED_MAX);
}

proptest! {
    /// A node's names are known in the end whatever of its announcements is lost, as long as it
    /// says how it stands and is asked.
    #[test]
    fn what_is_known_of_a_node_is_what_it_has(
        steps in prop::collection::vec((0..4_u8, any::<bool>(), 0..4_u8), 0..60)
    ) {
        let (mut peers, one) = (Peers::default(), member(1, 1));
        let (mut names, mut version) = (BTreeSet::new(), 0);
        let mut told: BTreeSet<Place> = BTreeSet::new();
        let mut hear = |changes: Changes| {
            for (place, is_there) in changes {
                let changed =
                    if is_there { told.insert(place) } else { told.remove(&place) };
                assert!(changed, "what is told is a change");
            }
            told.clone()
        };
        let read = |names: &BTreeSet<Place>, version, after: Option<Place>| {
            let mut behind = names.iter().filter(|name| after.as_ref().is_none_or(|at| *name > at));
            let places: Vec<_> = behind.by_ref().take(1).cloned().collect();
            Page { version, places, has_more: behind.next().is_some() }
        };
        for (name, is_there, fate) in steps {
            let place = place(&name.to_string());
            let changed =
                if is_there { names.insert(place.clone()) } else { names.remove(&place) };
            if changed {
                version += 1;
                if fate > 0 {
                    hear(peers.handle_change(one, version, place, is_there));
                }
            }
            if fate > 1 && let Some((asked, after)) = peers.poll_ask() {
                hear(peers.handle_page(asked, after.as_ref(), Some(read(&names, version, after.clone()))));
            }
        }
        // What is being read already may be of before: then it is read again.
        for _ in 0..2 {
        peers.handle_standing(one, version);
        peers.handle_tick(Some(&[one].into()));
        while let Some((asked, after)) = peers.poll_ask() {
            hear(peers.handle_page(asked, after.as_ref(), Some(read(&names, version, after.clone()))));
        }
        }
        prop_assert_eq!(hear(Vec::new()), names);
    }
}
