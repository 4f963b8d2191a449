//! Which answers open a leg, what they mean, and what the client is told.

use proptest::prelude::*;

use super::*;

fn key() -> LegKey {
    LegKey::new(*b"the sample nonce")
}

/// A good 101 to [`key`], with `extra` lines behind it.
fn welcome_head(extra: &[&str]) -> Vec<u8> {
    let mut lines = WELCOME.to_vec();
    lines.extend_from_slice(extra);
    head(&lines)
}

/// The good 101 with the line that starts with `name` replaced by `lines`.
fn with(name: &str, lines: &[&str]) -> Vec<u8> {
    let at = WELCOME.iter().position(|line| line.starts_with(name)).expect("a line of that name");
    let mut changed = WELCOME[..at].to_vec();
    changed.extend_from_slice(lines);
    changed.extend_from_slice(&WELCOME[at + 1..]);
    head(&changed)
}

fn first(head: &[u8], client: &[&str]) -> Result<LegWelcome, LegRefusal> {
    LegWelcome::parse(head, &key(), &LegOffer::First(&request(client)))
}

fn again(head: &[u8], agreed: &Agreed) -> Result<LegWelcome, LegRefusal> {
    LegWelcome::parse(head, &key(), &LegOffer::Again(agreed))
}

fn is_mismatch(result: &Result<LegWelcome, LegRefusal>) -> bool {
    matches!(result, Err(LegRefusal::Mismatch(_)))
}

const WELCOME: [&str; 4] = [
    "HTTP/1.1 101 Switching Protocols",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
];

