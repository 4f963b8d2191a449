//! Three nodes that serve one hub: whichever a client's requests come to, they reach its connection.

mod attacks;
mod requests;
mod sockets;

use std::net::SocketAddr;

use everwire_hub::{Cluster, Context, Hub, HubBuilder, HubConfig, Identity, method::Opaque};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::peer::{Served, serve};

const SECRET: &str = "what the three nodes have in common";

/// One of the nodes.
struct Node {
    served: Served,
    cluster: Cluster,
    peers: JoinSet<()>,
}

/// A hub that believes whatever name it is told.
fn hub() -> HubBuilder {
    Hub::builder()
        .config(HubConfig::default())
        .method("Echo", |_: Context, anything: Opaque| async move { anything })
        .method("Id", |cx: Context| async move { cx.connection_id().to_string() })
        .authenticate(|request| async move {
            let user = request.parameter("user").map(Into::into);
            Ok(Identity { user, ..Identity::default() })
        })
}

async fn node(secrets: &[&str]) -> Node {
    node_of(hub(), secrets).await
}

async fn node_of(hub: HubBuilder, secrets: &[&str]) -> Node {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let advertise = listener.local_addr().unwrap().to_string();
    let cluster = Cluster::new(&advertise, secrets).unwrap();
    let hub = hub.cluster(&cluster, "chat").build().unwrap();
    let service = cluster.service([hub.service()]);
    let router = axum::Router::new().fallback_service(service);
    let mut peers = JoinSet::new();
    peers.spawn(async move { axum::serve(listener, router).await.unwrap() });
    Node { served: serve(hub).await, cluster, peers }
}

async fn three() -> [Node; 3] {
    [node(&[SECRET]).await, node(&[SECRET]).await, node(&[SECRET]).await]
}

impl Node {
    /// Status and body of the answer to a request to the hub.
    async fn ask(&self, method: &str, query: &str, body: &str) -> (u16, String) {
        let head = format!("{method} /hub{query}");
        ask(self.served.address, &head, "", body).await
    }
}

/// Status and body of the answer to a request.
async fn ask(to: SocketAddr, line: &str, headers: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let length = body.len();
    let head = format!(
        "{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}
