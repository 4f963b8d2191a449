//! SignalR clients that others wrote, and the hub: over each transport, in both encodings. The hub is
//! that of the fixture, in `binary` that of the product.

mod binary;
mod calls;
mod connecting;
mod ends;
mod gateway;
mod moving;
mod nodes;
mod pages;
mod publishing;
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
