//! Reading payload as it comes: the segmentation of the stream decides nothing, and what comes out
//! is what lies in the frames that a gateway would have forwarded.

use everwire_proto::session::outbox::Outbox;
use everwire_proto::ws::frame::{Header, Violation, apply_mask};
use everwire_proto::ws::intake::{Intake, Limits, Sender};
use everwire_proto::ws::payload::{PayloadReader, Piece};

use crate::bytes::Bytes;

/// Reads a stream of frames at once and in pieces, and compares, with the gateway's reader too.
pub fn payload(input: &[u8]) {
    let mut input = Bytes(input);
    let kind = input.byte();
    let sender = if kind & 1 == 0 { Sender::Client } else { Sender::Server };
    let step = usize::from(input.byte()).max(1);
    let at_once = Read::of(input.0, input.0.len().max(1), sender);
    let in_pieces = Read::of(input.0, step, sender);
    assert_eq!(at_once, in_pieces, "pieces of {step} bytes read differently");
    let forwarded = forwarded(input.0, sender);
    assert!(at_once.payload.starts_with(&forwarded), "a gateway reads another payload");
}

/// What came out of reading a stream.
#[derive(Debug, Default, PartialEq)]
struct Read {
    payload: Vec<u8>,
    /// Control frames, each with how much payload came before it.
    others: Vec<(usize, String)>,
    violation: Option<Violation>,
}

impl Read {
    fn of(bytes: &[u8], step: usize, sender: Sender) -> Self {
        let mut read = Self::default();
        let mut reader = PayloadReader::new(sender);
        for piece in bytes.to_vec().chunks_mut(step) {
            let mut input = piece;
            loop {
                match reader.next(&mut input) {
                    Ok(None) => break,
                    Ok(Some(Piece::Payload(payload))) => {
                        assert!(!payload.is_empty());
                        read.payload.extend_from_slice(payload);
                    }
                    Ok(Some(other)) => read.others.push((read.payload.len(), format!("{other:?}"))),
                    Err(violation) => {
                        read.violation = Some(violation);
                        return read;
                    }
                }
            }
            assert!(input.is_empty(), "all input is used");
        }
        read
    }
}

/// The payload of all whole messages that the gateway's reader finds.
fn forwarded(mut bytes: &[u8], sender: Sender) -> Vec<u8> {
    let mut outbox = Outbox::default();
    let limits = Limits { held_max: 1 << 20, message_max: 1 << 20 };
    let mut intake = Intake::new(sender, false);
    while let Ok(Some(_)) = intake.next(&mut bytes, &mut outbox, &limits) {}
    let end = outbox.readable_end();
    let frames = outbox.slices(outbox.start(), end).collect::<Vec<_>>().concat();
    let (mut at, mut payload) = (0, Vec::new());
    while at < frames.len() {
        let Ok(Some((header, used))) = Header::parse(&frames[at..]) else { break };
        let begin = payload.len();
        let from = at + used;
        let until = from + usize::try_from(header.length).expect("fits");
        // The last message may be unfinished.
        payload.extend_from_slice(&frames[from..until.min(frames.len())]);
        apply_mask(&mut payload[begin..], header.mask.unwrap_or_default(), 0);
        at = until;
    }
    payload
}
