//! A link to a server that can lose what is on its way.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

/// Forwards connections to one address.
pub(crate) struct Link {
    pub(crate) address: SocketAddr,
    condition: watch::Sender<Condition>,
    _task: JoinSet<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Up,
    /// What is sent is lost, and nobody notices.
    Silent,
    /// Connections end.
    Cut,
}

impl Link {
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (condition, watched) = watch::channel(Condition::Up);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(server).await.unwrap();
                connections.spawn(connect(client, server, watched.clone()));
            }
        });
        Self { address, condition, _task: task }
    }

    /// From here on, what is sent in either direction is lost.
    pub(crate) fn silence(&self) {
        self.condition.send_replace(Condition::Silent);
    }

    /// Ends the connections there are, and lets new ones through.
    pub(crate) fn cut(&self) {
        self.condition.send_replace(Condition::Cut);
        self.condition.send_replace(Condition::Up);
    }
}

async fn connect(client: TcpStream, server: TcpStream, mut condition: watch::Receiver<Condition>) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (up, down) = (condition.clone(), condition.clone());
    // A cut may be over before it is seen: whatever follows a silence is one.
    let cut = async {
        let _ = condition.wait_for(|now| *now == Condition::Silent).await;
        let _ = condition.wait_for(|now| *now != Condition::Silent).await;
    };
    // A connection that has lost bytes brings no others after them.
    tokio::select! {
        biased;
        () = cut => {}
        () = forward(from_client, to_server, up) => {}
        () = forward(from_server, to_client, down) => {}
    }
}

async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    condition: watch::Receiver<Condition>,
) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let is_up = *condition.borrow() == Condition::Up;
        if is_up && to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
