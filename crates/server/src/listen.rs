//! The clients' listeners: every shard has its own socket on every address.
//!
//! A shard is one thread with one single-threaded runtime. The kernel spreads new connections
//! over the shards (`SO_REUSEPORT`), and a connection stays on its shard for life: nothing of the
//! data path is shared between processors except counters.

mod handshake;
mod hub;
mod judged;
mod nodes;
mod refuse;
mod requests;
mod shard;
mod stream;
mod unconfirmed;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
    sync::Arc,
    thread::{self, JoinHandle},
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};
use tokio_util::sync::CancellationToken;

use crate::node::{Desk, Node};

/// Open sockets, not yet accepting.
pub(crate) struct Listeners {
    /// One list per shard, one socket per address.
    shards: Vec<Vec<TcpListener>>,
    addresses: Vec<SocketAddr>,
}

/// The running shards.
pub(crate) struct Shards {
    threads: Vec<JoinHandle<()>>,
    accepting: CancellationToken,
    running: CancellationToken,
}

impl Listeners {
    /// Opens every address for every shard. The error names the address.
    pub(crate) fn open(
        wanted: &[SocketAddr],
        shards: usize,
    ) -> Result<Self, (SocketAddr, io::Error)> {
        let mut listeners = Self {
            shards: (0..shards.max(1)).map(|_| Vec::new()).collect(),
            addresses: Vec::new(),
        };
        for &address in wanted {
            listeners.open_address(address).map_err(|error| (address, error))?;
        }
        Ok(listeners)
    }

    /// Where clients connect, port 0 resolved.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    fn open_address(&mut self, wanted: SocketAddr) -> io::Result<()> {
        // Shared ports would let a second node started by mistake take half of the clients. A
        // socket that does not share finds out whether anybody is there.
        drop(bind(wanted, Sharing::Alone)?);
        let mut address = wanted;
        for shard in &mut self.shards {
            let socket = bind(address, Sharing::BetweenShards)?;
            rustix::net::listen(&socket, BACKLOG)?;
            let listener = TcpListener::from(socket);
            listener.set_nonblocking(true)?;
            address = listener.local_addr()?;
            shard.push(listener);
        }
        self.addresses.push(address);
        Ok(())
    }

    /// Starts a thread per shard; clients are accepted from here on, and on `nodes` other nodes.
    pub(crate) fn start(self, nodes: Option<Self>, node: &Arc<Node>) -> io::Result<Shards> {
        let mut started = Shards {
            threads: Vec::new(),
            accepting: CancellationToken::new(),
            running: CancellationToken::new(),
        };
        let desks = Desk::open(&node.hubs, node.fleet.as_ref(), self.shards.len());
        let mut nodes = nodes.map(|nodes| nodes.shards).unwrap_or_default().into_iter();
        for (index, (listeners, (desk, hubs))) in self.shards.into_iter().zip(desks).enumerate() {
            let shard = shard::Shard::new(
                Arc::clone(node),
                desk,
                started.accepting.clone(),
                started.running.clone(),
            );
            let nodes = nodes.next().unwrap_or_default();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let thread =
                thread::Builder::new().name(format!("shard-{index}")).spawn(move || {
                    runtime.block_on(shard.run(listeners, nodes, hubs));
                    // A name that is being resolved does not hold up the end.
                    runtime.shutdown_background();
                })?;
            started.threads.push(thread);
        }
        Ok(started)
    }
}

impl Shards {
    /// Closes the listeners; sessions go on.
    pub(crate) fn stop_accepting(&self) {
        self.accepting.cancel();
    }

    /// Ends the shards with everything on them.
    pub(crate) fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.accepting.cancel();
        self.running.cancel();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a shard ended by a panic");
            }
        }
    }
}

impl Drop for Shards {
    fn drop(&mut self) {
        self.end();
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Alone,
    BetweenShards,
}

fn bind(address: SocketAddr, sharing: Sharing) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    // Connections of an earlier run may still linger in TIME_WAIT.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if sharing == Sharing::BetweenShards {
        sockopt::set_socket_reuseport(&socket, true)?;
    }
    rustix::net::bind(&socket, &address)?;
    Ok(socket)
}

/// A reconnect storm arrives faster than one shard accepts; the kernel caps this at somaxconn.
const BACKLOG: i32 = 4096;
