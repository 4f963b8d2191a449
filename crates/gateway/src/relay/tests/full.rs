//! Full buffers: with a leg they slow the client down, without one they end or pause the pipe.

use std::sync::Arc;

use everwire_proto::{time::Time, ws::frame::Opcode};

use super::{
    super::{LegUp, Relay},
    rig::Rig,
    wire::{MASK, bare, fragments, masked},
};
use crate::config::{OnFull, Restore, RouteConfig};

const BUFFER: usize = 16 * 1024;

fn small(on_full: OnFull) -> RouteConfig {
    RouteConfig { buffer_max: BUFFER, on_full, ..RouteConfig::default() }
}

fn fill(rig: &mut Rig) -> usize {
    let mut messages = 0;
    while rig.client_may_be_read() {
        rig.client_sends(&masked(Opcode::Binary, &[messages as u8; 1000]));
        messages += 1;
        assert!(messages < 100, "the buffer has a limit");
    }
    messages
}

#[test]
fn with_a_leg_a_full_buffer_slows_the_client_and_never_closes_it() {
    let mut rig = Rig::new(small(OnFull::Close));
    rig.leg.window = 0;
    let mut messages = fill(&mut rig);
    for _ in 0..100 {
        rig.wait(5000);
        rig.leg_takes(50);
        messages += fill(&mut rig);
        assert!(messages < 20 && rig.relay.charged() < BUFFER + 4096, "nothing is confirmed");
    }
    assert_eq!(rig.client.code(), None);
    rig.leg_takes(usize::MAX);
    rig.confirms_all();
    assert!(rig.client_may_be_read());
    assert_eq!((rig.leg.messages().len(), rig.relay.charged()), (messages, 0));
}

#[test]
fn without_a_leg_a_full_buffer_closes_with_1013_where_so_configured() {
    let mut rig = Rig::new(small(OnFull::Close));
    rig.leg_ends(false);
    fill(&mut rig);
    rig.wait(999);
    assert_eq!(rig.client.code(), None, "a moment to pass from one backend to the next");
    rig.wait(1);
    assert_eq!(rig.client.close(), Some((1013, "buffer full and no backend")));
    assert!(!rig.relay.is_waiting());
}

#[test]
fn without_a_leg_a_full_buffer_pauses_the_client_where_so_configured() {
    let mut rig = Rig::new(small(OnFull::Pause));
    rig.leg_ends(false);
    let messages = fill(&mut rig);
    rig.wait(50_000);
    assert_eq!(rig.client.code(), None);
    rig.dials();
    assert_eq!(rig.leg.messages().len(), messages);
}

#[test]
fn a_full_buffer_towards_the_client_slows_the_backend() {
    let mut rig = Rig::new(small(OnFull::Close));
    rig.client.window = 0;
    let mut messages = 0;
    while rig.leg_may_be_read() {
        rig.leg_sends(&bare(Opcode::Binary, &[7; 1000]));
        messages += 1;
        assert!(messages < 100, "the buffer has a limit");
    }
    rig.client_takes(usize::MAX);
    assert!(rig.leg_may_be_read());
    assert_eq!((rig.client.messages().len(), rig.relay.charged()), (messages, 0));
}

#[test]
fn a_message_larger_than_the_buffer_streams_both_ways_in_bounded_memory() {
    for pieces in [1, 7] {
        let mut rig = Rig::new(small(OnFull::Close));
        let payload: Vec<u8> = (0..200_000u32).map(|at| (at * 31 % 251) as u8).collect();
        let message = fragments(Opcode::Binary, MASK, &payload, pieces);
        for part in message.chunks(1000) {
            assert!(rig.client_may_be_read());
            rig.client_sends(part);
            assert!(rig.relay.charged() < BUFFER + 4096);
        }
        for part in fragments(Opcode::Binary, None, &payload, pieces).chunks(1000) {
            assert!(rig.leg_may_be_read());
            rig.leg_sends(part);
            assert!(rig.relay.charged() < 2 * BUFFER);
        }
        rig.leg_pongs();
        assert_eq!((rig.leg.messages().len(), rig.leg.messages().concat()), (1, payload.clone()));
        assert_eq!(rig.client.messages(), [payload]);
        assert_eq!((rig.relay.unconfirmed(), rig.relay.charged()), (0, 0));
        rig.leg_ends(false);
        assert!(rig.relay.is_waiting(), "confirmed, so nothing is lost with the leg");
    }
}

#[test]
fn a_backend_lost_under_a_streaming_message_ends_the_pipe_with_1012() {
    let message = masked(Opcode::Binary, &[1; 100_000]);
    for (sent, what) in [(50_000, "half written"), (message.len(), "written and unconfirmed")] {
        let mut rig = Rig::new(small(OnFull::Close));
        rig.client_sends_in(&message[..sent], 1000);
        rig.leg_ends(false);
        assert_eq!(rig.client.code(), Some(1012), "{what}");
        assert_eq!(rig.relay.dial_wish(), None);
    }
    let mut rig = Rig::new(small(OnFull::Close));
    for part in bare(Opcode::Binary, &[1; 100_000])[..50_000].chunks(1000) {
        rig.leg_sends(part);
    }
    assert!(rig.client.reader.is_mid_message());
    rig.leg_ends(false);
    assert_eq!(rig.client.code(), Some(1012), "the client was left with half a message");
}

#[test]
fn half_a_message_that_was_held_is_forgotten_with_its_leg() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.leg_sends(&bare(Opcode::Text, b"half a message")[..7]);
    rig.leg_ends(false);
    rig.dials();
    rig.leg_says("whole");
    assert_eq!(rig.client.texts(), ["whole"]);
}

