//! Both sides of the handshake, and the words that it fails with.

use super::*;

const WEB_SOCKET: &[TransferFormat] = &[TransferFormat::Text, TransferFormat::Binary];

fn agree(text: &str, formats: &[TransferFormat]) -> Result<Spoken, HandshakeError> {
    let bytes = [text.as_bytes(), &[SEPARATOR]].concat();
    let mut input = &bytes[..];
    let request = HandshakeReader::default().request(&mut input)?.expect("it is whole");
    assert!(input.is_empty());
    request.agree(formats)
}

#[test]
fn a_handshake_has_these_bytes_and_no_others() {
    let json = Spoken { protocol: Protocol::Json, allows_stateful_reconnect: false };
    let msgpack = Spoken { protocol: Protocol::MessagePack, allows_stateful_reconnect: true };
    for (spoken, bytes) in [
        (json, &b"{\"protocol\":\"json\",\"version\":1}\x1e"[..]),
        (msgpack, b"{\"protocol\":\"messagepack\",\"version\":2}\x1e"),
    ] {
        let request = HandshakeRequest::new(spoken);
        assert_eq!(request.to_bytes(), bytes);
        assert_eq!(HandshakeReader::default().request(&mut &bytes[..]), Ok(Some(request.clone())));
        assert_eq!(request.agree(WEB_SOCKET), Ok(spoken));
    }
    let refused = HandshakeResponse { error: Some("no \"x\"".into()) };
    for (response, bytes) in [
        (HandshakeResponse::agreed(), &b"{}\x1e"[..]),
        (refused, b"{\"error\":\"no \\\"x\\\"\"}\x1e"),
    ] {
        assert_eq!(response.to_bytes(), bytes);
        assert_eq!(HandshakeReader::default().response(&mut &bytes[..]), Ok(Some(response)));
    }
}

#[test]
fn what_follows_a_handshake_is_left_whatever_the_pieces() {
    let bytes = b"{\"protocol\":\"json\",\"version\":1}\x1e{\"type\":6}\x1e";
    for step in 1..=bytes.len() {
        let mut reader = HandshakeReader::default();
        let mut used = 0;
        let read = bytes.chunks(step).find_map(|mut piece| {
            let length = piece.len();
            let read = reader.request(&mut piece).unwrap();
            used += length - piece.len();
            read
        });
        assert!(read.is_some(), "pieces of {step}");
        assert_eq!(bytes[used..], *b"{\"type\":6}\x1e");
    }
}

#[test]
fn clients_differ_in_order_case_and_spelling() {
    for text in [
        r#"{"version":2,"protocol":"json"}"#,
        r#" {"protocol" : "JSON", "version": 2, "more": [{"x": null}]} "#,
    ] {
        let spoken = Spoken { protocol: Protocol::Json, allows_stateful_reconnect: true };
        assert_eq!(agree(text, WEB_SOCKET), Ok(spoken));
    }
}

#[test]
fn a_version_before_the_first_is_the_first() {
    let spoken = Spoken { protocol: Protocol::MessagePack, allows_stateful_reconnect: false };
    assert_eq!(agree(r#"{"protocol":"messagepack","version":0}"#, WEB_SOCKET), Ok(spoken));
}

#[test]
fn a_refusal_says_what_the_official_server_says() {
    let said = |text, formats| {
        let response = HandshakeResponse::from(&agree(text, formats).expect_err(text));
        response.error.expect("an error")
    };
    for (text, formats, error) in [
        (
            r#"{"protocol":"dummy","version":1}"#,
            WEB_SOCKET,
            "The protocol 'dummy' is not supported.",
        ),
        (
            r#"{"protocol":"json","version":3}"#,
            WEB_SOCKET,
            "The server does not support version 3 of the 'json' protocol.",
        ),
        (
            r#"{"protocol":"messagepack","version":9}"#,
            WEB_SOCKET,
            "The server does not support version 9 of the 'messagepack' protocol.",
        ),
        (
            r#"{"protocol":"messagepack","version":1}"#,
            &[TransferFormat::Text],
            "Cannot use the 'messagepack' protocol on the current transport. The transport does \
             not support 'Binary' transfer format.",
        ),
    ] {
        assert_eq!(&*said(text, formats), error);
    }
    for text in [
        "",
        "[]",
        "{}",
        r#"{"protocol":"json"}"#,
        r#"{"version":1}"#,
        r#"{"type":6}"#,
        r#"{"protocol":1,"version":1}"#,
        r#"{"protocol":"json","version":"1"}"#,
        "x",
    ] {
        let error = "An unexpected error occurred during connection handshake.";
        assert_eq!(&*said(text, WEB_SOCKET), error, "{text}");
    }
}

#[test]
fn a_handshake_that_does_not_end_is_canceled() {
    for step in [1, 100, 5000] {
        let mut reader = HandshakeReader::default();
        let endless = vec![b' '; 5000];
        let refused = endless.chunks(step).find_map(|mut piece| reader.request(&mut piece).err());
        assert_eq!(refused, Some(HandshakeError::Canceled));
        assert_eq!(HandshakeError::Canceled.to_string(), "Handshake was canceled.");
    }
    let mut longest = vec![b' '; HANDSHAKE_MAX - 1];
    longest.push(SEPARATOR);
    let read = HandshakeReader::default().request(&mut &longest[..]);
    assert_eq!(read, Err(HandshakeError::Malformed), "within the limit, but no handshake");
}

#[test]
fn a_client_does_not_mistake_a_message_for_an_answer() {
    let read = |bytes: &[u8]| HandshakeReader::default().response(&mut &bytes[..]);
    let refused = read(b"{\"type\":6}\x1e").expect_err("a ping");
    assert_eq!(refused.to_string(), "Expected a handshake response from the server.");
    assert_eq!(read(b"nothing\x1e"), Err(ResponseError::Malformed));
    assert_eq!(read(b"{\"minorVersion\":0}\x1e"), Ok(Some(HandshakeResponse::agreed())));
    assert_eq!(read(b"{"), Ok(None));
}
