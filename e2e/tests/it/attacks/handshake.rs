//! H1 to H4, H7 to H9, H14: what is not a WebSocket handshake is refused before anything is dialled.

use std::{net::SocketAddr, time::Duration};

use everwire_testkit::{
    everwire::{Everwire, Setup},
    scripted::{Recorder, Wire, header, upgrade_request},
    wait::{SOON, eventually, now},
};

use crate::stage::wire_to;

/// Everwire in front of a backend that must not hear of anything.
struct Stage {
    backend: Recorder,
    everwire: Everwire,
}

impl Stage {
    async fn new() -> Self {
        let backend = Recorder::start().await;
        let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
        Self { backend, everwire }
    }

    fn to(&self) -> SocketAddr {
        self.everwire.address()
    }

    /// A good request with `from` replaced by `by`.
    fn but(&self, from: &str, by: &str) -> String {
        let good = upgrade_request(self.to(), "/", &[]);
        assert!(good.contains(from), "{from:?} is not in {good:?}");
        good.replacen(from, by, 1)
    }

    /// A good request with more lines at the end of its head.
    fn plus(&self, lines: &str) -> String {
        self.but("\r\n\r\n", &format!("\r\n{lines}\r\n\r\n"))
    }

    /// The request is refused with one of `statuses`, the connection closed, nothing dialled.
    async fn refuses(&self, what: &str, request: impl AsRef<[u8]>, statuses: &[u16]) -> String {
        let mut wire = Wire::connect(self.to()).await;
        // A refusal may come before a long request has been written.
        wire.try_send(request.as_ref()).await;
        let head = wire.read_head().await;
        let status = status_of(&head);
        assert!(status.is_some_and(|status| statuses.contains(&status)), "{what}: {head:?}");
        wire.ends_within(SOON).await;
        assert!(self.backend.records().is_empty(), "{what}: the backend was dialled");
        head
    }
}

