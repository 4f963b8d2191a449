//! Live sessions through the binary: an independent client, the sample service behind it.

use std::{net::SocketAddr, time::Duration};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest, protocol::CloseFrame},
};

use crate::{
    process::{Node, everwire, file, http, json, status},
    service::Service,
};

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Nothing in these tests takes longer unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

async fn connect(node: &Node) -> Client {
    let url = format!("ws://{}/room?key=secret", node.gateway);
    let (client, _) = connect_async(url).await.expect("the node lets the client in");
    client
}

/// Sends a text and gives the service's answer to it.
async fn ask(client: &mut Client, text: &str) -> String {
    client.send(Message::text(text)).await.expect("the client can send");
    loop {
        let next = timeout(PATIENCE, client.next()).await.expect("an answer comes");
        match next.expect("the socket stays").expect("the socket works") {
            Message::Text(answer) => return answer.to_string(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("not an answer: {other:?}"),
        }
    }
}

/// The Close that the client gets.
async fn closed(client: &mut Client) -> CloseFrame {
    loop {
        let next = timeout(PATIENCE, client.next()).await.expect("a close comes");
        if let Message::Close(Some(close)) = next.expect("a close comes").expect("it is whole") {
            return close;
        }
    }
}

fn first_pipe(node: &Node) -> serde_json::Value {
    json(&http(node.admin, "GET /api/v1/pipes", &[], ""))["items"][0].clone()
}

#[tokio::test]
async fn a_session_is_listed_without_its_query() {
    let service = Service::start("listed");
    let node = Node::with_backends(&[&service.url()]);
    let mut client = connect(&node).await;
    assert!(ask(&mut client, "hello").await.ends_with(" hello"));
    let pipe = first_pipe(&node);
    assert_eq!(pipe["path"], "/room");
    assert_eq!(pipe["state"], "live");
    assert_eq!(pipe["backend"], service.url());
    let shown = node.command(&["pipe", "ls"]);
    assert!(shown.out.contains("/room") && shown.out.contains("1 session"), "{}", shown.out);
    assert!(!shown.out.contains("secret"));
    let id = pipe["id"].to_string();
    let one = http(node.admin, &format!("GET /api/v1/pipes/{id}"), &[], "");
    assert_eq!(json(&one)["id"], pipe["id"]);
}

#[tokio::test]
async fn the_operator_closes_a_session_with_1008() {
    let service = Service::start("operator");
    let node = Node::with_backends(&[&service.url()]);
    let mut client = connect(&node).await;
    ask(&mut client, "hello").await;
    let id = first_pipe(&node)["id"].to_string();
    assert_eq!(node.command(&["pipe", "close", &id]).code, 0);
    assert_eq!(u16::from(closed(&mut client).await.code), 1008);
    assert_eq!(node.command(&["pipe", "close", "99999"]).code, 1);
}

#[tokio::test]
async fn every_close_is_attributed_in_the_metrics_and_the_log() {
    let service = Service::start("attributed");
    let node = Node::with_backends(&[&service.url()]);
    let mut client = connect(&node).await;
    ask(&mut client, "hello").await;
    client.close(None).await.expect("the client can close");
    while client.next().await.is_some() {}
    drop(client);
    let told = "everwire_pipes_closed_total{who=\"client\",why=\"goodbye\"";
    let page = || http(node.admin, "GET /metrics", &[], "");
    assert!((0..1000).any(|_| page().contains(told)), "{}", page());
    node.signal("INT");
    let log = tokio::task::spawn_blocking(|| node.ended()).await.expect("it ends").err;
    let line = log.lines().find(|line| line.contains("pipe closed")).unwrap_or_default();
    assert!(line.contains("client") && line.contains("goodbye"), "{log}");
    assert!(!log.contains("secret"), "{log}");
}

#[tokio::test]
async fn attack_r1_without_descriptors_sessions_go_on_and_clients_are_let_in_again() {
    let service = Service::start("descriptors");
    let node = Node::with_backends(&[&service.url()]);
    let mut live = connect(&node).await;
    ask(&mut live, "before").await;
    let folder = format!("/proc/{}/fd", node.child.id());
    let open = || std::fs::read_dir(&folder).expect("a live process has descriptors").count();
    limit_descriptors(&node, open() + 4);
    let mut crowd = Vec::new();
    for _ in 0..50 {
        crowd.push(TcpStream::connect(node.gateway).await.expect("the backlog takes it"));
    }
    assert!(ask(&mut live, "meanwhile").await.ends_with(" meanwhile"));
    drop(crowd);
    let again = timeout(Duration::from_secs(2), connect(&node));
    assert!(ask(&mut again.await.expect("soon"), "again").await.ends_with(" again"));
    assert!(http(node.admin, "GET /metrics", &[], "").contains("everwire_accept_errors_total "));
    node.signal("INT");
    let log = tokio::task::spawn_blocking(|| node.ended()).await.expect("it ends").err;
    let told = log.lines().filter(|line| line.contains("cannot accept clients")).count();
    assert!((1..=SHARDS_TOLD_MAX).contains(&told), "{log}");
}

#[tokio::test]
async fn a_log_that_nobody_reads_stops_no_session() {
    let service = Service::start("unread");
    let backend = service.url();
    let args =
        ["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--backend", &backend];
    let mut command = everwire(&args);
    command.env("RUST_LOG", "debug");
    let node = Node::start(command);
    let mut live = connect(&node).await;
    // Each says a line or two: more than a pipe and the waiting lines hold together.
    for _ in 0..LINES_MANY {
        refused(&node).await;
    }
    assert!(ask(&mut live, "meanwhile").await.ends_with(" meanwhile"));
    let page = http(node.admin, "GET /metrics", &[], "");
    let dropped =
        page.lines().find_map(|line| line.strip_prefix("everwire_log_lines_dropped_total "));
    assert!(dropped.is_some_and(|count| count != "0"), "{page}");
}

async fn refused(node: &Node) {
    let mut client = TcpStream::connect(node.gateway).await.expect("it listens");
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\n\r\n").await.expect("it reads");
    let mut answer = Vec::new();
    timeout(PATIENCE, client.read_to_end(&mut answer)).await.expect("in time").expect("an answer");
    assert!(answer.starts_with(b"HTTP/1.1 4"));
}

fn limit_descriptors(node: &Node, count: usize) {
    let pid = node.child.id().to_string();
    let limit = format!("--nofile={count}");
    let set = std::process::Command::new("prlimit").args(["--pid", &pid, &limit]).status();
    assert!(set.expect("prlimit runs").success());
}

/// A pipe holds some 500 lines, and 4,096 more wait.
const LINES_MANY: usize = 6000;

/// One line per listener and five seconds; the test is over before that.
const SHARDS_TOLD_MAX: usize = 64;

#[tokio::test]
async fn pool_rm_returns_when_its_sessions_have_moved() {
    let (first, second) = (Service::start("moved"), Service::start("moved"));
    let node = Node::with_backends(&[&first.url()]);
    let mut client = connect(&node).await;
    ask(&mut client, "before").await;
    assert_eq!(node.command(&["pool", "add", "default", &second.url()]).code, 0);
    let removed = node.command(&["pool", "rm", "default", &first.url()]);
    assert_eq!(removed.code, 0, "{}", removed.err);
    assert!(removed.out.contains("1 session moved"), "{}", removed.out);
    drop(first);
    assert!(ask(&mut client, "after").await.ends_with(" after"));
    assert_eq!(first_pipe(&node)["backend"], second.url());
    assert_eq!(first_pipe(&node)["legs"], 2);
}

#[tokio::test]
async fn term_closes_the_sessions_with_1001_and_ends_with_0() {
    let service = Service::start("term");
    let text = format!(
        "listen = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[stop]\nannounce = \"0s\"\n\
         window = \"100ms\"\n[pools.chat]\nbackends = [\"{}\"]\n[[routes]]\npool = \"chat\"\n",
        service.url()
    );
    let node = Node::with_file(&file("sessions-term.toml", &text));
    let mut clients = [connect(&node).await, connect(&node).await];
    node.signal("TERM");
    for client in &mut clients {
        assert_eq!(u16::from(closed(client).await.code), 1001);
        client.close(None).await.ok();
    }
    let ended = tokio::task::spawn_blocking(|| node.ended()).await.expect("it ends");
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(!ended.err.contains("secret"), "{}", ended.err);
}

#[tokio::test]
async fn attack_h13_a_foreign_origin_is_403_and_a_listed_one_is_let_in() {
    let service = Service::start("origin");
    let text = format!(
        "listen = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [pools.chat]\nbackends = [\"{}\"]\n[[routes]]\npool = \"chat\"\n\
         origins = [\"https://app.example.com\"]\n",
        service.url()
    );
    let node = Node::with_file(&file("origins.toml", &text));
    let from = |origin: &'static str| {
        let mut request = format!("ws://{}/", node.gateway).into_client_request().unwrap();
        request.headers_mut().insert("Origin", origin.parse().unwrap());
        connect_async(request)
    };
    assert!(from("https://app.example.com").await.is_ok());
    for foreign in ["https://evil.example", "null", "https://app.example.com.evil.example"] {
        let refused = from(foreign).await.expect_err("it is refused").to_string();
        assert!(refused.contains("403"), "{foreign}: {refused}");
    }
}