#[test]
fn the_key_of_the_rfc_has_the_accept_of_the_rfc() {
    assert_eq!(key().as_bytes(), b"dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(&key().accept(), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[test]
fn a_good_101_opens_a_leg() {
    let welcome = first(&welcome_head(&["Set-Cookie: a=1", "Set-Cookie: b=2"]), &[]);
    let welcome = welcome.expect("a good 101");
    assert_eq!(welcome.agreed, Agreed::default());
    assert_eq!(welcome.headers.as_bytes(), b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n");
    for (name, line) in [
        ("Upgrade", "upgrade: WebSocket"),
        ("Connection", "connection: keep-alive, upgrade"),
        ("HTTP", "HTTP/1.1 101 "),
        ("HTTP", "HTTP/1.1 101"),
    ] {
        first(&with(name, &[line]), &[]).expect(line);
    }
}

#[test]
fn attack_h6_a_101_counts_only_if_all_of_it_is_right() {
    for (name, lines) in [
        ("HTTP", &["HTTP/1.0 101 Switching Protocols"][..]),
        ("Upgrade", &[]),
        ("Upgrade", &["Upgrade: h2c"]),
        ("Upgrade", &["Upgrade: websocket, h2c"]),
        ("Upgrade", &["Upgrade: websocket", "Upgrade: websocket"]),
        ("Connection", &[]),
        ("Connection", &["Connection: close"]),
        ("Sec-WebSocket-Accept", &[]),
        ("Sec-WebSocket-Accept", &["Sec-WebSocket-Accept:"]),
        ("Sec-WebSocket-Accept", &["Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA="]),
        ("Sec-WebSocket-Accept", &["Sec-WebSocket-Accept: S3PPLMBITXAQ9KYGZZHZRBK+XOO="]),
        ("Sec-WebSocket-Accept", &[WELCOME[3], WELCOME[3]]),
    ] {
        let result = first(&with(name, lines), &[]);
        assert!(matches!(result, Err(LegRefusal::NotWebSocket(_))), "{lines:?}: {result:?}");
    }
}

#[test]
fn attack_h6_any_other_status_is_a_refusal_even_with_an_upgrade() {
    for status in [200, 204, 301, 401, 403, 404, 426, 500, 503] {
        let result = first(&with("HTTP", &[&format!("HTTP/1.1 {status} Some Reason")]), &[]);
        let Err(LegRefusal::Http { status: seen, reason, headers, .. }) = result else {
            panic!("{status}: {result:?}");
        };
        assert_eq!((seen, reason.as_str()), (status, "Some Reason"));
        assert!(headers.is_empty(), "the fields of an upgrade do not pass: {headers:?}");
    }
    for status in [100, 102, 103] {
        let result = first(&with("HTTP", &[&format!("HTTP/1.1 {status} Wait")]), &[]);
        assert_eq!(result, Err(LegRefusal::Interim));
    }
}

#[test]
fn what_is_not_http_is_not_an_answer() {
    for bytes in [
        &b""[..],
        b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\n\n",
        b"HTTP/1.1 1 x\r\n\r\n",
        b"HTTP/1.1 099 x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
    ] {
        assert_eq!(first(bytes, &[]), Err(LegRefusal::NotHttp), "{bytes:?}");
    }
}

#[test]
fn attack_h11_fields_of_the_backend_s_hop_do_not_reach_the_client() {
    let connection = ["Connection: Upgrade, X-Internal, Set-Cookie2"];
    let mut head = with("Connection", &connection);
    head.truncate(head.len() - 2);
    head.extend_from_slice(
        b"Alt-Svc: h2=\":443\"\r\nKeep-Alive: timeout=5\r\nproxy-authenticate: Basic\r\n\
          X-Internal: secret\r\nEverwire-Client-Received: 4\r\neverwire-other: 1\r\n\
          Trailer: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\nServer: kept\r\n\r\n",
    );
    let welcome = first(&head, &[]).expect("a good 101");
    assert_eq!(welcome.headers.as_bytes(), b"Server: kept\r\n");
    assert_eq!(welcome.client_received, Some(4));
}

#[test]
fn a_first_leg_chooses_among_the_offered_subprotocols() {
    let offer = ["Sec-WebSocket-Protocol: a, b"];
    let chosen = first(&welcome_head(&["Sec-WebSocket-Protocol: b"]), &offer).expect("offered");
    assert_eq!(chosen.agreed.protocol.as_deref(), Some("b"));
    assert_eq!(first(&welcome_head(&[]), &offer).expect("none").agreed.protocol, None);
    for (line, offer) in [
        ("Sec-WebSocket-Protocol: c", &offer[..]),
        ("Sec-WebSocket-Protocol: B", &offer),
        ("Sec-WebSocket-Protocol: a, b", &offer),
        ("Sec-WebSocket-Protocol:", &offer),
        ("Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b", &offer),
        ("Sec-WebSocket-Protocol: a", &[]),
    ] {
        assert!(is_mismatch(&first(&welcome_head(&[line]), offer)), "{line} to {offer:?}");
    }
}

#[test]
fn a_later_leg_must_choose_the_agreed_subprotocol() {
    let agreed = Agreed { protocol: Some("b".into()), deflate: None };
    again(&welcome_head(&["Sec-WebSocket-Protocol: b"]), &agreed).expect("the same");
    assert!(is_mismatch(&again(&welcome_head(&["Sec-WebSocket-Protocol: a"]), &agreed)));
    assert!(is_mismatch(&again(&welcome_head(&[]), &agreed)));
    let none = Agreed::default();
    assert!(is_mismatch(&again(&welcome_head(&["Sec-WebSocket-Protocol: a"]), &none)));
}

#[test]
fn a_count_that_is_not_a_number_fits_nothing() {
    for value in
        ["", "x", "-1", "+1", "1, 2", "18446744073709551616", "1\r\nEverwire-Client-Received: 1"]
    {
        let line = format!("Everwire-Client-Received: {value}");
        assert!(is_mismatch(&first(&welcome_head(&[&line]), &[])), "{value}");
    }
    let line = "Everwire-Client-Received: 18446744073709551615";
    assert_eq!(first(&welcome_head(&[line]), &[]).expect("good").client_received, Some(u64::MAX));
}

#[test]
fn the_client_s_101_holds_what_was_agreed_and_what_passes() {
    let client = ["Sec-WebSocket-Protocol: a", "Sec-WebSocket-Extensions: permessage-deflate"];
    let request = request(&client);
    let answer = welcome_head(&[
        "Sec-WebSocket-Protocol: a",
        "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover",
        "Set-Cookie: a=1",
        "Everwire-Client-Received: 0",
    ]);
    let welcome = first(&answer, &client).expect("a good 101");
    let response = String::from_utf8(client_response(&request, &welcome)).expect("ASCII");
    assert_eq!(
        response,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: a\r\n\
         Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; \
         client_no_context_takeover\r\nSet-Cookie: a=1\r\n\r\n"
    );
}

/// What is kept of a refusal's body that arrives in pieces of `step` bytes.
fn body(framing_lines: &[&str], bytes: &[u8], step: usize) -> (Vec<u8>, bool) {
    let mut lines = vec!["HTTP/1.1 404 Not Found"];
    lines.extend_from_slice(framing_lines);
    let Err(LegRefusal::Http { body, .. }) = first(&head(&lines), &[]) else {
        panic!("a refusal");
    };
    let mut kept = Body::new(body, 64);
    let mut done = kept.push(b"");
    for piece in bytes.chunks(step) {
        done = done || kept.push(piece);
    }
    (kept.finish(), done)
}

#[test]
fn a_refusal_s_body_is_kept_up_to_its_limit() {
    let long = vec![b'a'; 1000];
    let chunked = "Transfer-Encoding: chunked";
    for step in [1, 2, 7, 1000] {
        assert_eq!(body(&["Content-Length: 5"], b"hello rest", step), (b"hello".to_vec(), true));
        assert_eq!(body(&["Content-Length: 0"], b"", step), (Vec::new(), true));
        assert_eq!(body(&["Content-Length: 1000"], &long, step), (vec![b'a'; 64], true));
        assert_eq!(body(&["Content-Length: x"], b"till the end", step).0, b"till the end");
        assert_eq!(body(&[], b"till the end", step), (b"till the end".to_vec(), false));
        let chunks = b"5;x=y\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
        assert_eq!(body(&[chunked], chunks, step), (b"hello world".to_vec(), true));
        assert_eq!(body(&[chunked], b"5\r\nhel", step), (b"hel".to_vec(), false));
        assert_eq!(body(&[chunked], b"ffffffffffffffff\r\nx", step).0, b"x");
        assert_eq!(body(&[chunked], b"zz\r\nx", step).0, b"");
        assert!(body(&[chunked], &long, step).1, "a full buffer is enough");
    }
    assert_eq!(body(&["Content-Length: 99999999999999999999"], b"x", 1), (b"x".to_vec(), false));
}

#[test]
fn a_refusal_passes_with_its_own_length_and_without_its_hop() {
    let lines = [
        "HTTP/1.1 401 Unauthorized",
        "WWW-Authenticate: Bearer",
        "Connection: keep-alive",
        "Keep-Alive: timeout=5",
        "Transfer-Encoding: chunked",
    ];
    let Err(LegRefusal::Http { status, reason, headers, .. }) = first(&head(&lines), &[]) else {
        panic!("a refusal");
    };
    let refusal = Refusal { status, reason, headers, body: b"no".to_vec() };
    assert_eq!(
        refusal.to_bytes(),
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 2\r\n\
          Connection: close\r\n\r\nno"
    );
}

proptest! {
    #[test]
    fn no_answer_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), known in any::<bool>()) {
        let agreed = Agreed { protocol: known.then(|| "a".into()), deflate: None };
        let _ = again(&bytes, &agreed);
        let mut behind = welcome_head(&[]);
        behind.truncate(behind.len() - 2);
        behind.extend_from_slice(&bytes);
        behind.extend_from_slice(b"\r\n\r\n");
        let _ = again(&behind, &agreed);
    }

    #[test]
    fn a_body_is_the_same_however_it_arrives(
        bytes in prop::collection::vec(prop::sample::select(b"0159af\r\n;x".to_vec()), 0..120),
        step in 1_usize..9,
    ) {
        for framing in [BodyFraming::Chunked, BodyFraming::UntilClose, BodyFraming::Length(9)] {
            let (mut whole, mut pieces) = (Body::new(framing, 64), Body::new(framing, 64));
            whole.push(&bytes);
            let _ = bytes.chunks(step).any(|piece| pieces.push(piece));
            prop_assert_eq!(whole.finish(), pieces.finish());
        }
    }
}
