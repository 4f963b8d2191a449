//! One HTTP connection to a backend.

use std::{io, sync::Arc, time::Duration};

use everwire_proto::ws::upgrade::{HEADERS_MAX, RESPONSE_HEAD_MAX};
use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::http1::{Builder, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use super::upload::Upload;
use crate::dial::Endpoint;

/// A connection that carries one request at a time. Dropped, it is closed.
#[derive(Debug)]
pub(crate) struct Line {
    endpoint: Arc<Endpoint>,
    sender: SendRequest<Upload>,
    task: AbortOnDropHandle<()>,
    kept: bool,
}

/// Why there is no answer.
pub(super) enum Unanswered {
    /// The connection was gone before a byte of the request was written.
    Unsent(Upload),
    /// The connection ended, or what came was no answer.
    Ended,
}

impl Line {
    /// Connects to one address of the backend.
    pub(super) async fn connect(endpoint: &Arc<Endpoint>, patience: Duration) -> io::Result<Self> {
        let stream = endpoint.connect(patience).await?;
        let mut http = Builder::new();
        http.max_buf_size(RESPONSE_HEAD_MAX).max_headers(HEADERS_MAX);
        let (sender, connection) =
            http.handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let task = Handle::current().spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a backend's connection ended");
            }
        });
        let task = AbortOnDropHandle::new(task);
        Ok(Self { endpoint: Arc::clone(endpoint), sender, task, kept: false })
    }

    /// The path that the backend's URL fixes.
    pub(super) fn path(&self) -> Option<&str> {
        self.endpoint.url().path()
    }

    /// Whether it has carried a request before.
    pub(super) const fn was_kept(&self) -> bool {
        self.kept
    }

    /// Sends the request and waits for the head of its answer.
    pub(super) async fn send(
        &mut self,
        request: Request<Upload>,
    ) -> Result<Response<Incoming>, Unanswered> {
        self.sender.try_send_request(request).await.map_err(|mut failed| {
            let unsent = failed.take_message();
            let (backend, error) = (self.endpoint.url(), failed.into_error());
            tracing::debug!(%backend, %error, "no answer to a request");
            unsent.map_or(Unanswered::Ended, |request| Unanswered::Unsent(request.into_body()))
        })
    }

    /// Whether it can carry a request at once.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Whether it has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed() || self.task.is_finished()
    }

    /// Lets the next request to this backend have it, if there is room.
    pub(super) fn keep(mut self) {
        self.kept = true;
        let endpoint = Arc::clone(&self.endpoint);
        endpoint.kept().put(self, &endpoint);
    }
}
