//! F2, F6, F11: control frames that are too long, torn, untrue or too many.

use everwire_testkit::{
    everwire::{Everwire, Setup},
    scripted::{
        Recorder,
        frame::{CLOSE, Frame, PING, PONG, TEXT},
    },
    wait::{eventually, soon},
};

use super::frames::all_close;
use crate::stage::wire_to;

#[tokio::test]
async fn attack_f2_long_and_fragmented_control_frames_close_1002() {
    let mut cases = Vec::new();
    for opcode in [CLOSE, PING, PONG] {
        cases.push(("126 bytes", Frame::new(opcode, [3; 126]).masked().encode()));
        cases.push(("fragmented", Frame::new(opcode, "xx").unfinished().masked().encode()));
    }
    all_close(1002, cases).await;
}

#[tokio::test]
async fn attack_f6_codes_that_may_not_be_sent_close_1002() {
    let mut cases = vec![("a Close of one byte", Frame::new(CLOSE, [3]).masked().encode())];
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        cases.push(("a code that may not be sent", Frame::close(code, "").masked().encode()));
    }
    all_close(1002, cases).await;
}

#[tokio::test]
async fn attack_f6_what_comes_after_a_close_is_ignored() {
    let backend = Recorder::start().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let mut wire = wire_to(everwire.address()).await;
    let after = [
        Frame::close(1000, "done").masked().encode(),
        Frame::close(1001, "again").masked().encode(),
        Frame::new(TEXT, "after").masked().encode(),
        b"\xff\xff\xff\xff".to_vec(),
    ];
    wire.send(&after.concat()).await;
    assert_eq!(wire.next_close().await, Some(1000));
    backend.legs_end(1).await;
    let record = &backend.records()[0];
    assert_eq!(record.data(), []);
    let codes: Vec<_> = record.frames.iter().filter_map(Frame::close_code).collect();
    assert_eq!(codes, [1000], "one Close, the first");
}

#[tokio::test]
async fn attack_f6_codes_that_may_be_sent_reach_the_backend() {
    let backend = Recorder::start().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let codes = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 3000, 4999];
    for (at, code) in codes.into_iter().enumerate() {
        let mut wire = wire_to(everwire.address()).await;
        wire.send_frame(&Frame::close(code, "why").masked()).await;
        assert_eq!(wire.next_close().await, Some(code));
        backend.legs_end(at + 1).await;
        let seen: Vec<_> =
            backend.records()[at].frames.iter().filter_map(Frame::close_code).collect();
        assert_eq!(seen, [code]);
    }
}

/// RFC 6455 5.5.3 lets an endpoint answer only the latest Ping: a flood needs no queue of Pongs.
#[tokio::test]
async fn attack_f11_a_flood_of_pings_from_a_client_that_reads_nothing_costs_no_memory() {
    let backend = Recorder::start().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let mut wire = wire_to(everwire.address()).await;
    let memory = everwire.memory();
    let flood = Frame::new(PING, [7; 125]).masked().encode().repeat(100);
    for _ in 0..1000 {
        if !soon("the flood", wire.try_send(&flood)).await {
            break;
        }
    }
    let grown = everwire.memory().saturating_sub(memory);
    println!("{grown} bytes for 100000 Pings that nobody reads the answers of");
    assert!(grown < 4 << 20, "{grown} bytes");
    wire.try_send(&Frame::new(PING, "last").masked().encode()).await;
    let end = soon("the last Pong or an announced end", async {
        loop {
            match wire.next_frame_whenever().await {
                Some(frame) if frame.payload == b"last" => return None,
                Some(frame) if frame.opcode == CLOSE => return frame.close_code(),
                Some(_) => {}
                None => panic!("ended without a Close"),
            }
        }
    })
    .await;
    assert!(matches!(end, None | Some(1008)), "{end:?}");
    let pings =
        backend.records()[0].frames.iter().filter(|frame| frame.payload == [7; 125]).count();
    assert_eq!(pings, 0, "Pings are answered hop by hop");
}

#[tokio::test]
async fn attack_f11_a_flood_of_pongs_changes_nothing() {
    let backend = Recorder::start().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let mut wire = wire_to(everwire.address()).await;
    let flood = Frame::new(PONG, [7; 125]).masked().encode().repeat(100);
    for _ in 0..1000 {
        wire.send(&flood).await;
    }
    wire.send_frame(&Frame::new(TEXT, "after").masked()).await;
    eventually("the message behind the flood", async || (backend.data().len() == 1).then_some(()))
        .await;
    let pongs =
        backend.records()[0].frames.iter().filter(|frame| frame.payload == [7; 125]).count();
    assert_eq!(pongs, 0);
}
