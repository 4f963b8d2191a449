//! The opening handshake: what a client sends decides nothing but its own request. What goes on to
//! a backend is one request that a strict parser reads the same, with the gateway's own words about
//! the client in it once.

use std::net::{IpAddr, Ipv4Addr};

use everwire_proto::ws::upgrade::{
    Forwarded, HeadScan, LegKey, LegOffer, LegRefusal, LegRequest, LegWelcome, Progress,
    REQUEST_HEAD_MAX, Scheme, UpgradeRequest, client_response, wants_websocket,
};

use crate::bytes::Bytes;

/// Fields that a backend believes because the gateway says them.
const OURS: &[&str] = &[
    "connection",
    "upgrade",
    "everwire-session",
    "everwire-leg",
    "everwire-client-next",
    "everwire-server-count",
    "sec-websocket-key",
    "sec-websocket-version",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
];

/// The nonce of the leg; any will do.
const NONCE: [u8; 16] = [7; 16];

/// Reads a head in pieces, and what follows from it where it is a request.
pub fn handshake(input: &[u8]) {
    let mut input = Bytes(input);
    let step = usize::from(input.byte()).max(1);
    let received = input.0;
    let at_once = HeadScan::new(REQUEST_HEAD_MAX).advance(received);
    if let Some(scanned) = scan_in_pieces(received, step) {
        assert_eq!(scanned, at_once, "pieces of {step} bytes scanned differently");
    }
    let Ok(Some(end)) = at_once else { return };
    let (head, answer) = received.split_at(end);
    let wants = wants_websocket(head);
    match UpgradeRequest::parse(head) {
        Ok(request) => {
            assert!(wants, "a request that opens a WebSocket wants one");
            forward(&request, answer);
        }
        Err(refusal) => {
            assert!((400..600).contains(&refusal.status), "{}", refusal.status);
            assert_one_head(&refusal.to_bytes());
        }
    }
}

/// Scans as bytes arrive; `None` if they end before the scan does.
fn scan_in_pieces(received: &[u8], step: usize) -> Option<Result<Option<usize>, Error>> {
    let mut scan = HeadScan::new(REQUEST_HEAD_MAX);
    let mut seen = 0;
    while seen < received.len() {
        seen = (seen + step).min(received.len());
        match scan.advance(&received[..seen]) {
            Ok(None) => {}
            decided => return Some(decided),
        }
    }
    None
}

type Error = everwire_proto::ws::upgrade::HeadError;

/// Writes the first leg's request and judges it; then reads an answer to it.
fn forward(request: &UpgradeRequest, answer: &[u8]) {
    let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let forwarded = Forwarded::new(request, Scheme::Http);
    let progress = Progress { session: "s", leg: 1, client_next: 1, server_count: 0 };
    let offer = LegOffer::First(request);
    let key = LegKey::new(NONCE);
    let leg = LegRequest { forwarded: &forwarded, client, fixed_path: None, key, offer, progress };
    let written = leg.to_bytes();
    assert_one_head(&written);
    match UpgradeRequest::parse(&written) {
        Ok(read) => assert_same(request, &read),
        // The gateway's own fields may be those that are too many.
        Err(refusal) => assert_eq!(refusal.status, 431, "{refusal:?}"),
    }
    match LegWelcome::parse(answer, &key, &offer) {
        Ok(welcome) => assert_one_head(&client_response(request, &welcome)),
        Err(LegRefusal::Http { status, .. }) => assert!(status >= 200),
        Err(_) => {}
    }
}

fn assert_same(request: &UpgradeRequest, read: &UpgradeRequest) {
    assert_eq!((request.target(), request.host()), (read.target(), read.host()));
    assert_eq!(request.origin(), read.origin());
    assert!(request.protocols().eq(read.protocols()));
    for ours in OURS {
        let alias = |name: &str| name.replace('_', "-").eq_ignore_ascii_case(ours);
        let count = read.headers().filter(|(name, _)| alias(name)).count();
        assert_eq!(count, 1, "{ours}");
    }
}

/// The first empty line ends the head: nothing in it was taken for one.
fn assert_one_head(written: &[u8]) {
    let mut scan = HeadScan::new(usize::MAX);
    let end = scan.advance(written).expect("no bare line ends").expect("a whole head");
    let head = std::str::from_utf8(&written[..end]).unwrap_or_default();
    assert!(!head.contains("\r\n "), "no continued lines");
}
