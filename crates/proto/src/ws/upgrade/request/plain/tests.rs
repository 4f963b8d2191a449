//! What may be read in two ways is refused; everything else is followed to its last byte.

use proptest::prelude::*;

use super::*;

/// Follows whole requests, piece by piece; gives how many bytes each took.
fn follow(bytes: &[u8], piece: usize) -> Result<Vec<usize>, u16> {
    let (mut scan, mut lengths) = (RequestScan::default(), Vec::new());
    let (mut start, mut at, mut known) = (0, 0, 0);
    while at < bytes.len() {
        known = bytes.len().min(known + piece);
        if scan.is_in_head() {
            let head = scan.head(&bytes[at..known]).map_err(|refusal| refusal.status)?;
            at += head.unwrap_or_default();
            if head.is_none() && known == bytes.len() {
                break;
            }
        } else {
            at += scan.body(&bytes[at..known]).map_err(|refusal| refusal.status)?;
        }
        if at > start && scan.is_in_head() {
            lengths.push(at - start);
            start = at;
        }
    }
    Ok(lengths)
}

fn with(lines: &str, body: &str) -> String {
    format!("POST /a?b HTTP/1.1\r\nHost: x\r\n{lines}\r\n{body}")
}

const NEXT: &str = "GET /next HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn a_request_ends_where_its_body_does_however_it_arrives() {
    for request in [
        with("", ""),
        with("Content-Length: 0\r\n", ""),
        with("Content-Length: 5\r\n", "hello"),
        with("Transfer-Encoding: Chunked\r\n", "0\r\n\r\n"),
        with(
            "transfer-encoding: chunked\r\n",
            "5\r\nhello\r\n0A;x=\"y\"\r\n0123456789\r\n0\r\n\r\n",
        ),
        with("Transfer-Encoding: chunked\r\n", "1\r\na\r\n000\r\nX: y\r\nZ: \u{e4}\r\n\r\n"),
        with("Upgrade: h2c\r\nHTTP2-Settings: AAMA\r\n", ""),
        "OPTIONS / HTTP/1.0\r\nHost: x\r\n\r\n".to_owned(),
    ] {
        let both = format!("{request}{NEXT}");
        for piece in [1, 2, 7, both.len()] {
            let lengths = follow(both.as_bytes(), piece);
            assert_eq!(lengths, Ok(vec![request.len(), NEXT.len()]), "{request} by {piece}");
        }
    }
}

#[test]
fn attack_h4_a_body_that_two_parsers_could_end_elsewhere_is_refused() {
    for lines in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length:\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
    ] {
        assert_eq!(follow(with(lines, "").as_bytes(), 1), Err(400), "{lines}");
    }
    let old = "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(follow(old.as_bytes(), 1), Err(400));
}

#[test]
fn attack_h4_chunks_that_two_parsers_could_read_differently_are_refused() {
    let long = format!("1;{}\r\na", "x".repeat(300));
    let trailers = format!("0\r\n{}", "X: y\r\n".repeat(3000));
    for chunks in [
        "5\nhello",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n",
        "0x5\r\nhello",
        " 5\r\nhello",
        "5 \r\nhello",
        "-1\r\n",
        "\r\n",
        ";x\r\n",
        "1;x\ny\r\n",
        "1;\0\r\n",
        "1\r\na\r\n0\r\n\n",
        "0\r\nX: y\n\r\n",
        "1000000000000000\r\n",
        &long,
        &trailers,
    ] {
        let request = with("Transfer-Encoding: chunked\r\n", chunks);
        assert_eq!(
            follow(request.as_bytes(), 3),
            Err(400),
            "{:?}",
            &chunks[..chunks.len().min(40)]
        );
    }
}

#[test]
fn attack_h8_a_head_that_two_parsers_could_read_differently_is_refused() {
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\rz\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n",
        "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        assert_eq!(follow(head.as_bytes(), 1), Err(400), "{head:?}");
    }
    for method in ["TRACE", "CONNECT"] {
        let head = format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(follow(head.as_bytes(), 1), Err(405), "{method}");
    }
}

#[test]
fn attack_h9_a_head_beyond_its_limits_is_refused() {
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(REQUEST_HEAD_MAX));
    assert_eq!(follow(long.as_bytes(), 4096), Err(431));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(HEADERS_MAX));
    assert_eq!(follow(many.as_bytes(), 4096), Err(431));
}

/// What follows is the session's; were it refused, the connection would end.
#[test]
fn nothing_is_read_behind_a_request_for_a_websocket() {
    let request = with("Upgrade: websocket\r\nConnection: upgrade\r\n", "\x01\0 no request");
    assert_eq!(follow(request.as_bytes(), 1), Ok(vec![]));
}

#[test]
fn attack_h11_h12_fields_of_one_hop_and_claims_about_the_client_do_not_pass() {
    for name in [
        "Connection",
        "Keep-Alive",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "Expect",
        "HTTP2-Settings",
        "Proxy-Connection",
        "Proxy-Authorization",
        "Everwire-Session",
        "X-Forwarded-For",
        "X_Forwarded_Host",
        "Forwarded",
        "X-Real-IP",
        "Transfer_Encoding",
        "Content_Length",
    ] {
        assert!(!passes_to_backend(name), "{name}");
    }
    for name in ["Content-Length", "Content-Type", "Cookie", "Origin", "Host", "X-Thing", "Range"] {
        assert!(passes_to_backend(name), "{name}");
    }
    for name in ["Connection", "Keep-Alive", "Transfer-Encoding", "Upgrade", "Alt-Svc", "Trailer"] {
        assert!(!passes_to_client(name), "{name}");
    }
    for name in ["content-length", "Set-Cookie", "Forwarded", "ETag", "Location"] {
        assert!(passes_to_client(name), "{name}");
    }
}

proptest! {
    #[test]
    fn a_good_request_is_followed_the_same_in_any_pieces(
        sizes in prop::collection::vec(1_usize..40, 0..6),
        piece in 1_usize..64,
    ) {
        let mut body = String::new();
        for size in sizes {
            body.push_str(&format!("{size:x}\r\n{}\r\n", "\r\n0".repeat(size).split_at(size).0));
        }
        let request = with("Transfer-Encoding: chunked\r\n", &format!("{body}0\r\n\r\n"));
        let both = format!("{request}{NEXT}");
        prop_assert_eq!(follow(both.as_bytes(), piece), Ok(vec![request.len(), NEXT.len()]));
    }

    #[test]
    fn no_bytes_make_the_scan_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), piece in 1_usize..20) {
        let mut chunked = with("Transfer-Encoding: chunked\r\n", "").into_bytes();
        chunked.extend_from_slice(&bytes);
        let _ = follow(&chunked, piece);
        let _ = follow(&bytes, piece);
    }
}
