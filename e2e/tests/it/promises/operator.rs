//! What an operator does and sees: stopping, closing, and every close attributed.

use everwire_testkit::{foreign::Backend, need, tools, wait::eventually};

use crate::stage::{client_of, echoing, in_front_of};

#[tokio::test]
async fn a_stopping_gateway_tells_its_clients_1001_and_ends() {
    let node = need!(tools::node());
    let backend = Backend::start(echoing(&node)).await;
    let mut everwire = in_front_of(&[&backend]).await;
    let mut client = client_of(&everwire).await;
    client.round_trip().await;
    everwire.process().terminate();
    let (code, reason) = client.hear_close().await;
    assert_eq!(code, 1001, "{reason}");
    assert!(everwire.process().ended().await.success());
    eventually("the backend told", async || backend.closes().pop()).await;
}

#[tokio::test]
async fn an_operator_closes_a_pipe_with_1008() {
    let node = need!(tools::node());
    let backend = Backend::start(echoing(&node)).await;
    let everwire = in_front_of(&[&backend]).await;
    let mut client = client_of(&everwire).await;
    client.round_trip().await;
    let id = &everwire.pipes().await[0]["id"];
    let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
    let output = everwire.command(&["pipe", "close", &id]).await;
    assert!(output.status.success(), "{output:?}");
    let (code, reason) = client.hear_close().await;
    assert_eq!(code, 1008, "{reason}");
    everwire.pipes_become(0).await;
}

/// Who, why and with which code: in the log and in the metrics, without the path's query.
#[tokio::test]
async fn every_close_is_attributed_in_log_and_metrics() {
    let node = need!(tools::node());
    let mut backend = Backend::start(echoing(&node)).await;
    let everwire = in_front_of(&[&backend]).await;
    let to = everwire.address();
    let open = async |name: &str| {
        let path = format!("/{name}?token=secret");
        everwire_testkit::client::Client::open(to, &path, name).await
    };
    let mut by_client = open("by-client").await;
    by_client.start_close(4321, "mine").await;
    by_client.hear_close().await;
    let mut by_backend = open("by-backend").await;
    backend.process().tell("close 4123 yours");
    by_backend.hear_close().await;
    everwire.pipes_become(0).await;

    let log = everwire.log();
    for (code, who) in [("4321", "client"), ("4123", "backend")] {
        let line = log.lines().find(|line| line.contains(code));
        assert!(line.is_some_and(|line| line.contains(who)), "{code} by the {who}: {line:?}");
    }
    assert!(!log.contains("secret"), "a query string in the log");
    let metrics = everwire.get("/metrics").await.body;
    let closes = metrics.lines().filter(|line| line.contains("who=\"") && line.contains("why=\""));
    assert!(closes.count() >= 2, "closes by who and why:\n{metrics}");
    assert!(!metrics.contains("secret"));
}
