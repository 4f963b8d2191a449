//! Messages that end backends, and backends that break the rules.

use everwire_proto::ws::frame::Opcode;

use super::{rig::Rig, wire::masked};
use crate::config::RouteConfig;

/// A pipe whose message "poison" waits for a leg with `strikes` strikes.
fn struck(strikes: u32) -> Rig {
    let mut rig = Rig::new(RouteConfig::default());
    rig.client_says("poison");
    rig.client_says("innocent");
    for strike in 1..=strikes {
        if strike > 1 {
            rig.dials();
        }
        rig.leg_ends(false);
    }
    rig
}

#[test]
fn a_suspect_is_sent_alone_until_its_pong() {
    let mut rig = struck(1);
    assert!(!rig.dials().alone, "one end proves nothing");
    assert_eq!(rig.leg.texts(), ["poison", "innocent"]);

    let mut rig = struck(2);
    assert!(rig.dials().alone);
    rig.client_says("younger");
    rig.wait(5000);
    assert_eq!(rig.leg.texts(), ["poison"]);
    rig.leg_pongs();
    assert_eq!(rig.leg.texts(), ["poison", "innocent"], "it has two strikes as well");
    rig.leg_pongs();
    assert_eq!(rig.leg.texts(), ["poison", "innocent", "younger"]);
    assert!(!rig.relay.is_suspect());
}

#[test]
fn the_third_strike_closes_the_pipe_with_1011() {
    let mut rig = struck(3);
    assert_eq!(rig.client.close(), Some((1011, "message 1 ended 3 backends")));
    assert_eq!(rig.relay.dial_wish(), None);
    rig.client_closes(1011, "");
    rig.client_vanishes();
    assert_eq!(rig.end(), ("gateway".into(), "poison".into(), 1011));
}

#[test]
fn replays_max_says_how_many_strikes() {
    let mut rig = Rig::new(RouteConfig { replays_max: 5, ..RouteConfig::default() });
    rig.client_says("poison");
    for strike in 1..=5 {
        assert_eq!(rig.client.code(), None, "{strike}");
        rig.leg_ends(false);
        if strike < 5 {
            rig.dials();
        }
    }
    assert_eq!(rig.client.code(), Some(1011));
}

#[test]
fn an_end_with_a_close_is_no_strike() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.client_says("innocent");
    for _ in 0..10 {
        rig.leg_closes(1012, "");
        rig.leg_ends(false);
        assert!(!rig.dials().alone);
    }
    assert_eq!(rig.leg.texts(), ["innocent"]);
}

#[test]
fn a_message_that_was_not_fully_written_gets_no_strike() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.leg.window = 5;
    rig.client_says("innocent");
    for _ in 0..10 {
        rig.leg_ends(false);
        assert!(!rig.dials_with_window(super::super::LegUp::default(), 5).alone);
    }
}

#[test]
fn legs_that_end_without_messages_on_them_strike_nobody() {
    let mut rig = Rig::new(RouteConfig::default());
    for _ in 0..10 {
        rig.leg_ends(false);
        rig.dials();
    }
    rig.client_says("innocent");
    rig.leg_ends(false);
    assert!(!rig.dials().alone);
}

#[test]
fn a_confirmed_message_is_acquitted() {
    let mut rig = struck(2);
    rig.dials();
    rig.leg_pongs();
    rig.leg_pongs();
    rig.client_says("next");
    rig.leg_ends(false);
    assert!(!rig.dials().alone);
}

#[test]
fn a_suspect_that_is_still_coming_in_holds_nobody_up() {
    let mut rig = struck(2);
    rig.dials();
    rig.leg_pongs();
    rig.leg_pongs();
    let message = masked(Opcode::Text, b"slowly");
    rig.client_sends(&message[..3]);
    rig.leg_ends(false);
    rig.dials();
    rig.client_sends(&message[3..]);
    assert_eq!(rig.leg.texts(), ["slowly"]);
}

#[test]
fn three_framing_errors_in_a_row_close_with_1011_though_pings_were_answered() {
    let mut rig = Rig::new(RouteConfig::default());
    for error in 1..=3 {
        if error > 1 {
            rig.dials();
            rig.leg_pongs();
        }
        assert_eq!(rig.client.code(), None, "{error}");
        rig.leg_sends(&[0x83, 0]);
    }
    assert_eq!((rig.client.code(), rig.resets), (Some(1011), 3));
}

#[test]
fn framing_errors_that_are_not_in_a_row_are_survived() {
    let mut rig = Rig::new(RouteConfig::default());
    for _ in 0..5 {
        rig.leg_sends(&masked(Opcode::Text, b"a server must not mask"));
        rig.dials();
        rig.leg_ends(false);
        rig.dials();
    }
    assert_eq!(rig.client.code(), None);
    assert!(rig.client.texts().is_empty());
}
