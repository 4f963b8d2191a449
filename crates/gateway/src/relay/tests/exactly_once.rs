//! Backends that count: what they say they have decides, and nothing else.

use everwire_proto::ws::frame::Opcode;

use super::{
    super::LegUp,
    rig::Rig,
    wire::{bare, masked},
};
use crate::config::{Delivery, Restore, RouteConfig};

fn counting(received: u64) -> LegUp {
    LegUp { received: Some(received) }
}

fn config() -> RouteConfig {
    RouteConfig { delivery: Delivery::ExactlyOnce, ..RouteConfig::default() }
}

/// A pipe whose backend has been sent "one", "two" and "three" and has acknowledged `acknowledged`.
fn pipe(acknowledged: &[u64]) -> Rig {
    let mut rig = Rig::with(config(), counting(0));
    for text in ["one", "two", "three"] {
        rig.client_says(text);
    }
    for number in acknowledged {
        acknowledges(&mut rig, &number.to_string());
    }
    rig
}

fn acknowledges(rig: &mut Rig, number: &str) {
    rig.leg_sends(&bare(Opcode::Pong, format!("ack:{number}").as_bytes()));
}

#[test]
fn a_message_is_released_when_it_is_acknowledged_and_only_then() {
    let mut rig = pipe(&[]);
    rig.wait(20_000);
    rig.leg_pongs();
    rig.leg_says("a reply");
    assert_eq!(rig.relay.unconfirmed(), 3, "neither a Pong nor a reply");
    acknowledges(&mut rig, "2");
    assert_eq!(rig.relay.unconfirmed(), 1);
    acknowledges(&mut rig, "1");
    assert_eq!(rig.relay.unconfirmed(), 1, "an old one says nothing new");
    rig.leg_closes(1012, "");
    rig.leg_ends(true);
    assert_eq!((rig.relay.unconfirmed(), rig.relay.client_next()), (1, 3), "nor a clean end");
    rig.dials_with(counting(2));
    assert_eq!(rig.leg.texts(), ["three"]);
}

#[test]
fn what_the_backend_has_is_not_sent_again() {
    for (received, again) in [(0, vec!["one", "two", "three"]), (2, vec!["three"]), (3, Vec::new())]
    {
        let mut rig = pipe(&[]);
        rig.leg_ends(false);
        rig.dials_with(counting(received));
        assert_eq!(rig.leg.texts(), again, "{received}");
        assert_eq!(rig.relay.unconfirmed(), 3 - received);
    }
}

#[test]
fn a_backend_out_of_step_closes_the_pipe_with_1012() {
    for (received, why) in [(4, "beyond what was written"), (1, "below what was released")] {
        let mut rig = pipe(&[2]);
        rig.leg.window = 4;
        rig.client_says("half written");
        rig.leg_ends(false);
        rig.dials_with(counting(received));
        assert_eq!(rig.client.code(), Some(1012), "{why}");
        assert!(rig.leg.texts().is_empty());
        assert_eq!(rig.leg.code(), Some(1001), "the backend hears a Close and nothing else");
        rig.leg_closes(1001, "");
        rig.leg_ends(true);
        rig.client_closes(1012, "");
        rig.client_vanishes();
        assert_eq!(rig.end(), ("gateway".into(), "out_of_step".into(), 1012));
    }
    let mut rig = Rig::with(config(), counting(1));
    assert_eq!(rig.client.code(), Some(1012), "on the first leg too");
    rig.leg_ends(true);
}

#[test]
fn an_acknowledgement_beyond_what_was_written_closes_with_1012() {
    for number in ["4", "18446744073709551615"] {
        let mut rig = pipe(&[]);
        acknowledges(&mut rig, number);
        assert_eq!(rig.client.code(), Some(1012), "{number}");
    }
}

