//! A set as server-sent events, as `curl -N` has them, and hooks.

use std::{pin::Pin, sync::Arc};

use bytes::Bytes;
use everwire_backplane::memory::Cluster;
use everwire_testkit::wait::soon;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value as Json, json};

use super::{Node, grant, put, set};
use crate::{
    FleetBody, FleetConfig, FleetService, Hooks, Taking,
    access::{Grants, Right},
    hook::BODY_MAX,
};

/// One reader of a set's events.
struct Reader {
    body: Pin<Box<FleetBody>>,
    text: String,
}

/// One event.
#[derive(Debug, PartialEq)]
struct Event {
    name: String,
    id: Option<String>,
    data: Json,
}

async fn ask(service: &FleetService, path: &str, headers: &[(&str, &str)]) -> Response<FleetBody> {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::<Bytes>::default()).unwrap();
    soon("an answer", service.handle(request)).await
}

async fn text(response: Response<FleetBody>) -> String {
    let body = soon("a body", response.into_body().collect()).await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

impl Reader {
    async fn open(node: &Node, query: &str, headers: &[(&str, &str)]) -> Self {
        let path = format!("/fleet/sets/shop/prod/events{query}");
        let response = ask(&node.fleet.service(None), &path, headers).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut reader = Self { body: Box::pin(response.into_body()), text: String::new() };
        assert_eq!(reader.block().await.unwrap(), "retry: 2000");
        reader
    }

    /// What comes up to the next empty line.
    async fn block(&mut self) -> Option<String> {
        while !self.text.contains("\n\n") {
            let frame = soon("more", self.body.frame()).await?.unwrap();
            self.text.push_str(str::from_utf8(&frame.into_data().unwrap()).unwrap());
        }
        let (block, rest) = self.text.split_once("\n\n").unwrap();
        let block = block.to_owned();
        self.text = rest.to_owned();
        Some(block)
    }

    async fn next(&mut self) -> Event {
        let block = self.block().await.unwrap();
        let field = |name: &str| {
            let begin = format!("{name}: ");
            block.lines().find_map(|line| line.strip_prefix(&begin)).map(str::to_owned)
        };
        let data = serde_json::from_str(&field("data").unwrap()).unwrap();
        Event { name: field("event").unwrap(), id: field("id"), data }
    }
}

#[tokio::test]
async fn a_set_is_followed_with_nothing_but_http() {
    let cluster = Cluster::default();
    let (node, other) = (Node::start(&cluster).await, Node::start(&cluster).await);
    let shop = set("shop/prod");
    other.put(&shop, "A", "1").await;
    let mut reader = Reader::open(&node, "", &[]).await;
    let snapshot = reader.next().await;
    let cursor = node.cursor(&shop).await;
    assert_eq!((snapshot.name.as_str(), snapshot.id), ("snapshot", Some(cursor.to_string())));
    assert_eq!(snapshot.data["values"], json!({"A": "1"}));
    other.put(&shop, "A", "zwölf\nand more").await;
    let change = reader.next().await;
    assert_eq!((change.name.as_str(), change.data["version"].clone()), ("changed", json!(2)));
    assert_eq!(change.data["changes"], json!([{"key": "A", "value": "zwölf\nand more"}]));
    assert_eq!(change.id, Some(node.cursor(&shop).await.to_string()));
}

#[tokio::test]
async fn pred_k7_a_reader_goes_on_behind_the_last_event_that_it_has() {
    let cluster = Cluster::default();
    let (node, other) = (Node::start(&cluster).await, Node::start(&cluster).await);
    let shop = set("shop/prod");
    for value in 0..3 {
        node.put(&shop, "A", &value.to_string()).await;
    }
    let epoch = node.cursor(&shop).await.to_string();
    let epoch = epoch.split('-').next().unwrap();
    let (one, three) = (format!("{epoch}-1"), format!("{epoch}-3"));
    let mut reader = Reader::open(&other, "", &[("last-event-id", &one)]).await;
    let [second, third] = [reader.next().await, reader.next().await];
    assert_eq!((second.name.as_str(), &third.id), ("changed", &Some(three.clone())));
    let mut by_query = Reader::open(&other, &format!("?cursor={three}"), &[]).await;
    node.put(&shop, "B", "").await;
    assert_eq!(by_query.next().await.data["version"], 4);
    let mut foreign = Reader::open(&other, "", &[("last-event-id", "from elsewhere")]).await;
    assert_eq!(foreign.next().await.name, "gap");
    assert_eq!(foreign.next().await.data["version"], 4);
    let merged = format!("?cursor={one}&coalesce=50");
    let mut merged = Reader::open(&other, &merged, &[]).await;
    assert_eq!(merged.next().await.data["version"], 4);
}

#[tokio::test]
async fn pred_k14_readers_show_a_token_and_end_with_it() {
    let cluster = Cluster::default();
    let token = "token-of-the-shop";
    let grants = Grants::new([grant(token, "shop/**", &[Right::Read])]).unwrap();
    let node = Node::start_as(&cluster, FleetConfig { grants, ..FleetConfig::default() }).await;
    let service = node.fleet.service(None);
    let refused = ask(&service, "/fleet/sets/shop/prod/events", &[]).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(refused.headers()["www-authenticate"], "Bearer");
    let problem: Json = serde_json::from_str(&text(refused).await).unwrap();
    assert!(problem["detail"].as_str().unwrap().contains("Authorization: Bearer"));
    let bearer = format!("Bearer {token}");
    let bearer = [("authorization", bearer.as_str())];
    let forbidden = ask(&service, "/fleet/sets/bank/events", &bearer).await;
    assert_eq!(forbidden.status(), StatusCode::FORBIDDEN);
    let mut reader = Reader::open(&node, "", &bearer).await;
    assert_eq!(reader.next().await.name, "snapshot");
    let nobody = Grants::new([grant("another token, not that", "shop/**", &[Right::Read])]);
    node.fleet.update_access(nobody.unwrap());
    node.put(&set("shop/prod"), "A", "1").await;
    let end = reader.next().await;
    assert_eq!(end.name, "end");
    assert!(end.data["reason"].as_str().unwrap().contains("was withdrawn"));
    assert_eq!(reader.block().await, None);
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_in_words() {
    let cluster = Cluster::default();
    let node = Node::start(&cluster).await;
    let service = node.fleet.service(None);
    for (path, status, why) in [
        ("/fleet/sets/a%20b/events", StatusCode::BAD_REQUEST, "is not a set"),
        ("/sets/a/events?coalesce=x", StatusCode::BAD_REQUEST, "milliseconds"),
        ("/fleet/hooks/git", StatusCode::METHOD_NOT_ALLOWED, "use POST"),
    ] {
        let response = ask(&service, path, &[]).await;
        assert_eq!(response.status(), status, "{path}");
        assert!(text(response).await.contains(why), "{path}");
    }
    let post = Request::post("/fleet/hooks/git").body(Full::<Bytes>::default()).unwrap();
    let response = soon("an answer", service.handle(post)).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    let negotiate = Request::post("/fleet/negotiate?negotiateVersion=1");
    let negotiate = negotiate.body(Full::<Bytes>::default()).unwrap();
    let response = soon("an answer", service.handle(negotiate)).await;
    assert!(text(response).await.contains("connectionToken"), "the rest is the hub's");
}

/// Says what it was given.
struct Echo;

impl Hooks for Echo {
    fn take(&self, name: String, headers: HeaderMap, body: Bytes) -> Taking {
        let event = headers["x-event"].to_str().unwrap().to_owned();
        let text = format!("{name} {event} {} bytes", body.len());
        Box::pin(async move { (StatusCode::ACCEPTED, text) })
    }
}

#[tokio::test]
async fn a_hook_is_handed_over_whole_and_limited() {
    let cluster = Cluster::default();
    let node = Node::start(&cluster).await;
    let hooks: Option<Arc<dyn Hooks>> = Some(Arc::new(Echo));
    let service = node.fleet.service(hooks);
    let post = |length: usize| {
        let body = Full::new(Bytes::from(vec![b'x'; length]));
        Request::post("/fleet/hooks/git%20lab").header("x-event", "push").body(body).unwrap()
    };
    let taken = soon("an answer", service.handle(post(BODY_MAX))).await;
    assert_eq!(taken.status(), StatusCode::ACCEPTED);
    assert_eq!(text(taken).await, format!("git lab push {BODY_MAX} bytes"));
    let refused = soon("an answer", service.handle(post(BODY_MAX + 1))).await;
    assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_reader_who_takes_nothing_is_told_to_come_back_and_misses_nothing_then() {
    let cluster = Cluster::default();
    let node = Node::start(&cluster).await;
    let shop = set("shop/prod");
    let mut slow = Reader::open(&node, "", &[]).await;
    assert_eq!(slow.next().await.name, "snapshot");
    let mut quick = Reader::open(&node, "", &[]).await;
    assert_eq!(quick.next().await.name, "snapshot");
    let large = "v".repeat(crate::set::VALUE_MAX);
    for round in 1..=140 {
        node.change(&shop, &[put("A", &format!("{}{round}", &large[3..]))]).await;
        assert_eq!(quick.next().await.data["version"], round);
    }
    let end = slow.next().await;
    assert_eq!(end.name, "end");
    assert!(end.data["reason"].as_str().unwrap().contains("id of the last event"));
    assert_eq!(slow.block().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_says_that_it_lives() {
    let cluster = Cluster::default();
    let node = Node::start(&cluster).await;
    let mut reader = Reader::open(&node, "", &[]).await;
    assert_eq!(reader.next().await.name, "snapshot");
    // Time passes by itself while nobody has anything to do, in steps shorter than a wait may take.
    for _ in 0..2 {
        tokio::time::advance(std::time::Duration::from_secs(15)).await;
        assert_eq!(reader.block().await.unwrap(), ": ping");
    }
}
