//! Reading frames under every segmentation, and every way to break the rules.

use proptest::prelude::*;

use super::*;
use crate::ws::{frame::write_frame, runs::RUN_MAX};

const LIMITS: Limits = Limits { held_max: 5 << 20, message_max: 16 << 20 };
const MASK: Option<Mask> = Some([1, 2, 3, 4]);

/// What came out of reading a stream.
#[derive(Debug, Default, PartialEq)]
struct Read {
    /// Opcode, compression mark and unmasked payload of each message.
    messages: Vec<(Opcode, bool, Vec<u8>)>,
    events: Vec<Event>,
    violation: Option<Violation>,
}

fn read_in_pieces(bytes: &[u8], cuts: &[usize], intake: Intake, limits: &Limits) -> Read {
    let mut intake = intake;
    let (mut to, mut read) = (Outbox::default(), Read::default());
    let mut from = 0;
    for to_byte in cuts.iter().copied().chain([bytes.len()]) {
        let mut input = &bytes[from..to_byte];
        from = to_byte;
        loop {
            match intake.next(&mut input, &mut to, limits) {
                Ok(Some(Event::Message)) => {}
                Ok(Some(event)) => read.events.push(event),
                Ok(None) => break,
                Err(violation) => {
                    read.violation = Some(violation);
                    read.messages = messages(&to);
                    return read;
                }
            }
        }
        let written = serde_json::to_string(&intake).expect("can be written down");
        intake = serde_json::from_str(&written).expect("can be continued");
    }
    read.messages = messages(&to);
    read
}

/// Decodes what lies in the outbox with a reader that knows nothing but headers.
fn messages(outbox: &Outbox) -> Vec<(Opcode, bool, Vec<u8>)> {
    let bytes = outbox.slices(outbox.start(), outbox.readable_end()).collect::<Vec<_>>().concat();
    let (mut rest, mut messages) = (&bytes[..], Vec::new());
    let mut payload = Vec::new();
    let mut kind = None;
    while let Some((header, used)) = Header::parse(rest).expect("only valid frames are laid down") {
        let end = used + header.length as usize;
        let mut part = rest[used..end].to_vec();
        apply_mask(&mut part, header.mask.unwrap_or_default(), 0);
        payload.extend(part);
        rest = &rest[end..];
        kind = kind.or(Some((header.opcode, header.rsv1)));
        if header.fin {
            let (opcode, rsv1) = kind.take().expect("a message has a first frame");
            messages.push((opcode, rsv1, std::mem::take(&mut payload)));
        }
    }
    messages
}

fn read(bytes: &[u8]) -> Read {
    read_in_pieces(bytes, &[], Intake::new(Sender::Client, false), &LIMITS)
}

/// A frame as a client sends it.
fn client_frame(header: Header, payload: &[u8]) -> Vec<u8> {
    let mut bytes = [0; HEADER_MAX];
    let header = Header { length: payload.len() as u64, ..header };
    let used = header.encode(&mut bytes);
    let mut frame = bytes[..used].to_vec();
    frame.extend_from_slice(payload);
    apply_mask(&mut frame[used..], header.mask.unwrap_or_default(), 0);
    frame
}

