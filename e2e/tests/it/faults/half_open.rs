//! P13: a client is gone or stands still, and nothing says so.

use std::time::Duration;

use everwire_testkit::{
    everwire::Everwire,
    foreign::{Backend, Client, Event, Launch},
    namespace::Namespace,
    need,
    scripted::Role,
    tools,
    wait::{SOON, eventually_within, now},
};

use crate::stage::{before, echoing, wire_to};

/// Interval and timeout of the pings in these tests.
const PING_MILLIS: u64 = 1000;

/// The row's promise is twice the ping, 4 s, and by default 60 s; the rest is for a busy machine.
const DETECTION_MAX: Duration = SOON;

#[tokio::test]
async fn fault_p13_a_client_that_answers_no_ping_is_found_and_its_backend_told() {
    let node = need!(tools::node());
    let backend = Backend::start(echoing(&node)).await;
    let everwire = Everwire::start(&before(&[&backend]).ping_millis(PING_MILLIS)).await;
    let _mute = wire_to(everwire.address()).await;
    is_found(&everwire, &backend).await;
}

#[tokio::test]
async fn fault_p13_a_stopped_client_is_found_and_its_backend_told() {
    let node = need!(tools::node());
    let backend = Backend::start(echoing(&node)).await;
    let everwire = Everwire::start(&before(&[&backend]).ping_millis(PING_MILLIS)).await;
    let mut client = node_client(&node, &format!("ws://{}", everwire.address()));
    client.hears("opened", 1, |event| matches!(event, Event::Open(_))).await;
    client.process().freeze();
    is_found(&everwire, &backend).await;
}

#[tokio::test]
async fn fault_p13_a_client_whose_link_is_down_is_found_and_its_backend_told() {
    let node = need!(tools::node());
    let ip = need!(tools::namespaces());
    let backend = Backend::start(echoing(&node)).await;
    let namespace = Namespace::new(&ip);
    let setup = before(&[&backend]).ping_millis(PING_MILLIS).listen_on(namespace.outside());
    let everwire = Everwire::start(&setup).await;
    let launch =
        Launch::node(&node, "client.mjs").with("url", format!("ws://{}", everwire.address()));
    let client = Client::start(&launch.within(&namespace));
    client.hears("opened", 1, |event| matches!(event, Event::Open(_))).await;
    namespace.link_down();
    is_found(&everwire, &backend).await;
}

/// A client that answers its Pings is alive, however long it has nothing to say.
#[tokio::test]
async fn fault_p13_a_quiet_client_that_answers_pings_stays() {
    let node = need!(tools::node());
    let backend = Backend::start(echoing(&node)).await;
    // A busy machine may keep the client from answering for a while.
    let ping = r#"{ interval = "300ms", timeout = "3s" }"#;
    let everwire = Everwire::start(&before(&[&backend]).route("ping", ping)).await;
    let mut quiet = wire_to(everwire.address()).await;
    let start = now();
    let hears = quiet.next_message_frame_whenever(Role::Client);
    let nothing = tokio::time::timeout(Duration::from_secs(5), hears).await;
    assert!(nothing.is_err(), "{nothing:?} after {:?}", start.elapsed());
    assert_eq!(everwire.pipes().await.len(), 1);
}

/// Resources freed, backend told, the close attributed to the client.
async fn is_found(everwire: &Everwire, backend: &Backend) {
    eventually_within(DETECTION_MAX, "the half-open client's pipe gone", async || {
        everwire.pipes().await.is_empty().then_some(())
    })
    .await;
    eventually_within(DETECTION_MAX, "the backend told", async || backend.closes().pop()).await;
    assert_eq!(backend.legs().len(), 1, "nothing is dialled for a client that is gone");
}

fn node_client(node: &std::path::Path, url: &str) -> Client {
    Client::start(&Launch::node(node, "client.mjs").with("url", url))
}
