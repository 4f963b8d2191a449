//! F1, F3 to F5, F7, F8: frames that break RFC 6455, and fragments without an end.

use std::time::Duration;

use everwire_testkit::{
    client::{Client, Heard},
    everwire::{Everwire, Setup},
    foreign::Backend,
    message::Kind,
    need,
    scripted::{
        Listener, Recorder, Role, Wire,
        frame::{BINARY, CONTINUATION, Frame, Length, TEXT},
    },
    tools,
    wait::{SOON, eventually},
};
use tokio::join;

use crate::stage::{echoing, in_front_of, wire_to};

/// The catalogue's time between the Close and the end of the connection is 1 s, that of a peer who
/// may still answer 5 s; the rest is for a busy machine.
const END_MAX: Duration = Duration::from_secs(4);

/// Each case is sent on a connection of its own, behind a good message: the gateway answers with
/// `code` and ends the connection, and the backend has seen the good message and nothing else.
pub(super) async fn all_close(code: u16, cases: Vec<(&str, Vec<u8>)>) {
    let backend = Recorder::start().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    for (at, (what, bytes)) in cases.into_iter().enumerate() {
        let mut wire = wire_to(everwire.address()).await;
        let good = Frame::new(TEXT, "good").masked().encode();
        wire.send(&[good, bytes].concat()).await;
        assert_eq!(wire.next_close().await, Some(code), "{what}");
        wire.ends_within(END_MAX).await;
        eventually(what, async || backend.records()[at].ended.then_some(())).await;
        let record = &backend.records()[at];
        let seen: Vec<_> = record.data().into_iter().map(|frame| frame.payload).collect();
        assert_eq!(seen, [b"good"], "{what}: the backend saw");
        assert_eq!(record.torn, b"", "{what}: the backend saw");
    }
    everwire.pipes_become(0).await;
    assert!(!everwire.log().contains("panicked"), "{}", everwire.log());
}

#[tokio::test]
async fn attack_f1_reserved_opcodes_bits_and_unmasked_frames_close_1002() {
    let mut cases = vec![("an unmasked frame", Frame::new(TEXT, "bad").encode())];
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        cases.push(("a reserved opcode", Frame::new(opcode, "bad").masked().encode()));
    }
    for rsv in 1..=7 {
        cases.push(("a reserved bit", Frame::new(TEXT, "bad").with_rsv(rsv).masked().encode()));
    }
    all_close(1002, cases).await;
}

/// The backend's mistake is the backend's: it is dropped, the client stays.
#[tokio::test]
async fn attack_f1_a_backend_that_breaks_the_protocol_is_replaced_unnoticed() {
    let bad = [
        Frame::new(TEXT, "bad").masked(),
        Frame::new(3, "bad"),
        Frame::new(TEXT, "bad").with_rsv(4),
        Frame::new(CONTINUATION, "bad"),
        Frame::new(TEXT, "bad").with_length(Length::Bits64),
        Frame::new(9, [0; 126]),
    ];
    for bad in bad {
        let backend = Listener::bind().await;
        let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
        let (mut client, mut leg) =
            join!(Client::open(everwire.address(), "/", "c"), backend.accept_leg());
        leg.send_frame(&bad).await;
        leg.ends_within(SOON).await;
        let mut next = backend.accept_leg().await;
        next.send_frame(&Frame::new(TEXT, "good")).await;
        assert_eq!(client.hear().await, Heard::Message(Kind::Text, b"good".to_vec()), "{bad:?}");
    }
}

#[tokio::test]
async fn attack_f3_impossible_lengths_close_1002_and_too_large_ones_1009() {
    let claim =
        |length| Frame::new(BINARY, [0; 8]).with_length(Length::Claimed(length)).masked().encode();
    all_close(1002, vec![("the top bit", claim(1 << 63)), ("all bits", claim(u64::MAX))]).await;
    all_close(
        1009,
        vec![
            ("2^40 bytes", claim(1 << 40)),
            ("2^62 bytes", claim(1 << 62)),
            ("one byte beyond the limit", claim((64 << 20) + 1)),
        ],
    )
    .await;
}

