//! Other streams than those of axum's server, and what the time asks for.

use std::{num::NonZeroUsize, time::Duration};

use bytes::Bytes;
use everwire_hub::{Context, End, Hub, HubConfig, HubService};
use everwire_proto::ws::upgrade::UpgradeRequest;
use http_body_util::Empty;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::Instant,
};
use tokio_tungstenite::client_async;

use crate::peer::Peer;

/// A client over a stream that is no socket, so that time need not pass.
pub(crate) async fn peer(service: HubService, tasks: &mut JoinSet<()>) -> Peer<DuplexStream> {
    let (ours, theirs) = duplex(4096);
    tasks.spawn(async move {
        let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
            let service = service.clone();
            async move { Ok::<_, std::convert::Infallible>(service.handle(request).await) }
        });
        let served = http1::Builder::new().serve_connection(TokioIo::new(theirs), service);
        served.with_upgrades().await.unwrap();
    });
    let (socket, _) = client_async("ws://hub.test/", ours).await.unwrap();
    Peer::new(socket)
}

/// A hub and the ends of its clients.
fn reporting(config: HubConfig) -> (Hub, mpsc::Receiver<End>) {
    let (tx, ends) = mpsc::channel(10);
    let hub = Hub::builder()
        .config(config)
        .method("Echo", |_: Context, number: u32| async move { number })
        .disconnected(move |_, end| {
            let tx = tx.clone();
            async move { drop(tx.send(end).await) }
        });
    (hub.build().unwrap(), ends)
}

#[expect(clippy::disallowed_methods, reason = "a test measures its own paused clock")]
fn now() -> Instant {
    Instant::now()
}

pub(crate) async fn hello<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
    peer: &mut Peer<S>,
) {
    peer.send(r#"{"protocol":"json","version":1}"#).await;
    assert_eq!(peer.next().await.as_deref(), Some("{}"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_no_socket_carries_a_connection() {
    let (hub, _ends) = reporting(HubConfig::default());
    let mut tasks = JoinSet::new();
    let mut peer = peer(hub.service(), &mut tasks).await;
    hello(&mut peer).await;
    assert_eq!(peer.call("echo", "[3]").await, r#"{"type":3,"invocationId":"7","result":3}"#);
    // More than the stream takes at once.
    let text = "x".repeat(20_000);
    hub.all().send("m", &(&text,)).unwrap();
    hub.all().send("m", &(1,)).unwrap();
    assert!(peer.next().await.unwrap().contains(&text));
    assert!(peer.next().await.unwrap().contains("[1]"));
}

#[tokio::test(start_paused = true)]
async fn a_quiet_connection_is_pinged_and_a_silent_client_given_up() {
    let (hub, mut ends) = reporting(HubConfig::default());
    let mut tasks = JoinSet::new();
    let mut peer = peer(hub.service(), &mut tasks).await;
    hello(&mut peer).await;
    let begun = now();
    assert_eq!(peer.next_or_ping().await.as_deref(), Some(r#"{"type":6}"#));
    let waited = begun.elapsed();
    assert!((15..18).contains(&waited.as_secs()), "{waited:?}");
    // A client that never pings is not given up.
    for _ in 0..4 {
        assert_eq!(peer.next_or_ping().await.as_deref(), Some(r#"{"type":6}"#));
    }
    peer.send(r#"{"type":6}"#).await;
    let begun = now();
    let close = peer.next().await.unwrap();
    assert!(close.contains("ClientTimeoutInterval") && close.contains(r#""allowReconnect":true"#));
    let waited = begun.elapsed();
    assert!((30..33).contains(&waited.as_secs()), "{waited:?}");
    assert_eq!(peer.code().await, Some(1000));
    assert_eq!(ends.recv().await, Some(End::Silent));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_told_so() {
    let (hub, _ends) = reporting(HubConfig::default());
    let mut tasks = JoinSet::new();
    let mut peer = peer(hub.service(), &mut tasks).await;
    let begun = now();
    assert_eq!(peer.next().await.as_deref(), Some(r#"{"error":"Handshake was canceled."}"#));
    assert!((15..18).contains(&begun.elapsed().as_secs()));
    assert_eq!(peer.code().await, Some(1000));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_close_is_not_waited_for() {
    let (hub, mut ends) = reporting(HubConfig::default());
    let mut tasks = JoinSet::new();
    let mut peer = peer(hub.service(), &mut tasks).await;
    hello(&mut peer).await;
    hub.stop();
    let begun = now();
    assert_eq!(ends.recv().await, Some(End::Stopping));
    let waited = begun.elapsed();
    assert!((Duration::from_secs(5)..Duration::from_secs(8)).contains(&waited), "{waited:?}");
}

/// The way of a server that reads requests by itself: one shard, on the runtime of its sockets.
#[tokio::test]
async fn a_server_of_its_own_hands_over_its_sockets() {
    let config = HubConfig::default();
    let hub = Hub::builder().config(config).shards(NonZeroUsize::MIN);
    let hub = hub.method("Echo", |_: Context, n: u32| async move { n }).build().unwrap();
    let mut shards = hub.take_shards();
    let shard = shards.pop().unwrap();
    assert!(shards.is_empty() && hub.take_shards().is_empty());
    let service = hub.service().on(&shard);
    let mut tasks = JoinSet::new();
    tasks.spawn(shard.run());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (ended, mut guard) = mpsc::channel::<()>(1);
    tasks.spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        accept(stream, &service, ended).await;
    });
    let stream = TcpStream::connect(address).await.unwrap();
    let (socket, _) = client_async(format!("ws://{address}/hub"), stream).await.unwrap();
    let mut peer = Peer::new(socket);
    hello(&mut peer).await;
    assert_eq!(peer.call("echo", "[3]").await, r#"{"type":3,"invocationId":"7","result":3}"#);
    drop(peer);
    assert_eq!(guard.recv().await, None, "what guards the socket is dropped with it");
}

async fn accept(mut stream: TcpStream, service: &HubService, ended: mpsc::Sender<()>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_buf(&mut head).await.unwrap();
    }
    let request = UpgradeRequest::parse(&head).unwrap();
    match service.open(&request).await {
        Ok(opening) => opening.start(stream, b"", Some(Box::new(ended))),
        Err(_) => stream.shutdown().await.unwrap(),
    }
}

#[tokio::test]
async fn a_foreign_page_opens_no_socket() {
    let (hub, _ends) = reporting(HubConfig::default());
    let head = "GET /hub HTTP/1.1\r\nHost: hub.test\r\nUpgrade: websocket\r\n\
                Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: https://evil.test\r\n\r\n";
    let request = UpgradeRequest::parse(head.as_bytes()).unwrap();
    let refused = hub.service().open(&request).await.unwrap_err();
    assert_eq!(refused.status(), 403);
    let mut request = http::Request::builder().uri("/").header("origin", "https://evil.test");
    for (name, value) in [("host", "hub.test"), ("upgrade", "websocket")] {
        request = request.header(name, value);
    }
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    assert_eq!(hub.service().handle(request).await.status(), 403);
}