#[tokio::test]
async fn what_a_client_sends_before_its_101_is_its_first_message() {
    let service = Service::start("early");
    let node = Node::with_backends(&[&service.url()]);
    let mut stream = TcpStream::connect(node.gateway).await.unwrap();
    let mut request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        .to_vec();
    request.extend_from_slice(b"\x81\x85\0\0\0\0hello");
    stream.write_all(&request).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b" hello") {
        let read = timeout(PATIENCE, stream.read_buf(&mut answer)).await.expect("an answer comes");
        assert_ne!(read.unwrap(), 0, "{}", String::from_utf8_lossy(&answer));
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
}

#[tokio::test]
async fn no_backend_is_503_and_the_client_that_hangs_up_is_forgotten() {
    let nobody = unused_address();
    let node = Node::with_backends(&[&format!("ws://{nobody}")]);
    let refused = connect_async(format!("ws://{}/", node.gateway)).await.expect_err("nobody there");
    assert!(refused.to_string().contains("503"), "{refused}");
    let mut gone = TcpStream::connect(node.gateway).await.unwrap();
    gone.write_all(
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )
    .await
    .unwrap();
    drop(gone);
    let left = || http(node.admin, "GET /metrics", &[], "").contains("everwire_connections 0\n");
    assert!((0..1000).any(|_| left()), "the connection is still counted");
    assert_eq!(status(&http(node.admin, "GET /readyz", &[], "")), 200);
}

/// An address that nobody listens on.
fn unused_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound")
}
