//! Reading frames: no input panics, memory stays near what came, and the segmentation of the
//! stream decides nothing.

use everwire_proto::session::outbox::Outbox;
use everwire_proto::ws::frame::{Header, Violation};
use everwire_proto::ws::intake::{Event, Intake, Limits, Sender};

use crate::bytes::Bytes;

/// Memory beside what was read: first segments, a run, a control frame.
const OVERHEAD_MAX: usize = 160 * 1024;

/// Reads a stream of frames at once and in pieces, and compares.
pub fn frame(input: &[u8]) {
    let mut input = Bytes(input);
    let kind = input.byte();
    let sender = if kind & 1 == 0 { Sender::Client } else { Sender::Server };
    let deflate = kind & 2 != 0;
    let held_max = input.number() as u64;
    let limits = Limits { held_max, message_max: held_max * 4 };
    let step = usize::from(input.byte()).max(1);
    let at_once = Read::of(input.0, input.0.len().max(1), Intake::new(sender, deflate), &limits);
    let in_pieces = Read::of(input.0, step, Intake::new(sender, deflate), &limits);
    assert_eq!(at_once, in_pieces, "pieces of {step} bytes read differently");
    assert_frames(&at_once.laid_down, &at_once);
}

/// What came out of reading a stream.
#[derive(Debug, PartialEq)]
struct Read {
    events: Vec<Event>,
    violation: Option<Violation>,
    messages: u64,
    laid_down: Vec<u8>,
}

impl Read {
    fn of(bytes: &[u8], step: usize, mut intake: Intake, limits: &Limits) -> Self {
        let mut outbox = Outbox::default();
        let mut events = Vec::new();
        let mut violation = None;
        'stream: for mut piece in bytes.chunks(step) {
            loop {
                match intake.next(&mut piece, &mut outbox, limits) {
                    Ok(Some(event)) => events.push(event),
                    Ok(None) => break,
                    Err(found) => {
                        violation = Some(found);
                        break 'stream;
                    }
                }
            }
            assert!(piece.is_empty(), "all input is used");
            let charged = outbox.charged() + intake.charged();
            assert!(charged <= 2 * bytes.len() + OVERHEAD_MAX, "{charged} for {}", bytes.len());
        }
        let kept = outbox.slices(outbox.start(), outbox.readable_end());
        let laid_down = kept.collect::<Vec<_>>().concat();
        Self { events, violation, messages: outbox.last(), laid_down }
    }
}

/// What was laid down is valid frames, as many messages as were announced.
fn assert_frames(mut bytes: &[u8], read: &Read) {
    let mut messages = 0;
    while !bytes.is_empty() {
        let (header, used) = Header::parse(bytes).expect("valid").expect("whole");
        assert!(!header.opcode.is_control(), "control frames are never forwarded");
        messages += u64::from(header.fin);
        bytes = &bytes[used + usize::try_from(header.length).expect("fits")..];
    }
    assert_eq!(messages, read.messages);
    let announced = read.events.iter().filter(|event| **event == Event::Message).count();
    assert_eq!(messages, announced as u64);
}