fn status_of(head: &str) -> Option<u16> {
    head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[tokio::test]
async fn attack_h1_a_key_that_is_missing_malformed_or_doubled_is_refused() {
    let stage = Stage::new().await;
    for (what, key) in [
        ("no key", ""),
        ("an empty key", "Sec-WebSocket-Key: \r\n"),
        ("three bytes", "Sec-WebSocket-Key: AAAA\r\n"),
        ("fifteen bytes", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA\r\n"),
        ("seventeen bytes", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAA=\r\n"),
        ("not base64", "Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!==\r\n"),
        ("two keys", &KEY.repeat(2)),
    ] {
        stage.refuses(what, stage.but(KEY, key), &[400]).await;
    }
}

#[tokio::test]
async fn attack_h2_any_version_but_13_gets_426_and_is_told_13() {
    let stage = Stage::new().await;
    for version in ["0", "7", "8", "12", "14", "013", "13, 8", "thirteen"] {
        let request = stage.but("Version: 13", &format!("Version: {version}"));
        let head = stage.refuses(version, request, &[426, 400]).await;
        if status_of(&head) == Some(426) {
            assert_eq!(header(&head, "Sec-WebSocket-Version"), Some("13"), "{head}");
        }
    }
    let head = stage.refuses("8", stage.but("Version: 13", "Version: 8"), &[426]).await;
    assert_eq!(header(&head, "Sec-WebSocket-Version"), Some("13"), "{head}");
    let bare = stage.but("Upgrade: websocket\r\nConnection: Upgrade\r\n", "");
    for version in ["7", "8", "13"] {
        let request = bare.replace("Version: 13", &format!("Version: {version}"));
        stage.refuses("no Upgrade and no Connection", request, &[400, 426]).await;
    }
}

#[tokio::test]
async fn attack_h3_only_a_get_of_http_1_1_that_asks_for_websocket_is_upgraded() {
    let stage = Stage::new().await;
    stage.refuses("POST", stage.but("GET", "POST"), &[405]).await;
    stage.refuses("HTTP/1.0", stage.but("HTTP/1.1", "HTTP/1.0"), &[400, 426, 505]).await;
    stage.refuses("HTTP/2.0", stage.but("HTTP/1.1", "HTTP/2.0"), &[400, 426, 505]).await;
    let allowed = [400, 426];
    stage.refuses("no Connection", stage.but("Connection: Upgrade\r\n", ""), &allowed).await;
    stage.refuses("no Upgrade", stage.but("Upgrade: websocket\r\n", ""), &allowed).await;
    let request = stage.but("Connection: Upgrade", "Connection: keep-alive");
    stage.refuses("Connection: keep-alive", request, &allowed).await;
    let request = stage.but("Upgrade: websocket", "Upgrade: h2c, websocket");
    stage.refuses("several protocols", request, &allowed).await;
    let request = stage.but("Upgrade: websocket", "Upgrade: websocket2");
    stage.refuses("another protocol", request, &allowed).await;

    let valid = stage.but("Connection: Upgrade", "Connection: keep-alive, Upgrade");
    let mut wire = Wire::connect(stage.to()).await;
    wire.send(valid.replace("websocket", "WebSocket").as_bytes()).await;
    assert_eq!(status_of(&wire.read_head().await), Some(101));
}

#[tokio::test]
async fn attack_h4_an_upgrade_with_a_body_is_refused() {
    let stage = Stage::new().await;
    let second = "GET /internal HTTP/1.1\r\nHost: x\r\n\r\n";
    for (what, headers, body) in [
        ("a body", "Content-Length: 5", "hello"),
        ("a chunked body", "Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
        ("both", "Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
        ("a second request for a body", &format!("Content-Length: {}", second.len()), second),
        ("two lengths", "Content-Length: 0\r\nContent-Length: 5", "hello"),
        ("a length that is none", "Content-Length: +5", "hello"),
    ] {
        stage.refuses(what, stage.plus(headers) + body, &[400]).await;
    }
}

#[tokio::test]
async fn attack_h7_h2c_is_neither_answered_nor_forwarded() {
    let stage = Stage::new().await;
    let h2c = "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA";
    let request = stage.but("Upgrade: websocket", "Upgrade: h2c").replace(
        "Connection: Upgrade\r\n",
        &format!("Connection: Upgrade, HTTP2-Settings\r\n{h2c}\r\n"),
    );
    stage.refuses("h2c", request, &[400, 426]).await;
    stage.refuses("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[400, 505]).await;

    let request = stage.but(
        "Connection: Upgrade\r\n",
        &format!("Connection: Upgrade, HTTP2-Settings\r\n{h2c}\r\n"),
    );
    let mut wire = Wire::connect(stage.to()).await;
    wire.send(request.as_bytes()).await;
    if status_of(&wire.read_head().await) == Some(101) {
        let head = &stage.backend.records()[0].head;
        assert_eq!(header(head, "HTTP2-Settings"), None, "{head}");
    }
}

#[tokio::test]
async fn attack_h8_a_head_that_two_parsers_may_read_in_two_ways_is_refused() {
    let stage = Stage::new().await;
    let host = format!("Host: {}\r\n", stage.to());
    for (what, request) in [
        ("bare LF", stage.plus("X: 1\nY: 2")),
        ("bare CR", stage.plus("X: 1\rY: 2")),
        ("NUL", stage.plus("X: a\0b")),
        ("a folded line", stage.plus("X: 1\r\n folded")),
        ("a space before the colon", stage.plus("X : 1")),
        ("an empty name", stage.plus(": 1")),
        ("a line without a colon", stage.plus("nothing")),
        ("two hosts", stage.plus("Host: other")),
        ("no host", stage.but(&host, "")),
        ("a fragment", stage.but("GET / ", "GET /#fragment ")),
        ("a raw space", stage.but("GET / ", "GET /a b ")),
        ("a control byte", stage.but("GET / ", "GET /a\u{1}b ")),
        ("the absolute form", stage.but("GET / ", "GET http://other/ ")),
        ("the authority form", stage.but("GET / ", "GET other:80 ")),
        ("the asterisk form", stage.but("GET / ", "GET * ")),
        ("no target", stage.but("GET / ", "GET ")),
    ] {
        stage.refuses(what, request, &[400]).await;
    }
}

#[tokio::test]
async fn attack_h8_an_encoded_line_end_stays_encoded() {
    let stage = Stage::new().await;
    let target = "/a%0d%0aX-Injected:%201?b=%0d%0a%00";
    let _wire = Wire::upgrade(stage.to(), target, &[]).await;
    let head = &stage.backend.records()[0].head;
    assert!(head.starts_with(&format!("GET {target} HTTP/1.1\r\n")), "{head}");
    assert_eq!(header(head, "X-Injected"), None);
}

#[tokio::test]
async fn attack_h9_a_head_beyond_the_limit_gets_431() {
    let stage = Stage::new().await;
    let many: String = (0..2000).map(|n| format!("X-{n}: 1\r\n")).collect();
    for (what, lines) in [
        ("256 KB in one header", format!("X: {}", "a".repeat(256 << 10))),
        ("2000 headers", many.trim_end().to_owned()),
        ("a huge list of protocols", format!("Sec-WebSocket-Protocol: {}", "p,".repeat(128 << 10))),
        (
            "a huge list of extensions",
            format!("Sec-WebSocket-Extensions: {}", "e,".repeat(128 << 10)),
        ),
    ] {
        let start = now();
        stage.refuses(what, stage.plus(&lines), &[431]).await;
        assert!(start.elapsed() < Duration::from_secs(10), "{what}: {:?}", start.elapsed());
    }
}

#[tokio::test]
async fn attack_h9_a_head_that_comes_byte_by_byte_is_read_in_linear_time() {
    let stage = Stage::new().await;
    let used = stage.everwire.processor_time();
    let mut wire = Wire::connect(stage.to()).await;
    let request = stage.plus(&format!("X-Long: {}", "a".repeat(6000)));
    for byte in request.as_bytes() {
        wire.send(&[*byte]).await;
    }
    assert_eq!(status_of(&wire.read_head().await), Some(101));
    let spent = stage.everwire.processor_time() - used;
    assert!(spent < Duration::from_secs(2), "{spent:?} for a head of {} bytes", request.len());
}

/// Both sides go away between the request and the 101, many times over.
#[tokio::test]
async fn attack_h14_resets_around_the_101_leave_nothing_behind() {
    let stage = Stage::new().await;
    let request = upgrade_request(stage.to(), "/", &[]);
    drop(wire_to(stage.to()).await);
    stage.everwire.pipes_become(0).await;
    let before = stage.everwire.descriptors();
    for round in 0..1000 {
        let mut wire = Wire::connect(stage.to()).await;
        wire.send(request.as_bytes()).await;
        if round % 2 == 0 {
            wire.reset();
        }
    }
    stage.everwire.pipes_become(0).await;
    eventually("no descriptor kept", async || {
        (stage.everwire.descriptors() <= before + 2).then_some(())
    })
    .await;
    let _ = wire_to(stage.to()).await;
    let log = stage.everwire.log();
    assert!(!log.contains("panicked"), "{log}");
}

/// The same with backends that reset in the moment in which they are asked.
#[tokio::test]
async fn attack_h14_a_backend_that_resets_while_the_client_does_leaves_nothing_behind() {
    let backend =
        everwire_testkit::scripted::Backend::start(|leg, _| async move { leg.reset() }).await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let request = upgrade_request(everwire.address(), "/", &[]);
    let mut waiting = Vec::new();
    for round in 0..300 {
        let mut wire = Wire::connect(everwire.address()).await;
        wire.send(request.as_bytes()).await;
        match round % 3 {
            0 => wire.reset(),
            1 => drop(wire),
            _ => waiting.push(wire),
        }
    }
    for mut wire in waiting {
        let head = wire.read_head().await;
        assert!([502, 503, 504].contains(&status_of(&head).unwrap_or(0)), "{head:?}");
    }
    everwire.pipes_become(0).await;
    assert!(!everwire.log().contains("panicked"), "{}", everwire.log());
}
