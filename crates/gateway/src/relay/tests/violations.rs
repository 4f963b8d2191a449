//! Clients that break the rules: they are told at once, and the backend sees nothing of it.

use everwire_proto::ws::{
    close::CloseCode,
    frame::{HEADER_MAX, Header, Opcode},
};

use super::{
    super::{End, Who, Why},
    rig::Rig,
    wire::{Got, MASK, bare, close_payload, fragments, frame, masked},
};
use crate::config::RouteConfig;

fn header(header: Header) -> Vec<u8> {
    let mut bytes = [0; HEADER_MAX];
    let used = header.encode(&mut bytes);
    bytes[..used].to_vec()
}

/// The offence in the middle of honest traffic: the code that the client is told.
fn told(offence: &[u8]) -> u16 {
    let mut rig = Rig::new(RouteConfig::default());
    rig.client_says("before");
    rig.client_sends(&[offence, &masked(Opcode::Text, b"after")].concat());
    let code = rig.client.code().expect("the client is told");
    assert!(rig.client.finished, "and our half ends");
    assert!(!rig.leg.finished, "what came before is still to be confirmed");
    rig.leg_pongs();
    assert_eq!(rig.leg.texts(), ["before"], "the backend sees nothing of it");
    assert!(rig.leg.finished && rig.leg.code().is_none());
    rig.wait(1000);
    assert!(rig.client.dropped, "within a second");
    rig.leg_ends(true);
    let (who, _, ended) = rig.end();
    assert_eq!((who.as_str(), ended), ("client", code));
    code
}

#[test]
fn attack_f1_reserved_bits_and_opcodes_and_missing_masks_are_told_1002() {
    for opcode in [3u8, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        assert_eq!(told(&[0x80 | opcode, 0x80, 1, 2, 3, 4]), 1002);
    }
    for bit in [0x40, 0x20, 0x10] {
        assert_eq!(told(&[0x82 | bit, 0x80, 1, 2, 3, 4]), 1002);
    }
    assert_eq!(told(&bare(Opcode::Text, b"not masked")), 1002);
}

#[test]
fn attack_f2_long_and_fragmented_control_frames_are_told_1002() {
    assert_eq!(told(&masked(Opcode::Ping, &[0; 126])), 1002);
    assert_eq!(told(&[0x09, 0x80, 1, 2, 3, 4]), 1002);
}

#[test]
fn attack_f3_lengths_beyond_the_limit_are_refused_before_anything_is_kept() {
    for (length, code) in [((64 << 20) + 1, 1009), (1 << 40, 1009), (u64::MAX >> 1, 1009)] {
        assert_eq!(
            told(&header(Header { mask: MASK, ..Header::new(Opcode::Binary, length) })),
            code
        );
    }
    assert_eq!(told(&[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0]), 1002);
    let mut rig = Rig::new(RouteConfig::default());
    let huge = header(Header { mask: MASK, ..Header::new(Opcode::Binary, 64 << 20) });
    rig.client_sends(&[&huge[..], b"8 bytes."].concat());
    assert!(rig.relay.charged() < 1024, "memory for what came, not for what was declared");
}

#[test]
fn attack_f4_lengths_that_are_not_minimal_are_told_1002() {
    assert_eq!(told(&[0x82, 0xfe, 0, 5, 1, 2, 3, 4]), 1002);
    assert_eq!(told(&[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 5, 1, 2, 3, 4]), 1002);
}

#[test]
fn attack_f6_bad_closes_are_told_so_and_data_after_a_close_is_nothing() {
    for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
        assert_eq!(told(&masked(Opcode::Close, &close_payload(code, ""))), 1002);
    }
    assert_eq!(told(&masked(Opcode::Close, &[3])), 1002);
    assert_eq!(told(&masked(Opcode::Close, &[3, 232, 0xff])), 1007);

    let mut rig = Rig::new(RouteConfig::default());
    let close = masked(Opcode::Close, &close_payload(1000, ""));
    rig.client_sends(&[&close[..], &close, &masked(Opcode::Text, b"late"), &[0xff; 9]].concat());
    assert_eq!((rig.leg.code(), rig.leg.texts().len()), (Some(1000), 0));
}

#[test]
fn attack_f7_fragments_out_of_turn_are_told_1002_and_a_close_among_them_is_a_close() {
    assert_eq!(told(&masked(Opcode::Continuation, b"of nothing")), 1002);
    let begun = header(Header { fin: false, mask: MASK, ..Header::new(Opcode::Text, 0) });
    assert_eq!(told(&[&begun[..], &masked(Opcode::Text, b"another")].concat()), 1002);

    let mut rig = Rig::new(RouteConfig::default());
    rig.client_sends(&begun);
    rig.client_closes(1000, "");
    assert_eq!((rig.leg.code(), rig.leg.texts().len()), (Some(1000), 0));
}

#[test]
fn attack_f8_endless_fragments_meet_limits_of_number_size_and_memory() {
    let begun =
        |opcode, length| header(Header { fin: false, mask: MASK, ..Header::new(opcode, length) });
    let mut empty = begun(Opcode::Text, 0);
    for _ in 0..2000 {
        empty.extend(begun(Opcode::Continuation, 0));
    }
    assert_eq!(told(&empty), 1008);

    let mut tiny = begun(Opcode::Binary, 0);
    let mut rig = Rig::new(RouteConfig::default());
    for _ in 0..10_000 {
        tiny.extend(begun(Opcode::Continuation, 1));
        tiny.push(0);
    }
    rig.client_sends(&tiny);
    assert!(rig.relay.charged() <= 2 * 10_000, "{}", rig.relay.charged());
}

