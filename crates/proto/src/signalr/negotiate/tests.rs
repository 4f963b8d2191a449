//! Both sides of the negotiation, and the words that it fails with.

use proptest::prelude::*;

use super::*;

const PLAIN: NegotiateRequest =
    NegotiateRequest { version: NegotiateVersion::One, stateful_reconnect: StatefulReconnect::Off };

const STATEFUL: NegotiateRequest =
    NegotiateRequest { stateful_reconnect: StatefulReconnect::On, ..PLAIN };

fn parse(query: &str) -> Result<NegotiateRequest, NegotiateError> {
    NegotiateRequest::parse(query, NegotiateVersion::Zero)
}

fn negotiated() -> Negotiated {
    Negotiated {
        connection_id: "id".into(),
        connection_token: Some(Secret("token".into())),
        transports: Transport::ALL.to_vec(),
        stateful_reconnect: StatefulReconnect::Off,
    }
}

#[test]
fn a_query_asks_for_a_version_and_for_stateful_reconnect() {
    for (query, version) in [
        ("", NegotiateVersion::Zero),
        ("negotiateVersion=0", NegotiateVersion::Zero),
        ("negotiateVersion=1", NegotiateVersion::One),
        ("NEGOTIATEVERSION=%31", NegotiateVersion::One),
        ("negotiateVersion=+99&x=1", NegotiateVersion::One),
        ("id=1&_=2&negotiateVersion=1&&=", NegotiateVersion::One),
        ("negotiateVersion=2147483647", NegotiateVersion::One),
    ] {
        assert_eq!(parse(query).unwrap().version, version, "{query}");
    }
    for (query, wanted) in [
        ("negotiateVersion=1", StatefulReconnect::Off),
        ("useStatefulReconnect=true", StatefulReconnect::On),
        ("USESTATEFULRECONNECT=True", StatefulReconnect::On),
        ("useStatefulReconnect=1", StatefulReconnect::Off),
        ("useStatefulReconnect", StatefulReconnect::Off),
    ] {
        assert_eq!(parse(query).unwrap().stateful_reconnect, wanted, "{query}");
    }
    assert_eq!(parse(PLAIN.query()), Ok(PLAIN));
    assert_eq!(parse(STATEFUL.query()), Ok(STATEFUL));
}

#[test]
fn a_refusal_says_what_the_official_server_says() {
    let integer = "The client requested a non-integer protocol version.";
    for query in [
        "negotiateVersion=",
        "negotiateVersion",
        "negotiateVersion=a",
        "negotiateVersion=1.0",
        "negotiateVersion=2147483648",
        "negotiateVersion=1&negotiateVersion=1",
        "negotiateVersion=%",
    ] {
        assert_eq!(parse(query).expect_err(query).to_string(), integer, "{query}");
    }
    let old = "The client requested version '0', but the server does not support this version.";
    for query in ["", "negotiateVersion=0"] {
        let refused = NegotiateRequest::parse(query, NegotiateVersion::One).expect_err(query);
        assert_eq!(refused.to_string(), old);
    }
    assert_eq!(parse("negotiateVersion=-1"), Err(NegotiateError::TooOld(-1)));
}