#[test]
fn what_is_no_acknowledgement_is_ignored() {
    let mut rig = pipe(&[]);
    for number in ["", "-1", "2x", " 2", "99999999999999999999999"] {
        acknowledges(&mut rig, number);
    }
    assert_eq!((rig.relay.unconfirmed(), rig.client.code()), (3, None));
}

#[test]
fn thirty_seconds_without_progress_and_a_full_buffer_close_with_1013() {
    let mut rig = Rig::with(RouteConfig { buffer_max: 16 * 1024, ..config() }, counting(0));
    let mut sent = 0;
    while rig.client_may_be_read() {
        rig.client_sends(&masked(Opcode::Binary, &[0; 1000]));
        sent += 1;
    }
    assert_eq!(rig.leg.messages().len(), sent);
    for _ in 0..5 {
        rig.wait(5999);
        acknowledges(&mut rig, "0");
        rig.leg_sends(&bare(Opcode::Pong, b"alive"));
    }
    assert_eq!(rig.client.code(), None);
    rig.wait(5);
    assert_eq!(rig.client.close(), Some((1013, "backend acknowledges nothing")));
}

#[test]
fn an_acknowledgement_in_time_gives_thirty_seconds_more() {
    let mut rig = Rig::with(RouteConfig { buffer_max: 16 * 1024, ..config() }, counting(0));
    let mut number = 0;
    for _ in 0..5 {
        while rig.client_may_be_read() {
            rig.client_sends(&masked(Opcode::Binary, &[0; 1000]));
        }
        rig.wait(29_000);
        number += 1;
        acknowledges(&mut rig, &number.to_string());
    }
    assert_eq!(rig.client.code(), None);
}

#[test]
fn a_backend_that_is_slow_to_acknowledge_is_let_be_while_there_is_room() {
    let mut rig = pipe(&[]);
    for _ in 0..10 {
        rig.wait(20_000);
        rig.leg_sends(&bare(Opcode::Pong, b"alive"));
    }
    assert_eq!(rig.client.code(), None);
}

#[test]
fn a_client_that_leaves_does_not_wait_for_ever_for_an_acknowledgement() {
    let mut rig = pipe(&[]);
    rig.client_closes(1000, "done");
    for _ in 0..6 {
        assert_eq!(rig.client.code(), None);
        rig.wait(10_000);
        rig.leg_sends(&bare(Opcode::Pong, b"alive"));
    }
    assert_eq!(rig.client.close(), Some((1013, "backend acknowledges nothing")));
}

#[test]
fn a_refused_client_s_messages_are_not_waited_for_for_ever_either() {
    let mut rig = pipe(&[]);
    rig.client_sends(&[0x83]);
    for _ in 0..6 {
        assert!(!rig.leg.finished);
        rig.wait(10_000);
        rig.leg_sends(&bare(Opcode::Pong, b"alive"));
    }
    assert!(rig.leg.finished);
    rig.leg_ends(true);
    assert_eq!(rig.end(), ("client".into(), "protocol_error".into(), 1002));
}

#[test]
fn a_backend_that_counts_is_not_sent_the_prelude() {
    let restore = Restore { first: 2, answers: 1 };
    let mut rig = Rig::with(RouteConfig { restore, ..config() }, counting(0));
    rig.client_says("one");
    rig.leg_says("answer");
    acknowledges(&mut rig, "1");
    rig.leg_ends(false);
    rig.client_says("two");
    rig.dials_with(counting(1));
    assert_eq!(rig.leg.texts(), ["two"]);
    rig.leg_says("news");
    assert_eq!(rig.client.texts(), ["answer", "news"]);
}

#[test]
fn a_counting_backend_is_believed_under_at_least_once_too() {
    let mut rig = Rig::with(RouteConfig::default(), counting(0));
    rig.client_says("one");
    rig.client_says("two");
    rig.leg_ends(false);
    rig.dials_with(counting(1));
    assert_eq!(rig.leg.texts(), ["two"]);
    assert_eq!(rig.relay.server_count(), 0);
}
