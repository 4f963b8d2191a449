//! What of a client's handshake reaches a backend, and what never does.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::*;

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

const PROGRESS: Progress<'_> = Progress { session: "s-1", leg: 2, client_next: 7, server_count: 3 };

fn forwarded(extra: &[&str]) -> Forwarded {
    Forwarded::new(&request(extra), Scheme::Http)
}

fn passed(extra: &[&str]) -> String {
    lines(&forwarded(extra), CLIENT)
}

fn lines(forwarded: &Forwarded, client: IpAddr) -> String {
    let mut lines = Vec::new();
    forwarded.write_lines(client, &mut lines);
    String::from_utf8(lines).expect("ASCII")
}

fn leg(forwarded: &Forwarded, fixed_path: Option<&str>, offer: LegOffer<'_>) -> String {
    let key = LegKey::new([7; 16]);
    let request =
        LegRequest { forwarded, client: CLIENT, fixed_path, key, offer, progress: PROGRESS };
    String::from_utf8(request.to_bytes()).expect("ASCII")
}

#[test]
fn a_backend_sees_the_client_s_request_and_where_it_came_from() {
    let lines = passed(&["Cookie: a=1; b=2", "Origin: https://app.example", "X-Custom:  kept "]);
    assert_eq!(
        lines,
        "Host: example.com:8080\r\nCookie: a=1; b=2\r\nOrigin: https://app.example\r\n\
         X-Custom: kept\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\n\
         X-Forwarded-Host: example.com:8080\r\n"
    );
    let mapped = IpAddr::V6(Ipv6Addr::from_bits(0xffff_c000_0207));
    let kept = Forwarded::new(&request(&[]), Scheme::Https);
    let lines = self::lines(&kept, mapped);
    assert!(lines.contains("X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https"), "{lines}");
}

#[test]
fn attack_h7_fields_of_other_protocols_are_not_passed() {
    let lines = passed(&["HTTP2-Settings: AAMAAABkAAQAAP__", "Alt-Svc: h2=\":443\""]);
    assert!(!lines.contains("HTTP2") && !lines.contains("Alt-Svc"), "{lines}");
}

#[test]
fn attack_h11_a_client_cannot_remove_what_identifies_it() {
    for case in [str::to_owned, str::to_uppercase, |text: &str| text.to_lowercase()] {
        let named = case(
            "Upgrade, X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, Cookie, \
             Authorization, Origin, Host, Sec-WebSocket-Key, Everwire-Session, X-Hop",
        );
        let lines = passed(&[
            &format!("Connection: {named}"),
            "Cookie: a=1",
            "Authorization: Bearer t",
            "Origin: https://app.example",
            "X-Hop: gone",
        ]);
        for kept in ["Host: ", "Cookie: ", "Authorization: ", "Origin: ", "X-Forwarded-For: 192"] {
            assert!(lines.contains(kept), "{kept} is missing from {lines}");
        }
        assert!(!lines.contains("X-Hop"), "{lines}");
    }
}

#[test]
fn attack_h11_fields_of_one_hop_are_not_passed() {
    let lines = passed(&[
        "Keep-Alive: timeout=5",
        "TE: trailers",
        "Trailer: X",
        "Proxy-Authorization: Basic x",
        "Proxy-Connection: keep-alive",
        "Expect: 100-continue",
        "Content-Length: 0",
        "Sec-WebSocket-Accept: x",
        "Sec-WebSocket-Protocol: a",
        "Sec-WebSocket-Extensions: permessage-deflate",
    ]);
    assert_eq!(lines, passed(&[]));
}

#[test]
fn attack_h12_a_client_cannot_say_where_it_comes_from() {
    for name in [
        "X-Forwarded-For",
        "x-forwarded-for",
        "X_Forwarded_For",
        "X-Forwarded_Host",
        "X-FORWARDED-PROTO",
        "X-Forwarded-Server",
        "X-Forwarded-Client-Cert",
        "Forwarded",
        "FORWARDED",
        "X-Real-IP",
        "x_real_ip",
        "Everwire-Session",
        "everwire_leg",
        "Everwire-Anything",
        "Sec_WebSocket_Key",
        "Transfer_Encoding\r\nX: ",
    ] {
        let name = name.split('\r').next().expect("a name");
        assert_eq!(passed(&[&format!("{name}: spoofed")]), passed(&[]), "{name} passed");
    }
}