#[derive(Debug, Clone)]
enum Item {
    Message { binary: bool, parts: Vec<(Vec<u8>, Mask)>, ping_between: bool },
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

fn items() -> impl Strategy<Value = Vec<Item>> {
    let part = (proptest::collection::vec(any::<u8>(), 0..300), any::<Mask>());
    let item = prop_oneof![
        3 => (any::<bool>(), proptest::collection::vec(part, 1..5), any::<bool>()).prop_map(
            |(binary, parts, ping_between)| Item::Message { binary, parts, ping_between }),
        1 => proptest::collection::vec(any::<u8>(), 0..125).prop_map(Item::Ping),
        1 => proptest::collection::vec(any::<u8>(), 0..125).prop_map(Item::Pong),
    ];
    proptest::collection::vec(item, 0..8)
}

fn control(opcode: Opcode, payload: &[u8], expected: &mut Read) -> Vec<u8> {
    let event = if opcode == Opcode::Ping { Event::Ping } else { Event::Pong };
    expected.events.push(event(ControlPayload(payload.to_vec())));
    let mut frame = Vec::new();
    write_frame(&mut frame, opcode, MASK, payload);
    frame
}

/// The stream of these items, and what reading it must give.
fn encode(items: &[Item]) -> (Vec<u8>, Read) {
    let (mut bytes, mut expected) = (Vec::new(), Read::default());
    for item in items {
        match item {
            Item::Ping(payload) => bytes.extend(control(Opcode::Ping, payload, &mut expected)),
            Item::Pong(payload) => bytes.extend(control(Opcode::Pong, payload, &mut expected)),
            Item::Message { binary, parts, ping_between } => {
                let kind = if *binary { Opcode::Binary } else { Opcode::Text };
                for (index, (part, mask)) in parts.iter().enumerate() {
                    let fin = index + 1 == parts.len();
                    let opcode = if index == 0 { kind } else { Opcode::Continuation };
                    let header = Header { fin, mask: Some(*mask), ..Header::new(opcode, 0) };
                    bytes.extend(client_frame(header, part));
                    if *ping_between && !fin {
                        bytes.extend(control(Opcode::Ping, b"between", &mut expected));
                    }
                }
                let payload = parts.iter().flat_map(|(part, _)| part.clone()).collect();
                expected.messages.push((kind, false, payload));
            }
        }
    }
    (bytes, expected)
}

proptest! {
    #[test]
    fn every_segmentation_reads_the_same(
        items in items(), cuts in proptest::collection::vec(0.0..1.0, 0..20)
    ) {
        let (bytes, expected) = encode(&items);
        let mut cuts: Vec<usize> =
            cuts.iter().map(|share: &f64| (share * bytes.len() as f64) as usize).collect();
        cuts.sort_unstable();
        let intake = Intake::new(Sender::Client, false);
        prop_assert_eq!(&read_in_pieces(&bytes, &cuts, intake, &LIMITS), &expected);
    }

    #[test]
    fn messages_too_large_to_be_held_come_in_runs(
        items in items(), cut in 0.0..1.0, held_max in 0u64..200
    ) {
        let (bytes, expected) = encode(&items);
        let cuts = [(bytes.len() as f64 * cut) as usize];
        let limits = Limits { held_max, ..LIMITS };
        let intake = Intake::new(Sender::Client, false);
        prop_assert_eq!(&read_in_pieces(&bytes, &cuts, intake, &limits), &expected);
    }

    #[test]
    fn random_bytes_are_answered_and_judged_alike_in_any_segmentation(
        bytes in proptest::collection::vec(any::<u8>(), 0..400), cut in 0.0..1.0
    ) {
        let cuts = [(bytes.len() as f64 * cut) as usize];
        for sender in [Sender::Client, Sender::Server] {
            let at_once = read_in_pieces(&bytes, &[], Intake::new(sender, true), &LIMITS);
            let in_two = read_in_pieces(&bytes, &cuts, Intake::new(sender, true), &LIMITS);
            prop_assert_eq!(at_once, in_two);
        }
    }
}

#[test]
fn one_byte_at_a_time_reads_the_same() {
    let item = Item::Message {
        binary: true,
        parts: vec![(vec![7; 70_000], [9, 8, 7, 6]), (vec![1; 3], [1, 1, 1, 1])],
        ping_between: true,
    };
    let (bytes, expected) = encode(&[item.clone(), Item::Ping(vec![1; 125]), item]);
    let cuts: Vec<usize> = (0..bytes.len()).collect();
    let mut intake = Intake::new(Sender::Client, false);
    let (mut to, mut events) = (Outbox::default(), Vec::new());
    for cut in cuts {
        let mut input = &bytes[cut..=cut];
        events.extend(intake.next(&mut input, &mut to, &LIMITS).expect("valid"));
        events.retain(|event| *event != Event::Message);
    }
    assert_eq!(messages(&to), expected.messages);
    assert_eq!(events, expected.events);
}

#[test]
fn an_unfragmented_message_is_laid_down_as_it_came() {
    let frame = client_frame(Header { mask: MASK, ..Header::new(Opcode::Text, 0) }, &[5; 1000]);
    let mut to = Outbox::default();
    let mut intake = Intake::new(Sender::Client, false);
    assert_eq!(intake.next(&mut &frame[..], &mut to, &LIMITS), Ok(Some(Event::Message)));
    let laid: Vec<u8> = to.slices(to.start(), to.readable_end()).flatten().copied().collect();
    assert_eq!(laid, frame);
}

fn reason(read: &Read) -> (u16, &'static str) {
    let violation = read.violation.expect("must be refused");
    (violation.code.0, violation.reason)
}

#[test]
fn attack_f1_masking_and_reserved_bits_are_judged_by_who_speaks() {
    let mut unmasked = Vec::new();
    write_frame(&mut unmasked, Opcode::Text, None, b"x");
    assert_eq!(reason(&read(&unmasked)), (1002, "client frame not masked"));
    let mut masked = Vec::new();
    write_frame(&mut masked, Opcode::Text, MASK, b"x");
    let server = read_in_pieces(&masked, &[], Intake::new(Sender::Server, false), &LIMITS);
    assert_eq!(reason(&server), (1002, "server frame masked"));
    let compressed = Header { rsv1: true, mask: MASK, ..Header::new(Opcode::Text, 0) };
    let bytes = client_frame(compressed, b"x");
    assert_eq!(reason(&read(&bytes)), (1002, "reserved bit set"));
    let agreed = read_in_pieces(&bytes, &[], Intake::new(Sender::Client, true), &LIMITS);
    assert_eq!(agreed.messages, [(Opcode::Text, true, b"x".to_vec())]);
    let ping = client_frame(Header { opcode: Opcode::Ping, ..compressed }, b"x");
    let read = read_in_pieces(&ping, &[], Intake::new(Sender::Client, true), &LIMITS);
    assert_eq!(reason(&read), (1002, "reserved bit set"));
}

#[test]
fn attack_f3_a_declared_length_is_judged_before_anything_is_allocated() {
    let mut bytes = [0; HEADER_MAX];
    let huge = Header { mask: MASK, ..Header::new(Opcode::Binary, 1 << 40) };
    let used = huge.encode(&mut bytes);
    let mut to = Outbox::default();
    let mut intake = Intake::new(Sender::Client, false);
    let refused = intake.next(&mut &bytes[..used], &mut to, &LIMITS).expect_err("too large");
    assert_eq!(refused.code, CloseCode::TOO_LARGE);
    assert_eq!((to.charged(), intake.charged()), (0, 0));
    let allowed = Header { length: LIMITS.held_max, ..huge };
    let used = allowed.encode(&mut bytes);
    let mut intake = Intake::new(Sender::Client, false);
    intake.next(&mut &bytes[..used], &mut to, &LIMITS).expect("allowed");
    assert!(to.charged() < 1024, "memory comes with the data");
}

#[test]
fn attack_f7_fragments_out_of_place_are_refused() {
    let piece = |fin, opcode| Header { fin, mask: MASK, ..Header::new(opcode, 0) };
    let stray = client_frame(piece(true, Opcode::Continuation), b"x");
    assert_eq!(reason(&read(&stray)), (1002, "continuation without a message"));
    let mut nested = client_frame(piece(false, Opcode::Text), b"x");
    nested.extend(client_frame(piece(true, Opcode::Text), b"y"));
    assert_eq!(reason(&read(&nested)), (1002, "new message inside a fragmented one"));
    let mut closed = client_frame(piece(false, Opcode::Text), b"x");
    write_frame(&mut closed, Opcode::Close, MASK, &1000u16.to_be_bytes());
    let closed = read(&closed);
    assert_eq!(closed.events, [Event::Close(Close::new(CloseCode::NORMAL, ""))]);
    assert!(closed.messages.is_empty());
}

#[test]
fn attack_f8_tiny_fragments_cost_no_more_than_their_payload() {
    let piece = |fin, opcode| Header { fin, mask: MASK, ..Header::new(opcode, 0) };
    let mut bytes = client_frame(piece(false, Opcode::Text), b"a");
    for _ in 0..130_000 {
        bytes.extend(client_frame(piece(false, Opcode::Continuation), b"a"));
    }
    let (mut intake, mut to) = (Intake::new(Sender::Client, false), Outbox::default());
    intake.next(&mut &bytes[..], &mut to, &LIMITS).expect("allowed");
    assert!(to.charged() + intake.charged() <= 2 * 130_000);

    let mut empty = client_frame(piece(false, Opcode::Text), b"");
    for _ in 0..EMPTY_FRAGMENTS_MAX {
        empty.extend(client_frame(piece(false, Opcode::Continuation), b""));
    }
    assert_eq!(reason(&read(&empty)), (1008, "too many empty fragments"));

    let mut endless = client_frame(piece(false, Opcode::Binary), &[0; 9 << 20]);
    endless.extend(client_frame(piece(false, Opcode::Continuation), &[0; 9 << 20]));
    assert_eq!(reason(&read(&endless)), (1009, "message too large"));
}

#[test]
fn data_after_a_close_is_ignored() {
    let mut bytes = Vec::new();
    write_frame(&mut bytes, Opcode::Close, MASK, &1000u16.to_be_bytes());
    write_frame(&mut bytes, Opcode::Text, MASK, b"late");
    write_frame(&mut bytes, Opcode::Close, MASK, &1001u16.to_be_bytes());
    bytes.extend([0xff; 50]);
    let read = read(&bytes);
    assert_eq!(read.events.len(), 1);
    assert!(read.messages.is_empty() && read.violation.is_none());
}

#[test]
fn runs_are_small_enough_to_interrupt() {
    let frame =
        client_frame(Header { mask: MASK, ..Header::new(Opcode::Binary, 0) }, &[3; 200_000]);
    let limits = Limits { held_max: 2 * RUN_MAX as u64, ..LIMITS };
    let mut to = Outbox::default();
    let mut intake = Intake::new(Sender::Client, false);
    intake.next(&mut &frame[..], &mut to, &limits).expect("allowed");
    let bytes: Vec<u8> = to.slices(to.start(), to.readable_end()).flatten().copied().collect();
    let (mut rest, mut frames) = (&bytes[..], 0);
    while let Some((header, used)) = Header::parse(rest).expect("valid") {
        assert!(header.length <= RUN_MAX as u64);
        rest = &rest[used + header.length as usize..];
        frames += 1;
    }
    assert_eq!(frames, 4);
    assert_eq!(messages(&to), [(Opcode::Binary, false, vec![3; 200_000])]);
}