#[test]
fn a_pause_stops_reading_both_ways_and_writes_on() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.leg.window = 0;
    rig.client_says("one");
    rig.relay.handle_pause(rig.now, true);
    rig.settle();
    assert!(!rig.client_may_be_read() && !rig.leg_may_be_read());
    rig.leg_takes(usize::MAX);
    assert_eq!(rig.leg.texts(), ["one"]);
}

#[test]
fn what_is_kept_to_restore_a_session_fills_no_buffer() {
    let restore = Restore { first: 8, answers: 0 };
    let mut rig = Rig::new(RouteConfig { restore, ..small(OnFull::Close) });
    for _ in 0..8 {
        rig.client_sends(&masked(Opcode::Binary, &[1; 3000]));
        rig.leg_pongs();
        rig.wait(50);
    }
    assert!(rig.relay.charged() > BUFFER, "kept for life, and charged");
    assert!(rig.client_may_be_read());
}

#[test]
fn an_upload_of_many_minutes_to_a_slow_backend_is_no_unfinished_message() {
    let mut rig = Rig::new(small(OnFull::Close));
    rig.leg.window = 0;
    let message = masked(Opcode::Binary, &[1; 100_000]);
    let mut rest = &message[..];
    for _ in 0..500 {
        while rig.client_may_be_read() && !rest.is_empty() {
            let (part, later) = rest.split_at(rest.len().min(500));
            rig.client_sends(part);
            rest = later;
        }
        rig.wait(2000);
        rig.leg_takes(210);
        rig.leg_pongs_if_asked();
    }
    assert_eq!((rig.client.code(), rest.len()), (None, 0));
}

#[test]
fn a_client_that_does_not_finish_a_message_is_told_1008() {
    let mut rig = Rig::new(RouteConfig::default());
    rig.client_sends(&fragments(Opcode::Text, MASK, b"unfinished", 2)[..11]);
    for _ in 0..15 {
        rig.wait(20_000);
        rig.leg_pongs_if_asked();
    }
    assert_eq!(rig.client.close(), Some((1008, "message not finished in time")));
    rig.client_vanishes();
    rig.leg_ends(true);
    assert_eq!(rig.end(), ("client".into(), "unfinished".into(), 1008));
}

#[test]
fn a_message_that_is_held_whole_never_streams_and_never_stalls_however_full_the_buffer_is() {
    let mut rig = Rig::new(RouteConfig { buffer_max: 4096, ..RouteConfig::default() });
    rig.client.window = 0;
    let second = bare(Opcode::Binary, &[2; 500]);
    rig.leg_sends(&[&bare(Opcode::Binary, &[1; 3600])[..], &second[..490]].concat());
    assert!(!rig.leg_may_be_read());
    rig.client_takes(usize::MAX);
    assert!(rig.leg_may_be_read() && !rig.client.reader.is_mid_message());
    rig.leg_ends(false);
    assert!(rig.relay.is_waiting(), "half of what was held is forgotten with its leg");
    rig.dials();
    rig.leg_sends(&second);
    assert_eq!(rig.client.messages().len(), 2);
}

/// How far beyond `buffer_max` a relay is charged when it has read `stream` as far as it wants to.
fn overrun(buffer_max: usize, stream: &[u8], read: fn(&mut Relay, &[u8]) -> bool) -> usize {
    let config = RouteConfig { buffer_max, ..RouteConfig::default() };
    let mut relay = Relay::new(Arc::new(config), Time::default(), false, LegUp::default(), 7);
    for part in stream.chunks(READ) {
        if !read(&mut relay, part) {
            return relay.charged().saturating_sub(buffer_max);
        }
    }
    panic!("{} bytes do not fill a buffer of {buffer_max}", stream.len());
}

fn from_client(relay: &mut Relay, part: &[u8]) -> bool {
    let reads = relay.client_wish().reads();
    if reads {
        relay.handle_client_data(Time::default(), part);
    }
    reads
}

fn from_leg(relay: &mut Relay, part: &[u8]) -> bool {
    let reads = relay.leg_wish().reads();
    if reads {
        relay.handle_leg_data(Time::default(), part);
    }
    reads
}

#[test]
fn a_full_buffer_exceeds_its_limit_by_no_more_than_a_read_takes_to_keep() {
    for buffer_max in [64 << 10, 256 << 10, 5 << 20, 6 << 20] {
        for size in [0, 1, 100, 1000, 16 << 10, 100_000, 2 << 20] {
            for pieces in [1, 3] {
                let payload = vec![7; size];
                let up = fragments(Opcode::Binary, MASK, &payload, pieces);
                let down = fragments(Opcode::Binary, None, &payload, pieces);
                let times = |message: &[u8]| (2 * buffer_max + (1 << 20)) / message.len() + 1;
                let up = overrun(buffer_max, &up.repeat(times(&up)), from_client);
                let down = overrun(buffer_max, &down.repeat(times(&down)), from_leg);
                let ordinary = pieces == 1 && size >= 100;
                let most = if ordinary { READ } else { READ_COST_MAX };
                let case = format!("{pieces} x {size} into {buffer_max}: {up} up, {down} down");
                assert!(up <= most && down <= most, "{case}");
            }
        }
    }
}

/// What a socket gives at once.
const READ: usize = 64 * 1024;
/// What it takes to keep that: the bytes, the room that growing leaves, and four bytes for each
/// message, of which the smallest have two.
const READ_COST_MAX: usize = 4 * READ;