#[test]
fn names_that_only_resemble_reserved_ones_pass() {
    for name in
        ["X-Forwardedfor", "X-Real-IPs", "Forwarded-X", "Everwired", "Connections", "Teapot"]
    {
        assert!(passed(&[&format!("{name}: kept")]).contains(name), "{name} was dropped");
    }
}

#[test]
fn the_first_leg_offers_what_the_client_offers() {
    let extra = [
        "Sec-WebSocket-Protocol: a,b",
        "Sec-WebSocket-Protocol: c",
        "Sec-WebSocket-Extensions: x-unknown, permessage-deflate; client_max_window_bits",
        "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10",
    ];
    let request = request(&extra);
    let leg = leg(&forwarded(&extra), None, LegOffer::First(&request));
    assert!(leg.starts_with("GET /chat?room=1 HTTP/1.1\r\nHost: example.com:8080\r\n"), "{leg}");
    assert!(leg.contains("\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"), "{leg}");
    assert!(leg.contains("\r\nSec-WebSocket-Version: 13\r\n"), "{leg}");
    assert!(leg.contains("\r\nSec-WebSocket-Key: BwcHBwcHBwcHBwcHBwcHBw==\r\n"), "{leg}");
    assert!(leg.contains("\r\nSec-WebSocket-Protocol: a,b\r\nSec-WebSocket-Protocol: c\r\n"));
    assert!(leg.contains(
        "\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; \
         client_no_context_takeover; client_max_window_bits, permessage-deflate; \
         server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10\r\n"
    ));
    assert!(leg.ends_with(
        "\r\nEverwire-Session: s-1\r\nEverwire-Leg: 2\r\nEverwire-Client-Next: 7\r\n\
         Everwire-Server-Count: 3\r\n\r\n"
    ));
}

#[test]
fn a_later_leg_offers_exactly_what_was_agreed() {
    let extra = ["Sec-WebSocket-Protocol: a, b", "Sec-WebSocket-Extensions: permessage-deflate"];
    let kept = forwarded(&extra);
    let nothing = Agreed::default();
    let bare = leg(&kept, None, LegOffer::Again(&nothing));
    assert!(!bare.contains("Sec-WebSocket-Protocol") && !bare.contains("Extensions"), "{bare}");
    let agreed = Agreed { protocol: Some("b".into()), deflate: None };
    let one = leg(&kept, None, LegOffer::Again(&agreed));
    assert!(one.contains("\r\nSec-WebSocket-Protocol: b\r\n") && !one.contains("Extensions"));
}

#[test]
fn a_backend_url_with_a_path_keeps_it_and_gets_the_client_s_query() {
    let request = request(&[]);
    let offer = LegOffer::First(&request);
    let with_query = leg(&forwarded(&[]), Some("/listener"), offer);
    assert!(with_query.starts_with("GET /listener?room=1 HTTP/1.1\r\n"), "{with_query}");
    let head = String::from_utf8(request_head(&[])).expect("ASCII").replace("?room=1", "");
    let bare = UpgradeRequest::parse(head.as_bytes()).expect("a good request");
    let kept = Forwarded::new(&bare, Scheme::Http);
    assert!(leg(&kept, Some("/listener"), offer).starts_with("GET /listener HTTP/1.1\r\n"));
    assert_eq!((kept.target(), kept.path(), kept.query()), ("/chat", "/chat", None));
}

#[test]
fn a_kept_handshake_is_as_long_as_the_client_s_and_survives_being_written_down() {
    let cookie = format!("Cookie: {}", "a".repeat(1024));
    let kept = forwarded(&[&cookie]);
    assert!(kept.heap_bytes() <= request_head(&[&cookie]).len(), "{}", kept.heap_bytes());
    assert!(size_of::<Forwarded>() <= 24);
    let text = serde_json::to_string(&kept).expect("plain data");
    assert_eq!(serde_json::from_str::<Forwarded>(&text).expect("plain data"), kept);
    assert!(!format!("{kept:?}").contains("aaaa"));
}
