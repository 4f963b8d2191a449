//! SignalR clients that others wrote, and the hub: over each transport, in both encodings. The hub is
//! that of the fixture, in `binary` that of the product.

/// Tests that a site is given, each with one process behind it, and with three over one Redis behind a
/// balancer that knows nothing of connections: what holds for the one holds for the others.
macro_rules! on_one_node_and_on_three {
    ($($test:ident),+ $(,)?) => {
        mod on_one_node {
            use everwire_testkit::site::Site;

            $(
                #[tokio::test]
                async fn $test() {
                    super::$test(Site::one().await).await;
                }
            )+
        }

        mod on_three_nodes {
            use everwire_testkit::{need, site::Site, tools};

            $(
                #[tokio::test]
                async fn $test() {
                    let (redis, haproxy) = (need!(tools::redis()), need!(tools::haproxy()));
                    super::$test(Site::three(&redis, &haproxy).await).await;
                }
            )+
        }
    };
}

mod binary;
mod calls;
mod connecting;
mod ends;
mod gateway;
mod history;
mod moving;
mod nodes;
mod pages;
mod publishing;
mod publishing_nodes;
mod pythons;
mod raw;
mod rooms;
mod stateful;
mod streams;

use std::path::Path;

use everwire_testkit::foreign::Launch;

/// How npm's client talks to a hub: over which transport, in which encoding. Events carry no bytes.
const WAYS: [(&str, &str); 5] = [
    ("WebSockets", "json"),
    ("WebSockets", "messagepack"),
    ("ServerSentEvents", "json"),
    ("LongPolling", "json"),
    ("LongPolling", "messagepack"),
];

/// npm's client of a hub, free to choose how it talks.
fn npm(node: &Path, url: impl ToString) -> Launch {
    Launch::node(node, "signalr.mjs").with("url", url)
}

/// npm's client of the hub at `url`, once for each way to talk.
fn each_way(node: &Path, url: &str) -> Vec<Launch> {
    let talking = |(transport, protocol)| {
        npm(node, url).with("transport", transport).with("protocol", protocol)
    };
    WAYS.map(talking).into()
}
