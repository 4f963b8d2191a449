//! What confirms a message, and what does not.

use std::time::Duration;

use everwire_proto::ws::frame::Opcode;

use super::{
    rig::Rig,
    wire::{bare, masked},
};
use crate::config::{Delivery, RouteConfig};

fn marker(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

fn lingering(millis: u64) -> RouteConfig {
    RouteConfig { confirm_linger: Duration::from_millis(millis), ..RouteConfig::default() }
}

/// What the next leg gets, after `ends` has ended the first that got "one" and "two".
fn replayed(config: RouteConfig, ends: impl FnOnce(&mut Rig)) -> Vec<String> {
    let mut rig = Rig::new(config);
    rig.client_says("one");
    rig.client_says("two");
    ends(&mut rig);
    rig.dials();
    rig.leg.texts()
}

#[test]
fn markers_follow_the_last_message_and_one_is_outstanding() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.client_says("one");
    assert_eq!(rig.leg.pings(), [marker(1)]);
    rig.client_says("two");
    rig.client_says("three");
    rig.wait(1000);
    assert_eq!(rig.leg.pings(), [marker(1)], "one at a time");
    rig.leg_pongs();
    assert_eq!(rig.relay.unconfirmed(), 2);
    assert_eq!(rig.leg.pings(), [marker(1), marker(3)], "the last message gets one");
    rig.leg_pongs();
    assert_eq!((rig.relay.unconfirmed(), rig.relay.charged()), (0, 0));
    rig.wait(15_000);
    assert_eq!(rig.leg.pings().len(), 2, "nothing is left to confirm");
}

#[test]
fn a_marker_waits_50_ms_or_goes_along_with_data_from_40() {
    for (pause, goes) in [(39, false), (40, true)] {
        let mut rig = Rig::new(RouteConfig::default());
        rig.client_says("one");
        rig.leg_pongs();
        rig.wait(pause);
        rig.client_says("two");
        assert_eq!(rig.leg.pings().len() == 2, goes);
        rig.wait(49 - pause);
        assert_eq!(rig.leg.pings().len() == 2, goes);
        rig.wait(1);
        assert_eq!(rig.leg.pings(), [marker(1), marker(2)], "alone at 50 ms");
    }
}

#[test]
fn a_marker_goes_after_64_kib() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.client_says("one");
    rig.leg_pongs();
    for number in 2..=5 {
        rig.client_sends(&masked(Opcode::Binary, &[0; 16_370]));
        assert_eq!(rig.leg.pings().len(), 1, "{number}");
    }
    rig.client_says("six");
    assert_eq!(rig.leg.pings(), [marker(1), marker(6)]);
}

#[test]
fn a_reply_does_not_confirm() {
    let got = replayed(RouteConfig::default(), |rig| {
        for _ in 0..10 {
            rig.leg_says("a reply");
        }
        assert_eq!(rig.relay.unconfirmed(), 2);
        rig.leg_ends(false);
    });
    assert_eq!(got, ["one", "two"]);
}

#[test]
fn a_pong_confirms_what_came_before_its_ping_only() {
    let got = replayed(RouteConfig::default(), |rig| {
        rig.leg_pongs();
        rig.leg_ends(false);
    });
    assert_eq!(got, ["two"]);
}

#[test]
fn a_pong_that_is_made_up_confirms_nothing() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.leg.window = 3;
    rig.client_says("one");
    rig.leg_sends(&bare(Opcode::Pong, &marker(1)));
    rig.leg_sends(&bare(Opcode::Pong, &marker(9)));
    rig.leg_sends(&bare(Opcode::Pong, b""));
    assert_eq!(rig.relay.unconfirmed(), 1);
    rig.leg_takes(usize::MAX);
    assert_eq!(rig.leg.texts(), ["one"]);
}

#[test]
fn a_clean_end_after_a_restart_close_confirms_what_was_written() {
    let got = replayed(RouteConfig::default(), |rig| {
        rig.leg_closes(1012, "restart");
        assert_eq!(rig.leg.code(), Some(1012), "answered at once");
        rig.client_says("three");
        rig.leg_ends(true);
    });
    assert_eq!(got, ["three"]);
}

