//! The writer under every partial acceptance: what arrives is whole frames in order.

use proptest::prelude::*;

use super::*;
use crate::ws::{
    frame::{Opcode, write_frame},
    intake::{Event, Intake, Limits, Sender},
};

const LIMITS: Limits = Limits { held_max: 1 << 20, message_max: 1 << 20 };

fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_frame(&mut bytes, opcode, None, payload);
    bytes
}

fn take(output: &mut Output, outbox: &Outbox, at_most: usize) -> Vec<u8> {
    let mut slices: [&[u8]; 4] = [&[]; 4];
    let count = output.slices(outbox, &mut slices);
    let mut bytes = slices[..count].concat();
    bytes.truncate(at_most);
    output.wrote(outbox, bytes.len());
    bytes
}

#[derive(Debug, Clone)]
enum Step {
    Message(usize),
    Ping,
    Marker(u64),
    Accept(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0usize..400).prop_map(Step::Message),
        1 => Just(Step::Ping),
        1 => (0u64..900).prop_map(Step::Marker),
        4 => (1usize..500).prop_map(Step::Accept),
    ];
    proptest::collection::vec(step, 1..80)
}

proptest! {
    #[test]
    fn a_reader_gets_every_message_once_and_markers_after_the_message_they_name(steps in steps()) {
        let mut outbox = Outbox::default();
        let mut output = Output::new(&outbox);
        let (mut wire, mut pings) = (Vec::new(), 0);
        for step in steps {
            match step {
                Step::Message(length) => {
                    let number = outbox.last() + 1;
                    outbox.push(&frame(Opcode::Binary, &vec![number as u8; length]));
                }
                Step::Ping => {
                    output.push_control(&outbox, |to| to.extend(frame(Opcode::Ping, b"ping")));
                    pings += 1;
                }
                Step::Marker(ahead) => {
                    let marked = output.push_marker(&outbox, ahead, |number, to| {
                        to.extend(frame(Opcode::Ping, &number.to_be_bytes()));
                    });
                    pings += usize::from(marked.is_some());
                }
                Step::Accept(count) => {
                    wire.extend(take(&mut output, &outbox, count));
                    outbox.release_through(output.written());
                }
            }
        }
        while !output.is_idle(&outbox) {
            wire.extend(take(&mut output, &outbox, 100));
        }
        prop_assert_eq!(output.written(), outbox.last());
        let (mut intake, mut got) = (Intake::new(Sender::Server, false), Outbox::default());
        let (mut input, mut seen) = (&wire[..], 0);
        while let Some(event) = intake.next(&mut input, &mut got, &LIMITS).expect("well-formed") {
            let Event::Ping(payload) = event else { continue };
            if let Ok(number) = payload.as_bytes().try_into().map(u64::from_be_bytes) {
                prop_assert_eq!(number, got.last(), "a marker follows the message it names");
            }
            seen += 1;
        }
        prop_assert_eq!(seen, pings);
        prop_assert_eq!(got.last(), outbox.last());
    }
}

#[test]
fn a_control_frame_goes_between_the_frames_of_a_message() {
    let mut outbox = Outbox::default();
    let header = Header { fin: false, ..Header::new(Opcode::Text, 3) };
    let mut bytes = [0; HEADER_MAX];
    let used = header.encode(&mut bytes);
    outbox.append(&bytes[..used]);
    outbox.append(b"abc");
    outbox.append(&frame(Opcode::Continuation, b"def"));
    outbox.commit();
    let mut output = Output::new(&outbox);
    let mut wire = take(&mut output, &outbox, 3);
    output.push_control(&outbox, |to| to.extend(frame(Opcode::Ping, b"p")));
    wire.extend(take(&mut output, &outbox, 100));
    let mut expected = vec![0x01, 3, b'a', b'b', b'c'];
    expected.extend(frame(Opcode::Ping, b"p"));
    expected.extend(frame(Opcode::Continuation, b"def"));
    assert_eq!(wire, expected);
}

#[test]
fn a_held_writer_finishes_what_it_has_begun_and_no_more() {
    let mut outbox = Outbox::default();
    for _ in 0..3 {
        outbox.push(&frame(Opcode::Text, b"hello"));
    }
    let mut output = Output::new(&outbox);
    take(&mut output, &outbox, 3);
    output.hold_after(output.written(), &outbox);
    assert!(!output.is_held());
    while !output.is_idle(&outbox) {
        take(&mut output, &outbox, 2);
    }
    assert_eq!((output.written(), output.is_held()), (1, true));
    output.resume();
    take(&mut output, &outbox, 100);
    assert_eq!(output.written(), 3);
}

#[test]
fn an_exposed_message_is_released_run_by_run() {
    let mut outbox = Outbox::default();
    let mut output = Output::new(&outbox);
    outbox.expose();
    for _ in 0..100 {
        outbox.append(&frame(Opcode::Continuation, &[0; 1000]));
        while !output.is_idle(&outbox) {
            take(&mut output, &outbox, 300);
            output.release_exposed(&mut outbox);
        }
        assert!(output.is_mid_message());
    }
    assert!(outbox.charged() < 5000);
    outbox.append(&frame(Opcode::Continuation, b"end"));
    outbox.commit();
    while !output.is_idle(&outbox) {
        take(&mut output, &outbox, 300);
    }
    assert_eq!(output.written(), 1);
    assert!(!output.is_mid_message());
}

#[test]
fn the_last_close_comes_after_all_messages_and_an_urgent_one_at_the_next_boundary() {
    for urgent in [false, true] {
        let mut outbox = Outbox::default();
        outbox.push(&frame(Opcode::Text, b"one"));
        outbox.push(&frame(Opcode::Text, b"two"));
        let mut output = Output::new(&outbox);
        let mut wire = take(&mut output, &outbox, 2);
        output.push_control(&outbox, |to| to.extend(frame(Opcode::Pong, b"")));
        output.push_last(&outbox, |to| to.extend(frame(Opcode::Close, b"")));
        if urgent {
            output.push_close(&outbox, |to| to.extend(frame(Opcode::Close, b"")));
        }
        while !output.is_idle(&outbox) {
            wire.extend(take(&mut output, &outbox, 2));
        }
        let mut expected = frame(Opcode::Text, b"one");
        expected.extend(frame(Opcode::Pong, b""));
        if !urgent {
            expected.extend(frame(Opcode::Text, b"two"));
        }
        expected.extend(frame(Opcode::Close, b""));
        assert_eq!(wire, expected);
    }
}
