//! Every way in which a backend can answer, and what becomes of the dial.

mod first;
mod later;

use std::net::SocketAddr;

use everwire_proto::ws::upgrade::Scheme;

use super::{
    scripted::{Peer, Script, Then, config, dead_address},
    *,
};
use crate::pool::config::{BackendConfig, PoolConfig};

/// A client that wants a WebSocket, and the pool that it is to get one from.
struct Client {
    request: UpgradeRequest,
    forwarded: Forwarded,
    pool: Pool,
    counting: bool,
}

impl Client {
    fn new(backends: Vec<BackendConfig>) -> Self {
        Self::offering(&[], backends)
    }

    fn offering(extra: &[&str], backends: Vec<BackendConfig>) -> Self {
        let mut lines = vec![
            "GET /chat?room=1 HTTP/1.1",
            "Host: example.com",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Cookie: user=1",
        ];
        lines.extend_from_slice(extra);
        let head = format!("{}\r\n\r\n", lines.join("\r\n"));
        let request = UpgradeRequest::parse(head.as_bytes()).expect("a good request");
        let forwarded = Forwarded::new(&request, Scheme::Http);
        let pool = Pool::new("chat", PoolConfig { backends, ..PoolConfig::default() });
        Self { request, forwarded, pool, counting: false }
    }

    fn order(&self, leg: u64) -> Order<'_> {
        let progress = Progress { session: "s-1", leg, client_next: 1, server_count: 0 };
        let Self { forwarded, counting, .. } = self;
        Order {
            forwarded,
            client: [192, 0, 2, 7].into(),
            progress,
            affinity: None,
            counting: *counting,
        }
    }

    async fn first(&self) -> Result<Leg, Refusal> {
        dial_first(&self.pool, &self.request, &self.order(1)).await
    }

    async fn again(&self, agreed: &Agreed) -> Result<Leg, LegError> {
        dial_again(&self.pool, agreed, &self.order(2)).await
    }

    /// Asserts that nothing is left of any dial or session.
    fn check_nothing_left(&self) {
        for backend in self.pool.backends() {
            assert_eq!((backend.sessions, backend.dials_in_flight), (0, 0), "{backend:?}");
        }
        assert_eq!(self.pool.waiting(), 0);
    }

    fn failures(&self) -> Vec<u64> {
        self.pool.backends().iter().map(|backend| backend.failures).collect()
    }
}

/// How long `future` takes on the paused clock.
async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let start = clock::now();
    let output = future.await;
    (output, clock::now().saturating_since(start))
}

/// Answers that say nothing about the client, only that the backend cannot serve now.
fn unreachable_scripts() -> Vec<Script> {
    let mut scripts = vec![
        Script::silent().then(Then::Close),
        Script::lines(&["SSH-2.0-OpenSSH_9.2"]),
        Script::lines(&["HTTP/1.1 101 Switching Protocols\nbare"]),
        Script::lines(&["HTTP/1.1 101 Switch", &format!("X: {}", "a".repeat(70_000))]),
        Script::lines(&["HTTP/1.1 100 Continue\r\n\r\n"; 20]),
        Script::lines(&["HTTP/1.1 101 Swi"]).then(Then::Close),
    ];
    scripts[5].answer.truncate(10);
    for status in [429, 502, 503, 504] {
        scripts.push(Script::lines(&[&format!("HTTP/1.1 {status} No")]));
    }
    scripts
}
