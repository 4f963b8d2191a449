//! The client and the hub, each the other's test.

use std::{net::SocketAddr, time::Duration};

use everwire_client::{
    Client, ClientBuilder, CloseReason, Connection, InvokeError, Loss, Protocol, ReconnectPolicy,
    State, Transport, Upload, WithUploads,
};
use everwire_hub::{Context, Hub, Upload as Stream};
use everwire_testkit::{
    relay::Relay,
    wait::{soon, until_equal},
};
use futures_util::{StreamExt, stream};
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet};

use crate::peer::ways;

/// A hub at `/chat`.
struct Served {
    hub: Hub,
    address: SocketAddr,
    heard: mpsc::Receiver<u32>,
    _server: JoinSet<()>,
}

async fn serve() -> Served {
    let (hear, heard) = mpsc::channel(1000);
    let hub = Hub::builder()
        .method("Transport", |cx: Context| async move { Ok(cx.transport()) })
        .method("Add", |_: Context, one: i32, two: i32| async move { one + two })
        .method("Hear", move |_: Context, number: u32| {
            hear.try_send(number).unwrap();
            async {}
        })
        .method("Join", |cx: Context, room: String| async move {
            Ok(cx.hub().groups().add(cx.connection_id(), room)?)
        })
        .method("Concat", |_: Context, first: String, mut words: Stream<String>| async move {
            let mut text = first;
            while let Some(word) = words.next().await {
                text.push_str(&word?);
            }
            Ok(text)
        })
        .stream("Count", |_: Context, to: u32| stream::iter(1..=to).map(Ok))
        .build()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().nest_service("/chat", hub.service());
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, router).await.unwrap() });
    Served { hub, address, heard, _server: server }
}

/// A client that tells which numbers it is called with.
fn client(at: SocketAddr, protocol: Protocol) -> (ClientBuilder, mpsc::Receiver<u32>) {
    let (tell, told) = mpsc::channel(1000);
    let client = Client::builder(format!("http://{at}/chat"))
        .protocol(protocol)
        .on("Count", move |number: u32| tell.try_send(number).unwrap());
    (client, told)
}

async fn check(numbers: &mut mpsc::Receiver<u32>, wanted: impl IntoIterator<Item = u32>) {
    for number in wanted {
        assert_eq!(soon("a number", numbers.recv()).await, Some(number));
    }
}

#[tokio::test]
async fn all_that_a_hub_offers_is_used_over_every_transport_in_either_encoding() {
    let served = serve().await;
    for (transport, protocol) in ways() {
        let (client, mut told) = client(served.address, protocol);
        let client = client.transports([transport]);
        let client = soon("a connection", client.connect()).await.unwrap();
        let carries: Transport = client.invoke("Transport", &[(); 0]).await.unwrap();
        assert_eq!(carries, transport);
        assert_eq!(client.invoke::<i32>("add", &(2, 3)).await.unwrap(), 5);
        let failed = client.invoke::<()>("Nothing", &[0]).await.unwrap_err();
        assert!(matches!(failed, InvokeError::Server(_)), "{failed}");
        let items = client.stream::<u32>("Count", &[200]).await.unwrap();
        let items: Vec<u32> = items.map(Result::unwrap).collect().await;
        assert!(items.into_iter().eq(1..=200));
        let words = Upload::from(stream::iter(["b", "c"]));
        let text = client.invoke::<String>("Concat", WithUploads(&["a"], vec![words])).await;
        assert_eq!(text.unwrap(), "abc");
        client.invoke::<()>("Join", &["room"]).await.unwrap();
        served.hub.group("room").send("count", &[7]).unwrap();
        check(&mut told, [7]).await;
        soon("goodbye", client.stop()).await;
        until_equal("who is there", 0, async || served.hub.connected()).await;
    }
}

