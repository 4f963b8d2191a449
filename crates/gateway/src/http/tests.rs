//! Plain requests against backends that do as they are told, on a clock that jumps.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use everwire_proto::ws::upgrade::Scheme;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Frame;

use super::{kept::KEPT_MAX, *};
use crate::{
    config::{PoolConfig, RouteConfig},
    dial::scripted::{Peer, Script, Then, config, dead_address},
    gateway::{Gateway, GatewayConfig},
    pool::Pool,
};

fn manager(backends: Vec<crate::config::BackendConfig>) -> PipeManager {
    let pool = Pool::new("chat", PoolConfig { backends, ..PoolConfig::default() });
    PipeManager::with(Gateway::new(GatewayConfig::default()), pool, "/", RouteConfig::default())
}

fn client() -> ClientInfo {
    ClientInfo { address: SocketAddr::from(([192, 0, 2, 7], 1)), scheme: Scheme::Https }
}

fn request(method: &str, fields: &[(&str, &str)]) -> Request<Empty<Bytes>> {
    let mut request = Request::builder().method(method).uri("/a?b=c").header("Host", "a.example");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Empty::new()).expect("a request")
}

async fn ask(manager: &PipeManager, method: &str) -> (u16, String) {
    let (answer, pipe) = manager.answer(request(method, &[]), client()).await;
    assert!(pipe.is_none(), "nobody asked for a WebSocket");
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8(body.into()).expect("text"))
}

fn hello() -> Script {
    Script::lines(&["HTTP/1.1 200 OK", "Content-Length: 5"]).and("hello")
}

fn check_nothing_left(manager: &PipeManager) {
    for backend in manager.pool().backends() {
        assert_eq!((backend.sessions, backend.dials_in_flight), (0, 0), "{backend:?}");
    }
    assert_eq!(manager.gateway().totals().requests, 0);
}

#[tokio::test(start_paused = true)]
async fn attack_h11_h12_a_backend_hears_what_passes_and_who_asks() {
    let peer = Peer::start(hello()).await;
    let manager = manager(vec![peer.config()]);
    let fields = [
        ("Connection", "x-hop, x-forwarded-for, cookie, host"),
        ("X-Hop", "1"),
        ("Cookie", "user=1"),
        ("Upgrade", "h2c"),
        ("HTTP2-Settings", "AAMA"),
        ("X-Forwarded-For", "6.6.6.6"),
        ("X_Forwarded_Proto", "ftp"),
        ("Everwire-Session", "mine"),
        ("Accept", "text/event-stream"),
    ];
    let (answer, _) = manager.answer(request("GET", &fields), client()).await;
    assert_eq!(answer.status(), 200);
    let head = peer.heads().remove(0).to_ascii_lowercase();
    let mut lines: Vec<&str> = head.trim_end().split("\r\n").collect();
    lines[1..].sort_unstable();
    let expected = [
        "get /a?b=c http/1.1",
        "accept: text/event-stream",
        "cookie: user=1",
        "host: a.example",
        "x-forwarded-for: 192.0.2.7",
        "x-forwarded-host: a.example",
        "x-forwarded-proto: https",
    ];
    assert_eq!(lines, expected);
}

