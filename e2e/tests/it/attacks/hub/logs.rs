//! S15 and S4: what clients write into logs, and what of theirs must not be there.

use everwire_testkit::{
    http,
    scripted::{
        Wire,
        frame::{Frame, TEXT},
    },
};

use super::{Stage, requests, with_hub};

/// A line of its own, colours, and the end of a text, as they stand and as JSON writes them.
const EVIL: &str = "a\r\n2026-01-01T00:00:00Z ERROR forged\u{1b}[31m\u{7f}\u{9b}\u{202e}\0";
const EVIL_JSON: &str =
    "a\\r\\n2026-01-01T00:00:00Z ERROR forged\\u001b[31m\\u007f\\u009b\\u202e\\u0000";

async fn chatty(format: &str) -> Stage {
    let setup = with_hub("").node("log", format!("{format:?}"));
    Stage::set(setup.environment("RUST_LOG", "trace")).await
}

/// Says evil wherever a client can say something.
async fn attack(stage: &mut Stage) {
    let to = stage.everwire.address();
    for target in ["/hub%0d%0aforged", "/hub?id=%0d%0aforged%1b[31m", "/%1b[31m%0aforged"] {
        http::request_with(to, "GET", target, &[("User-Agent", "\u{1b}[31mforged")], b"").await;
    }
    let mut wire = Wire::connect(to).await;
    wire.send(format!("GET /hub?{EVIL} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await;
    wire.rest().await;
    let mut client = stage.client().await;
    for message in [
        format!(
            "{{\"type\":1,\"invocationId\":\"{EVIL_JSON}\",\"target\":\"{EVIL_JSON}\",\"arguments\":[]}}\u{1e}"
        ),
        format!("{{\"type\":1,\"target\":\"Join\",\"arguments\":[\"{EVIL_JSON}\"]}}\u{1e}"),
        format!("{{\"type\":2,\"invocationId\":\"{EVIL_JSON}\",\"item\":\"{EVIL_JSON}\"}}\u{1e}"),
        format!("{{\"type\":3,\"invocationId\":\"1\",\"error\":\"{EVIL_JSON}\"}}\u{1e}"),
    ] {
        client.say(&message).await;
    }
    client.is_served().await;
    client.say(&format!("{{\"type\":7,\"error\":\"{EVIL_JSON}\"}}\u{1e}")).await;
    client.end().await;
    let mut closing = stage.client().await;
    closing.wire.send_frame(&Frame::close(4000, EVIL).masked()).await;
    closing.end().await;
    let mut stranger = Wire::upgrade(to, "/hub", &[]).await;
    let hello = format!("{{\"protocol\":\"{EVIL_JSON}\",\"version\":1}}\u{1e}");
    stranger.send_frame(&Frame::new(TEXT, hello).masked()).await;
    stranger.next_close().await;
    stage.witness.is_served().await;
}

#[tokio::test]
async fn attack_s15_no_client_writes_a_line_or_a_colour_of_its_own_into_the_log() {
    let mut stage = chatty("text").await;
    attack(&mut stage).await;
    stage.everwire.process().terminate();
    stage.everwire.process().ended().await;
    let log = stage.everwire.process().stderr().complete().await;
    assert!(log.iter().any(|line| line.contains("forged")), "the log shows what clients say");
    for line in log {
        assert!(begins_an_event(&line), "{line:?}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}

#[tokio::test]
async fn attack_s15_each_line_of_a_json_log_is_one_event() {
    let mut stage = chatty("json").await;
    attack(&mut stage).await;
    stage.everwire.process().terminate();
    stage.everwire.process().ended().await;
    for line in stage.everwire.process().stderr().complete().await {
        let event: serde_json::Value = serde_json::from_str(&line).expect(&line);
        assert!(event["timestamp"].is_string(), "{line}");
    }
}

/// A time of today's begins each event.
fn begins_an_event(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let time = words.next().unwrap_or_default();
    let level = words.next().unwrap_or_default();
    time.ends_with('Z')
        && time != "2026-01-01T00:00:00Z"
        && ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"].contains(&level)
}

#[tokio::test]
async fn attack_s4_tokens_and_query_strings_are_in_no_log() {
    let mut stage = chatty("text").await;
    let to = stage.everwire.address();
    let target = requests::polling(to, "json").await;
    let secret = target["/hub?id=".len()..][22..].to_owned();
    let headers = [("Authorization", "Bearer hush-header"), ("Cookie", "hush-cookie=1")];
    let with_token = format!("{target}&access_token=hush-query");
    http::request_with(to, "POST", &with_token, &headers, b"").await;
    http::request_with(to, "GET", "/hub?access_token=hush-query", &headers, b"").await;
    http::request_with(to, "GET", "/nowhere?access_token=hush-query", &headers, b"").await;
    let mut wire = Wire::upgrade(to, "/hub?access_token=hush-query", &headers).await;
    wire.send_frame(&Frame::close(1000, "").masked()).await;
    wire.next_close().await;
    stage.witness.is_served().await;
    stage.everwire.process().terminate();
    stage.everwire.process().ended().await;
    let log = stage.everwire.log();
    for hidden in ["hush", "access_token", &secret] {
        let line = log.lines().find(|line| line.contains(hidden));
        assert_eq!(line, None, "{hidden}");
    }
}
