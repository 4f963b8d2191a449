//! A transport of requests: one of them listens, others say.

use std::{future::pending, sync::Arc, time::Duration};

use bytes::Bytes;
use everwire_proto::signalr::{TransferFormat, negotiate::Transport};

use super::{events::Events, polls::Polls, sending::Sending};
use crate::{error::ConnectError, site::Site};

/// How much and how long a request may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestLimits {
    /// The most that is read as one event or one answer, in bytes.
    pub(crate) bytes_max: usize,
    /// How long the server may take to answer: a poll is repeated then, anything else has failed.
    pub(crate) answer_max: Duration,
}

/// Server-sent events or long polling at work.
#[derive(Debug)]
pub(crate) struct Requests {
    site: Arc<Site>,
    sending: Sending,
    listening: Listening,
}

#[derive(Debug)]
enum Listening {
    Events(Box<Events>),
    Polls(Polls),
}

impl Requests {
    /// Begins to listen with this transport, by events if it is them and else by polls.
    pub(crate) async fn open(
        transport: Transport,
        site: Site,
        limits: RequestLimits,
    ) -> Result<Self, ConnectError> {
        let site = Arc::new(site);
        let listening = match transport {
            Transport::ServerSentEvents => {
                Listening::Events(Box::new(Events::open(&site, limits.bytes_max).await?))
            }
            _ => Listening::Polls(Polls::open(site.clone(), limits).await?),
        };
        let sending = Sending::new(site.clone(), limits.answer_max);
        Ok(Self { site, sending, listening })
    }

    pub(crate) const fn queued(&self) -> usize {
        self.sending.queued()
    }

    pub(crate) fn enqueue(&mut self, format: TransferFormat, bytes: &Bytes) {
        self.sending.enqueue(format, bytes);
    }

    pub(crate) async fn exchange(&mut self, reads: bool) -> Result<Option<Vec<u8>>, Arc<str>> {
        let Self { sending, listening, .. } = self;
        tokio::select! {
            biased;
            said = sending.flush(), if sending.queued() > 0 => match said {
                Ok(()) => Ok(None),
                Err(why) => Err(why.to_string().into()),
            },
            came = listening.next(), if reads => came.map(Some),
            () = pending() => Ok(None),
        }
    }

    /// Says what is queued. Where nobody sees that a client listens no more, tells the server.
    pub(crate) async fn close(mut self) {
        while self.sending.queued() > 0 && self.sending.flush().await.is_ok() {}
        if let Listening::Polls(polls) = self.listening {
            drop(polls);
            self.sending.delete(&self.site).await;
        }
    }
}

impl Listening {
    async fn next(&mut self) -> Result<Vec<u8>, Arc<str>> {
        match self {
            Self::Events(events) => events.next().await,
            Self::Polls(polls) => polls.next().await,
        }
    }
}
