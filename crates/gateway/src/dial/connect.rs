//! A TCP connection to a backend, whose name may have to be resolved.

use std::{io, net::SocketAddr, time::Duration};

use everwire_proto::time::Time;
use tokio::{
    net::{TcpStream, lookup_host},
    sync::Mutex,
    time::timeout,
};

use crate::{
    clock,
    http::Kept,
    pool::config::{BackendUrl, Host},
};

/// How one backend is reached.
#[derive(Debug)]
pub(crate) struct Endpoint {
    url: BackendUrl,
    /// HTTP connections to it that wait for their next request.
    kept: Kept,
    /// The last answer of the resolver. Held while asking, so that a thousand dials ask once.
    resolved: Mutex<Resolved>,
}

#[derive(Debug, Default)]
struct Resolved {
    addresses: Vec<SocketAddr>,
    fresh_until: Time,
}

impl Endpoint {
    pub(crate) fn new(url: BackendUrl) -> Self {
        Self { url, kept: Kept::default(), resolved: Mutex::default() }
    }

    pub(crate) fn url(&self) -> &BackendUrl {
        &self.url
    }

    pub(crate) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Connects, to one address of several if need be.
    pub(crate) async fn connect(&self, patience: Duration) -> io::Result<TcpStream> {
        let name = match self.url.host() {
            Host::Address(ip) => {
                let address = SocketAddr::new(*ip, self.url.port());
                return connect_to(address, patience).await;
            }
            Host::Name(name) => name,
        };
        let addresses = timeout(patience, self.resolve(name)).await.map_err(too_slow)??;
        let share = patience / u32::try_from(addresses.len()).unwrap_or(1).max(1);
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in addresses {
            match connect_to(address, share).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The addresses of a name. If the resolver fails, those that it last gave still count.
    async fn resolve(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let mut resolved = self.resolved.lock().await;
        if clock::now() < resolved.fresh_until {
            return Ok(resolved.addresses.clone());
        }
        match lookup_host((name, self.url.port())).await {
            Ok(found) => resolved.addresses = found.take(ADDRESSES_MAX).collect(),
            Err(error) if resolved.addresses.is_empty() => return Err(error),
            Err(error) => {
                tracing::warn!(name, %error, "resolver fails, the last addresses are used");
            }
        }
        resolved.fresh_until = clock::now() + FRESH;
        Ok(resolved.addresses.clone())
    }
}

async fn connect_to(address: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
    let stream = timeout(patience, TcpStream::connect(address)).await.map_err(too_slow)??;
    // Dialling a dead port of this machine again and again, the kernel may pick that very port to
    // dial from, and the connection is one with itself. Kept, it would bar the backend's return.
    if address.ip().is_loopback() && stream.local_addr()? == address {
        stream.set_zero_linger()?;
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn too_slow(_: tokio::time::error::Elapsed) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no connection in time")
}

/// How long the resolver's answer is used. Short, because a backend that is replaced may come
/// back at another address; long enough that a storm of dials asks only once.
const FRESH: Duration = Duration::from_secs(5);

/// Most addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;
