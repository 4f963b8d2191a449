//! A client, and three nodes that take turns with its requests.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{Router, extract::Request};
use everwire_client::{Client, State, Transport, Upload, WithUploads};
use everwire_hub::{Cluster, Context, Hub, HubConfig, Upload as Stream};
use everwire_testkit::{
    relay::Relay,
    wait::{soon, until_equal},
};
use futures_util::{StreamExt, stream};
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet};

use crate::peer::ways;

/// Three hubs that are one, at `/chat` of one address.
struct Nodes {
    hubs: Vec<Hub>,
    clusters: Vec<Cluster>,
    address: SocketAddr,
    _servers: JoinSet<()>,
}

fn hub() -> everwire_hub::HubBuilder {
    // Nobody carries a hub's last words away from a client that polls and has left.
    let config = HubConfig { close_timeout: Duration::from_millis(200), ..HubConfig::default() };
    Hub::builder()
        .config(config)
        .method("Transport", |cx: Context| async move { Ok(cx.transport()) })
        .method("Add", |_: Context, one: i32, two: i32| async move { one + two })
        .method("Back", |cx: Context, number: u32| async move {
            Ok(cx.caller().send("Count", &[number])?)
        })
        .method("Concat", |_: Context, first: String, mut words: Stream<String>| async move {
            let mut text = first;
            while let Some(word) = words.next().await {
                text.push_str(&word?);
            }
            Ok(text)
        })
        .stream("Count", |_: Context, to: u32| stream::iter(1..=to).map(Ok))
}

async fn serve() -> Nodes {
    let mut servers = JoinSet::new();
    let (mut hubs, mut clusters) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let advertise = listener.local_addr().unwrap().to_string();
        let cluster = Cluster::new(&advertise, ["what the three nodes share"]).unwrap();
        let hub = hub().cluster(&cluster, "chat").build().unwrap();
        let peers = Router::new().fallback_service(cluster.service([hub.service()]));
        servers.spawn(async move { axum::serve(listener, peers).await.unwrap() });
        hubs.push(hub);
        clusters.push(cluster);
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let services: Vec<_> = hubs.iter().map(Hub::service).collect();
    let next = Arc::new(AtomicUsize::new(0));
    let front = Router::new().fallback(move |request: Request| {
        let service = services[next.fetch_add(1, Relaxed) % 3].clone();
        async move { service.handle(request).await }
    });
    servers.spawn(async move { axum::serve(listener, front).await.unwrap() });
    Nodes { hubs, clusters, address, _servers: servers }
}

impl Nodes {
    fn connected(&self) -> usize {
        self.hubs.iter().map(Hub::connected).sum()
    }

    fn totals(&self, count: impl Fn(everwire_hub::ClusterTotals) -> u64) -> u64 {
        self.clusters.iter().map(|cluster| count(cluster.totals())).sum()
    }
}

#[tokio::test]
async fn nodes_that_take_turns_are_one_hub_over_every_transport_in_either_encoding() {
    let nodes = serve().await;
    for (transport, protocol) in ways() {
        for _ in 0..4 {
            let (tell, mut told) = mpsc::channel(1000);
            let client = Client::builder(format!("http://{}/chat", nodes.address))
                .protocol(protocol)
                .transports([transport])
                .on("Count", move |number: u32| tell.try_send(number).unwrap());
            let client = soon("a connection", client.connect()).await.unwrap();
            let carries: Transport = client.invoke("Transport", &[(); 0]).await.unwrap();
            assert_eq!(carries, transport);
            let items = client.stream::<u32>("Count", &[200]).await.unwrap();
            let items: Vec<u32> = items.map(Result::unwrap).collect().await;
            assert!(items.into_iter().eq(1..=200));
            let words = Upload::from(stream::iter(["b", "c"]));
            let text = client.invoke::<String>("Concat", WithUploads(&["a"], vec![words])).await;
            assert_eq!(text.unwrap(), "abc");
            for number in 0..20 {
                client.invoke::<()>("Back", &[number]).await.unwrap();
                assert_eq!(soon("a number", told.recv()).await, Some(number));
            }
            assert_eq!(nodes.connected(), 1);
            soon("goodbye", client.stop()).await;
            until_equal("who is there", 0, async || nodes.connected()).await;
        }
    }
    assert!(nodes.totals(|totals| totals.passed) > 100, "most requests came to another node");
}

#[tokio::test]
async fn a_session_that_comes_back_to_whichever_node_loses_and_doubles_nothing() {
    let nodes = serve().await;
    let cable = Relay::start(vec![nodes.address]).await;
    for (_, protocol) in ways().filter(|(way, _)| *way == Transport::WebSockets) {
        let (tell, mut told) = mpsc::channel(1000);
        let client = Client::builder(format!("http://{}/chat", cable.address()))
            .protocol(protocol)
            .stateful_reconnect()
            .on("Count", move |number: u32| tell.try_send(number).unwrap());
        let client = soon("a connection", client.connect()).await.unwrap();
        let id = client.connection_id().unwrap();
        for round in 0..10 {
            // What is said now, and answered, gets no further than the cable.
            cable.leak();
            let number = [2 * round];
            let call = client.invoke::<()>("Back", &number);
            let cut = async {
                cable.replace();
                client.invoke::<i32>("Add", &(round as i32, 1)).await.unwrap()
            };
            let (called, sum) = tokio::join!(call, cut);
            called.unwrap();
            assert_eq!(sum, round as i32 + 1);
            client.invoke::<()>("Back", &[2 * round + 1]).await.unwrap();
            for number in [2 * round, 2 * round + 1] {
                assert_eq!(soon("a number", told.recv()).await, Some(number));
            }
        }
        assert!(told.try_recv().is_err(), "nothing is said twice");
        assert_eq!(client.connection_id(), Some(id));
        assert!(matches!(&*client.state().borrow(), State::Connected { .. }), "nobody notices");
        soon("goodbye", client.stop()).await;
    }
    assert!(nodes.totals(|totals| totals.tunneled) > 5, "most came back to another node");
}
