//! What is left of a connection once its client's token has expired.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use everwire_hub::{Context, End, Hub, HubBuilder, HubConfig, Identity, config::Expiry};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use tokio::{sync::mpsc, time::Instant};

use crate::peer::serve;

/// A hub whose clients say themselves for how many seconds they are who they are.
fn builder(expiry: Expiry) -> HubBuilder {
    Hub::builder()
        .config(HubConfig { expiry, ..HubConfig::default() })
        .authenticate(|request| async move {
            let seconds = request.parameter("seconds").and_then(|seconds| seconds.parse().ok());
            let expires = seconds.map(|seconds| today() + Duration::from_secs(seconds));
            Ok(Identity { expires, ..Identity::default() })
        })
        .method("Expires", |cx: Context| async move { cx.identity().expires.is_some() })
}

#[expect(clippy::disallowed_methods, reason = "tokens expire by the calendar")]
fn today() -> SystemTime {
    SystemTime::now()
}

#[expect(clippy::disallowed_methods, reason = "a test measures its own paused clock")]
fn now() -> Instant {
    Instant::now()
}

const HELLO: &str = r#"{"protocol":"json","version":1}"#;
const BYE: &str = r#"{"type":7,"allowReconnect":true}"#;

#[tokio::test(start_paused = true)]
async fn a_connection_whose_token_expires_is_closed_then_and_may_come_back() {
    let (tx, mut ends) = mpsc::channel(10);
    let hub = builder(Expiry::Closes).disconnected(move |_, end| {
        let tx = tx.clone();
        async move { drop(tx.send(end).await) }
    });
    let served = serve(hub.build().unwrap()).await;
    let begun = now();
    let mut peer = served.stranger("?seconds=60").await;
    peer.send(HELLO).await;
    assert_eq!(peer.next().await.as_deref(), Some("{}"));
    assert_eq!(peer.next().await.as_deref(), Some(BYE));
    let lasted = begun.elapsed().as_secs();
    assert!((58..=62).contains(&lasted), "{lasted} s");
    assert_eq!(peer.code().await, Some(1000));
    assert_eq!(ends.recv().await, Some(End::Expired));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_expires_closes_nothing_unless_that_is_wanted() {
    let served = serve(builder(Expiry::Ignored).build().unwrap()).await;
    let mut peer = served.stranger("?seconds=1").await;
    peer.send(HELLO).await;
    assert_eq!(peer.next().await.as_deref(), Some("{}"));
    let begun = now();
    // Two pings are half a minute.
    for _ in 0..2 {
        assert_eq!(peer.next_or_ping().await.as_deref(), Some(r#"{"type":6}"#));
    }
    assert!(begun.elapsed() > Duration::from_secs(20));
    assert!(peer.call("expires", "[]").await.contains(r#""result":true"#));
}

#[tokio::test(start_paused = true)]
async fn the_token_of_the_last_request_counts() {
    let hub = builder(Expiry::Closes).build().unwrap();
    let ask = async |method: Method, target: String, body: String| {
        let request = Request::builder().method(method).uri(target);
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        let answer = hub.service().handle(request).await.into_body().collect().await.unwrap();
        String::from_utf8(answer.to_bytes().to_vec()).unwrap()
    };
    let negotiated = ask(Method::POST, "/negotiate?negotiateVersion=1".into(), String::new()).await;
    let negotiated: serde_json::Value = serde_json::from_str(&negotiated).unwrap();
    let token = negotiated["connectionToken"].as_str().unwrap();
    let target = |seconds: u32| format!("/?id={token}&seconds={seconds}");
    let begun = now();
    ask(Method::GET, target(5), String::new()).await;
    ask(Method::POST, target(5), format!("{HELLO}\x1e")).await;
    assert_eq!(ask(Method::GET, target(5), String::new()).await, "{}\u{1e}");
    assert_eq!(ask(Method::GET, target(50), String::new()).await, format!("{BYE}\u{1e}"));
    let lasted = begun.elapsed().as_secs();
    assert!((48..=52).contains(&lasted), "{lasted} s");
}