#[tokio::test]
async fn a_connection_over_any_transport_is_replaced_when_it_is_lost() {
    let served = serve().await;
    let cable = Relay::start(vec![served.address]).await;
    for transport in Transport::ALL {
        let (client, mut told) = client(cable.address(), Protocol::Json);
        let at_once = ReconnectPolicy::Delays(vec![Duration::ZERO; 5]);
        let client = client.transports([transport]).reconnect(at_once);
        let client = soon("a connection", client.connect()).await.unwrap();
        client.invoke::<()>("Join", &["room"]).await.unwrap();
        let id = client.connection_id();
        let mut state = client.state();
        cable.cut();
        let returned = state.wait_for(|state| matches!(state, State::Reconnected { .. }));
        soon("a new connection", returned).await.unwrap();
        assert_ne!(client.connection_id(), id);
        assert_eq!(client.invoke::<i32>("Add", &(2, 3)).await.unwrap(), 5);
        served.hub.group("room").send("count", &[1]).unwrap();
        client.invoke::<()>("Join", &["room"]).await.unwrap();
        served.hub.group("room").send("count", &[2]).unwrap();
        check(&mut told, [2]).await;
        soon("goodbye", client.stop()).await;
    }
}

/// Loses what both say, and then the connection, again and again.
async fn survive(protocol: Protocol) {
    let mut served = serve().await;
    let cable = Relay::start(vec![served.address]).await;
    let (client, mut told) = client(cable.address(), protocol);
    let client = soon("a connection", client.stateful_reconnect().connect()).await.unwrap();
    let id = client.connection_id().unwrap();
    for round in 0..5 {
        let (arrives, is_lost) = (round * 20..round * 20 + 10, round * 20 + 10..round * 20 + 20);
        say(&client, &served.hub, arrives.clone()).await;
        check(&mut served.heard, arrives.clone()).await;
        check(&mut told, arrives).await;
        cable.leak();
        say(&client, &served.hub, is_lost.clone()).await;
        let arguments = (round, 1);
        let lost = client.invoke::<u32>("Add", &arguments);
        let cut = async {
            cable.replace();
            check(&mut served.heard, is_lost.clone()).await;
            check(&mut told, is_lost).await;
        };
        let (sum, ()) = tokio::join!(lost, cut);
        assert_eq!(sum.unwrap(), round + 1);
    }
    assert!(matches!(&*client.state().borrow(), State::Connected { .. }), "nobody notices");
    assert_eq!(client.connection_id().unwrap(), id);
    assert_eq!(served.hub.connected(), 1);
    client.stop().await;
    assert!(served.heard.try_recv().is_err() && told.try_recv().is_err(), "nothing is doubled");
}

async fn say(client: &Connection, hub: &Hub, numbers: impl IntoIterator<Item = u32>) {
    for number in numbers {
        client.send("Hear", &[number]).await.unwrap();
        hub.all().send("count", &[number]).unwrap();
    }
}

#[tokio::test]
async fn a_json_session_survives_silent_losses_and_cuts() {
    survive(Protocol::Json).await;
}

#[tokio::test]
async fn a_message_pack_session_survives_silent_losses_and_cuts() {
    survive(Protocol::MessagePack).await;
}

#[tokio::test]
async fn a_client_that_is_thrown_out_stays_out_and_one_of_a_hub_that_stops_returns() {
    let served = serve().await;
    let (thrown, _told) = client(served.address, Protocol::Json);
    let thrown = soon("a connection", thrown.connect()).await.unwrap();
    let id = thrown.connection_id().unwrap();
    served.hub.abort(id.as_str().parse().unwrap());
    let why = soon("the end", thrown.closed()).await;
    assert!(matches!(&*why, CloseReason::Server { error: None }), "{why}");

    let (faithful, _told) = client(served.address, Protocol::Json);
    let much_later = ReconnectPolicy::Delays(vec![Duration::from_secs(3600)]);
    let faithful = faithful.stateful_reconnect().reconnect(much_later).connect();
    let faithful = soon("a connection", faithful).await.unwrap();
    served.hub.stop();
    let mut state = faithful.state();
    let lost = state.wait_for(|state| matches!(state, State::Reconnecting { .. }));
    let lost = soon("the news", lost).await.unwrap().clone();
    assert!(matches!(&lost, State::Reconnecting { loss: Loss::Server { .. } }), "{lost:?}");
}
