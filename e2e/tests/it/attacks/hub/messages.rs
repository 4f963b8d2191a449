//! S9 to S11: messages that are made to break who reads them. The four CVEs of the official server
//! that this is about: CVE-2026-45591 (nesting overflows the stack), CVE-2026-26130 (a message that
//! exhausts a buffer), CVE-2020-0602 and CVE-2019-0982 (requests that do).

use everwire_testkit::{http, signalr::Fixture};

use super::{Client, HELLO, LITTLE, PING, Stage, requests};

/// A MessagePack message behind its length.
fn framed(message: &[u8]) -> Vec<u8> {
    let (mut bytes, mut length) = (Vec::new(), message.len());
    while length > 127 {
        bytes.push(length as u8 & 127 | 128);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(message);
    bytes
}

/// An invocation of `Echo` with these bytes for its arguments.
fn call(arguments: &[u8]) -> Vec<u8> {
    framed(&[b"\x96\x01\x80\xc0\xa4Echo", arguments, b"\x90"].concat())
}

/// Each breaks a limit or tells a lie.
fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let nested = |mark: &[u8]| call(&[b"\x91", mark.repeat(10_000).as_slice(), b"\xc0"].concat());
    vec![
        ("CVE-2026-45591: arrays", nested(b"\x91")),
        ("CVE-2026-45591: maps", nested(b"\x81\xc0")),
        ("arrays of 32 bits", nested(b"\xdd\x00\x00\x00\x01")),
        (
            "nesting in a header",
            framed(&[&b"\x96\x01\x81\xa1a"[..], &b"\x91".repeat(10_000)].concat()),
        ),
        ("2^32-1 arguments", call(b"\xdd\xff\xff\xff\xff\xc0")),
        ("a map of 2^32-1", call(b"\x91\xdf\xff\xff\xff\xff\xc0\xc0")),
        ("a text of 4 GiB", call(b"\x91\xdb\xff\xff\xff\xff")),
        ("bytes of 4 GiB", call(b"\x91\xc6\xff\xff\xff\xff")),
        ("an extension of 4 GiB", call(b"\x91\xc9\xff\xff\xff\xff\x01")),
        ("a message of 2 GiB", b"\xff\xff\xff\xff\x07".to_vec()),
        ("a length without an end", b"\xff".repeat(100)),
        ("2^32-1 parts", framed(b"\xdd\xff\xff\xff\xff\x01")),
        ("what is never used", framed(b"\xc1")),
    ]
}

#[tokio::test]
async fn attack_s9_cve_2026_45591_messagepack_that_nests_or_lies_is_sent_away() {
    let mut stage = Stage::with("").await;
    for (what, bomb) in bombs() {
        let to = stage.everwire.address();
        let mut client = Client::with_protocol(to, "/hub", "messagepack").await;
        client.say_bytes(&bomb).await;
        client.is_sent_away(what).await;
    }
    stage.holds("bombs", LITTLE).await;
}

#[tokio::test]
async fn attack_s9_the_same_in_bodies_of_requests() {
    let mut stage = Stage::with("").await;
    let to = stage.everwire.address();
    for (what, bomb) in bombs() {
        let target = requests::polling(to, "messagepack").await;
        let posted = http::request_with(to, "POST", &target, &[], &bomb).await;
        assert!([200, 404].contains(&posted.status), "{what}: {posted:?}");
        let told = http::request_with(to, "GET", &target, &[], b"").await;
        assert!(told.body.contains("Connection closed with an error."), "{what}: {told:?}");
        let gone = http::request_with(to, "GET", &target, &[], b"").await;
        assert!([204, 404].contains(&gone.status), "{what}: {gone:?}");
    }
    stage.holds("bombs in bodies", LITTLE).await;
}

/// Arguments of `Echo`.
fn json(arguments: &str) -> String {
    format!("{{\"type\":1,\"target\":\"Echo\",\"arguments\":{arguments}}}\u{1e}")
}

#[tokio::test]
async fn attack_s10_cve_2026_26130_json_beyond_its_limits_is_sent_away() {
    let mut stage = Stage::with("").await;
    let (deep, wide) = (100_000, 1_000_000);
    for (what, said) in [
        ("arrays in arrays", json(&"[".repeat(deep))),
        ("arrays that fit", json(&format!("{}{}", "[".repeat(1000), "]".repeat(1000)))),
        ("objects in objects", json(&format!("[{}", "{\"a\":".repeat(1000)))),
        ("nesting beside the call", format!("{{\"x\":{}", "[".repeat(deep))),
        ("10 MB without an end", "x".repeat(10_000_000)),
        ("10 MB of one text", json(&format!("[\"{}\"]", "x".repeat(10_000_000)))),
        ("a million arguments", json(&format!("[{}0]", "0,".repeat(wide)))),
        ("half a pair", "{\"type\":1,\"target\":\"\\ud800\"}\u{1e}".into()),
        ("no JSON", "}{\u{1e}".into()),
    ] {
        let mut client = stage.client().await;
        client.say(&said).await;
        client.is_sent_away(what).await;
    }
    stage.holds("JSON", LITTLE).await;
}

