//! Who counts as hung, and who is slow.

use everwire_proto::ws::frame::Opcode;

use super::{
    super::{Loss, Note, SocketWish},
    rig::Rig,
    wire::{bare, masked},
};
use crate::config::{Delivery, RouteConfig};

fn losses(rig: &Rig) -> Vec<Loss> {
    let losses = rig.notes.iter().filter_map(|note| match note {
        Note::LegLost { loss, .. } => Some(*loss),
        _ => None,
    });
    losses.collect()
}

#[test]
fn a_silent_backend_is_asked_then_cut_and_its_messages_go_to_the_next() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.wait(10_000);
    rig.client_says("one");
    rig.wait(19_999);
    assert_eq!(losses(&rig), []);
    rig.wait(1);
    assert_eq!((losses(&rig), rig.resets), (vec![Loss::Hung], 1));
    assert!(!rig.client.dropped);
    rig.dials();
    assert_eq!(rig.leg.texts(), ["one"]);
}

#[test]
fn a_backend_that_answers_pings_lives() {
    let mut rig = Rig::new(RouteConfig::default());
    for _ in 0..10 {
        rig.wait(20_000);
        assert!(!rig.client.pings().is_empty(), "the client is asked too");
        rig.leg_pongs();
    }
    assert!(rig.relay.is_live() && rig.notes.is_empty());
}

#[test]
fn a_backend_that_takes_no_byte_is_hung_and_one_that_takes_some_is_slow() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.leg.window = 0;
    rig.client_says("one message");
    for _ in 0..5 {
        rig.wait(9_000);
        rig.leg_takes(1);
    }
    assert_eq!(losses(&rig), []);
    rig.wait(9_999);
    assert_eq!(losses(&rig), []);
    rig.wait(1);
    assert_eq!(losses(&rig), [Loss::Hung]);
}

#[test]
fn writing_in_vain_does_not_keep_a_hung_backend_alive() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.leg.window = 0;
    for _ in 0..100 {
        rig.client_says("more");
        rig.relay.handle_leg_wrote(rig.now, 0, true);
        rig.wait(100);
    }
    assert_eq!(losses(&rig), [Loss::Hung]);
}

#[test]
fn a_slow_backend_with_a_queue_is_not_hung_and_confirms_again_when_its_pong_comes() {
    let mut rig = Rig::new(RouteConfig::default());
    for _ in 0..60 {
        rig.client_says("question");
    }
    for _ in 0..60 {
        rig.wait(200);
        rig.leg_says("answer");
    }
    assert!(rig.relay.is_live() && losses(&rig).is_empty());
    assert_eq!(rig.notes, [Note::Unconfirmable], "said once");
    rig.leg_pongs();
    rig.client_says("last");
    rig.wait(50);
    assert_eq!(rig.relay.unconfirmed(), 1, "trusted again");
    rig.confirms_all();
}

#[test]
fn a_stack_without_pongs_is_unconfirmable_and_not_hung() {
    for delivery in [Delivery::AtLeastOnce, Delivery::AtMostOnce] {
        let mut rig = Rig::new(RouteConfig { delivery, ..RouteConfig::default() });
        rig.client_says("one");
        rig.wait(2000);
        rig.leg_says("answer");
        for _ in 0..20 {
            rig.wait(20_000);
        }
        assert!(rig.relay.is_live(), "{delivery:?}: idle is not hung");
        assert_eq!(rig.notes, [Note::Unconfirmable]);
        rig.client_says("two");
        assert_eq!(rig.relay.unconfirmed(), 0, "what is written counts as confirmed");
        rig.leg_ends(false);
        rig.dials();
        assert!(rig.leg.texts().is_empty());
    }
}

