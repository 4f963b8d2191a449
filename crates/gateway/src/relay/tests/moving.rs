//! Moving a pipe on purpose: hold, wait for confirmation and quiet, close, switch.

use everwire_proto::ws::frame::Opcode;

use super::{
    rig::Rig,
    wire::{MASK, bare, fragments, masked},
};
use crate::config::{Delivery, RouteConfig};

fn moving(config: RouteConfig) -> Rig {
    let mut rig = Rig::new(config);
    rig.client_says("one");
    rig.relay.handle_move(rig.now);
    rig.settle();
    assert!(rig.relay.is_moving());
    rig
}

#[test]
fn a_move_waits_for_the_pong_and_then_for_quiet() {
    let mut rig = moving(RouteConfig::default());
    rig.wait(400);
    rig.leg_pongs();
    rig.wait(300);
    rig.leg_says("a late answer");
    rig.wait(499);
    assert_eq!(rig.leg.code(), None, "quiet begins at the last sign of work");
    rig.wait(1);
    assert_eq!(rig.leg.code(), Some(1001));
    rig.leg_closes(1001, "");
    rig.leg_ends(true);
    rig.dials();
    assert!(rig.leg.texts().is_empty());
    assert_eq!(rig.client.texts(), ["a late answer"]);
}

#[test]
fn an_answer_300_ms_after_the_pong_is_not_lost() {
    let mut rig = moving(RouteConfig::default());
    rig.wait(450);
    rig.leg_pongs();
    rig.wait(300);
    rig.leg_says("answer");
    rig.wait(500);
    assert_eq!((rig.leg.code(), rig.client.texts()), (Some(1001), vec!["answer".into()]));
}

#[test]
fn what_the_client_says_meanwhile_is_held_for_the_next_leg() {
    let mut rig = moving(RouteConfig::default());
    rig.client_says("two");
    rig.leg_pongs();
    rig.client_says("three");
    rig.wait(500);
    rig.leg_closes(1001, "");
    rig.leg_ends(true);
    assert_eq!(rig.leg.texts(), ["one"]);
    rig.dials();
    assert_eq!(rig.leg.texts(), ["two", "three"]);
}

#[test]
fn a_message_that_is_being_written_is_finished_on_the_old_leg() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.leg.window = 4;
    rig.client_says("one");
    rig.client_says("two");
    rig.relay.handle_move(rig.now);
    rig.settle();
    rig.wait(5000);
    rig.leg_takes(usize::MAX);
    assert_eq!(rig.leg.texts(), ["one"]);
    rig.leg_pongs();
    rig.wait(499);
    assert_eq!(rig.leg.code(), None);
    rig.wait(1);
    assert_eq!(rig.leg.code(), Some(1001));
}

#[test]
fn drain_max_ends_the_wait() {
    let mut rig = moving(RouteConfig::default());
    for _ in 0..99 {
        rig.wait(100);
        rig.leg_says("busy");
    }
    rig.wait(99);
    assert_eq!(rig.leg.code(), None);
    rig.wait(1);
    assert_eq!(rig.leg.code(), Some(1001));
    rig.leg_ends(false);
    rig.dials();
    assert_eq!(rig.leg.texts(), ["one"], "never confirmed");
}

#[test]
fn a_message_unfinished_at_drain_max_ends_the_pipe() {
    let mut rig = moving(RouteConfig::default());
    rig.leg_pongs();
    rig.leg_sends(&bare(Opcode::Text, b"half a message")[..7]);
    rig.wait(9_999);
    assert_eq!(rig.client.code(), None);
    rig.wait(1);
    assert_eq!(rig.client.code(), Some(1012));
    assert!(rig.client.texts().is_empty());

    let mut rig = Rig::new(RouteConfig { buffer_max: 8192, ..RouteConfig::default() });
    let message = fragments(Opcode::Binary, MASK, &[1; 40_000], 4);
    rig.client_sends(&message[..20_000]);
    rig.relay.handle_move(rig.now);
    rig.settle();
    rig.wait(10_000);
    assert_eq!(rig.client.code(), Some(1012), "streaming to the old leg");
}

#[test]
fn a_message_that_is_only_coming_in_does_not_hinder_a_move() {
    let mut rig = moving(RouteConfig::default());
    let message = masked(Opcode::Text, b"slowly");
    rig.client_sends(&message[..3]);
    rig.leg_pongs();
    rig.wait(500);
    rig.leg_closes(1001, "");
    rig.leg_ends(true);
    rig.dials();
    rig.client_sends(&message[3..]);
    assert_eq!(rig.leg.texts(), ["slowly"]);
}

#[test]
fn silence_is_not_quiet_while_we_do_not_read() {
    let mut rig = moving(RouteConfig::default());
    rig.leg_pongs();
    rig.relay.handle_pause(rig.now, true);
    rig.settle();
    rig.wait(2000);
    assert_eq!(rig.leg.code(), None);
    rig.relay.handle_pause(rig.now, false);
    rig.settle();
    rig.wait(499);
    rig.leg_says("was waiting");
    rig.wait(499);
    assert_eq!(rig.leg.code(), None);
    rig.wait(1);
    assert_eq!(rig.leg.code(), Some(1001));
}

#[test]
fn a_leg_is_read_to_its_end_however_slowly_the_client_takes_it() {
    let mut rig = Rig::new(RouteConfig { buffer_max: 4096, ..RouteConfig::default() });
    rig.relay.handle_move(rig.now);
    rig.settle();
    rig.wait(500);
    assert_eq!(rig.leg.code(), Some(1001));
    rig.client.window = 0;
    for _ in 0..5 {
        rig.leg_sends(&bare(Opcode::Binary, &[0; 900]));
    }
    assert!(!rig.leg_may_be_read());
    for _ in 0..9 {
        rig.wait(1000);
        rig.client_takes(1);
    }
    assert_eq!(rig.resets, 0, "it is we who do not read");
    rig.client_takes(usize::MAX);
    assert!(rig.leg_may_be_read());
    rig.leg_says("last");
    rig.leg_closes(1001, "");
    rig.leg_ends(true);
    assert_eq!(rig.client.messages().len(), 6);
}

#[test]
fn in_at_most_once_a_move_waits_for_quiet_after_the_last_byte() {
    let config = RouteConfig { delivery: Delivery::AtMostOnce, ..RouteConfig::default() };
    let mut rig = Rig::new(config);
    rig.leg.window = 4;
    rig.client_says("one");
    rig.relay.handle_move(rig.now);
    rig.settle();
    rig.wait(3000);
    rig.leg_takes(usize::MAX);
    rig.wait(499);
    assert_eq!(rig.leg.code(), None);
    rig.wait(1);
    assert_eq!(rig.leg.code(), Some(1001));
}

#[test]
fn a_leg_that_dies_during_a_move_is_replaced() {
    let mut rig = moving(RouteConfig::default());
    rig.client_says("two");
    rig.leg_ends(false);
    rig.dials();
    assert!(!rig.relay.is_moving());
    assert_eq!(rig.leg.texts(), ["one", "two"]);
}