#[tokio::test]
async fn attack_s10_what_only_looks_odd_is_answered_or_refused_and_harms_nobody() {
    let mut stage = Stage::with("").await;
    for odd in [
        json("[1e400]"),
        json("[\"\\ud800\"]"),
        json("[{\"a\":1,\"a\":2}]"),
        json("[-0.0,1E-400,123456789012345678901234567890]"),
        "{\"type\":1,\"target\":\"Nothing\",\"target\":\"Echo\",\"arguments\":[1]}\u{1e}".into(),
        "{\"type\":99}\u{1e}".into(),
        json(&format!("{}{}", "[".repeat(60), "]".repeat(60))),
    ] {
        let mut client = stage.client().await;
        client.say(&odd).await;
        client.say(&json("[\"last\"]")).await;
        let mut said = String::new();
        while !said.contains("last") && !said.contains("Connection closed with an error.") {
            let next = client.wire.next_message(everwire_testkit::scripted::Role::Client).await;
            said = String::from_utf8_lossy(&next.unwrap_or_else(|| panic!("{odd}")).1).into_owned();
        }
    }
    stage.holds("odd JSON", LITTLE).await;
}

#[tokio::test]
async fn attack_s10_a_message_byte_by_byte_without_an_end_is_cut_at_its_limit() {
    let mut stage = Stage::with("message_max = \"1KiB\"").await;
    let mut client = stage.client().await;
    for _ in 0..1100 {
        client.say("x").await;
    }
    client.is_sent_away("a message byte by byte").await;
    stage.holds("a message byte by byte", LITTLE).await;
}

#[tokio::test]
async fn attack_s11_streams_and_uploads_that_never_end_are_so_many_and_no_more() {
    let fixture = Fixture::start().await;
    let mut witness = Client::with_protocol(fixture.address(), "/testHub", "json").await;
    let memory = fixture.process().memory();
    let mut client = Client::with_protocol(fixture.address(), "/testHub", "json").await;
    let stream = |id: usize| {
        format!(
            "{{\"type\":4,\"invocationId\":\"s{id}\",\"target\":\"InfiniteStream\",\"arguments\":[]}}\u{1e}"
        )
    };
    let upload = |id: usize| {
        format!(
            "{{\"type\":1,\"invocationId\":\"u{id}\",\"target\":\"StreamingConcat\",\"arguments\":[],\
             \"streamIds\":[\"i{id}\"]}}\u{1e}{{\"type\":2,\"invocationId\":\"i{id}\",\"item\":\"x\"}}\u{1e}"
        )
    };
    // What runs already is 40 uploads, of which 32 may be, and as many streams as fit beside them.
    for id in 0..40 {
        client.say(&upload(id)).await;
    }
    for id in 0..1000 {
        client.say(&stream(id)).await;
    }
    let refused = refusals(&mut client, 40 + 1000 - 128).await;
    assert_eq!(refused.iter().filter(|id| id.starts_with('u')).count(), 40 - 32);
    client.say(PING).await;
    client.say(&fixture_echo("there")).await;
    assert!(heard(&mut client).await.contains("there"));
    witness.say(&fixture_echo("witness")).await;
    assert!(heard(&mut witness).await.contains("witness"));
    let grown = fixture.process().memory().saturating_sub(memory);
    println!("streams and uploads: {grown} bytes");
    assert!(grown < LITTLE, "{grown} bytes");
}

#[tokio::test]
async fn attack_s11_ids_of_every_kind_leave_nothing_behind() {
    let mut stage = Stage::with("rate_max = 0").await;
    let mut client = stage.client().await;
    for block in 0..100 {
        let of_nothing = |number: usize| {
            let id = format!("{block}-{number}");
            format!(
                "{{\"type\":2,\"invocationId\":\"{id}\",\"item\":1}}\u{1e}\
                 {{\"type\":3,\"invocationId\":\"{id}\",\"result\":1}}\u{1e}\
                 {{\"type\":5,\"invocationId\":\"{id}\"}}\u{1e}"
            )
        };
        client.say(&(0..1000).map(of_nothing).collect::<String>()).await;
    }
    client.is_served().await;
    stage.holds("300,000 messages about nothing", LITTLE).await;
    client
        .say(
            &json("[1]").replace(
                "\"type\":1",
                &format!("\"type\":1,\"invocationId\":\"{}\"", "x".repeat(300)),
            ),
        )
        .await;
    client.is_sent_away("an id of 300 bytes").await;
    stage.holds("ids", LITTLE).await;
}

fn fixture_echo(text: &str) -> String {
    format!(
        "{{\"type\":1,\"invocationId\":\"e\",\"target\":\"Echo\",\"arguments\":[\"{text}\"]}}\u{1e}"
    )
}

/// The ids of so many calls that end in an error.
async fn refusals(client: &mut Client, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    while ids.len() < count {
        for message in heard(client).await.split_terminator('\u{1e}') {
            let message: serde_json::Value = serde_json::from_str(message).expect("JSON");
            if message["type"] == 3 {
                assert!(message["error"].is_string(), "{message}");
                ids.push(message["invocationId"].as_str().expect("an id").to_owned());
            }
        }
    }
    ids
}

/// What comes next and is no ping.
async fn heard(client: &mut Client) -> String {
    loop {
        let next = client.wire.next_message(everwire_testkit::scripted::Role::Client).await;
        let text = String::from_utf8(next.expect("a message").1).expect("text");
        if text != PING {
            return text;
        }
    }
}

#[tokio::test]
async fn attack_s10_a_handshake_without_an_end_is_cut_off_too() {
    let mut stage = Stage::with("").await;
    for hello in
        ["x".repeat(1 << 20), "[".repeat(100_000), HELLO.replace("json", &"x".repeat(60_000))]
    {
        let to = stage.everwire.address();
        let wire = everwire_testkit::scripted::Wire::upgrade(to, "/hub", &[]).await;
        let mut client = Client { wire };
        client.say(&hello).await;
        assert_eq!(client.end().await.code, Some(1000));
    }
    stage.holds("handshakes", LITTLE).await;
}
