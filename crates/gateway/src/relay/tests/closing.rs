//! Goodbyes from either side, and ends by the gateway's own rules.

use std::time::Duration;

use everwire_proto::ws::{close::CloseCode, frame::Opcode};

use super::{
    super::{DialFailure, End, Note, Who, Why},
    rig::Rig,
    wire::{bare, masked},
};
use crate::config::{Delivery, RouteConfig};

fn ended(rig: &Rig, who: &str, why: &str, code: u16) {
    assert_eq!(rig.end(), (who.into(), why.into(), code));
}

#[test]
fn a_client_s_close_waits_behind_its_unconfirmed_messages() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.client_says("one");
    rig.client_says("two");
    rig.client_closes(4000, "bye");
    assert_eq!(rig.leg.code(), None);
    rig.leg_says("still to come");
    rig.leg_pongs();
    assert_eq!(rig.leg.code(), None);
    rig.leg_pongs();
    assert_eq!(rig.leg.close(), Some((4000, "bye")));
    rig.leg_closes(4000, "bye");
    rig.leg_ends(true);
    assert_eq!(rig.client.texts(), ["still to come"]);
    assert_eq!(rig.client.close(), Some((4000, "bye")));
    assert!(rig.client.finished);
    rig.client_vanishes();
    ended(&rig, "client", "goodbye", 4000);
}

#[test]
fn a_client_s_close_waits_through_an_outage() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.leg_ends(false);
    rig.client_says("one");
    rig.client_closes(1000, "");
    rig.wait(30_000);
    rig.dials();
    assert_eq!(rig.leg.texts(), ["one"]);
    rig.leg_pongs();
    assert_eq!(rig.leg.code(), Some(1000));

    let mut rig = Rig::new(RouteConfig::default());
    rig.client_says("one");
    rig.leg_ends(false);
    rig.client_closes(1000, "");
    rig.wait(59_999);
    assert!(rig.relay.is_waiting());
    rig.wait(1);
    assert_eq!(rig.client.code(), Some(1013), "bounded by outage_max, and announced");
}

#[test]
fn a_close_in_an_outage_with_nothing_to_deliver_is_answered_at_once() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.leg_ends(false);
    rig.client_closes(1000, "done");
    assert_eq!((rig.client.close(), rig.relay.dial_wish()), (Some((1000, "done")), None));
    rig.client_vanishes();
    ended(&rig, "client", "goodbye", 1000);
}

#[test]
fn once_a_close_was_forwarded_nothing_is_dialled_however_the_leg_ends() {
    let ends: [fn(&mut Rig); 5] = [
        |rig| rig.leg_ends(false),
        |rig| rig.leg_ends(true),
        |rig| rig.leg_sends(&[0x83, 0]),
        |rig| rig.wait(5000),
        |rig| {
            rig.leg_closes(1012, "restart");
            rig.leg_ends(true);
        },
    ];
    for (index, end) in ends.into_iter().enumerate() {
        for outage_max in [Duration::ZERO, Duration::from_secs(60)] {
            let mut rig = Rig::new(RouteConfig { outage_max, ..RouteConfig::default() });
            rig.client_closes(1000, "done");
            assert_eq!(rig.leg.code(), Some(1000));
            end(&mut rig);
            assert_eq!(rig.relay.dial_wish(), None, "{index}");
            let answer = if index == 4 { 1012 } else { 1000 };
            assert_eq!(rig.client.code(), Some(answer), "{index}");
            rig.client_vanishes();
            ended(&rig, "client", "goodbye", answer);
        }
    }
}

#[test]
fn a_client_that_vanishes_has_its_messages_delivered_and_is_followed() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.client_says("one");
    rig.client_sends(&masked(Opcode::Text, b"torn")[..7]);
    rig.client_vanishes();
    assert!(!rig.leg.finished);
    rig.leg_ends(false);
    rig.dials();
    assert_eq!(rig.leg.texts(), ["one"]);
    rig.leg_pongs();
    assert!(rig.leg.finished && rig.leg.code().is_none());
    rig.leg_ends(true);
    ended(&rig, "client", "vanished", 1006);
}

#[test]
fn a_client_that_vanishes_in_the_middle_of_a_message_to_it_still_has_its_own_delivered() {
    for buffer_max in [4096, 1 << 20] {
        let mut rig = Rig::new(RouteConfig { buffer_max, ..RouteConfig::default() });
        rig.client.window = 700;
        rig.client_says("one");
        for part in bare(Opcode::Binary, &[0; 9000])[..5000].chunks(500) {
            if rig.leg_may_be_read() {
                rig.leg_sends(part);
            }
        }
        rig.client_vanishes();
        assert!(rig.leg_may_be_read(), "what comes is dropped");
        rig.leg_ends(false);
        rig.dials();
        assert_eq!(rig.leg.texts(), ["one"], "{buffer_max}");
        rig.leg_pongs();
        rig.leg_ends(true);
        ended(&rig, "client", "vanished", 1006);
    }
}

