//! Requests that open no WebSocket, and what ends them: dead backends, limits, drains, stops.

use everwire_testkit::{
    everwire::{Everwire, Setup},
    foreign::Backend,
    http, need,
    scripted::{Wire, header},
    tools,
    wait::{SOON, eventually, soon},
};

use crate::stage::{before, pages};

async fn open(everwire: &Everwire, request: &str) -> Wire {
    let mut wire = Wire::connect(everwire.address()).await;
    wire.send(format!("{request}\r\nHost: a\r\n\r\n").as_bytes()).await;
    wire
}

/// The head of the answer to one request.
async fn answer(everwire: &Everwire, request: &str) -> String {
    open(everwire, request).await.read_head().await
}

#[tokio::test]
async fn a_request_that_reached_nobody_goes_to_another_backend() {
    let node = need!(tools::node());
    let mut backends = [Backend::start(pages(&node)).await, Backend::start(pages(&node)).await];
    let setup = before(&[&backends[0], &backends[1]]).pool("balance", r#""round-robin""#);
    let everwire = Everwire::start(&setup).await;
    let ask = async |method| http::request(everwire.address(), method, "/seen", None).await.status;
    for _ in 0..4 {
        assert_eq!(ask("GET").await, 200);
    }
    assert!(backends.iter().all(|backend| backend.requests().len() == 2), "both take their turn");
    backends[0].kill().await;
    for _ in 0..10 {
        assert_eq!((ask("GET").await, ask("POST").await), (200, 200));
    }
    backends[1].kill().await;
    assert_eq!(ask("GET").await, 503);
    backends[0].revive().await;
    eventually("the backend used again", async || (ask("POST").await == 200).then_some(())).await;
}

#[tokio::test]
async fn a_request_that_ends_backends_is_seen_by_two_at_most() {
    let node = need!(tools::node());
    for (request, deaths) in [
        ("GET /die HTTP/1.1", 2),
        ("POST /die HTTP/1.1\r\nContent-Length: 0", 1),
        ("DELETE /die HTTP/1.1", 2),
    ] {
        let mut backends = Vec::new();
        for _ in 0..3 {
            backends.push(Backend::start(pages(&node)).await);
        }
        let everwire = Everwire::start(&before(&backends.iter().collect::<Vec<_>>())).await;
        let head = answer(&everwire, request).await;
        assert!(head.starts_with("HTTP/1.1 502 "), "{request}: {head}");
        let dead = async || {
            backends.iter_mut().filter_map(|one| one.process().has_ended().then_some(())).count()
        };
        everwire_testkit::wait::until_equal(request, deaths, dead).await;
    }
}

#[tokio::test]
async fn each_limit_of_time_has_its_answer() {
    let node = need!(tools::node());
    let backend = Backend::start(pages(&node)).await;
    let limits = r#"{ response_timeout = "500ms", idle_timeout = "500ms" }"#;
    let everwire = Everwire::start(&before(&[&backend]).route("http", limits)).await;
    let head = answer(&everwire, "GET /never HTTP/1.1").await;
    assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
    let stuck = answer(&everwire, "POST /sink HTTP/1.1\r\nContent-Length: 9").await;
    assert!(stuck.starts_with("HTTP/1.1 408 "), "{stuck}");
    let mut idle = open(&everwire, "GET /events HTTP/1.1").await;
    assert!(String::from_utf8_lossy(&idle.rest().await).ends_with(": hello\n\n\r\n"), "cut off");
    everwire.requests_become(0).await;
    assert_eq!(everwire.metric("everwire_http_cut_off_total").await, 1.0);
}

#[tokio::test]
async fn no_more_requests_are_open_at_once_than_may_be() {
    let node = need!(tools::node());
    let backend = Backend::start(pages(&node)).await;
    let setup = before(&[&backend]).route("http", "{ requests_max = 2 }");
    let everwire = Everwire::start(&setup).await;
    let held = [
        open(&everwire, "GET /never HTTP/1.1").await,
        open(&everwire, "GET /never HTTP/1.1").await,
    ];
    everwire.requests_become(2).await;
    let head = answer(&everwire, "GET /seen HTTP/1.1").await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert_eq!(header(&head, "retry-after"), Some("1"));
    drop(held);
    everwire.requests_become(0).await;
    assert!(answer(&everwire, "GET /seen HTTP/1.1").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_request_counts_against_the_limit_of_connections() {
    let node = need!(tools::node());
    let backend = Backend::start(pages(&node)).await;
    let everwire = Everwire::start(&before(&[&backend]).limit("connections_max", 1)).await;
    let _held = open(&everwire, "GET /never HTTP/1.1").await;
    everwire.requests_become(1).await;
    assert!(answer(&everwire, "GET /seen HTTP/1.1").await.starts_with("HTTP/1.1 503 "));
}

#[tokio::test]
async fn a_removed_backend_ends_its_requests_first() {
    let node = need!(tools::node());
    let backends = [Backend::start(pages(&node)).await, Backend::start(pages(&node)).await];
    let everwire = Everwire::start(&before(&[&backends[0]])).await;
    let mut wire = Wire::connect(everwire.address()).await;
    wire.send(b"POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel").await;
    everwire.requests_become(1).await;
    backends[0].requests_reach(1).await;
    let url = backends[1].url();
    assert_eq!(everwire.add_backend(&url).await.status, 201);
    let left = backends[0].url();
    let removed = everwire.remove_backend(&left);
    let finished = async {
        eventually("no new requests for it", async || {
            let backends = everwire.backends().await;
            backends.iter().any(|backend| backend["state"] == "removing").then_some(())
        })
        .await;
        wire.send(b"lo").await;
        assert!(wire.read_head().await.starts_with("HTTP/1.1 200 "));
    };
    let (removed, ()) = tokio::join!(removed, finished);
    assert_eq!(removed.status, 200, "{removed:?}");
    assert_eq!(backends[0].requests().len(), 1);
}

#[tokio::test]
async fn events_without_end_are_cut_off_when_their_backend_is_left_or_the_node_stops() {
    let node = need!(tools::node());
    let backend = Backend::start(pages(&node)).await;
    let setup =
        before(&[&backend]).route("drain_max", r#""500ms""#).route("drain_quiet", r#""100ms""#);
    let mut everwire = Everwire::start(&setup).await;
    let mut wire = open(&everwire, "GET /events HTTP/1.1").await;
    wire.read_through(": hello\n\n").await;
    let removed = soon("removed", everwire.remove_backend(&backend.url())).await;
    assert_eq!(removed.status, 200);
    wire.ends_within(SOON).await;

    assert_eq!(everwire.add_backend(&backend.url()).await.status, 201);
    let mut wire = open(&everwire, "GET /events HTTP/1.1").await;
    wire.read_through(": hello\n\n").await;
    everwire.process().terminate();
    wire.ends_within(SOON).await;
    let status = everwire.process().ended().await;
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn a_route_that_is_for_websockets_only_refuses_everything_else() {
    let node = need!(tools::node());
    let backend = Backend::start(pages(&node)).await;
    let everwire = Everwire::start(&before(&[&backend]).route("http", r#""off""#)).await;
    let mut wire = open(&everwire, "GET /seen HTTP/1.1").await;
    assert!(wire.read_head().await.starts_with("HTTP/1.1 426 "));
    wire.ends_within(SOON).await;
    assert!(backend.requests().is_empty());
}

#[tokio::test]
async fn nobody_is_there_to_answer_when_a_pool_is_empty() {
    let everwire = Everwire::start(&Setup::new()).await;
    assert!(answer(&everwire, "GET /seen HTTP/1.1").await.starts_with("HTTP/1.1 503 "));
}
