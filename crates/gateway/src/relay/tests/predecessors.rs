//! Defects of the interruptible proxy that came before, absent here; the rest of its list needs
//! sockets and is tested with them.

use everwire_proto::ws::frame::Opcode;

use super::{
    rig::Rig,
    wire::{Got, bare, masked},
};
use crate::config::RouteConfig;

/// Says each text in an outage, and gives what the next leg gets without a further word.
fn through_an_outage(texts: &[&str]) -> (Rig, Vec<String>) {
    let mut rig = Rig::new(RouteConfig::default());
    rig.leg_ends(false);
    for text in texts {
        rig.client_says(text);
    }
    rig.dials();
    let got = rig.leg.texts();
    (rig, got)
}

#[test]
fn pred_p1_the_message_that_triggers_the_replay_is_not_lost() {
    let (mut rig, got) = through_an_outage(&["b1", "b2", "b3"]);
    assert_eq!(got, ["b1", "b2", "b3"]);
    rig.client_says("after1");
    rig.client_says("after2");
    assert_eq!(rig.leg.texts(), ["b1", "b2", "b3", "after1", "after2"]);
}

#[test]
fn pred_p2_a_quiet_client_s_messages_are_replayed_at_once() {
    assert_eq!(through_an_outage(&["the only one"]).1, ["the only one"]);
}

#[test]
fn pred_p3_replayed_messages_are_not_merged() {
    assert_eq!(through_an_outage(&["one", "two", "three"]).1.len(), 3);
}

#[test]
fn pred_p4_a_second_outage_neither_corrupts_nor_reorders() {
    let (mut rig, _) = through_an_outage(&["x", "y"]);
    rig.client_says("z");
    rig.leg_ends(false);
    rig.client_says("after3");
    rig.client_says("after4");
    rig.dials();
    assert_eq!(rig.leg.texts(), ["x", "y", "z", "after3", "after4"]);
}

#[test]
fn pred_p5_a_large_message_stays_one() {
    let payload: Vec<u8> = (0..100_000u32).map(|at| at as u8).collect();
    let mut rig = Rig::new(RouteConfig::default());
    rig.client_sends_in(&masked(Opcode::Binary, &payload), 32 * 1024);
    assert_eq!((rig.leg.messages().len(), rig.leg.messages().concat()), (1, payload.clone()));
    for part in bare(Opcode::Binary, &payload).chunks(32 * 1024) {
        rig.leg_sends(part);
    }
    assert_eq!(rig.client.messages(), [payload]);
}

#[test]
fn pred_p6_binary_stays_binary() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.leg_ends(false);
    rig.client_sends(&masked(Opcode::Binary, &[0xff, 0xfe, 0x00]));
    rig.dials();
    assert_eq!(rig.leg.got[0], Got::Message(Opcode::Binary, vec![0xff, 0xfe, 0x00]));
}

#[test]
fn pred_p7_a_client_that_goes_is_noticed_and_its_leg_ends() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.client_vanishes();
    assert!(rig.leg.finished);
    rig.leg_ends(true);
    assert_eq!(rig.end(), ("client".into(), "vanished".into(), 1006));

    let mut rig = Rig::new(RouteConfig::default());
    rig.leg_ends(false);
    rig.client_vanishes();
    assert_eq!(rig.end(), ("client".into(), "vanished".into(), 1006));
}

#[test]
fn pred_p10_a_client_over_the_limit_is_told_and_dropped() {
    let mut rig = Rig::new(RouteConfig { buffer_max: 4096, ..RouteConfig::default() });
    rig.leg_ends(false);
    rig.client_sends(&masked(Opcode::Binary, &[0; 5000]));
    rig.wait(1000);
    assert_eq!(rig.client.code(), Some(1013));
    rig.wait(6000);
    assert!(rig.client.dropped);
}

#[test]
fn pred_p14_an_idle_pipe_holds_no_buffer() {
    let mut rig = Rig::new(RouteConfig::default());
    assert_eq!(rig.relay.charged(), 0);
    rig.client_says("one");
    rig.leg_says("answer");
    rig.confirms_all();
    assert_eq!(rig.relay.charged(), 0);
}

#[test]
fn pred_p16_a_leg_that_dies_while_written_to_doubles_nothing_in_the_buffer() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.leg.window = 4;
    rig.client_says("one");
    rig.client_says("two");
    let charged = rig.relay.charged();
    for _ in 0..50 {
        rig.leg_ends(false);
        rig.dials_with_window(super::super::LegUp::default(), 4);
    }
    assert_eq!((rig.relay.unconfirmed(), rig.relay.charged() <= charged + 64), (2, true));
    rig.leg_takes(usize::MAX);
    assert_eq!(rig.leg.texts(), ["one", "two"]);
}

#[test]
fn pred_p17_what_a_dying_backend_s_kernel_took_is_sent_again() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.client_says("taken and never read");
    rig.leg_ends(false);
    rig.dials();
    assert_eq!(rig.leg.texts(), ["taken and never read"]);
}

#[test]
fn pred_p23_pings_are_answered_without_a_backend_and_closes_are_relayed() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.leg_ends(false);
    rig.client_sends(&masked(Opcode::Ping, b"there?"));
    assert_eq!(rig.client.got, [Got::Pong(b"there?".to_vec())]);
    rig.dials();
    rig.leg_closes(4009, "moved on");
    assert_eq!(rig.client.close(), Some((4009, "moved on")));
}

#[test]
fn pred_p25_a_clean_close_is_a_goodbye_and_not_a_crash() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.leg_closes(4001, "logged out");
    rig.leg_ends(true);
    assert_eq!(rig.client.close(), Some((4001, "logged out")));
    assert_eq!(rig.relay.dial_wish(), None);
}
