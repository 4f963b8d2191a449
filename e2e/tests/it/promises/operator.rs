//! What an operator does and sees: stopping, closing, and every close attributed.

use std::time::Duration;

use everwire_testkit::{
    everwire::{Everwire, Setup},
    foreign::Backend,
    need,
    scripted::{
        Recorder,
        frame::{Frame, PONG},
    },
    tools,
    wait::{eventually, within},
};
use tokio::join;

use crate::stage::{client_of, echoing, in_front_of, wire_to};

/// `stop.announce` and `stop.window` at their defaults, 3 s for goodbyes, and a busy machine.
const STOP_MAX: Duration = Duration::from_secs(20);

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

/// A client that goes on sending, and neither answers the Close nor ends, is cut off.
#[tokio::test]
async fn a_client_that_trickles_and_never_answers_does_not_keep_a_gateway_from_stopping() {
    let backend = Recorder::start().await;
    let mut everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let mut wire = wire_to(everwire.address()).await;
    everwire.pipes_become(1).await;
    let pong = Frame::new(PONG, "").masked().encode();
    let trickle = async {
        while wire.try_send(&pong).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    everwire.process().terminate();
    let (status, ()) = join!(within(STOP_MAX, "the end", everwire.process().ended()), trickle);
    assert!(status.success());
    backend.legs_end(1).await;
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

    for (code, who) in [("4321", "client"), ("4123", "backend")] {
        // The digits alone may stand in a time or a port, too; and the log is written by a thread
        // of its own.
        let (what, code) = (format!("a line about {code}"), format!("code={code} "));
        let about = |log: String| log.lines().find(|line| line.contains(&code)).map(str::to_owned);
        let line = eventually(&what, async || about(everwire.log())).await;
        assert!(line.contains(who), "{code} by the {who}: {line:?}");
    }
    assert!(!everwire.log().contains("secret"), "a query string in the log");
    let is_close = |line: &&str| line.contains("who=\"") && line.contains("why=\"");
    let metrics = eventually("closes by who and why", async || {
        let metrics = everwire.get("/metrics").await.body;
        (metrics.lines().filter(is_close).count() >= 2).then_some(metrics)
    });
    assert!(!metrics.await.contains("secret"));
}