#[test]
fn a_client_that_closed_and_vanishes_is_still_said_goodbye_for() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.client_says("one");
    rig.client_closes(1000, "done");
    rig.client_vanishes();
    rig.leg_pongs();
    assert_eq!(rig.leg.close(), Some((1000, "done")));
    rig.leg_closes(1000, "done");
    rig.leg_ends(true);
    ended(&rig, "client", "goodbye", 1000);
}

#[test]
fn a_backend_s_goodbye_passes_through_after_everything_it_said() {
    for (code, reason) in [(1000, ""), (1002, "broken"), (1008, "no"), (4001, "logged out")] {
        let mut rig = Rig::new(RouteConfig::default());
        rig.client.window = 2;
        rig.leg_says("first");
        rig.leg_says("last words");
        rig.leg_closes(code, reason);
        assert_eq!(rig.leg.code(), Some(code), "answered");
        rig.leg_ends(true);
        rig.wait(5000);
        rig.client_takes(usize::MAX);
        assert_eq!(rig.client.texts(), ["first", "last words"]);
        assert_eq!(rig.client.close(), Some((code, reason)));
        rig.client_closes(code, "");
        assert!(rig.client.finished);
        rig.client_vanishes();
        ended(&rig, "backend", "goodbye", code);
    }
}

#[test]
fn a_goodbye_without_a_code_passes_through_as_it_is() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.leg_sends(&bare(Opcode::Close, b""));
    assert_eq!(rig.client.close(), Some((1005, "")));
    rig.leg_ends(true);
    rig.client_vanishes();
    ended(&rig, "backend", "goodbye", 1005);
}

#[test]
fn restart_codes_decide_what_is_a_goodbye() {
    for code in [1001, 1011, 1012, 1013, 1014] {
        let mut rig = Rig::new(RouteConfig::default());
        rig.leg_closes(code, "");
        rig.leg_ends(true);
        assert!(rig.relay.is_waiting() && rig.client.code().is_none(), "{code}");
        let lost = |note: &Note| matches!(note, Note::LegLost { code: lost, .. } if *lost == code);
        assert!(rig.notes.iter().any(lost));
    }
    let restart_codes = vec![4005];
    let mut rig = Rig::new(RouteConfig { restart_codes, ..RouteConfig::default() });
    rig.leg_closes(4005, "");
    rig.leg_ends(true);
    rig.dials();
    rig.leg_closes(1012, "bye");
    assert_eq!(rig.client.close(), Some((1012, "bye")));

    let restart_codes = vec![1012];
    let mut rig = Rig::new(RouteConfig { restart_codes, ..RouteConfig::default() });
    rig.leg_ends(false);
    assert_eq!(rig.client.code(), Some(1011), "1006 is not among them");
}

#[test]
fn with_outage_max_zero_a_lost_leg_closes_the_client_with_1012() {
    let config = RouteConfig { outage_max: Duration::ZERO, ..RouteConfig::default() };
    let mut rig = Rig::new(config.clone());
    rig.leg_ends(false);
    assert_eq!((rig.client.code(), rig.relay.dial_wish()), (Some(1012), None));
    let mut rig = Rig::new(config);
    rig.leg_closes(1012, "");
    rig.leg_ends(true);
    assert_eq!(rig.client.code(), Some(1012));
    rig.client_closes(1012, "");
    rig.client_vanishes();
    ended(&rig, "gateway", "leg_lost", 1012);
}

#[test]
fn a_stopping_gateway_tells_both_sides_and_waits_for_neither_for_long() {
    let stop = End::new(Who::Gateway, Why::Stopping, CloseCode::GOING_AWAY, "gateway stopping");
    let mut rig = Rig::new(RouteConfig::default());
    rig.client.window = 0;
    rig.leg_says("first");
    rig.relay.handle_close(rig.now, stop.clone());
    rig.settle();
    rig.client_takes(usize::MAX);
    assert_eq!(rig.client.texts(), ["first"]);
    assert_eq!(rig.client.close(), Some((1001, "gateway stopping")));
    assert_eq!(rig.leg.code(), Some(1001));
    rig.wait(5000);
    assert!(rig.client.finished && rig.resets == 1);
    rig.wait(1000);
    assert!(rig.client.dropped);
    ended(&rig, "gateway", "stopping", 1001);

    let mut rig = Rig::new(RouteConfig::default());
    rig.leg_ends(false);
    rig.relay.handle_close(rig.now, stop);
    rig.settle();
    assert_eq!((rig.client.code(), rig.relay.dial_wish()), (Some(1001), None));
}

#[test]
fn failed_dials_end_the_pipe_as_what_they_are() {
    for (failure, code) in
        [(DialFailure::Unauthorized, 4401), (DialFailure::Mismatch("subprotocol".into()), 1012)]
    {
        let mut rig = Rig::new(RouteConfig::default());
        rig.relay.handle_dial_failed(rig.now, failure.clone());
        assert!(rig.relay.is_live(), "nothing was dialled");
        rig.client_says("lost, and announced");
        rig.leg_ends(false);
        rig.relay.handle_dial_failed(rig.now, failure);
        rig.settle();
        assert_eq!((rig.client.code(), rig.relay.dial_wish()), (Some(code), None));
    }
}

