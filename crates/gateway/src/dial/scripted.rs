//! Backends that do as they are told, for the tests of dialling and of health.
//!
//! They run on the test's own runtime and talk over loopback, so that a paused clock jumps only
//! when nobody has anything left to say.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use everwire_proto::ws::upgrade::UpgradeRequest;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::Handle,
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

use crate::pool::config::BackendConfig;

/// What a peer does with one connection once it has read the request's head.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// How long it thinks.
    pub(crate) delay: Duration,
    /// What it answers; `{accept}` stands for the right `Sec-WebSocket-Accept`.
    pub(crate) answer: String,
    /// What it does then.
    pub(crate) then: Then,
}

/// The end of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// It keeps the connection open until the other side ends it.
    Hold,
    /// It ends the connection.
    Close,
}

impl Script {
    /// Answers `lines`, ended by an empty one, and holds the connection.
    pub(crate) fn lines(lines: &[&str]) -> Self {
        let answer = format!("{}\r\n\r\n", lines.join("\r\n"));
        Self { delay: Duration::ZERO, answer, then: Then::Hold }
    }

    /// A good 101 with `extra` lines.
    pub(crate) fn welcome(extra: &[&str]) -> Self {
        let mut lines = vec![
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Accept: {accept}",
        ];
        lines.extend_from_slice(extra);
        Self::lines(&lines)
    }

    /// Says nothing at all.
    pub(crate) fn silent() -> Self {
        Self { delay: Duration::ZERO, answer: String::new(), then: Then::Hold }
    }

    pub(crate) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    pub(crate) fn then(mut self, then: Then) -> Self {
        self.then = then;
        self
    }

    /// The same with `bytes` behind the answer.
    pub(crate) fn and(mut self, bytes: &str) -> Self {
        self.answer.push_str(bytes);
        self
    }
}

/// A backend on loopback.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    _task: AbortOnDropHandle<()>,
}

struct State {
    script: Mutex<Script>,
    heads: Mutex<Vec<String>>,
    open: AtomicUsize,
    most: AtomicUsize,
}

impl Peer {
    pub(crate) async fn start(script: Script) -> Self {
        Self::at(([127, 0, 0, 1], 0).into(), script).await
    }

    /// A peer at a given address, such as one that nobody answered at before.
    pub(crate) async fn at(address: SocketAddr, script: Script) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let state = Arc::new(State {
            script: Mutex::new(script),
            heads: Mutex::default(),
            open: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        });
        let task = Handle::current().spawn(listen(listener, state.clone()));
        Self { address, state, _task: AbortOnDropHandle::new(task) }
    }

    pub(crate) fn config(&self) -> BackendConfig {
        config(self.address)
    }

    /// Does something else with the connections that come.
    pub(crate) fn change(&self, script: Script) {
        *self.state.script.lock().expect("not poisoned") = script;
    }

    /// The heads of all requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.state.heads.lock().expect("not poisoned").clone()
    }

    /// How many connections are open.
    pub(crate) fn open(&self) -> usize {
        self.state.open.load(Relaxed)
    }

    /// How many were open at a time.
    pub(crate) fn most(&self) -> usize {
        self.state.most.load(Relaxed)
    }

    /// Waits until every connection has been ended by the other side.
    pub(crate) async fn left_alone(&self) {
        while self.open() > 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// The configuration of whoever is, or is not, at `address`.
pub(crate) fn config(address: SocketAddr) -> BackendConfig {
    BackendConfig::new(format!("ws://{address}").parse().expect("a URL"))
}

/// An address that refuses connections.
pub(crate) async fn dead_address() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    listener.local_addr().expect("bound")
}

async fn listen(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("a listener");
        connections.spawn(serve(stream, state.clone()));
    }
}

async fn serve(mut stream: TcpStream, state: Arc<State>) {
    let open = state.open.fetch_add(1, Relaxed) + 1;
    state.most.fetch_max(open, Relaxed);
    play(&mut stream, &state).await;
    state.open.fetch_sub(1, Relaxed);
}

async fn play(stream: &mut TcpStream, state: &State) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_buf(&mut head).await {
            Ok(count) if count > 0 => {}
            _ => return,
        }
    }
    let accept =
        UpgradeRequest::parse(&head).map(|request| *request.accept()).unwrap_or([b'-'; 28]);
    state.heads.lock().expect("not poisoned").push(String::from_utf8(head).expect("ASCII"));
    let script = state.script.lock().expect("not poisoned").clone();
    tokio::time::sleep(script.delay).await;
    let accept = std::str::from_utf8(&accept).expect("base64");
    let answer = script.answer.replace("{accept}", accept);
    if stream.write_all(answer.as_bytes()).await.is_err() || script.then == Then::Close {
        return;
    }
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
}
