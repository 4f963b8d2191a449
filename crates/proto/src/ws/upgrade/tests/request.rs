//! Which requests may become a pipe, and how the others are answered.

use proptest::prelude::*;

use super::*;

/// Asserts the status that `head` is refused with.
fn check(head: &[u8], status: u16) {
    let refusal = UpgradeRequest::parse(head).expect_err("must be refused");
    let text = String::from_utf8_lossy(head);
    assert_eq!(refusal.status, status, "{refusal:?} to {text}");
    let answer = String::from_utf8(refusal.to_bytes()).expect("ASCII");
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    assert!(answer.contains("\r\nConnection: close"), "{answer}");
}

/// The good request with the line that starts with `name` replaced by `lines`.
fn with(name: &str, lines: &[&str]) -> Vec<u8> {
    let at = GOOD.iter().position(|line| line.starts_with(name)).expect("a line of that name");
    let mut changed = GOOD[..at].to_vec();
    changed.extend_from_slice(lines);
    changed.extend_from_slice(&GOOD[at + 1..]);
    head(&changed)
}

#[test]
fn a_good_request_is_understood() {
    let request = request(&["Origin: https://app.example", "Sec-WebSocket-Protocol: a, b"]);
    assert_eq!(request.target(), "/chat?room=1");
    assert_eq!((request.path(), request.query()), ("/chat", Some("room=1")));
    assert_eq!(request.host(), "example.com:8080");
    assert_eq!(request.origin(), Some("https://app.example"));
    assert_eq!(request.protocols().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(request.accept(), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(request.headers().count(), 7);
}

#[test]
fn attack_h1_a_key_that_is_not_one_is_refused() {
    for lines in [
        &[][..],
        &["Sec-WebSocket-Key:"],
        &["Sec-WebSocket-Key: AAA"],
        &["Sec-WebSocket-Key: AAAA"],
        &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZTE2Nw=="],
        &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ==="],
        &["Sec-WebSocket-Key: dGhlIHNhbXBs*SBub25jZQ=="],
        &[KEY, KEY],
        &[KEY, "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA=="],
    ] {
        check(&with("Sec-WebSocket-Key", lines), 400);
    }
}

#[test]
fn attack_h2_only_version_13_with_an_upgrade_is_spoken() {
    for lines in [
        &[][..],
        &["Sec-WebSocket-Version: 12"],
        &["Sec-WebSocket-Version: 8"],
        &["Sec-WebSocket-Version: 13, 8"],
        &["Sec-WebSocket-Version: 013"],
    ] {
        let head = with("Sec-WebSocket-Version", lines);
        check(&head, 426);
        let refusal = UpgradeRequest::parse(&head).expect_err("refused").to_bytes();
        let answer = String::from_utf8(refusal).expect("ASCII");
        assert!(answer.contains("\r\nSec-WebSocket-Version: 13\r\n"), "{answer}");
        assert!(answer.contains("\r\nUpgrade: websocket\r\n"), "{answer}");
    }
    check(&with("Sec-WebSocket-Version", &["Sec-WebSocket-Version: 13"; 2]), 400);
    for version in ["7", "8", "13"] {
        let version = format!("Sec-WebSocket-Version: {version}");
        check(&head(&["GET / HTTP/1.1", "Host: a", &version, KEY]), 426);
    }
}

#[test]
fn attack_h3_method_version_and_upgrade_must_all_be_right() {
    check(&with("GET", &["POST /chat HTTP/1.1"]), 405);
    check(&with("GET", &["get /chat HTTP/1.1"]), 405);
    check(&with("GET", &["HEAD /chat HTTP/1.1"]), 405);
    check(&with("GET", &["GET /chat HTTP/1.0"]), 400);
    check(&with("GET", &["GET /chat HTTP/2.0"]), 400);
    check(&with("GET", &["GET /chat"]), 400);
    check(&with("Connection", &[]), 400);
    check(&with("Connection", &["Connection: keep-alive"]), 400);
    check(&with("Connection", &["Connection: upgrader, no-upgrade"]), 400);
    check(&with("Upgrade", &[]), 426);
    for upgrade in ["websocket, h2c", "h2c, websocket", "websocket/13", "websocket, websocket", "x"]
    {
        check(&with("Upgrade", &[&format!("Upgrade: {upgrade}")]), 400);
    }
    check(&with("Upgrade", &["Upgrade: websocket", "Upgrade: h2c"]), 400);
    for (name, line) in [
        ("Connection", "connection:UPGRADE"),
        ("Connection", "Connection: keep-alive , Upgrade ,"),
        ("Upgrade", "upgrade:  WebSocket\t"),
    ] {
        UpgradeRequest::parse(&with(name, &[line])).expect(line);
    }
}

#[test]
fn attack_h4_a_request_with_a_body_is_refused() {
    for line in [
        "Content-Length: 5",
        "Content-Length: 00",
        "Content-Length: +0",
        "Content-Length:",
        "Content-Length: 0, 0",
        "content-length: 18446744073709551616",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding:",
    ] {
        check(&request_head(&[line]), 400);
    }
    check(&request_head(&["Content-Length: 0", "Content-Length: 0"]), 400);
    check(&request_head(&["Content-Length: 0", "Transfer-Encoding: chunked"]), 400);
    request(&["Content-Length: 0"]);
}

#[test]
fn attack_h5_a_second_request_is_not_part_of_the_head() {
    let mut bytes = request_head(&[]);
    let end = bytes.len();
    bytes.extend_from_slice(b"GET /internal HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(HeadScan::new(REQUEST_HEAD_MAX).advance(&bytes), Ok(Some(end)));
    check(&bytes, 400);
}

#[test]
fn attack_h7_h2c_is_never_upgraded_to() {
    let settings = "HTTP2-Settings: AAMAAABkAAQAAP__";
    let connection = "Connection: Upgrade, HTTP2-Settings";
    let lines = ["GET / HTTP/1.1", "Host: a", "Upgrade: h2c", connection, settings];
    check(&head(&lines), 400);
    assert!(!wants_websocket(&head(&lines)), "offered with any request, it is one like others");
    let both = ["GET / HTTP/1.1", "Host: a", "Upgrade: h2c, websocket", connection, settings];
    assert!(wants_websocket(&head(&both)), "must reach the strict parser, not an HTTP server");
}

#[test]
fn attack_h8_what_two_parsers_could_read_differently_is_refused() {
    let good = String::from_utf8(request_head(&[])).expect("ASCII");
    for bytes in [
        good.replacen("\r\n", "\n", 1),
        good.replacen("\r\nUpgrade", "\rUpgrade", 1),
        good.replacen("\r\nUpgrade", "\nUpgrade", 1),
        good.replacen("\r\nUpgrade", "\r\r\nUpgrade", 1),
        good.replace("\r\n", "\n"),
        good.replacen("example", "exa\0mple", 1),
        good.replacen("/chat", "/ch\0at", 1),
        good.replacen("GET", "\r\nGET", 1),
        good.replacen("GET", " GET", 1),
    ] {
        check(bytes.as_bytes(), 400);
    }
    for line in [
        " folded: value",
        "\tfolded: value",
        "X-Space : value",
        ": nameless",
        "no colon",
        "X-Control: a\u{1}b",
        "X-Delete: a\u{7f}b",
        "X(Paren): a",
        "Host: other",
        "Origin: https://a.example\r\nOrigin: https://b.example",
        "Origin: https://\u{e4}.example",
    ] {
        check(&request_head(&[line]), 400);
    }
    for host in
        [&[][..], &["Host:"], &["Host: a, b"], &["Host: a b"], &["Host: user@a"], &["Host: a/b"]]
    {
        check(&with("Host", host), 400);
    }
}

#[test]
fn attack_h8_a_target_is_a_plain_path() {
    for target in [
        "/chat#fragment",
        "/ch at",
        "http://example.com/chat",
        "ws://example.com/chat",
        "//example.com\u{7f}",
        "*",
        "example.com:80",
        "chat",
        "/\u{e4}",
        "/a\tb",
    ] {
        check(&with("GET", &[&format!("GET {target} HTTP/1.1")]), 400);
    }
    let encoded = with("GET", &["GET /a%0d%0aEvil:%20yes?b=%0d%0a HTTP/1.1"]);
    let request = UpgradeRequest::parse(&encoded).expect("percent-encoded bytes are only bytes");
    assert_eq!(request.target(), "/a%0d%0aEvil:%20yes?b=%0d%0a");
}

#[test]
fn attack_h9_heads_beyond_their_limits_are_refused_with_431() {
    let long = format!("X-Long: {}", "a".repeat(256 * 1024));
    check(&request_head(&[&long]), 431);
    check(&request_head(&["X-Many: 1"; 2_000]), 431);
    check(&request_head(&["X-Many: 1"; HEADERS_MAX - GOOD.len() + 2]), 431);
    request(&["X-Many: 1"; HEADERS_MAX - GOOD.len() + 1]);
    let protocols = (0..=PROTOCOLS_MAX).map(|n| format!("p{n}")).collect::<Vec<_>>().join(", ");
    check(&request_head(&[&format!("Sec-WebSocket-Protocol: {protocols}")]), 431);
    let offers = ["permessage-deflate"; 17].join(", ");
    check(&request_head(&[&format!("Sec-WebSocket-Extensions: {offers}")]), 431);
    let mut unfinished = b"GET / HTTP/1.1\r\nX: ".to_vec();
    unfinished.resize(REQUEST_HEAD_MAX, b'a');
    let scanned = HeadScan::new(REQUEST_HEAD_MAX).advance(&unfinished);
    assert_eq!(scanned, Err(HeadError::TooLong));
    unfinished.pop();
    assert_eq!(HeadScan::new(REQUEST_HEAD_MAX).advance(&unfinished), Ok(None));
}

#[test]
fn a_head_of_exactly_the_limit_is_read() {
    let rest = request_head(&["X: "]).len();
    let line = format!("X: {}", "a".repeat(REQUEST_HEAD_MAX - rest));
    assert_eq!(request_head(&[&line]).len(), REQUEST_HEAD_MAX);
    request(&[&line]);
    check(&request_head(&[&format!("{line}a")]), 431);
}

#[test]
fn lists_that_break_their_grammar_are_refused() {
    for line in [
        "Sec-WebSocket-Protocol: a b",
        "Sec-WebSocket-Protocol: a, a",
        "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: a",
        "Sec-WebSocket-Protocol: \"a\"",
        "Sec-WebSocket-Extensions: ;",
        "Sec-WebSocket-Extensions: permessage-deflate; =1",
        "Sec-WebSocket-Extensions: a=\"b",
    ] {
        check(&request_head(&[line]), 400);
    }
}

#[test]
fn a_request_from_a_library_is_judged_the_same() {
    let fields = GOOD[1..].iter().filter_map(|line| line.split_once(": "));
    let fields: Vec<_> = fields.map(|(name, value)| (name, value.as_bytes())).collect();
    let parts = |method, target, version| {
        UpgradeRequest::from_parts(method, target, version, fields.iter().copied())
    };
    let request = parts("GET", "/chat?room=1", "HTTP/1.1").expect("a good request");
    assert_eq!(request.target(), "/chat?room=1");
    assert_eq!(parts("POST", "/", "HTTP/1.1").expect_err("refused").status, 405);
    assert_eq!(parts("GET", "/", "HTTP/1.0").expect_err("refused").status, 400);
    let split = "/ HTTP/1.1\r\nEvil: 1\r\nX:";
    assert_eq!(parts("GET", split, "HTTP/1.1").expect_err("refused").status, 400);
    let evil = [("X", &b"1\r\nEvil: 1"[..])].into_iter().chain(fields.iter().copied());
    let refusal = UpgradeRequest::from_parts("GET", "/", "HTTP/1.1", evil).expect_err("refused");
    assert_eq!(refusal.status, 400);
}

#[test]
fn plain_http_is_told_from_an_upgrade() {
    assert!(wants_websocket(&request_head(&[])));
    assert!(wants_websocket(&head(&["GET / HTTP/1.1", "Host: a", "Sec-WebSocket-Version: 8"])));
    assert!(wants_websocket(b"not http at all\r\n\r\n"));
    assert!(!wants_websocket(&head(&["GET / HTTP/1.1", "Host: a", "Connection: keep-alive"])));
    assert!(!wants_websocket(&head(&["POST /negotiate HTTP/1.1", "Host: a", "Content-Length: 3"])));
}

#[test]
fn secrets_do_not_show_when_a_request_is_logged() {
    let request = request(&["Cookie: session=secret", "Authorization: Bearer secret"]);
    let shown = format!("{request:?} {:?}", Refusal::bad_request("x"));
    assert!(!shown.contains("secret") && !shown.contains("room=1"), "{shown}");
}

proptest! {
    #[test]
    fn a_head_ends_at_the_same_place_however_it_arrives(
        tail in prop::collection::vec(prop::sample::select(b"ab: \r\n\t".to_vec()), 0..40),
        cuts in prop::collection::vec(0_usize..400, 0..12),
    ) {
        let mut bytes = request_head(&[]);
        bytes.truncate(bytes.len() - 4);
        bytes.extend_from_slice(&tail);
        let whole = HeadScan::new(REQUEST_HEAD_MAX).advance(&bytes);
        let mut cuts = cuts;
        cuts.push(bytes.len());
        cuts.sort_unstable();
        let mut scan = HeadScan::new(REQUEST_HEAD_MAX);
        let mut pieces = Ok(None);
        for cut in cuts.into_iter().filter(|cut| *cut <= bytes.len()) {
            if pieces == Ok(None) {
                pieces = scan.advance(&bytes[..cut]);
            }
        }
        prop_assert_eq!(pieces, whole);
    }

    #[test]
    fn no_input_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = UpgradeRequest::parse(&bytes);
        let _ = wants_websocket(&bytes);
        let mut behind = request_head(&[]);
        behind.truncate(behind.len() - 2);
        behind.extend_from_slice(&bytes);
        behind.extend_from_slice(b"\r\n\r\n");
        let _ = UpgradeRequest::parse(&behind);
    }

    #[test]
    fn an_accepted_head_means_the_same_to_the_fields_it_is_made_of(
        name in "[A-Za-z0-9_-]{1,20}", value in "[ -~]{0,40}",
    ) {
        let line = format!("X-{name}: {value}");
        let parsed = request(&[&line]);
        prop_assert_eq!(parsed.header(&format!("x-{name}")), Some(value.trim().as_bytes()));
    }
}