#[tokio::test]
async fn attack_f3_a_claimed_length_allocates_nothing() {
    let backend = Recorder::start().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let mut wires = Vec::new();
    for _ in 0..51 {
        wires.push(wire_to(everwire.address()).await);
    }
    let memory = everwire.memory();
    let claim = Frame::new(BINARY, [0; 8]).with_length(Length::Claimed(60 << 20)).masked().encode();
    for wire in &mut wires[1..] {
        wire.send(&claim).await;
    }
    // A message behind the others' claims: all of them have been read when it arrives.
    wires[0].send_frame(&Frame::new(TEXT, "after").masked()).await;
    eventually("the message behind", async || (!backend.data().is_empty()).then_some(())).await;
    let each = everwire.memory().saturating_sub(memory) / 50;
    assert!(each < 64 << 10, "{each} bytes for a socket that claims 60 MiB");
}

#[tokio::test]
async fn attack_f4_lengths_that_are_not_minimal_close_1002() {
    let not_minimal = |size: usize, length| {
        Frame::new(TEXT, vec![b'x'; size]).with_length(length).masked().encode()
    };
    all_close(
        1002,
        vec![
            ("0 bytes in 16 bits", not_minimal(0, Length::Bits16)),
            ("5 bytes in 16 bits", not_minimal(5, Length::Bits16)),
            ("125 bytes in 16 bits", not_minimal(125, Length::Bits16)),
            ("5 bytes in 64 bits", not_minimal(5, Length::Bits64)),
            ("300 bytes in 64 bits", not_minimal(300, Length::Bits64)),
            ("65535 bytes in 64 bits", not_minimal(65_535, Length::Bits64)),
        ],
    )
    .await;
}

/// What is in a payload is the endpoints' business: the backend refuses, its 1007 passes through.
#[tokio::test]
async fn attack_f5_text_that_is_not_utf_8_is_the_backends_to_refuse() {
    let node = need!(tools::node());
    let backend = Backend::start(echoing(&node)).await;
    let everwire = in_front_of(&[&backend]).await;
    for bytes in [&b"\xff\xfe"[..], b"abc\xed\xa0\x80", b"\xe2\x82", b"\xf4\x90\x80\x80"] {
        let mut wire = wire_to(everwire.address()).await;
        wire.send_frame(&Frame::new(TEXT, bytes).masked()).await;
        assert_eq!(wire.next_close().await, Some(1007), "{bytes:?}");
        everwire.pipes_become(0).await;
    }
    assert_eq!(backend.legs().len(), 4, "a goodbye is not followed by another leg");
}

#[tokio::test]
async fn attack_f7_fragments_out_of_place_close_1002() {
    let start = Frame::new(TEXT, "sta").unfinished().masked().encode();
    let another = Frame::new(BINARY, "new").masked().encode();
    all_close(
        1002,
        vec![
            ("a continuation of nothing", Frame::new(CONTINUATION, "x").masked().encode()),
            (
                "an unfinished continuation",
                Frame::new(CONTINUATION, "x").unfinished().masked().encode(),
            ),
            ("a message inside a message", [start, another].concat()),
        ],
    )
    .await;
}

#[tokio::test]
async fn attack_f7_a_close_inside_a_message_is_answered_and_the_message_is_dropped() {
    let backend = Recorder::start().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let mut wire = wire_to(everwire.address()).await;
    let start = Frame::new(TEXT, "never finished").unfinished().masked().encode();
    wire.send(&[start, Frame::close(1000, "").masked().encode()].concat()).await;
    assert_eq!(wire.next_close().await, Some(1000));
    backend.legs_end(1).await;
    assert_eq!(backend.data(), []);
}

