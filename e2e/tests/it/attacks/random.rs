//! F15: random and mutated frames, and every segmentation of good ones.

use everwire_testkit::{
    everwire::{Everwire, Setup},
    scripted::{
        Recorder, Wire,
        frame::{BINARY, CONTINUATION, Frame, Length, PING, TEXT},
    },
    wait::{eventually, soon},
};

use crate::stage::wire_to;

/// A small generator: the same bytes in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn bytes(&mut self, length: u64) -> Vec<u8> {
        (0..length).map(|_| self.below(256) as u8).collect()
    }

    /// A frame that is a little wrong, or not at all.
    fn frame(&mut self) -> Vec<u8> {
        let length = self.below(200);
        let mut frame = Frame::new(self.below(16) as u8, self.bytes(length));
        frame.fin = self.below(4) > 0;
        frame.masked = self.below(20) > 0;
        frame.rsv = if self.below(10) == 0 { self.below(8) as u8 } else { 0 };
        frame.length = match self.below(20) {
            0 => Length::Bits16,
            1 => Length::Bits64,
            2 => Length::Claimed(self.below(u64::MAX)),
            _ => Length::Minimal,
        };
        frame.encode()
    }
}

#[tokio::test]
async fn attack_f15_random_frames_end_their_own_connection_and_nothing_else() {
    let backend = Recorder::start().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let mut dice = Dice(0x5EED);
    for round in 0..300 {
        let mut wire = wire_to(everwire.address()).await;
        let bytes: Vec<u8> = match round % 3 {
            0 => dice.bytes(300),
            1 => (0..20).flat_map(|_| dice.frame()).collect(),
            _ => {
                let mut good = Frame::new(TEXT, "good").masked().encode().repeat(5);
                let at = dice.below(good.len() as u64) as usize;
                good[at] ^= 1 << dice.below(8);
                good
            }
        };
        wire.try_send(&bytes).await;
        wire.finish().await;
        soon("the end of a random connection", wire.ended()).await;
    }
    everwire.pipes_become(0).await;
    assert!(!everwire.log().contains("panicked"), "{}", everwire.log());
    let mut wire = wire_to(everwire.address()).await;
    wire.send_frame(&Frame::new(TEXT, "afterwards").masked()).await;
    let arrived = async || {
        let data = backend.data();
        data.iter().any(|frame| frame.payload == b"afterwards").then_some(())
    };
    eventually("a good message after all that", arrived).await;
}

/// However the bytes are cut, the backend sees the same frames and the client the same answers.
#[tokio::test]
async fn attack_f15_every_segmentation_has_the_same_outcome() {
    let backend = Recorder::start().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let script: Vec<u8> = [
        Frame::new(TEXT, "one"),
        Frame::new(PING, "ping"),
        Frame::new(BINARY, vec![0xFF; 200]),
        Frame::new(TEXT, "frag").unfinished(),
        Frame::new(PING, "inside"),
        Frame::new(CONTINUATION, "mented"),
        Frame::new(BINARY, ""),
        Frame::close(1000, "done"),
    ]
    .into_iter()
    .flat_map(|frame| frame.masked().encode())
    .collect();
    let mut outcomes = Vec::new();
    for (number, size) in [script.len(), 1, 2, 3, 7, 100].into_iter().enumerate() {
        let mut wire = wire_to(everwire.address()).await;
        for piece in script.chunks(size) {
            wire.send(piece).await;
        }
        let close = wire.next_close().await;
        backend.legs_end(number + 1).await;
        outcomes.push((close, messages(&backend.records()[number].frames)));
    }
    assert_eq!(outcomes[0].0, Some(1000));
    assert_eq!(outcomes[0].1.len(), 4);
    for outcome in &outcomes[1..] {
        assert_eq!(outcome, &outcomes[0]);
    }
}

/// The messages that frames make: fragments of one may be cut anew on the way.
fn messages(frames: &[Frame]) -> Vec<(u8, Vec<u8>)> {
    let mut messages: Vec<(u8, Vec<u8>)> = Vec::new();
    for frame in frames.iter().filter(|frame| !frame.is_control()) {
        match messages.last_mut().filter(|_| frame.opcode == CONTINUATION) {
            Some((_, payload)) => payload.extend(&frame.payload),
            None => messages.push((frame.opcode, frame.payload.clone())),
        }
    }
    messages
}

/// A handshake in one-byte pieces is the same handshake.
#[tokio::test]
async fn attack_f15_a_handshake_in_pieces_with_frames_behind_it_is_the_same() {
    let backend = Recorder::start().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let head = everwire_testkit::scripted::upgrade_request(everwire.address(), "/", &[]);
    let script = [head.into_bytes(), Frame::new(TEXT, "early").masked().encode()].concat();
    for size in [script.len(), 1, 50] {
        let mut wire = Wire::connect(everwire.address()).await;
        for piece in script.chunks(size) {
            wire.send(piece).await;
        }
        assert!(wire.read_head().await.starts_with("HTTP/1.1 101 "));
        let before = backend.records().len();
        eventually("the early message", async || {
            let records = backend.records();
            (records[before - 1].data().first()?.payload == b"early").then_some(())
        })
        .await;
    }
}
