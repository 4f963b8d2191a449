//! Saying things in requests, one after the other: what comes meanwhile goes together in the next.

use std::{fmt, mem::take, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use everwire_proto::signalr::{TransferFormat, negotiate::RESPONSE_MAX};
use http::{HeaderMap, HeaderValue, Method, header};
use tokio::time::timeout;

use crate::{
    error::ConnectError,
    http::{Ask, Lane, body, checked},
    site::Site,
};

/// What is said, and the request that says it.
pub(super) struct Sending {
    site: Arc<Site>,
    answer_max: Duration,
    queue: Vec<u8>,
    format: TransferFormat,
    /// Bytes that a request is taking to the server.
    on_their_way: usize,
    post: Option<Post>,
    /// What the next request goes over; `None` while another does.
    lane: Option<Lane>,
}

type Post = Pin<Box<dyn Future<Output = Result<Lane, ConnectError>> + Send>>;

impl Sending {
    pub(super) const fn new(site: Arc<Site>, answer_max: Duration) -> Self {
        Self {
            site,
            answer_max,
            queue: Vec::new(),
            format: TransferFormat::Text,
            on_their_way: 0,
            post: None,
            lane: None,
        }
    }

    pub(super) const fn queued(&self) -> usize {
        self.queue.len() + self.on_their_way
    }

    pub(super) fn enqueue(&mut self, format: TransferFormat, bytes: &Bytes) {
        self.queue.extend_from_slice(bytes);
        self.format = format;
    }

    /// Returns when the server has taken what one request can take. Dropping the future loses
    /// nothing.
    pub(super) async fn flush(&mut self) -> Result<(), ConnectError> {
        if self.post.is_none() {
            let said = take(&mut self.queue);
            self.on_their_way = said.len();
            self.post = Some(self.post(said));
        }
        if let Some(post) = &mut self.post {
            let answered = post.await;
            self.post = None;
            self.on_their_way = 0;
            self.lane = Some(answered?);
        }
        Ok(())
    }

    /// Ends the connection. A server that knows none of this id has ended it already.
    pub(super) async fn delete(&mut self, site: &Site) {
        let mut lane = self.lane.take().unwrap_or_else(|| site.lane());
        let ask = Ask { method: Method::DELETE, headers: HeaderMap::new(), body: Bytes::new() };
        if let Err(error) = site.ask(&mut lane, ask).await {
            tracing::debug!(%error, "the server was not told of the end");
        }
    }

    fn post(&mut self, said: Vec<u8>) -> Post {
        let site = self.site.clone();
        let mut lane = self.lane.take().unwrap_or_else(|| site.lane());
        let limit = self.answer_max;
        let kind = HeaderValue::from_static(match self.format {
            TransferFormat::Text => "text/plain;charset=UTF-8",
            TransferFormat::Binary => "application/octet-stream",
        });
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind)]);
        let ask = Ask { method: Method::POST, headers, body: said.into() };
        Box::pin(async move {
            let exchange = async {
                let answer = checked(site.ask(&mut lane, ask).await?)?;
                body(answer, RESPONSE_MAX).await
            };
            let late = |_| ConnectError::Timeout { step: "sending", limit };
            timeout(limit, exchange).await.map_err(late)??;
            Ok(lane)
        })
    }
}

impl fmt::Debug for Sending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending").field("queued", &self.queued()).finish_non_exhaustive()
    }
}