#[tokio::test(start_paused = true)]
async fn attack_h11_a_client_hears_nothing_that_belongs_to_the_hop() {
    let script = Script::lines(&[
        "HTTP/1.1 200 OK",
        "Content-Length: 0",
        "Connection: keep-alive, X-Hop, Content-Length",
        "X-Hop: 1",
        "Keep-Alive: timeout=5",
        "Alt-Svc: h3",
        "Set-Cookie: a=b",
        "Set-Cookie: c=d",
    ]);
    let peer = Peer::start(script).await;
    let (answer, _) = manager(vec![peer.config()]).answer(request("GET", &[]), client()).await;
    let names: Vec<&str> = answer.headers().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["content-length", "set-cookie", "set-cookie"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_request_for_a_backend_is_refused() {
    let peer = Peer::start(hello()).await;
    let manager = manager(vec![peer.config()]);
    assert_eq!(ask(&manager, "TRACE").await.0, 405);
    let twice = request("GET", &[("Host", "b.example")]);
    assert_eq!(manager.answer(twice, client()).await.0.status(), 400);
    assert!(peer.heads().is_empty());
    check_nothing_left(&manager);
}

#[tokio::test(start_paused = true)]
async fn kept_connections_have_a_limit_and_a_time() {
    let peer = Peer::start(hello().after(Duration::from_secs(1))).await;
    let manager = manager(vec![peer.config()]);
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..KEPT_MAX + 10 {
        let manager = manager.clone();
        asking.spawn(async move { ask(&manager, "GET").await });
    }
    while let Some(answer) = asking.join_next().await {
        assert_eq!(answer.expect("no panic"), (200, "hello".to_owned()));
    }
    assert_eq!(peer.most(), KEPT_MAX + 10);
    let backend = manager.pool().backends()[0].id;
    let endpoint = manager.pool().endpoint(backend).expect("a backend");
    assert_eq!(endpoint.kept().count(), KEPT_MAX);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(endpoint.kept().count(), 0);
    peer.left_alone().await;
    check_nothing_left(&manager);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ended_while_it_waited_costs_no_request() {
    let peer = Peer::start(hello().then(Then::Close)).await;
    let manager = manager(vec![peer.config()]);
    for method in ["POST", "GET", "POST", "DELETE"] {
        assert_eq!(ask(&manager, method).await, (200, "hello".to_owned()));
    }
    assert_eq!(peer.heads().len(), 4, "each was seen once");
}

#[tokio::test(start_paused = true)]
async fn a_dead_backend_is_passed_over_and_a_dead_pool_is_503() {
    let peer = Peer::start(hello()).await;
    let dead = config(dead_address().await);
    for method in ["GET", "POST"] {
        let manager = manager(vec![dead.clone(), peer.config()]);
        assert_eq!(ask(&manager, method).await.0, 200);
    }
    let manager = manager(vec![dead]);
    assert_eq!(ask(&manager, "GET").await, (503, "no backend answers\n".to_owned()));
    check_nothing_left(&manager);
}

#[tokio::test(start_paused = true)]
async fn a_silent_backend_is_504_and_no_answer_at_all_502() {
    let silent = Peer::start(Script::silent()).await;
    let quiet = manager(vec![silent.config()]);
    assert_eq!(ask(&quiet, "GET").await.0, 504);
    silent.left_alone().await;
    check_nothing_left(&quiet);
    for script in [
        Script::silent().then(Then::Close),
        Script::lines(&["SSH-2.0-OpenSSH_9.2"]),
        Script::lines(&["HTTP/1.1 101 Switching Protocols", "Upgrade: x", "Connection: upgrade"]),
        Script::lines(&["HTTP/1.1 200 OK", "Content-Length: 1", "Content-Length: 2"]),
    ] {
        let peer = Peer::start(script.clone()).await;
        let manager = manager(vec![peer.config()]);
        assert_eq!(ask(&manager, "POST").await.0, 502, "{script:?}");
        assert_eq!(peer.heads().len(), 1, "a POST is sent once: {script:?}");
        peer.left_alone().await;
        check_nothing_left(&manager);
    }
}

/// It answers the kernel's handshake and nothing else: asked without end, it would be for ever.
#[tokio::test(start_paused = true)]
async fn a_backend_that_hangs_up_at_once_is_asked_once() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let manager = manager(vec![config(listener.local_addr().expect("bound"))]);
    for method in ["POST", "GET"] {
        let mut times = 0;
        let hang_up = async {
            loop {
                drop(listener.accept().await);
                times += 1;
            }
        };
        let status = tokio::select! {
            (status, _) = ask(&manager, method) => status,
            () = hang_up => unreachable!("it has no end"),
        };
        assert_eq!((status, times), (502, 1), "{method}");
    }
    check_nothing_left(&manager);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_breaks_off_is_not_taken_for_a_whole_one() {
    let peer = Peer::start(
        Script::lines(&["HTTP/1.1 200 OK", "Content-Length: 9"]).and("hello").then(Then::Close),
    )
    .await;
    let manager = manager(vec![peer.config()]);
    let (answer, _) = manager.answer(request("GET", &[]), client()).await;
    let broken = answer.into_body().collect().await.expect_err("it broke off");
    assert_eq!(broken, CutOff::Backend);
    check_nothing_left(&manager);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_stands_still_is_cut_off() {
    let script = Script::lines(&["HTTP/1.1 200 OK", "Content-Length: 9"]).and("hello");
    let peer = Peer::start(script).await;
    let manager = manager(vec![peer.config()]);
    let (answer, _) = manager.answer(request("GET", &[]), client()).await;
    let start = clock::now();
    let cut = answer.into_body().collect().await.expect_err("nothing moved");
    assert_eq!(cut, CutOff::Idle);
    let idle = HttpConfig::default().idle_timeout;
    assert!(clock::now().saturating_since(start) >= idle);
    peer.left_alone().await;
    check_nothing_left(&manager);
}

#[tokio::test(start_paused = true)]
async fn who_drops_an_answer_ends_it_at_the_backend() {
    let script = Script::lines(&["HTTP/1.1 200 OK", "Content-Length: 9"]).and("hello");
    let peer = Peer::start(script).await;
    let manager = manager(vec![peer.config()]);
    let (answer, _) = manager.answer(request("GET", &[]), client()).await;
    assert_eq!((manager.pool().backends()[0].sessions, peer.open()), (1, 1));
    drop(answer);
    peer.left_alone().await;
    check_nothing_left(&manager);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_the_client_s_fault() {
    let peer = Peer::start(Script::silent()).await;
    let manager = manager(vec![peer.config()]);
    let post = request("POST", &[("Content-Length", "5")]).map(|_| Broken);
    let (answer, _) = manager.answer(post, client()).await;
    assert_eq!(answer.status(), 400);
    peer.left_alone().await;
    check_nothing_left(&manager);
}

/// A body whose client goes away.
struct Broken;

impl Body for Broken {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())))
    }
}
