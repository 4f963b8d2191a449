//! F8 to F11: fragments without an end, compression that nobody agreed to, floods of control frames.

use everwire_testkit::{
    scripted::{
        Wire,
        frame::{BINARY, CONTINUATION, Frame, PING, PONG, TEXT},
        upgrade_request,
    },
    signalr::Fixture,
    wait::soon,
};

use super::{LITTLE, Stage};

#[tokio::test]
async fn attack_f8_tiny_fragments_without_an_end_meet_the_limit_of_a_message() {
    let mut stage = Stage::with("").await;
    let mut client = stage.client().await;
    let tiny = Frame::new(CONTINUATION, "x").unfinished().masked().encode();
    let first = Frame::new(TEXT, "x").unfinished().masked().encode();
    client.wire.try_send(&[first, tiny.repeat(130_000)].concat()).await;
    client.is_sent_away("tiny fragments").await;
    stage.holds("tiny fragments", LITTLE).await;
}

#[tokio::test]
async fn attack_f8_fragments_of_nothing_close_1008() {
    let mut stage = Stage::with("").await;
    let mut client = stage.client().await;
    let first = Frame::new(TEXT, "").unfinished().masked().encode();
    let empty = Frame::new(CONTINUATION, "").unfinished().masked().encode();
    client.wire.try_send(&[first, empty.repeat(200_000)].concat()).await;
    assert_eq!(client.end().await.code, Some(1008));
    stage.holds("empty fragments", LITTLE).await;
}

#[tokio::test]
async fn attack_f8_huge_fragments_are_not_kept() {
    let mut stage = Stage::with("").await;
    let mut client = stage.client().await;
    let first = Frame::new(BINARY, vec![b'x'; 16 << 20]).unfinished().masked().encode();
    let more = Frame::new(CONTINUATION, vec![b'x'; 16 << 20]).unfinished().masked().encode();
    client.wire.try_send(&[first, more.repeat(2)].concat()).await;
    client.is_sent_away("huge fragments").await;
    stage.holds("huge fragments", LITTLE).await;
}

#[tokio::test]
async fn attack_f8_a_handshake_in_fragments_without_an_end_has_a_deadline() {
    let mut stage = Stage::with("handshake_timeout = \"3s\"").await;
    let mut wire = Wire::upgrade(stage.everwire.address(), "/hub", &[]).await;
    wire.send_frame(&Frame::new(TEXT, "{\"protocol\":").unfinished().masked()).await;
    let told = wire.next_frame().await.expect("an answer");
    assert!(String::from_utf8_lossy(&told.payload).contains("Handshake was canceled"));
    assert_eq!(wire.next_close().await, Some(1000));
    stage.holds("an endless handshake", LITTLE).await;
}

#[tokio::test]
async fn attack_f9_f10_compression_is_declined_whatever_is_offered() {
    let mut stage = Stage::with("").await;
    for offer in [
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=abc",
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        "x-webkit-deflate-frame",
    ] {
        let headers = [("Sec-WebSocket-Extensions", offer)];
        let mut wire = Wire::upgrade(stage.everwire.address(), "/hub", &headers).await;
        assert_eq!(wire.header("Sec-WebSocket-Extensions"), None, "{offer}");
        let bomb = Frame::new(BINARY, vec![0; 1 << 20]).with_rsv(4).masked();
        wire.try_send(&bomb.encode()).await;
        assert_eq!(wire.next_close().await, Some(1002), "{offer}");
    }
    let headers = [("Sec-WebSocket-Extensions", "permessage-deflate;;=,")];
    let mut wire = Wire::connect(stage.everwire.address()).await;
    wire.send(upgrade_request(stage.everwire.address(), "/hub", &headers).as_bytes()).await;
    assert!(wire.read_head().await.starts_with("HTTP/1.1 400"));
    stage.holds("bombs", LITTLE).await;
}

#[tokio::test]
async fn attack_f9_many_bombs_at_once_before_any_handshake_cost_nothing() {
    let mut stage = Stage::with("").await;
    let bomb = Frame::new(BINARY, vec![0; 6 << 20]).with_rsv(4).masked().encode();
    let mut wires = Vec::new();
    for _ in 0..20 {
        let headers = [("Sec-WebSocket-Extensions", "permessage-deflate")];
        let mut wire = Wire::upgrade(stage.everwire.address(), "/hub", &headers).await;
        wire.try_send(&bomb[..1 << 16]).await;
        wires.push(wire);
    }
    for wire in &mut wires {
        assert_eq!(wire.next_close().await, Some(1002));
    }
    stage.holds("20 bombs", LITTLE).await;
}

#[tokio::test]
async fn attack_f11_pings_of_who_reads_nothing_cost_no_memory_and_have_an_end() {
    let mut stage = Stage::with("send_timeout = \"1s\"").await;
    let mut client = stage.client().await;
    let flood = Frame::new(PING, [7; 125]).masked().encode().repeat(1000);
    let refused = soon("the end of a flood", async { while client.wire.try_send(&flood).await {} });
    refused.await;
    stage.holds("pings that nobody reads the answers of", LITTLE).await;
}

#[tokio::test]
async fn attack_f11_pings_beyond_any_measure_close_1008() {
    let mut stage = Stage::with("rate_max = 100").await;
    let mut client = stage.client().await;
    client.wire.try_send(&Frame::new(PING, "x").masked().encode().repeat(5000)).await;
    let end = client.end().await;
    assert!(end.said.contains("sends more messages than it may"), "{}", end.said);
    assert_eq!(end.code, Some(1008));
    stage.counts("everwire_hub_floods_total", 1.0).await;
    stage.holds("pings", LITTLE).await;
}

#[tokio::test]
async fn attack_f11_a_flood_of_pongs_changes_nothing() {
    let mut stage = Stage::with("").await;
    let mut client = stage.client().await;
    let flood = Frame::new(PONG, [7; 125]).masked().encode().repeat(100);
    for _ in 0..1000 {
        client.wire.send(&flood).await;
    }
    client.is_served().await;
    stage.holds("pongs", LITTLE).await;
}

#[tokio::test]
async fn attack_f1_what_follows_a_broken_frame_is_not_looked_at() {
    let fixture = Fixture::start().await;
    for path in ["/echo", "/testHub"] {
        for broken in [
            Frame::new(TEXT, "unmasked"),
            Frame::new(BINARY, "reserved").with_rsv(2).masked(),
            Frame::new(CONTINUATION, "of nothing").masked(),
            Frame::new(PING, [0; 126]).masked(),
        ] {
            let mut wire = Wire::upgrade(fixture.address(), path, &[]).await;
            wire.try_send(&broken.encode()).await;
            assert_eq!(wire.next_close().await, Some(1002), "{path} {broken:?}");
            for _ in 0..100 {
                wire.try_send(&broken.encode()).await;
            }
            wire.ended().await;
        }
    }
    let log = fixture.process().transcript();
    assert!(!log.contains("panicked"), "{log}");
}