#[test]
fn an_answer_to_a_client_s_close_comes_after_what_it_is_owed_however_slow_it_is() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.client.window = 0;
    rig.leg_says("a long answer");
    rig.client_closes(1000, "done");
    rig.leg_closes(1000, "done");
    rig.leg_ends(true);
    for _ in 0..15 {
        rig.wait(2000);
        rig.client_takes(1);
    }
    rig.client_takes(usize::MAX);
    assert_eq!(rig.client.texts(), ["a long answer"]);
    assert_eq!(rig.client.close(), Some((1000, "done")));
    rig.wait(1000);
    assert!(rig.client.dropped);
    ended(&rig, "client", "goodbye", 1000);
}

#[test]
fn a_client_that_trickles_and_takes_nothing_delays_the_end_no_longer_than_a_farewell() {
    let stop = End::new(Who::Gateway, Why::Stopping, CloseCode::GOING_AWAY, "gateway stopping");
    let mut rig = Rig::new(RouteConfig::default());
    rig.client.window = 0;
    rig.leg_says("never taken");
    rig.relay.handle_close(rig.now, stop);
    rig.settle();
    for _ in 0..59 {
        rig.wait(5000);
        rig.client_sends(&masked(Opcode::Pong, b""));
    }
    assert!(!rig.client.dropped, "it is alive, and may still take what it is owed");
    rig.wait(5000);
    assert!(rig.client.dropped);
    ended(&rig, "gateway", "stopping", 1001);
}

#[test]
fn a_client_that_trickles_and_never_answers_a_close_is_dropped_all_the_same() {
    let stop = End::new(Who::Gateway, Why::Stopping, CloseCode::GOING_AWAY, "gateway stopping");
    let mut rig = Rig::new(RouteConfig::default());
    rig.relay.handle_close(rig.now, stop);
    rig.settle();
    for _ in 0..6 {
        assert!(!rig.client.dropped);
        rig.client_sends(&masked(Opcode::Text, b"still here"));
        rig.wait(1000);
    }
    assert!(rig.client.dropped);
    ended(&rig, "gateway", "stopping", 1001);
}

#[test]
fn a_backend_that_talks_on_instead_of_answering_a_close_is_cut_after_a_farewell() {
    let mut rig = Rig::new(RouteConfig { buffer_max: 4096, ..RouteConfig::default() });
    rig.client.window = 0;
    rig.relay.handle_move(rig.now);
    rig.wait(500);
    assert_eq!(rig.leg.code(), Some(1001));
    for _ in 0..75 {
        assert_eq!(rig.resets, 0, "its clock stands while we do not read");
        while rig.leg_may_be_read() {
            rig.leg_sends(&bare(Opcode::Binary, &[0; 1000]));
        }
        rig.wait(4000);
        rig.client_takes(2000);
    }
    assert!(rig.resets == 1 && rig.relay.is_waiting());
}

#[test]
fn a_backend_that_talks_and_never_reads_does_not_keep_a_client_that_has_gone() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.leg.window = 0;
    rig.client_says("never taken");
    rig.client_vanishes();
    for _ in 0..11 {
        rig.wait(5000);
        rig.leg_says("alive");
        assert!(rig.relay.finished().is_none());
    }
    rig.wait(5000);
    rig.leg_ends(false);
    ended(&rig, "gateway", "not_acknowledged", 1013);
}

#[test]
fn a_close_that_is_never_answered_ends_all_the_same() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.leg_closes(4000, "");
    rig.wait(5000);
    assert_eq!((rig.resets, rig.client.finished), (1, true));
    rig.wait(1000);
    ended(&rig, "backend", "goodbye", 4000);

    let mut rig = Rig::new(RouteConfig::default());
    rig.leg_closes(4000, "");
    rig.client.window = 0;
    rig.leg_ends(true);
    rig.wait(60_000);
    ended(&rig, "backend", "goodbye", 4000);
}

#[test]
fn a_client_gone_hung_is_named_so_whatever_the_backend_says_then() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.client_pongs = false;
    rig.wait(15_000);
    rig.leg_says("alive");
    rig.wait(15_000);
    assert!(rig.client.dropped && rig.leg.finished);
    rig.leg_closes(1012, "");
    rig.leg_ends(true);
    ended(&rig, "client", "hung", 1012);
}

#[test]
fn a_leg_lost_after_the_client_s_last_message_was_confirmed_is_not_replaced() {
    for delivery in [Delivery::AtLeastOnce, Delivery::AtMostOnce] {
        let mut rig = Rig::new(RouteConfig { delivery, ..RouteConfig::default() });
        rig.client_says("one");
        rig.leg_closes(1012, "");
        rig.client_closes(1000, "done");
        rig.leg_ends(true);
        assert_eq!((rig.relay.dial_wish(), rig.client.code()), (None, Some(1000)), "{delivery:?}");
    }
}
