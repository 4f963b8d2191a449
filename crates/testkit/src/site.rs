//! Where the hubs of the fixture are: in one process, or in three over one Redis behind a load balancer
//! that sends each request to the next of them, whoever's it is. A client cannot tell.

use std::{net::SocketAddr, path::Path};

use crate::{
    http::{self, Answer},
    redis::{Server, VOLATILE},
    rivals::Rival,
    signalr::Fixture,
    wait::until_equal,
};

/// One place for clients. Dropping it kills everything behind it.
pub struct Site {
    address: SocketAddr,
    _behind: (Vec<Fixture>, Option<(Rival, Server)>),
}

impl Site {
    /// One process.
    pub async fn one() -> Self {
        let fixture = Fixture::start().await;
        Self { address: fixture.address(), _behind: (vec![fixture], None) }
    }

    /// Three, once they know each other.
    pub async fn three(redis: &Path, haproxy: &Path) -> Self {
        let redis = Server::start(redis, VOLATILE).await;
        let mut nodes = Vec::new();
        for _ in 0..3 {
            nodes.push(Fixture::start_node_on(SECRET, &redis.url()).await);
        }
        for node in &nodes {
            let others = async || node.request("GET", "/nodes").await.body;
            until_equal("nodes that know each other", "3".to_owned(), others).await;
        }
        let addresses: Vec<_> = nodes.iter().map(Fixture::address).collect();
        let front = Rival::round_robin(haproxy, &addresses).await;
        Self { address: front.address(), _behind: (nodes, Some((front, redis))) }
    }

    /// Where clients come to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of one of its paths.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A request.
    pub async fn request(&self, method: &str, path: &str) -> Answer {
        http::request(self.address, method, path, None).await
    }
}

const SECRET: &str = "a secret that the three nodes have in common";
