//! Connections that speak no hub protocol: the transports alone, for an application's own words.

use std::{fmt, pin::Pin, sync::Arc};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{
    connection::Connection, error::HubError, id::ConnectionId, identity::Identity,
    request::ClientRequest,
};

/// The application's end of a connection that speaks no hub protocol; see
/// [`HubBuilder::raw`](crate::HubBuilder::raw).
#[derive(Debug)]
pub struct RawSocket {
    hears: mpsc::Receiver<RawMessage>,
    says: mpsc::Sender<RawMessage>,
    connection: Arc<Connection>,
}

/// What is said on such a connection: over a WebSocket a whole message, with other transports any
/// piece of what was sent, and always binary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawMessage {
    /// UTF-8.
    Text(String),
    /// Any bytes.
    Binary(Bytes),
}

/// What an application does with a connection.
pub(crate) struct RawHandler(Box<Handles>);

/// It at work.
pub(crate) type Handling = Pin<Box<dyn Future<Output = Result<(), HubError>> + Send>>;

type Handles = dyn Fn(RawSocket) -> Handling + Send + Sync;

/// The client is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client is gone")]
pub struct Gone;

impl RawSocket {
    pub(crate) const fn new(
        hears: mpsc::Receiver<RawMessage>,
        says: mpsc::Sender<RawMessage>,
        connection: Arc<Connection>,
    ) -> Self {
        Self { hears, says, connection }
    }

    /// The next that the client says; `None` once it is gone.
    pub async fn receive(&mut self) -> Option<RawMessage> {
        let heard = self.hears.recv().await;
        // There is room for what the connection may have kept meanwhile.
        self.connection.wake();
        heard
    }

    /// Says something, once the client has taken enough of what was said before.
    ///
    /// # Errors
    /// If the client is gone.
    pub async fn send(&self, message: RawMessage) -> Result<(), Gone> {
        self.says.send(message).await.map_err(|_| Gone)
    }

    /// The connection.
    pub fn id(&self) -> ConnectionId {
        self.connection.id()
    }

    /// Who the client is.
    pub fn identity(&self) -> &Identity {
        &self.connection.identity
    }

    /// The request that the connection began with.
    pub fn request(&self) -> &ClientRequest {
        &self.connection.request
    }

    /// How it travels.
    pub fn transport(&self) -> everwire_proto::signalr::negotiate::Transport {
        self.connection.transport
    }
}

impl RawHandler {
    pub(crate) fn by<F>(handler: impl Fn(RawSocket) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), HubError>> + Send + 'static,
    {
        Self(Box::new(move |socket| Box::pin(handler(socket))))
    }

    pub(crate) fn handle(&self, socket: RawSocket) -> Handling {
        (self.0)(socket)
    }
}

impl fmt::Debug for RawHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawHandler").finish_non_exhaustive()
    }
}