#[test]
fn a_restart_close_confirms_nothing_where_the_end_is_not_clean_or_the_stack_queues() {
    let everything = ["one", "two"];
    let got = replayed(RouteConfig::default(), |rig| {
        rig.leg_closes(1012, "restart");
        rig.leg_ends(false);
    });
    assert_eq!(got, everything, "reset");
    let got = replayed(RouteConfig::default(), |rig| {
        rig.leg.window = 0;
        rig.leg_closes(1012, "restart");
        rig.leg_ends(true);
    });
    assert_eq!(got, everything, "ended before our Close was written");
    let got = replayed(lingering(1000), |rig| {
        rig.leg_closes(1012, "restart");
        rig.leg_ends(true);
    });
    assert_eq!(got, everything, "a stack that queues");
    let got = replayed(RouteConfig::default(), |rig| rig.leg_ends(true));
    assert_eq!(got, everything, "no Close at all");
}

#[test]
fn a_restart_close_stops_the_gateway_at_the_frame_boundary() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.leg.window = 4;
    let both = [masked(Opcode::Text, b"one"), masked(Opcode::Text, b"two")].concat();
    rig.client_sends(&both);
    rig.leg_closes(1012, "restart");
    rig.leg_takes(usize::MAX);
    assert_eq!((rig.leg.texts(), rig.leg.code()), (vec!["one".into()], Some(1012)));
    assert!(rig.leg.pings().is_empty(), "the marker further ahead is not waited for");
    rig.leg_ends(true);
    rig.dials();
    assert_eq!(rig.leg.texts(), ["two"]);
}

#[test]
fn in_at_most_once_a_message_partly_taken_counts_as_never_written() {
    for (window, again) in [(8, vec!["one", "two"]), (9, vec!["two"]), (17, vec!["two"])] {
        let config = RouteConfig { delivery: Delivery::AtMostOnce, ..RouteConfig::default() };
        let mut rig = Rig::new(config);
        rig.leg_pongs();
        rig.leg.window = window;
        rig.client_says("one");
        rig.client_says("two");
        rig.leg_ends(false);
        rig.dials();
        assert_eq!(rig.leg.texts(), again, "{window}");
        rig.leg_ends(false);
        rig.dials();
        assert!(rig.leg.texts().is_empty(), "what was taken is never sent again");
    }
}

#[test]
fn the_first_pong_ends_the_outage_and_a_101_does_not() {
    for ponged in [false, true] {
        let mut rig = Rig::new(RouteConfig::default());
        rig.leg_ends(false);
        rig.wait(1000);
        rig.dials();
        rig.wait(20_000);
        if ponged {
            rig.leg_pongs();
        }
        rig.leg_ends(false);
        rig.wait(38_999);
        assert!(rig.relay.is_waiting());
        rig.wait(1);
        assert_eq!(rig.client.code(), (!ponged).then_some(1013));
        rig.wait(20_999);
        assert_eq!(rig.relay.is_waiting(), ponged);
        rig.wait(1);
        assert_eq!(rig.client.close(), Some((1013, "no backend in time")));
    }
}

#[test]
fn a_leg_is_asked_at_once_so_that_its_first_pong_can_come_without_a_message() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.leg_ends(false);
    rig.dials();
    assert_eq!(rig.leg.pings(), [marker(0)]);
}

#[test]
fn confirmed_messages_linger_for_stacks_that_queue() {
    let mut rig = Rig::new(lingering(1000));
    rig.client_says("one");
    rig.leg_pongs();
    assert_eq!(rig.relay.unconfirmed(), 0);
    rig.wait(500);
    rig.leg_ends(false);
    rig.dials();
    assert_eq!(rig.leg.texts(), ["one"], "kept a while");
    rig.leg_pongs();
    rig.wait(1000);
    assert_eq!(rig.relay.charged(), 0);
    rig.leg_ends(false);
    rig.dials();
    assert!(rig.leg.texts().is_empty(), "not for ever");
}

#[test]
fn a_message_whose_time_passes_while_it_is_sent_again_is_finished_first() {
    let mut rig = Rig::new(lingering(1000));
    rig.client_says("one");
    rig.client_says("two");
    rig.leg_pongs();
    rig.leg_pongs();
    rig.leg_ends(false);
    rig.dials_with_window(super::super::LegUp::default(), 4);
    rig.wait(2000);
    rig.leg_takes(usize::MAX);
    assert_eq!(rig.leg.texts(), ["one", "two"]);
    rig.leg_pongs();
    rig.wait(2000);
    assert_eq!(rig.relay.charged(), 0);
}

#[test]
fn a_replay_begins_without_a_word_from_the_client() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.leg_ends(false);
    rig.client_says("in the outage");
    rig.wait(5000);
    rig.dials();
    assert_eq!(rig.leg.texts(), ["in the outage"]);
    assert_eq!(rig.leg.pings(), [marker(1)], "greeting and marker in one");
}
