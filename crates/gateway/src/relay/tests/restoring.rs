//! Giving an unmodified backend its session back.

use std::time::Duration;

use everwire_proto::ws::frame::Opcode;

use super::{
    super::{Loss, Note},
    rig::Rig,
    wire::{bare, masked},
};
use crate::config::{Restore, RouteConfig};

fn config(first: u32, answers: u32) -> RouteConfig {
    RouteConfig { restore: Restore { first, answers }, ..RouteConfig::default() }
}

/// A pipe whose first message "login" was answered with "welcome".
fn logged_in(first: u32, answers: u32) -> Rig {
    let mut rig = Rig::new(config(first, answers));
    rig.client_says("login");
    rig.leg_pongs();
    rig.leg_says("welcome");
    rig
}

#[test]
fn the_first_messages_go_first_and_their_answers_are_swallowed() {
    let mut rig = logged_in(1, 1);
    rig.client_says("question");
    rig.leg_ends(false);
    rig.dials();
    assert_eq!(rig.leg.texts(), ["login"], "nothing else before the answer");
    rig.client_says("another");
    rig.wait(1000);
    assert_eq!(rig.leg.texts(), ["login"]);
    assert_eq!(rig.relay.server_count(), 1);
    rig.leg_says("welcome");
    assert_eq!(rig.leg.texts(), ["login", "question", "another"]);
    rig.leg_says("answer");
    assert_eq!(rig.client.texts(), ["welcome", "answer"]);
    assert_eq!(rig.relay.server_count(), 2, "what was swallowed does not count");
}

#[test]
fn a_first_message_that_is_unconfirmed_goes_once() {
    let mut rig = Rig::new(config(2, 0));
    rig.client_says("one");
    rig.leg_pongs();
    rig.client_says("two");
    rig.client_says("three");
    rig.leg_ends(false);
    rig.dials();
    assert_eq!(rig.leg.texts(), ["one", "two", "three"]);
}

#[test]
fn a_first_message_that_lingers_goes_once() {
    let linger = Duration::from_secs(1);
    let mut rig = Rig::new(RouteConfig { confirm_linger: linger, ..config(1, 0) });
    rig.client_says("one");
    rig.leg_pongs();
    rig.leg_ends(false);
    rig.dials();
    assert_eq!(rig.leg.texts(), ["one"]);
}

#[test]
fn only_answers_that_the_client_has_are_swallowed() {
    let mut rig = Rig::new(config(1, 2));
    rig.client_says("login");
    rig.leg_pongs();
    rig.leg_says("welcome");
    rig.leg_ends(false);
    rig.dials();
    rig.leg_says("welcome");
    rig.leg_says("your settings");
    assert_eq!(rig.client.texts(), ["welcome", "your settings"]);
}

#[test]
fn a_greeting_is_swallowed_where_nothing_is_sent_first() {
    let mut rig = Rig::new(config(0, 1));
    rig.leg_says("hello");
    rig.client_says("question");
    rig.leg_ends(false);
    rig.dials();
    assert!(rig.leg.texts().is_empty());
    rig.leg_says("hello");
    assert_eq!(
        (rig.leg.texts(), rig.client.texts()),
        (vec!["question".into()], vec!["hello".into()])
    );
}

#[test]
fn a_backend_that_does_not_answer_the_first_messages_in_10_s_is_cut() {
    let mut rig = logged_in(1, 1);
    rig.leg_ends(false);
    rig.dials();
    rig.leg_pongs();
    rig.wait(9_999);
    assert_eq!(rig.resets, 0);
    rig.wait(1);
    let lost = |note: &Note| matches!(note, Note::LegLost { loss: Loss::NotRestored, .. });
    assert!(rig.resets == 1 && rig.notes.iter().any(lost));
    assert!(!rig.dials().alone, "the client's messages are not to blame");
    assert_eq!(rig.leg.texts(), ["login"]);
}

#[test]
fn a_leg_lost_while_it_is_restored_is_restored_again_from_the_start() {
    let mut rig = logged_in(1, 2);
    rig.leg_says("settings");
    rig.leg_ends(false);
    for _ in 0..5 {
        rig.dials();
        rig.leg_says("welcome");
        rig.leg_sends(&bare(Opcode::Text, b"settings")[..4]);
        rig.leg_ends(false);
    }
    rig.dials();
    for text in ["welcome", "settings", "news"] {
        rig.leg_says(text);
    }
    assert_eq!(rig.client.texts(), ["welcome", "settings", "news"]);
}

#[test]
fn first_messages_beyond_64_kib_close_with_1009_and_the_backend_does_not_see_them() {
    for sizes in [vec![65_537], vec![40_000, 30_000]] {
        let mut rig = Rig::new(config(3, 0));
        for size in &sizes {
            rig.client_sends_in(&masked(Opcode::Binary, &vec![1; *size]), 16 * 1024);
        }
        assert_eq!(rig.client.code(), Some(1009), "{sizes:?}");
        assert_eq!(rig.leg.messages().len(), sizes.len() - 1);
    }
    let mut rig = Rig::new(config(2, 0));
    for size in [40_000, 20_000, 100_000] {
        rig.client_sends_in(&masked(Opcode::Binary, &vec![1; size]), 16 * 1024);
    }
    assert_eq!((rig.client.code(), rig.leg.messages().len()), (None, 3), "only the first count");
}

#[test]
fn pongs_and_closes_find_their_place_while_a_session_is_restored() {
    let mut rig = logged_in(1, 1);
    rig.leg_ends(false);
    rig.dials_with_window(super::super::LegUp::default(), 3);
    rig.leg_sends(&bare(Opcode::Ping, b"there?"));
    rig.leg_takes(usize::MAX);
    rig.leg_says("welcome");
    rig.client_closes(1000, "");
    assert_eq!((rig.leg.texts(), rig.leg.code()), (vec!["login".into()], Some(1000)));
}

#[test]
fn everything_restored_stays_in_order_with_what_waits() {
    let mut rig = logged_in(1, 1);
    rig.leg_ends(false);
    rig.client_says("a");
    rig.dials();
    rig.client_says("b");
    rig.leg_says("welcome");
    rig.client_says("c");
    assert_eq!(rig.leg.texts(), ["login", "a", "b", "c"]);
    rig.confirms_all();
    assert_eq!(rig.relay.up.waiting(), 0);
}