#[test]
fn a_late_first_pong_under_a_streaming_message_asks_for_no_marker_in_the_middle_of_it() {
    let mut rig = Rig::new(RouteConfig { buffer_max: 4096, ..RouteConfig::default() });
    rig.client_says("one");
    rig.client_says("two");
    rig.wait(10_000);
    rig.leg_says("answer");
    assert_eq!(rig.notes, [Note::Unconfirmable]);
    let message = masked(Opcode::Binary, &[1; 20_000]);
    rig.client_sends_in(&message[..10_000], 1000);
    rig.leg_pongs();
    rig.wait(100);
    rig.client_sends_in(&message[10_000..], 1000);
    rig.confirms_all();
    assert_eq!(rig.leg.messages().len(), 3);
}

#[test]
fn a_pong_behind_data_that_we_did_not_read_is_not_missing() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.client_says("one");
    rig.relay.handle_pause(rig.now, true);
    rig.settle();
    rig.wait(60_000);
    assert!(rig.relay.is_live(), "the clock stands while we do not read");
    rig.relay.handle_pause(rig.now, false);
    rig.settle();
    rig.leg_says("pushed long ago");
    assert_eq!((rig.notes.len(), rig.relay.unconfirmed()), (0, 1));
    rig.leg_pongs();
    assert_eq!(rig.relay.unconfirmed(), 0);
}

#[test]
fn nothing_is_dialled_before_the_old_leg_has_ended_and_its_late_bytes_are_nothing() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.relay.handle_leg_data(rig.now, &[0x83, 0]);
    assert_eq!((rig.relay.leg_wish(), rig.relay.dial_wish()), (SocketWish::Reset, None));
    rig.relay.handle_leg_data(rig.now, &bare(Opcode::Text, b"late"));
    rig.settle();
    assert!(rig.relay.dial_wish().is_some());
    assert!(rig.client.texts().is_empty());

    let mut rig = Rig::new(RouteConfig::default());
    rig.leg_closes(1012, "");
    assert_eq!(rig.relay.dial_wish(), None, "read to its end first");
    rig.wait(4999);
    assert_eq!(rig.relay.dial_wish(), None);
    rig.wait(1);
    assert_eq!(rig.resets, 1, "or cut");
    assert!(rig.relay.dial_wish().is_some());
}

#[test]
fn a_silent_client_is_given_up_and_what_it_sent_still_arrives() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.client_pongs = false;
    rig.leg.window = 5;
    rig.client_says("one");
    rig.client_says("two");
    for _ in 0..29 {
        rig.wait(1000);
        rig.leg_sends(&bare(Opcode::Ping, b""));
        rig.leg_takes(1);
    }
    assert!(!rig.client.dropped);
    rig.wait(1000);
    assert!(rig.client.dropped && rig.client.reset);
    rig.leg_takes(usize::MAX);
    rig.leg_pongs();
    rig.leg_pongs();
    assert_eq!(rig.leg.texts(), ["one", "two"]);
    assert!(rig.leg.finished && rig.leg.code().is_none(), "it sees the socket end");
    rig.leg_ends(true);
    assert_eq!(rig.end(), ("client".into(), "hung".into(), 1006));
}

#[test]
fn a_client_that_sends_while_it_does_not_read_is_not_hung() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.client.window = 0;
    rig.leg_says("unread");
    for _ in 0..30 {
        rig.wait(9_000);
        rig.leg_pongs_if_asked();
        rig.client_says("sent");
    }
    assert!(!rig.client.dropped);
    rig.client_takes(usize::MAX);
    assert_eq!(rig.client.texts(), ["unread"]);
}

#[test]
fn a_client_is_not_hung_while_we_do_not_read_it() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.client.window = 0;
    rig.leg_says("unread");
    rig.relay.handle_pause(rig.now, true);
    rig.settle();
    rig.wait(100_000);
    assert!(!rig.client.dropped);
    rig.relay.handle_pause(rig.now, false);
    rig.settle();
    rig.wait(9_999);
    assert!(!rig.client.dropped);
    rig.wait(1);
    assert!(rig.client.dropped);
}
