//! A blind TCP relay: what a proxy is that knows nothing of sessions. It is the negative control,
//! and, put between Everwire and a backend, the cable that a test can cut or hold.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

use crate::{loopback::unique_address, wait::soon};

/// A running relay. Dropping it cuts every connection.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    cable: Arc<watch::Sender<Cable>>,
    cuts: Arc<watch::Sender<u64>>,
    _tasks: JoinSet<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cable {
    /// Bytes pass.
    Whole,
    /// Bytes stay where they are, like packets on a link that is down.
    Held,
    /// Bytes are lost, and nobody notices.
    Leaking,
}

impl Relay {
    /// Relays to the targets in turn; one that cannot be reached is passed over.
    pub async fn start(targets: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind((unique_address(), 0)).await.expect("loopback is free");
        let address = listener.local_addr().expect("a listener has an address");
        let cable = Arc::new(watch::Sender::new(Cable::Whole));
        let held = cable.subscribe();
        let cuts = Arc::new(watch::Sender::new(0));
        let cut = cuts.subscribe();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut pairs = JoinSet::new();
            for turn in 0.. {
                let (client, _) = listener.accept().await.expect("a listener accepts");
                let mut cut = cut.clone();
                cut.mark_unchanged();
                let pair = relay(client, targets.clone(), turn, held.clone());
                pairs.spawn(async move {
                    // A connection that has lost bytes brings no others after them, so that a cut
                    // comes first.
                    tokio::select! {
                        biased;
                        _ = cut.changed() => {}
                        () = pair => {}
                    }
                });
            }
        });
        Self { address, cable, cuts, _tasks: tasks }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of what is behind it.
    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Ends every connection there is, with what lies on it; later ones pass.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// From here on bytes stay where they are, in both directions.
    pub fn hold(&self) {
        self.cable.send_replace(Cable::Held);
    }

    /// From here on bytes are lost, in both directions, until every connection is cut: a stream
    /// with a hole in it is no stream.
    pub fn leak(&self) {
        self.cable.send_replace(Cable::Leaking);
    }

    /// Ends every connection there is; later ones lose nothing.
    pub fn replace(&self) {
        self.cut();
        self.heal();
    }

    /// Bytes pass again.
    pub fn heal(&self) {
        self.cable.send_replace(Cable::Whole);
    }
}

async fn relay(
    client: TcpStream,
    targets: Vec<SocketAddr>,
    turn: usize,
    cable: watch::Receiver<Cable>,
) {
    for at in 0..targets.len() {
        let target = targets[(turn + at) % targets.len()];
        if let Ok(backend) = TcpStream::connect(target).await {
            let _ = (client.set_nodelay(true), backend.set_nodelay(true));
            let (from_client, to_client) = client.into_split();
            let (from_backend, to_backend) = backend.into_split();
            let up = pass(from_client, to_backend, cable.clone());
            let down = pass(from_backend, to_client, cable);
            tokio::join!(up, down);
            return;
        }
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut cable: watch::Receiver<Cable>) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        let is_lost = match cable.wait_for(|cable| *cable != Cable::Held).await {
            Ok(cable) => *cable == Cable::Leaking,
            Err(_) => return,
        };
        if is_lost && read > 0 {
            continue;
        }
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            let _ = to.shutdown().await;
            return;
        }
    }
}

/// Whether anything accepts connections at `address`.
pub async fn listens(address: SocketAddr) -> bool {
    soon("an answer to a connection", TcpStream::connect(address)).await.is_ok()
}
