//! P12: the link between Everwire and a backend is down, for less and for more than the deadline.

use std::{path::Path, time::Duration};

use everwire_testkit::{
    everwire::{Everwire, Setup},
    foreign::{Backend, Launch},
    namespace::Namespace,
    need,
    relay::Relay,
    scripted::{
        Listener, Recorder,
        frame::{Frame, TEXT},
    },
    tools,
    wait::{eventually, until_equal},
};
use serde_json::{Value, json};
use tokio::join;

use crate::stage::{
    arrived_from, before, client_of, echoing, hear_until, legs_in_order, replying, wire_to,
};

/// As long as a link must be down to be noticed by nobody.
const BLINK: Duration = Duration::from_secs(1);

#[tokio::test]
async fn fault_p12_a_short_partition_is_waited_out_on_the_same_leg() {
    let node = need!(tools::node());
    let ip = need!(tools::namespaces());
    let namespace = Namespace::new(&ip);
    let backend = start_within(&namespace, echoing(&node)).await;
    let everwire = Everwire::start(&before(&[&backend])).await;
    let mut client = client_of(&everwire).await;
    client.round_trip().await;

    namespace.link_down();
    for _ in 0..10 {
        client.say(100).await;
    }
    tokio::time::sleep(BLINK).await;
    namespace.link_up();
    for sequence in 2..=11 {
        client.hear_echo(sequence).await;
    }
    assert_eq!(backend.legs().len(), 1, "the leg outlived the partition");
    arrived_from(&client, &[&backend]).await.assert_exact("at the backend");
}

#[tokio::test]
async fn fault_p12_a_long_partition_moves_the_pipe_and_late_bytes_are_ignored() {
    let node = need!(tools::node());
    let ip = need!(tools::namespaces());
    let namespace = Namespace::new(&ip);
    let cut_off = start_within(&namespace, replying(&node).with("push-every", 50)).await;
    let url = cut_off.url();
    moves_and_ignores(&node, &cut_off, &url, || namespace.link_down(), || namespace.link_up())
        .await;
}

/// The same where no namespace can be made: a relay that holds every byte is the cable.
#[tokio::test]
async fn fault_p12_a_held_cable_moves_the_pipe_and_late_bytes_are_ignored() {
    let node = need!(tools::node());
    let cut_off = Backend::start(replying(&node).with("push-every", 50)).await;
    let cable = Relay::start(vec![cut_off.address()]).await;
    moves_and_ignores(&node, &cut_off, &cable.url(), || cable.hold(), || cable.heal()).await;
}

/// A backend that says 1012 and ends its socket at once may do so before our bytes are there: its
/// FIN is as orderly as any, and confirms nothing that its TCP has not acknowledged.
#[tokio::test]
async fn fault_p12_a_goodbye_confirms_nothing_that_was_still_on_its_way() {
    let ip = need!(tools::namespaces());
    let namespace = Namespace::new(&ip);
    let listener = Listener::within(&namespace);
    let everwire = Everwire::start(&Setup::new().backend(listener.url())).await;
    let (mut client, mut leg) = join!(wire_to(everwire.address()), listener.accept_leg());

    namespace.deafen();
    let message = Frame::new(TEXT, "on its way").masked();
    client.send_frame(&message).await;
    pipe_shows(&everwire, "unconfirmed_messages", &json!(1)).await;
    leg.send_frame(&Frame::close(1012, "restart")).await;
    pipe_shows(&everwire, "state", &json!("closing")).await;
    drop((leg, listener));

    let other = Recorder::start().await;
    assert!(everwire.add_backend(&other.url()).await.status < 300);
    let arrived = eventually("the message at the other backend", async || other.data().pop()).await;
    assert_eq!(arrived.payload, message.payload);
    assert_eq!(other.data().len(), 1);
}

async fn pipe_shows(everwire: &Everwire, key: &str, value: &Value) {
    until_equal(key, value.clone(), async || everwire.pipes().await[0][key].clone()).await;
}

/// The backend pushes and answers, is cut off with messages under way, and comes back: the client
/// hears a beginning of its leg, then the other backend's leg, and nothing of the first again.
async fn moves_and_ignores(
    node: &Path,
    cut_off: &Backend,
    url: &str,
    cut: impl Fn(),
    heal: impl Fn(),
) {
    let setup = Setup::new().backend(url).ping_millis(1000);
    let everwire = Everwire::start(&setup).await;
    // The client answers Pings only while it is listened to, so nothing slow happens beside it.
    let other = Backend::start(replying(node)).await;
    let mut client = client_of(&everwire).await;
    let mut heard = Vec::new();
    client.say(100).await;
    hear_until(&mut client, "re c 1", &mut heard).await;

    assert!(everwire.add_backend(&other.url()).await.status < 300);
    cut();
    for _ in 0..10 {
        client.say(100).await;
    }
    hear_until(&mut client, "re c 11", &mut heard).await;
    heal();
    eventually("the end of the leg that was cut off", async || cut_off.closes().pop()).await;
    client.say(100).await;
    hear_until(&mut client, "re c 12", &mut heard).await;

    assert_eq!(legs_in_order(&heard), [stream_of(cut_off), stream_of(&other)]);
    arrived_from(&client, &[cut_off, &other]).await.assert_unbroken("at the backends");
}

fn stream_of(backend: &Backend) -> String {
    let legs = backend.legs();
    assert_eq!(legs.len(), 1);
    legs[0].stream()
}

async fn start_within(namespace: &Namespace, launch: Launch) -> Backend {
    Backend::start_at(launch.within(namespace), (namespace.inside(), 0).into()).await
}
