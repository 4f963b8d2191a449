//! The cable between a node and its Redis that lets an append through, swallows the answer and cuts:
//! the node cannot know whether it was stored, and it was.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::loopback::unique_address;

/// A cable that can swallow. Dropping it cuts everything.
#[derive(Debug)]
pub struct Swallower {
    address: SocketAddr,
    state: Arc<State>,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct State {
    /// What a request has in it whose answer is swallowed.
    requests: &'static [u8],
    /// Whether answers to appended entries are swallowed, every other time.
    swallows: AtomicBool,
    turn: AtomicU64,
    swallowed: AtomicU64,
}

impl Swallower {
    /// A cable to `server` that lets everything through for now, and is to swallow answers to what is
    /// appended to channels.
    pub async fn start(server: SocketAddr) -> Self {
        Self::of(server, b"MAXLEN").await
    }

    /// The same for what is appended to logs.
    pub async fn of_logs(server: SocketAddr) -> Self {
        Self::of(server, b"id(last + 1), 'e'").await
    }

    async fn of(server: SocketAddr, requests: &'static [u8]) -> Self {
        let listener = TcpListener::bind((unique_address(), 0)).await.expect("loopback is free");
        let address = listener.local_addr().expect("a listener has an address");
        let state = Arc::new(State {
            requests,
            swallows: AtomicBool::default(),
            turn: AtomicU64::default(),
            swallowed: AtomicU64::default(),
        });
        let mut tasks = JoinSet::new();
        let shared = Arc::clone(&state);
        tasks.spawn(async move {
            let mut pipes = JoinSet::new();
            while let Ok((node, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                pipes.spawn(async move {
                    if let Ok(server) = TcpStream::connect(server).await {
                        pipe(node, server, &state).await;
                    }
                });
            }
        });
        Self { address, state, _tasks: tasks }
    }

    /// Where the node finds its Redis.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Whether the answers to appends are swallowed from now on: every other one, so that a node
    /// gets on.
    pub fn swallow(&self, swallows: bool) {
        self.state.swallows.store(swallows, SeqCst);
    }

    /// How often an answer was swallowed and the connection cut.
    pub fn swallowed(&self) -> u64 {
        self.state.swallowed.load(SeqCst)
    }
}

/// Until one side ends, or an answer is swallowed.
async fn pipe(mut node: TcpStream, mut server: TcpStream, state: &State) {
    let _ = (node.set_nodelay(true), server.set_nodelay(true));
    let (mut up, mut down) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut appends = false;
    loop {
        // In the order of what happens: a request comes before its answer.
        tokio::select! {
            biased;
            read = node.read(&mut up) => {
                let Ok(count @ 1..) = read else { return };
                let wanted = state.requests;
                appends |= up[..count].windows(wanted.len()).any(|window| window == wanted);
                if server.write_all(&up[..count]).await.is_err() { return }
            }
            read = server.read(&mut down) => {
                let Ok(count @ 1..) = read else { return };
                let takes = appends && state.swallows.load(SeqCst);
                if takes && state.turn.fetch_add(1, SeqCst).is_multiple_of(2) {
                    state.swallowed.fetch_add(1, SeqCst);
                    return;
                }
                if node.write_all(&down[..count]).await.is_err() { return }
            }
        }
    }
}
