//! S12: long polling and events misused. The official server's CVE-2024-21386 is a flood of such
//! requests, and engine.io's CVE-2026-59725 a bad one whose answer never ended: every answer here is
//! read to the end of its connection.

use std::{net::SocketAddr, time::Duration};

use everwire_testkit::{
    http::{self, Answer},
    scripted::Wire,
    wait::{until_equal, within},
};
use tokio::join;

use super::{HELLO, LITTLE, PING, Stage};

/// The target of a connection that was negotiated.
pub(super) async fn negotiated(to: SocketAddr) -> String {
    let answer = http::request(to, "POST", "/hub/negotiate?negotiateVersion=1", None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = answer.json();
    format!("/hub?id={}", answer["connectionToken"].as_str().expect("a token"))
}

/// The target of a connection that polls and has shaken hands.
pub(super) async fn polling(to: SocketAddr, protocol: &str) -> String {
    let target = negotiated(to).await;
    assert_eq!(ask(to, "GET", &target, "").await.status, 200);
    assert_eq!(ask(to, "POST", &target, &HELLO.replace("json", protocol)).await.status, 200);
    assert_eq!(ask(to, "GET", &target, "").await.body, "{}\u{1e}");
    target
}

async fn ask(to: SocketAddr, method: &str, target: &str, body: &str) -> Answer {
    http::request_with(to, method, target, &[], body.as_bytes()).await
}

#[tokio::test]
async fn attack_s12_requests_that_fit_nothing_are_answered_and_finished() {
    let mut stage = Stage::with("").await;
    let to = stage.everwire.address();
    let nobody = format!("/hub?id={}", "A".repeat(44));
    let events = [("Accept", "text/event-stream")];
    let taken = negotiated(to).await;
    let mut stream = Wire::connect(to).await;
    stream
        .send(
            format!("GET {taken} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
                .as_bytes(),
        )
        .await;
    assert!(stream.read_head().await.starts_with("HTTP/1.1 200"));
    for (status, method, target, headers) in [
        (404, "POST", nobody.as_str(), &[][..]),
        (404, "GET", &nobody, &[]),
        (404, "DELETE", &nobody, &[]),
        (404, "GET", &nobody, &events),
        (400, "POST", "/hub", &[]),
        (400, "GET", "/hub", &[]),
        (400, "DELETE", "/hub", &[]),
        (405, "PUT", &nobody, &[]),
        (405, "PATCH", "/hub", &[]),
        (405, "GET", "/hub/negotiate", &[]),
        (409, "GET", &taken, &events),
        (400, "GET", &taken, &[]),
        (400, "DELETE", &taken, &[]),
    ] {
        let answer = http::request_with(to, method, target, headers, b"x").await;
        assert_eq!(answer.status, status, "{method} {target} {headers:?}: {answer:?}");
    }
    stage.holds("requests", LITTLE).await;
}

#[tokio::test]
async fn attack_s12_content_types_and_encodings_change_nothing() {
    let mut stage = Stage::with("").await;
    let to = stage.everwire.address();
    for headers in [
        [("Content-Type", "application/x-www-form-urlencoded")],
        [("Content-Type", "multipart/form-data")],
        [("Content-Type", "text/plain; charset=utf-7")],
        [("Content-Type", "")],
        [("Content-Encoding", "gzip")],
    ] {
        let target = polling(to, "json").await;
        let posted = http::request_with(to, "POST", &target, &headers, CALL.as_bytes()).await;
        assert_eq!(posted.status, 200, "{headers:?}");
        let told = ask(to, "GET", &target, "").await.body;
        assert!(told.starts_with("{\"type\":3,\"invocationId\":\"1\""), "{told}");
        assert_eq!(ask(to, "DELETE", &target, "").await.status, 202);
        assert_eq!(ask(to, "GET", &target, "").await.status, 404);
    }
    stage.holds("content types", LITTLE).await;
}

#[tokio::test]
async fn attack_s12_a_body_beyond_any_limit_is_not_kept() {
    let mut stage = Stage::with("").await;
    let to = stage.everwire.address();
    let target = polling(to, "json").await;
    let huge = "x".repeat(50_000_000);
    let answer = ask(to, "POST", &target, &huge).await;
    assert!([200, 404].contains(&answer.status), "{answer:?}");
    let told = ask(to, "GET", &target, "").await;
    assert!(told.body.contains("Connection closed with an error."), "{told:?}");
    stage.holds("a body of 50 MB", LITTLE).await;
}

#[tokio::test]
async fn attack_s12_a_body_that_does_not_come_is_408_and_holds_up_nobody() {
    let mut stage = Stage::with("client_timeout = \"2s\"\nkeep_alive = \"1s\"").await;
    let to = stage.everwire.address();
    let target = polling(to, "json").await;
    let mut stalled = Wire::connect(to).await;
    let head = format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{{");
    stalled.send(head.as_bytes()).await;
    let poll = ask(to, "GET", &target, "");
    let answered = async {
        assert!(stalled.read_head().await.starts_with("HTTP/1.1 408"));
        stalled.rest().await;
        // The part that came is half a message, which the next one completes to nonsense.
        assert_eq!(ask(to, "POST", &target, "}\u{1e}").await.status, 200);
    };
    let (polled, ()) = join!(poll, answered);
    assert!(polled.body.contains("Connection closed with an error."), "{polled:?}");
    stage.holds("a stalled body", LITTLE).await;
}

#[tokio::test]
async fn attack_s12_of_many_polls_at_once_the_last_one_waits_and_all_are_answered() {
    let mut stage = Stage::with("").await;
    let to = stage.everwire.address();
    let target = polling(to, "json").await;
    let mut polls = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let target = target.clone();
        polls.spawn(async move { ask(to, "GET", &target, "").await });
    }
    for _ in 0..49 {
        let ended = polls.join_next().await.expect("a poll").expect("it does not panic");
        assert_eq!(ended.status, 204);
    }
    let call = "{\"type\":1,\"target\":\"Echo\",\"arguments\":[\"for one\"]}\u{1e}";
    assert_eq!(ask(to, "POST", &target, call).await.status, 200);
    let last = polls.join_next().await.expect("a poll").expect("it does not panic");
    assert!(last.body.contains("for one"), "{last:?}");
    stage.holds("50 polls", LITTLE).await;
}

#[tokio::test]
async fn attack_s12_who_speaks_and_never_polls_is_bounded_and_forgotten() {
    // What the hub may keep is the limits' sum: with small ones it shows whether there is more.
    let limits = "disconnect_timeout = \"3s\"\nqueue_max = \"64KiB\"\ninbox_max = \"256KiB\"";
    let mut stage = Stage::with(limits).await;
    let to = stage.everwire.address();
    let target = negotiated(to).await;
    assert_eq!(ask(to, "POST", &target, HELLO).await.status, 200);
    let call =
        "{\"type\":1,\"target\":\"Echo\",\"arguments\":[\"xxxxxxxxxxxxxxxxxxxxxxxx\"]}\u{1e}";
    let answer = ask(to, "POST", &target, &call.repeat(50_000)).await;
    assert!([200, 404].contains(&answer.status), "{answer:?}");
    until_equal("the status of a session that is gone", 404, async || {
        ask(to, "POST", &target, PING).await.status
    })
    .await;
    stage.holds("answers that nobody fetches", LITTLE).await;
}

#[tokio::test]
async fn attack_s12_negotiations_that_nobody_takes_up_cost_nothing() {
    // The first has to be good until all others have been asked for, however long that takes.
    let mut stage = Stage::with("spent_max = 50\ndisconnect_timeout = \"10m\"").await;
    let to = stage.everwire.address();
    let first = negotiated(to).await;
    for _ in 0..1000 {
        negotiated(to).await;
    }
    assert_eq!(ask(to, "GET", &first, "").await.status, 200, "others are not held up");
    stage.holds("negotiations", LITTLE).await;
}

#[tokio::test]
async fn attack_s12_somebody_else_s_connection_cannot_be_ended() {
    let mut stage = Stage::with("").await;
    let to = stage.everwire.address();
    let target = polling(to, "json").await;
    let id = &target["/hub?id=".len()..][..22];
    for guess in [id.to_owned(), format!("{id}{}", "A".repeat(22)), format!("{target}A")] {
        let answer = ask(to, "DELETE", &format!("/hub?id={guess}"), "").await;
        assert_eq!(answer.status, 404, "{guess}");
    }
    let call = "{\"type\":1,\"target\":\"Echo\",\"arguments\":[\"still\"]}\u{1e}";
    assert_eq!(ask(to, "POST", &target, call).await.status, 200);
    assert!(ask(to, "GET", &target, "").await.body.contains("still"));
    stage.holds("guesses", LITTLE).await;
}

#[tokio::test]
async fn attack_s12_answers_that_nobody_takes_give_their_place_back() {
    let mut stage = Stage::with("send_timeout = \"1s\"\nqueue_max = \"64KiB\"").await;
    let to = stage.everwire.address();
    let before = stage.everwire.metric("everwire_connections").await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        let target = negotiated(to).await;
        let mut wire = Wire::connect(to).await;
        let get = format!("GET {target} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n");
        wire.send(get.as_bytes()).await;
        wire.read_head().await;
        assert_eq!(ask(to, "POST", &target, HELLO).await.status, 200);
        silent.push(wire);
    }
    let text = "x".repeat(20_000);
    let publish =
        format!("{{\"type\":1,\"target\":\"Broadcast\",\"arguments\":[\"{text}\"]}}\u{1e}");
    within(Duration::from_secs(60), "the end of answers that nobody takes", async {
        while stage.everwire.metric("everwire_connections").await > before {
            stage.witness.say(&publish).await;
            stage.witness.is_served().await;
        }
    })
    .await;
    stage.counts("everwire_hub_connections", 1.0).await;
    drop(silent);
    stage.holds("event streams that nobody reads", 16 << 20).await;
}

/// A call that is answered, though only with an error.
const CALL: &str =
    "{\"type\":1,\"invocationId\":\"1\",\"target\":\"Nothing\",\"arguments\":[]}\u{1e}";
