//! The transports that are made of requests, and every status that a request may be answered with.

mod lost;

use std::time::Duration;

use bytes::Bytes;
use everwire_hub::{
    Context, Denied, Hub, HubBody, HubConfig, Identity, Redirect, config::Origins, method::Opaque,
};
use everwire_proto::signalr::negotiate::Transport;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::json;

/// A hub whose requests are handed to it directly.
struct Site {
    hub: Hub,
}

impl Site {
    fn new(config: HubConfig) -> Self {
        let hub = Hub::builder()
            .config(config)
            .method("Echo", |_: Context, anything: Opaque| async move { anything })
            .authenticate(|request| async move {
                match request.token().as_deref() {
                    Some("wrong") => Err(Denied::Unauthorized),
                    user => Ok(Identity { user: user.map(Into::into), ..Identity::default() }),
                }
            })
            .build()
            .unwrap();
        Self { hub }
    }

    async fn ask(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response<HubBody> {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
        self.hub.service().handle(request.body(body).unwrap()).await
    }

    /// Status and body of a request without headers.
    async fn told(&self, method: Method, target: &str, body: &str) -> (u16, String) {
        let response = self.ask(method, target, &[], body).await;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn negotiated(&self, query: &str) -> serde_json::Value {
        let (status, body) = self.told(Method::POST, &format!("/negotiate{query}"), "").await;
        assert_eq!(status, 200);
        serde_json::from_str(&body).unwrap()
    }

    /// The target of a connection that has been negotiated.
    async fn target(&self) -> String {
        let negotiated = self.negotiated("?negotiateVersion=1").await;
        format!("/?id={}", negotiated["connectionToken"].as_str().unwrap())
    }

    async fn poll(&self, target: &str) -> (u16, String) {
        self.told(Method::GET, target, "").await
    }

    async fn post(&self, target: &str, body: &str) -> (u16, String) {
        self.told(Method::POST, target, body).await
    }
}

fn ok(text: &str) -> (u16, String) {
    (200, text.to_owned())
}

const HELLO: &str = "{\"protocol\":\"json\",\"version\":1}\u{1e}";
const ECHO: &str =
    "{\"type\":1,\"invocationId\":\"0\",\"target\":\"echo\",\"arguments\":[\"a\\nb\"]}\u{1e}";
const ECHOED: &str = "{\"type\":3,\"invocationId\":\"0\",\"result\":\"a\\nb\"}\u{1e}";

#[tokio::test]
async fn both_versions_of_negotiation_are_answered() {
    let site = Site::new(HubConfig::default());
    let one = site.negotiated("?NegotiateVersion=7&useStatefulReconnect=true").await;
    assert_eq!(one["negotiateVersion"], 1);
    assert_eq!(one["useStatefulReconnect"], true);
    assert_ne!(one["connectionToken"], one["connectionId"]);
    assert_eq!(one["availableTransports"][1]["transport"], "ServerSentEvents");
    let zero = site.negotiated("").await;
    assert_eq!(zero["negotiateVersion"], 0);
    assert!(zero.get("connectionToken").is_none() && zero.get("useStatefulReconnect").is_none());
    let error = site.negotiated("?negotiateVersion=x").await;
    assert_eq!(error["error"], "The client requested a non-integer protocol version.");
    assert_eq!(site.told(Method::GET, "/negotiate", "").await.0, 405);
}

#[tokio::test]
async fn a_client_may_be_sent_to_negotiate_elsewhere() {
    let hub = Hub::builder()
        .authenticate(|request| async move {
            let user = request.token().ok_or(Denied::Unauthorized)?;
            Ok(Identity { user: Some(user.into()), ..Identity::default() })
        })
        .redirect(|request, client| async move {
            let to = Redirect::to(format!("https://{}.test/hub?a=b", request.parameter("to")?));
            let token = format!("for {}", client.user?.as_str());
            Some(if request.parameter("bare").is_some() { to } else { to.with_token(token) })
        });
    let site = Site { hub: hub.build().unwrap() };
    assert_eq!(site.told(Method::POST, "/negotiate?to=eu", "").await.0, 401);
    let redirected = site.negotiated("?to=eu&access_token=Ann").await;
    let expected = json!({ "url": "https://eu.test/hub?a=b", "accessToken": "for Ann" });
    assert_eq!(redirected, expected);
    let bare = site.negotiated("?to=us&access_token=Ann&bare=").await;
    assert_eq!(bare, json!({ "url": "https://us.test/hub?a=b" }));
    assert!(site.negotiated("?access_token=Ann").await["connectionId"].is_string());
    site.hub.refuse_new();
    assert_eq!(site.negotiated("?to=eu&access_token=Ann").await, expected);
    assert_eq!(site.told(Method::POST, "/negotiate?access_token=Ann", "").await.0, 503);
}

#[tokio::test]
async fn however_many_negotiate_the_first_may_still_come() {
    let site = Site::new(HubConfig { spent_max: 1, ..HubConfig::default() });
    let first = site.target().await;
    for _ in 0..1000 {
        site.negotiated("").await;
    }
    assert_eq!(site.poll(&first).await, ok(""));
}

#[tokio::test]
async fn what_version_0_of_negotiation_calls_the_id_attaches() {
    let site = Site::new(HubConfig::default());
    let negotiated = site.negotiated("").await;
    let target = format!("/?id={}", negotiated["connectionId"].as_str().unwrap());
    assert_eq!(site.poll(&target).await, ok(""));
    assert_eq!(site.post(&target, HELLO).await, ok(""));
    assert_eq!(site.poll(&target).await, ok("{}\u{1e}"));
}

#[tokio::test(start_paused = true)]
async fn attack_s5_a_token_begins_a_connection_once_and_for_a_short_while() {
    let site = Site::new(HubConfig::default());
    let (used, late) = (site.target().await, site.target().await);
    assert_eq!(site.poll(&used).await, ok(""));
    assert_eq!(site.told(Method::DELETE, &used, "").await.0, 202);
    while site.hub.connected() > 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..3 {
        assert_eq!(site.poll(&used).await.0, 404, "it has been used");
        assert_eq!(site.post(&used, HELLO).await.0, 404);
    }
    tokio::time::advance(Duration::from_secs(15)).await;
    assert_eq!(site.poll(&late).await.0, 404, "it is too late");
    assert_eq!(site.poll(&used).await.0, 404, "it is both");
    assert_eq!(site.poll(&site.target().await).await, ok(""));
}

#[tokio::test]
async fn a_client_polls_and_ends() {
    let site = Site::new(HubConfig::default());
    let target = &site.target().await;
    assert_eq!(site.poll(target).await, ok(""));
    // What is said may come in any pieces.
    assert_eq!(site.post(target, &HELLO[..10]).await, ok(""));
    assert_eq!(site.post(target, &format!("{}{}", &HELLO[10..], &ECHO[..9])).await, ok(""));
    assert_eq!(site.poll(target).await, ok("{}\u{1e}"));
    let (polled, _) = tokio::join!(site.poll(target), site.post(target, &ECHO[9..]));
    assert_eq!(polled, ok(ECHOED));
    let (polled, ended) = tokio::join!(site.poll(target), site.told(Method::DELETE, target, ""));
    assert_eq!(ended.0, 202);
    assert_eq!(polled.0, 204);
    assert_eq!(site.poll(target).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn a_polling_client_that_says_goodbye_and_deletes_is_gone_at_once() {
    let site = Site::new(HubConfig::default());
    let target = &site.target().await;
    site.poll(target).await;
    site.post(target, HELLO).await;
    site.poll(target).await;
    site.post(target, "{\"type\":7}\u{1e}").await;
    assert_eq!(site.told(Method::DELETE, target, "").await.0, 202);
    // The clock stands as long as somebody has something to do.
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(site.hub.connected(), 0);
}

#[tokio::test]
async fn a_client_may_speak_before_its_first_poll() {
    let site = Site::new(HubConfig::default());
    let target = &site.target().await;
    assert_eq!(site.post(target, HELLO).await, ok(""));
    assert_eq!(site.poll(target).await, ok("{}\u{1e}"));
    assert_eq!(site.post(&format!("{target}x"), HELLO).await.0, 404);
}

#[tokio::test]
async fn a_later_poll_takes_the_place_of_an_earlier_one() {
    let site = Site::new(HubConfig::default());
    let target = &site.target().await;
    site.poll(target).await;
    let (first, second, _) =
        tokio::join!(site.poll(target), site.poll(target), site.post(target, HELLO));
    assert_eq!((first.0, second), (204, ok("{}\u{1e}")));
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_waits_too_long_is_answered_with_nothing() {
    let site = Site::new(HubConfig::default());
    let target = &site.target().await;
    site.poll(target).await;
    site.post(target, HELLO).await;
    site.poll(target).await;
    assert_eq!(site.poll(target).await, ok(""));
}

#[tokio::test]
async fn events_carry_what_a_hub_says() {
    let site = Site::new(HubConfig::default());
    let target = &site.target().await;
    let accept = [("accept", "text/event-stream")];
    let events = site.ask(Method::GET, target, &accept, "").await;
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    assert_eq!(events.headers()["content-encoding"], "identity");
    let mut body = events.into_body();
    let mut next = async || {
        let frame = body.frame().await.unwrap().unwrap();
        String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
    };
    assert_eq!(next().await, ":\r\n");
    assert_eq!(site.post(target, HELLO).await, ok(""));
    assert_eq!(next().await, "data: {}\u{1e}\r\n\r\n");
    assert_eq!(site.post(target, ECHO).await, ok(""));
    assert_eq!(next().await, format!("data: {ECHOED}\r\n\r\n"));
    site.hub.all().send("m", &()).unwrap();
    let message = "{\"type\":1,\"target\":\"m\",\"arguments\":[]}\u{1e}";
    assert_eq!(next().await, format!("data: {message}\r\n\r\n"));
    let again = site.ask(Method::GET, target, &accept, "").await;
    assert_eq!(again.status(), StatusCode::CONFLICT);
    drop(body);
    while site.hub.connected() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(site.post(target, ECHO).await.0, 404);
}

#[tokio::test]
async fn a_client_that_has_not_shaken_hands_is_told_when_the_hub_stops() {
    let site = Site::new(HubConfig::default());
    let (events, polls) = (&site.target().await, &site.target().await);
    let events = site.ask(Method::GET, events, &[("accept", "text/event-stream")], "").await;
    site.poll(polls).await;
    let polled = site.poll(polls);
    site.hub.stop();
    let error = "{\"error\":\"Handshake was canceled.\"}\u{1e}";
    let all = events.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(all, format!(":\r\ndata: {error}\r\n\r\n"));
    assert_eq!(polled.await, ok(error));
}

#[tokio::test]
async fn events_cannot_carry_messagepack() {
    let site = Site::new(HubConfig::default());
    let target = &site.target().await;
    let events = site.ask(Method::GET, target, &[("accept", "text/event-stream")], "").await;
    site.post(target, "{\"protocol\":\"messagepack\",\"version\":1}\u{1e}").await;
    let all = events.into_body().collect().await.unwrap().to_bytes();
    let error = "Cannot use the 'messagepack' protocol on the current transport. The transport \
                 does not support 'Binary' transfer format.";
    assert_eq!(all, format!(":\r\ndata: {{\"error\":\"{error}\"}}\u{1e}\r\n\r\n"));
}

#[tokio::test]
async fn what_attaches_to_nothing_is_told_why() {
    let transports = vec![Transport::LongPolling];
    let site = Site::new(HubConfig { transports, ..HubConfig::default() });
    let unknown = "/?id=AAAAAAAAAAAAAAAAAAAAAA";
    let (no_id, nothing) = ("Connection ID required", "No Connection with that ID");
    assert_eq!(site.poll("/").await, (400, no_id.into()));
    assert_eq!(site.poll(unknown).await, (404, nothing.into()));
    assert_eq!(site.post("/", "").await, (400, no_id.into()));
    assert_eq!(site.post(unknown, "").await, (404, nothing.into()));
    assert_eq!(site.told(Method::DELETE, "/", "").await, (400, no_id.into()));
    assert_eq!(site.told(Method::DELETE, unknown, "").await, (404, nothing.into()));
    assert_eq!(site.told(Method::PUT, "/", "").await.0, 405);
    let events = site.ask(Method::GET, "/?id=x", &[("accept", "text/event-stream")], "").await;
    assert_eq!(events.status(), StatusCode::NOT_FOUND);
    let target = site.target().await;
    assert_eq!(site.poll(&target[..26]).await.0, 404, "the id alone does not attach");
}

#[tokio::test]
async fn a_connection_is_its_users_and_nobody_elses() {
    let site = Site::new(HubConfig::default());
    let negotiated = site.negotiated("?negotiateVersion=1&access_token=Ann").await;
    let target = format!("/?id={}", negotiated["connectionToken"].as_str().unwrap());
    let ann = format!("{target}&access_token=Ann");
    for thief in [target.clone(), format!("{target}&access_token=Bob")] {
        assert_eq!(site.poll(&thief).await.0, 403, "who begins it has to be who negotiated");
    }
    assert_eq!(site.poll(&ann).await, ok(""));
    assert_eq!(site.post(&ann, HELLO).await, ok(""));
    assert_eq!(site.post(&target, ECHO).await.0, 403);
    assert_eq!(site.post(&format!("{target}&access_token=wrong"), ECHO).await.0, 401);
    let bearer = [("authorization", "Bearer Ann")];
    assert_eq!(site.ask(Method::POST, &target, &bearer, ECHO).await.status(), StatusCode::OK);
    assert_eq!(site.poll(&ann).await, ok(&format!("{{}}\u{1e}{ECHOED}")));
}

#[tokio::test]
async fn only_pages_of_welcome_origins_connect() {
    let listed = Origins::Listed(vec!["https://app.test".into()]);
    let site = Site::new(HubConfig { origins: listed, ..HubConfig::default() });
    let with = |origin: &'static str| [("origin", origin), ("host", "hub.test")];
    for (origin, status) in [
        ("https://app.test", StatusCode::OK),
        ("http://hub.test", StatusCode::OK),
        ("https://evil.test", StatusCode::FORBIDDEN),
        ("null", StatusCode::FORBIDDEN),
    ] {
        let response = site.ask(Method::POST, "/negotiate", &with(origin), "").await;
        assert_eq!(response.status(), status, "{origin}");
        let allowed = response.headers().get("access-control-allow-origin");
        assert_eq!(allowed.is_some_and(|there| *there == origin), status == StatusCode::OK);
    }
    let asks = [
        ("origin", "https://app.test"),
        ("access-control-request-headers", "x-requested-with,x-signalr-user-agent"),
    ];
    let response = site.ask(Method::OPTIONS, "/negotiate", &asks, "").await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    let headers = response.headers();
    assert_eq!(headers["access-control-allow-headers"], asks[1].1);
    assert_eq!(headers["access-control-allow-credentials"], "true");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_poll_any_more_is_gone() {
    let site = Site::new(HubConfig::default());
    let target = &site.target().await;
    site.poll(target).await;
    site.post(target, HELLO).await;
    assert_eq!(site.hub.connected(), 1);
    let wait = Duration::from_secs(1);
    while site.hub.connected() > 0 {
        tokio::time::advance(wait).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(site.poll(target).await.0, 404);
}
