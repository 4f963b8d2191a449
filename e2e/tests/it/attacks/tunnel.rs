//! H5, H6: nothing passes before a valid 101, and a 101 is not believed because it says so.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use everwire_testkit::{
    everwire::{Everwire, Setup},
    scripted::{Backend, Recorder, Wire, upgrade_request, welcome_head},
    wait::{SOON, eventually, not_within},
};
use tokio::sync::Mutex;

use crate::stage::wire_to;

/// An upgrade and, in the same write, a request that is nobody's business.
fn pipelined(to: SocketAddr) -> String {
    upgrade_request(to, "/", &[]) + "GET /internal HTTP/1.1\r\nHost: x\r\n\r\n"
}

/// A backend that answers with `answer` and keeps everything that comes after the request.
struct Trap {
    backend: Backend,
    caught: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Trap {
    async fn start(answer: &'static str) -> Self {
        let caught: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let shared = Arc::clone(&caught);
        let backend = Backend::start(move |mut leg, _| {
            let shared = Arc::clone(&shared);
            async move {
                leg.send(answer.as_bytes()).await;
                shared.lock().await.push(leg.rest().await);
            }
        })
        .await;
        Self { backend, caught }
    }

    /// What came after the request on the first leg, once that has ended.
    async fn caught(&self) -> Vec<u8> {
        eventually("the leg's end", async || self.caught.lock().await.first().cloned()).await
    }
}

#[tokio::test]
async fn attack_h5_a_premature_tunnel_reaches_no_backend_that_refuses() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno",
        "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n",
    ] {
        let trap = Trap::start(answer).await;
        let everwire = Everwire::start(&Setup::new().backend(trap.backend.url())).await;
        let mut wire = Wire::connect(everwire.address()).await;
        wire.send(pipelined(everwire.address()).as_bytes()).await;
        let rest = String::from_utf8_lossy(&wire.rest().await).into_owned();
        let status = &answer[9..12];
        assert!(rest.starts_with(&format!("HTTP/1.1 {status} ")), "{rest}");
        assert_eq!(rest.matches("HTTP/1.1").count(), 1, "one answer: {rest}");
        assert_eq!(trap.caught().await, b"", "{status}: the backend saw more than the request");
        assert_eq!(trap.backend.legs(), 1);
    }
}

#[tokio::test]
async fn attack_h5_a_premature_tunnel_waits_for_a_backend_that_does_not_answer() {
    let trap = Trap::start("").await;
    let everwire = Everwire::start(&Setup::new().backend(trap.backend.url())).await;
    let mut wire = Wire::connect(everwire.address()).await;
    wire.send(pipelined(everwire.address()).as_bytes()).await;
    trap.backend.legs_reach(1).await;
    not_within(Duration::from_secs(1), "an answer", wire.ended()).await;
    drop(wire);
    assert_eq!(trap.caught().await, b"", "the backend saw more than the request");
}

/// Behind a valid 101 the same bytes are frames, and bad ones.
#[tokio::test]
async fn attack_h5_behind_a_valid_101_the_pipelined_request_is_a_bad_frame() {
    let backend = Recorder::start().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let mut wire = Wire::connect(everwire.address()).await;
    wire.send(pipelined(everwire.address()).as_bytes()).await;
    assert!(wire.read_head().await.starts_with("HTTP/1.1 101 "));
    assert_eq!(wire.next_close().await, Some(1002));
    backend.legs_end(1).await;
    assert_eq!(backend.data(), []);
}

/// What a false 101 leaves out or gets wrong, from the true one.
#[tokio::test]
async fn attack_h6_a_101_that_is_not_valid_gets_502_and_its_connection_is_dropped() {
    let forgeries: [fn(String) -> String; 7] = [
        |true_head| without(&true_head, "Sec-WebSocket-Accept"),
        |true_head| without(&true_head, "Upgrade:"),
        |true_head| without(&true_head, "Connection:"),
        |true_head| true_head.replace("Accept: ", "Accept: A"),
        |true_head| true_head.replace("Upgrade: websocket", "Upgrade: h2c"),
        |true_head| true_head.replace("\r\n\r\n", "\r\nSec-WebSocket-Protocol: unasked\r\n\r\n"),
        |true_head| true_head.replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: x-other\r\n\r\n"),
    ];
    for (number, forge) in forgeries.into_iter().enumerate() {
        let backend = Backend::start(move |mut leg, _| async move {
            leg.send(forge(welcome_head(&leg.head, &[])).as_bytes()).await;
            leg.ended().await;
        })
        .await;
        let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
        let mut wire = Wire::connect(everwire.address()).await;
        wire.send(pipelined(everwire.address()).as_bytes()).await;
        let head = wire.read_head().await;
        assert!(head.starts_with("HTTP/1.1 502 "), "forgery {number}: {head}");
        wire.ends_within(SOON).await;
        everwire.pipes_become(0).await;
    }
}

/// A 200 that talks of upgrading is no upgrade.
#[tokio::test]
async fn attack_h6_a_200_with_upgrade_headers_is_never_an_upgrade() {
    let trap = Trap::start(
        "HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let everwire = Everwire::start(&Setup::new().backend(trap.backend.url())).await;
    let mut wire = Wire::connect(everwire.address()).await;
    wire.send(pipelined(everwire.address()).as_bytes()).await;
    let rest = String::from_utf8_lossy(&wire.rest().await).into_owned();
    assert!(!rest.contains("HTTP/1.1 101"), "{rest}");
    assert!(!rest.to_ascii_lowercase().contains("\r\nupgrade:"), "{rest}");
    assert_eq!(trap.caught().await, b"");
}

/// The connection that was refused is never used for another client.
#[tokio::test]
async fn attack_h6_a_backend_connection_is_never_pooled() {
    let backend = Backend::start(|mut leg, number| async move {
        if number == 1 {
            leg.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
            let more = leg.rest().await;
            assert_eq!(more, b"", "a second request on a refused connection");
        } else {
            leg.welcome(&[]).await;
            leg.ended().await;
        }
    })
    .await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let mut refused = Wire::connect(everwire.address()).await;
    refused.send(upgrade_request(everwire.address(), "/", &[]).as_bytes()).await;
    assert!(refused.read_head().await.starts_with("HTTP/1.1 404 "));
    let _welcome = wire_to(everwire.address()).await;
    assert_eq!(backend.legs(), 2);
}

/// A request that did not ask for an upgrade never gets one, whatever the backend would say.
#[tokio::test]
async fn attack_h6_a_plain_request_is_never_upgraded() {
    let backend = Recorder::start().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    for request in [
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    ] {
        let mut wire = Wire::connect(everwire.address()).await;
        wire.send(request.as_bytes()).await;
        let head = wire.read_head().await;
        assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    }
    backend.legs_end(2).await;
}

fn without(head: &str, name: &str) -> String {
    let lines = head.split_inclusive("\r\n").filter(|line| !line.starts_with(name));
    lines.collect()
}
