//! H11: hop-by-hop headers, which a client may not use to remove ours, nor a backend to leak its own.

use everwire_testkit::{
    everwire::{Everwire, Setup},
    scripted::{Backend, Recorder, Wire, header},
};

#[tokio::test]
async fn attack_h11_a_client_cannot_remove_headers_by_naming_them_hop_by_hop() {
    let backend = Recorder::start().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let named = "Upgrade, X-Forwarded-For, cookie, AUTHORIZATION, Host, Origin, x-forwarded-proto, \
                 Everwire-Session";
    let headers = [
        ("Connection", named),
        ("Cookie", "session=xyz"),
        ("Authorization", "Bearer t"),
        ("Origin", "https://app.example.com"),
    ];
    let _wire = Wire::upgrade(everwire.address(), "/", &headers).await;
    let head = &backend.records()[0].head;
    let host = everwire.address().to_string();
    for (name, value) in [
        ("Cookie", "session=xyz"),
        ("Authorization", "Bearer t"),
        ("Origin", "https://app.example.com"),
        ("Host", &host),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-Proto", "http"),
    ] {
        assert_eq!(header(head, name), Some(value), "{name} in {head}");
    }
    assert!(header(head, "Everwire-Session").is_some(), "{head}");
}

#[tokio::test]
async fn attack_h11_hop_by_hop_and_spoofed_headers_do_not_reach_the_backend() {
    let backend = Recorder::start().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let spoofed = [
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Authorization", "Basic x"),
        ("Proxy-Connection", "keep-alive"),
        ("TE", "trailers"),
        ("Trailer", "X"),
        ("X-Real-IP", "6.6.6.6"),
        ("Forwarded", "for=6.6.6.6"),
        ("X-Forwarded-Prefix", "/evil"),
        ("X_Real_IP", "6.6.6.6"),
        ("Everwire-Client-Received", "7"),
        ("everwire-leg-hint", "9"),
    ];
    let rewritten =
        [("X-Forwarded-For", "6.6.6.6"), ("x_forwarded_for", "6.6.6.6"), ("Everwire-Leg", "9")];
    let all: Vec<_> = spoofed.iter().chain(&rewritten).copied().collect();
    let _wire = Wire::upgrade(everwire.address(), "/", &all).await;
    let head = &backend.records()[0].head;
    for (name, _) in spoofed {
        assert_eq!(header(head, name), None, "{name} in {head}");
    }
    assert!(!head.contains("6.6.6.6"), "{head}");
    assert_eq!(header(head, "Everwire-Leg"), Some("1"));
}

#[tokio::test]
async fn attack_h11_hop_by_hop_headers_of_a_101_do_not_reach_the_client() {
    let backend = Backend::start(|mut leg, _| async move {
        let headers = [
            ("Connection", "X-Secret"),
            ("X-Secret", "1"),
            ("Keep-Alive", "timeout=5"),
            ("Alt-Svc", "h3=\":443\""),
            ("Proxy-Authenticate", "Basic"),
            ("Everwire-Client-Received", "0"),
            ("Everwire-Anything", "1"),
            ("Set-Cookie", "kept=1"),
            ("X-Public", "kept"),
        ];
        leg.welcome(&headers).await;
        leg.ended().await;
    })
    .await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let wire = Wire::upgrade(everwire.address(), "/", &[]).await;
    for name in [
        "X-Secret",
        "Keep-Alive",
        "Alt-Svc",
        "Proxy-Authenticate",
        "Everwire-Client-Received",
        "Everwire-Anything",
    ] {
        assert_eq!(wire.header(name), None, "{name} in {}", wire.head);
    }
    assert_eq!(wire.header("Set-Cookie"), Some("kept=1"));
    assert_eq!(wire.header("X-Public"), Some("kept"));
    assert_eq!(
        wire.head.to_ascii_lowercase().matches("\r\nconnection:").count(),
        1,
        "{}",
        wire.head
    );
}