/// Fragments between which control frames come are one message, as they were sent.
#[tokio::test]
async fn attack_f7_pings_between_fragments_change_nothing() {
    let backend = Recorder::start().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let mut wire = wire_to(everwire.address()).await;
    for frame in [
        Frame::new(TEXT, "one ").unfinished(),
        Frame::new(9, "between"),
        Frame::new(CONTINUATION, "two ").unfinished(),
        Frame::new(CONTINUATION, "three"),
    ] {
        wire.send_frame(&frame.masked()).await;
    }
    assert_eq!(wire.next_frame().await.map(|pong| pong.payload), Some(b"between".to_vec()));
    let text = || backend.data().into_iter().flat_map(|frame| frame.payload).collect::<Vec<u8>>();
    eventually("the message", async || (text() == b"one two three").then_some(())).await;
    assert_eq!(backend.data()[0].opcode, TEXT);
    let pings =
        backend.records()[0].frames.iter().filter(|frame| frame.payload == b"between").count();
    assert_eq!(pings, 0, "Pings are answered hop by hop");
}

#[tokio::test]
async fn attack_f8_tiny_fragments_without_an_end_cost_at_most_what_they_carry() {
    let mut tiny = Frame::new(TEXT, "x").unfinished().masked().encode();
    tiny.extend(Frame::new(CONTINUATION, "x").unfinished().masked().encode().repeat(130_000));
    bounded(&tiny, 1 << 20).await;
}

#[tokio::test]
async fn attack_f8_empty_fragments_without_an_end_are_cut_off_or_cost_nothing() {
    let mut empty = Frame::new(TEXT, "").unfinished().masked().encode();
    empty.extend(Frame::new(CONTINUATION, "").unfinished().masked().encode().repeat(200_000));
    bounded(&empty, 1 << 20).await;
}

#[tokio::test]
async fn attack_f8_a_message_that_grows_beyond_the_limit_closes_1009() {
    let backend = Recorder::start().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let mut wire = wire_to(everwire.address()).await;
    let memory = everwire.memory();
    wire.send_frame(&Frame::new(BINARY, vec![0; 16 << 20]).unfinished().masked()).await;
    let more = Frame::new(CONTINUATION, vec![0; 16 << 20]).unfinished().masked().encode();
    for _ in 0..4 {
        wire.try_send(&more).await;
    }
    assert_eq!(wire.next_close().await, Some(1009));
    let grown = everwire.memory().saturating_sub(memory);
    assert!(grown < 32 << 20, "{grown} bytes for a message that never ended");
}

/// Either the connection stays and costs little, or it ends with a Close that says why; the backend
/// gets no message, for there never was one.
async fn bounded(bytes: &[u8], memory_max: u64) {
    let backend = Recorder::start().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let mut wire = wire_to(everwire.address()).await;
    let memory = everwire.memory();
    let kept = wire.try_send(bytes).await && answers_a_ping(&mut wire).await;
    let grown = everwire.memory().saturating_sub(memory);
    println!("kept open: {kept}; {grown} bytes for {} on the wire", bytes.len());
    assert!(grown < memory_max, "{grown} bytes");
    assert_eq!(backend.data(), []);
}

/// Whether the connection still answers; a Close instead must say 1008 or 1009.
async fn answers_a_ping(wire: &mut Wire) -> bool {
    wire.try_send(&Frame::new(9, "still there").masked().encode()).await;
    loop {
        let Some(frame) = wire.next_frame().await else { panic!("ended without a Close") };
        match frame.close_code() {
            Some(code) => {
                assert!([1008, 1009].contains(&code), "{code}");
                return false;
            }
            None if frame.payload == b"still there" => return true,
            None => {}
        }
    }
}

/// A backend's frames of every size pass through as they are.
#[tokio::test]
async fn frames_of_every_length_form_pass_both_ways() {
    let backend = Listener::bind().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let (mut client, mut leg) =
        join!(Client::open(everwire.address(), "/", "c"), backend.accept_leg());
    for size in [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 20] {
        let payload = vec![7; size];
        let frame = Frame::new(BINARY, &payload);
        let (heard, ()) = join!(client.hear(), leg.send_frame(&frame));
        assert_eq!(heard, Heard::Message(Kind::Binary, payload.clone()));
        let (message, ()) =
            join!(leg.next_message(Role::Server), client.send(Kind::Binary, payload.clone()));
        assert_eq!(message, Some((BINARY, payload)));
    }
}