#[test]
fn an_answer_has_these_bytes_and_no_others() {
    let transports = concat!(
        r#""availableTransports":[{"transport":"WebSockets","transferFormats":["Text","Binary"]},"#,
        r#"{"transport":"ServerSentEvents","transferFormats":["Text"]},"#,
        r#"{"transport":"LongPolling","transferFormats":["Text","Binary"]}]}"#
    );
    let connect = NegotiateResponse::Connect;
    let redirect =
        |access_token| NegotiateResponse::Redirect { url: "https://x/?a=b".into(), access_token };
    for (response, json) in [
        (
            connect(negotiated()),
            format!(
                r#"{{"negotiateVersion":1,"connectionId":"id","connectionToken":"token",{transports}"#
            ),
        ),
        (
            connect(Negotiated { stateful_reconnect: StatefulReconnect::On, ..negotiated() }),
            format!(
                r#"{{"negotiateVersion":1,"connectionId":"id","connectionToken":"token","useStatefulReconnect":true,{transports}"#
            ),
        ),
        (
            connect(Negotiated { connection_token: None, transports: vec![], ..negotiated() }),
            r#"{"negotiateVersion":0,"connectionId":"id","availableTransports":[]}"#.into(),
        ),
        (redirect(None), r#"{"url":"https://x/?a=b"}"#.into()),
        (
            redirect(Some(Secret("s".into()))),
            r#"{"url":"https://x/?a=b","accessToken":"s"}"#.into(),
        ),
        (NegotiateResponse::Error("\"".into()), r#"{"error":"\""}"#.into()),
    ] {
        assert_eq!(String::from_utf8(response.to_json()).unwrap(), json);
        assert_eq!(NegotiateResponse::parse(json.as_bytes(), &STATEFUL).unwrap(), response);
    }
}

#[test]
fn the_token_attaches_and_without_one_the_id() {
    assert_eq!(negotiated().id(), "token");
    assert_eq!(Negotiated { connection_token: None, ..negotiated() }.id(), "id");
}

#[test]
fn attack_s4_tokens_stay_out_of_logs() {
    let shown = format!("{:?}", NegotiateResponse::Connect(negotiated()));
    assert!(!shown.contains("token\""), "{shown}");
    assert!(shown.contains("Secret(..)"));
}

#[test]
fn a_client_refuses_an_answer_that_it_cannot_use() {
    let refused = |json: &str| {
        let read = NegotiateResponse::parse(json.as_bytes(), &PLAIN);
        read.expect_err(json).to_string()
    };
    assert_eq!(
        refused(r#"{"ProtocolVersion":"1.5","ConnectionId":"x","url":"y"}"#),
        "Detected a connection attempt to an ASP.NET SignalR Server. This client only supports \
         connecting to an ASP.NET Core SignalR Server. See \
         https://aka.ms/signalr-core-differences for details."
    );
    let stateful = Negotiated { stateful_reconnect: StatefulReconnect::On, ..negotiated() };
    let unasked = String::from_utf8(NegotiateResponse::Connect(stateful).to_json()).unwrap();
    assert_eq!(refused(&unasked), "Client didn't negotiate Stateful Reconnect but the server did.");
    for (json, property) in [
        ("{}", "connectionId"),
        (r#"{"connectionId":"x"}"#, "availableTransports"),
        (
            r#"{"negotiateVersion":1,"connectionId":"x","availableTransports":[]}"#,
            "connectionToken",
        ),
    ] {
        let said = refused(json);
        assert!(said.starts_with("Invalid negotiation response received"), "{said}");
        assert!(said.contains(property), "{said}");
    }
    assert_eq!(refused("<html>"), "Invalid negotiation response received.");
    assert!(refused(&" ".repeat(RESPONSE_MAX + 1)).contains("longer"));
}

#[test]
fn what_a_client_does_not_know_it_leaves_out() {
    let json = r#"{"connectionId":"x","connectionToken":"y","new":{},"url":"","error":null,
        "availableTransports":[
        {"transport":"WebTransport","transferFormats":["Quic"]},{"transport":"LongPolling"}]}"#;
    let read = NegotiateResponse::parse(json.as_bytes(), &PLAIN).unwrap();
    let wanted = Negotiated {
        connection_id: "x".into(),
        connection_token: None,
        transports: vec![Transport::LongPolling],
        stateful_reconnect: StatefulReconnect::Off,
    };
    assert_eq!(read, NegotiateResponse::Connect(wanted), "without a version the id attaches");
}

proptest! {
    #[test]
    fn any_query_is_read(query in ".*") {
        let _ = parse(&query);
    }
}