#[test]
fn attack_f11_every_ping_is_answered_hop_by_hop_between_fragments_too() {
    let mut rig = Rig::new(RouteConfig::default());
    let message = fragments(Opcode::Text, MASK, b"in two parts", 2);
    let middle = message.len() / 2;
    rig.client_sends(&message[..middle]);
    rig.client_sends(&masked(Opcode::Ping, b"now?"));
    rig.client_sends(&message[middle..]);
    assert_eq!(rig.client.got, [Got::Pong(b"now?".to_vec())]);
    assert_eq!(rig.leg.texts(), ["in two parts"]);
    rig.leg_sends(&bare(Opcode::Ping, b"and you?"));
    assert!(rig.leg.got.contains(&Got::Pong(b"and you?".to_vec())));
    rig.client_sends(&masked(Opcode::Pong, b"unasked"));
    assert_eq!(rig.leg.got.len(), 3, "a client's Pong is nobody's business");
}

#[test]
fn attack_f11_a_client_that_pings_and_does_not_read_gets_the_latest_answer_then_1008() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.client.window = 0;
    let pings = |range: std::ops::Range<u32>| -> Vec<u8> {
        range.flat_map(|number| masked(Opcode::Ping, &number.to_be_bytes())).collect()
    };
    rig.client_sends(&pings(0..1600));
    assert!(rig.relay.charged() < 16 * 1024);
    rig.client_takes(usize::MAX);
    assert_eq!(rig.client.got.last(), Some(&Got::Pong(1599u32.to_be_bytes().to_vec())));

    rig.client_takes(0);
    rig.client_sends(&pings(0..3000));
    rig.client_takes(usize::MAX);
    assert_eq!(rig.client.code(), Some(1008));
}

#[test]
fn attack_f11_a_backend_that_floods_with_pings_is_answered_as_it_reads() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.leg.window = 0;
    for number in 0..20_000u32 {
        rig.relay.handle_leg_data(rig.now, &bare(Opcode::Ping, &number.to_be_bytes()));
    }
    assert!(rig.relay.charged() < 16 * 1024);
    rig.leg_takes(usize::MAX);
    assert_eq!(rig.leg.got.last(), Some(&Got::Pong(19_999u32.to_be_bytes().to_vec())));
    assert!(rig.relay.is_live());
}

#[test]
fn attack_f14_a_client_that_does_not_end_its_socket_is_dropped() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.client.window = 0;
    rig.leg_says("unread");
    rig.client_sends(&[0x83]);
    rig.wait(1000);
    assert!(rig.client.dropped);
    rig.leg_ends(true);
    assert_eq!(rig.end(), ("client".into(), "protocol_error".into(), 1002));
}

#[test]
fn what_came_whole_before_a_violation_is_delivered_although_its_leg_is_lost() {
    let losses: [fn(&mut Rig); 3] = [
        |rig| rig.leg_ends(false),
        |rig| {
            rig.leg_closes(1012, "restart");
            rig.leg_ends(false);
        },
        |rig| rig.leg_sends(&[0x83, 0]),
    ];
    for lose in losses {
        let mut rig = Rig::new(RouteConfig::default());
        rig.client_says("whole");
        rig.client_sends(&[0x83]);
        assert_eq!(rig.client.code(), Some(1002));
        lose(&mut rig);
        rig.client_vanishes();
        rig.dials();
        assert_eq!(rig.leg.texts(), ["whole"]);
        rig.leg_pongs();
        assert!(rig.leg.finished);
        rig.leg_ends(true);
        assert_eq!(rig.end(), ("client".into(), "protocol_error".into(), 1002));
    }
}

#[test]
fn a_refused_client_s_messages_wait_for_a_backend_no_longer_than_an_outage_and_a_stop() {
    let stop = End::new(Who::Gateway, Why::Stopping, CloseCode::GOING_AWAY, "gateway stopping");
    let refused = || {
        let mut rig = Rig::new(RouteConfig::default());
        rig.client_says("whole");
        rig.client_sends(&[0x83]);
        rig.client_vanishes();
        rig
    };
    let mut rig = refused();
    rig.leg_ends(false);
    rig.wait(60_000);
    assert_eq!(rig.end(), ("client".into(), "protocol_error".into(), 1002));

    let mut rig = refused();
    rig.relay.handle_close(rig.now, stop);
    rig.settle();
    rig.wait(5000);
    assert_eq!((rig.resets, rig.relay.dial_wish()), (1, None));
    assert_eq!(rig.end(), ("client".into(), "protocol_error".into(), 1002));
}

#[test]
fn a_refusal_cuts_in_between_the_frames_of_what_is_being_written() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.client.window = 4;
    rig.leg_says("being written");
    rig.leg_says("waiting");
    rig.client_sends(&[0x83]);
    rig.client_takes(usize::MAX);
    assert_eq!((rig.client.texts(), rig.client.code()), (vec!["being written".into()], Some(1002)));
}

#[test]
fn payloads_are_the_endpoints_business() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.client_sends(&frame(Opcode::Text, MASK, &[0xff, 0xfe]));
    assert_eq!(rig.leg.messages(), [vec![0xff, 0xfe]]);
    rig.leg_closes(1007, "not UTF-8");
    assert_eq!(rig.client.close(), Some((1007, "not UTF-8")));
}
