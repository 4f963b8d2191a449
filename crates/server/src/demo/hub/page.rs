//! A page that talks to the demo's hub, for people to open.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use axum::{Router, response::Html, routing::get};
use tokio::{net::TcpListener, task::JoinSet};

/// The page and where it is; it is served as long as this lives.
pub(super) struct Page {
    address: SocketAddr,
    listener: Option<TcpListener>,
    serving: JoinSet<io::Result<()>>,
}

impl Page {
    /// Takes an address, which is the page's origin.
    pub(super) async fn bind() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        Ok(Self { address, listener: Some(listener), serving: JoinSet::new() })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves the page of the hub at this address.
    pub(super) fn serve(mut self, hub: SocketAddr) -> Self {
        let text = TEXT.replace("HUB", &format!("{hub}{}", super::PATH));
        let page = Router::new().route("/", get(async || Html(text)));
        if let Some(listener) = self.listener.take() {
            self.serving.spawn(async { axum::serve(listener, page).await });
        }
        self
    }
}

/// A SignalR client small enough to be read: a handshake, two messages, a ping.
const TEXT: &str = include_str!("page.html");
