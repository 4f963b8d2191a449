//! Compression over two legs: whatever a client offers and two backends answer, the second leg is
//! either refused or can carry what the client agreed to with the first.

use std::net::{IpAddr, Ipv4Addr};

use everwire_proto::ws::upgrade::{
    Agreed, Forwarded, LegKey, LegOffer, LegRequest, LegWelcome, Progress, Scheme, UpgradeRequest,
    client_response,
};

/// The nonce of both legs; any will do.
const NONCE: [u8; 16] = [9; 16];

/// Three lines: the client's offer, the first backend's answer, the second's.
pub fn extension(input: &[u8]) {
    let mut lines = input.splitn(3, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let Some(request) = request(line()) else { return };
    let first = LegOffer::First(&request);
    let Some(welcome) = welcome(line(), &first) else { return };
    let agreed = &welcome.agreed;
    assert!(agreed.deflate.is_none() || !request.deflate_offers().is_empty());
    repeated(&request, agreed);
    let answer = line();
    let Some(second) = self::welcome(answer, &LegOffer::Again(agreed)) else { return };
    assert_eq!(second.agreed, *agreed, "what was agreed never changes");
    assert_carries(answer, agreed);
    let told = client_response(&request, &welcome);
    let told = String::from_utf8_lossy(&told);
    assert_eq!(told.contains("server_no_context_takeover"), agreed.deflate.is_some());
    assert_eq!(told.contains("client_no_context_takeover"), agreed.deflate.is_some());
}

/// A client's request with this offer, if the gateway takes it.
fn request(offer: &[u8]) -> Option<UpgradeRequest> {
    let mut fields: Vec<(&str, &[u8])> = vec![
        ("Host", b"h"),
        ("Upgrade", b"websocket"),
        ("Connection", b"Upgrade"),
        ("Sec-WebSocket-Version", b"13"),
        ("Sec-WebSocket-Key", b"AAAAAAAAAAAAAAAAAAAAAA=="),
    ];
    if !offer.is_empty() {
        fields.push(("Sec-WebSocket-Extensions", offer));
    }
    UpgradeRequest::from_parts("GET", "/", "HTTP/1.1", fields).ok()
}

/// A backend's 101 with this answer, if the gateway takes it.
fn welcome(answer: &[u8], offer: &LegOffer<'_>) -> Option<LegWelcome> {
    let key = LegKey::new(NONCE);
    let mut head = b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n".to_vec();
    head.extend_from_slice(b"Sec-WebSocket-Accept: ");
    head.extend_from_slice(&key.accept());
    if !answer.is_empty() {
        head.extend_from_slice(b"\r\nSec-WebSocket-Extensions: ");
        head.extend_from_slice(answer);
    }
    head.extend_from_slice(b"\r\n\r\n");
    LegWelcome::parse(&head, &key, offer).ok()
}

/// A backend that answers a later leg with what the client was told is one that fits.
fn repeated(request: &UpgradeRequest, agreed: &Agreed) {
    let forwarded = Forwarded::new(request, Scheme::Http);
    let progress = Progress { session: "s", leg: 2, client_next: 1, server_count: 0 };
    let key = LegKey::new(NONCE);
    let offer = LegOffer::Again(agreed);
    let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let leg = LegRequest { forwarded: &forwarded, client, fixed_path: None, key, offer, progress };
    let read = UpgradeRequest::parse(&leg.to_bytes()).expect("the gateway writes what it reads");
    assert_eq!(read.deflate_offers().len(), usize::from(agreed.deflate.is_some()));
    let Some(deflate) = agreed.deflate else { return };
    let mut answer = Vec::new();
    deflate.write_answer(&mut answer);
    let again = welcome(&answer, &offer).expect("the same backend fits again");
    assert_eq!(again.agreed, *agreed);
}

/// The second backend's own words, read without the gateway's parser.
fn assert_carries(answer: &[u8], agreed: &Agreed) {
    let answer = String::from_utf8_lossy(answer);
    let Some(deflate) = agreed.deflate else { return assert_eq!(answer.trim(), "") };
    let bits = |name: &str| {
        let value = answer.split(';').find_map(|part| part.trim().strip_prefix(name))?;
        let value = value.trim().trim_start_matches('=').trim().trim_matches('"');
        value.trim_end_matches(',').trim().parse::<u8>().ok()
    };
    assert!(answer.contains("server_no_context_takeover"), "{answer}");
    let server = bits("server_max_window_bits").unwrap_or(15);
    let client = bits("client_max_window_bits").unwrap_or(15);
    assert!(server <= deflate.server_window(), "the client cannot read {server} bits");
    assert!(client >= deflate.client_window(), "the backend reads only {client} bits");
}
