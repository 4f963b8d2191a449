//! A plain channel of a Redis, as others publish to it: what is heard, and when something may not have
//! been. No bus: nobody numbers what they publish, and what comes while nobody listens is gone.

use std::{sync::Arc, task::Poll, time::Duration};

use bytes::Bytes;
use futures_util::StreamExt as _;
use redis::{ErrorKind, RedisError, RedisResult, Value};
use tokio::task::JoinSet;

use super::{
    Backoff,
    config::{Config, InvalidConfig},
    reader::Complaint,
    server::{ANSWER_MAX, Server},
};
use crate::mailbox::{Mailbox, Overflow};

/// Listens to one channel for as long as it exists, on a connection of its own. A connection that ends,
/// or does not answer, is replaced.
#[derive(Debug)]
pub struct Subscriber {
    mailbox: Arc<Mailbox<Heard>>,
    _task: JoinSet<()>,
}

/// What a [`Subscriber`] hears, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// What is published from here on is heard.
    Listening,
    /// Somebody has published this.
    Message(Bytes),
    /// Something may have been published that is not heard: the connection was cut, or too much waited
    /// to be taken from here. After a cut [`Heard::Listening`] follows when it is over.
    Missed,
}

impl Subscriber {
    /// Listens to a channel from now on, on the tokio runtime in which this is called. Of the
    /// configuration only the address and the authorities count.
    ///
    /// # Errors
    /// The configuration makes no sense.
    pub fn start(config: &Config, channel: &str) -> Result<Self, InvalidConfig> {
        let server = Server::new(config)?;
        let mailbox = Arc::new(Mailbox::new(WAITING_MAX, WAITING_BYTES_MAX));
        let mut task = JoinSet::new();
        task.spawn(run(server, channel.to_owned(), Arc::clone(&mailbox)));
        Ok(Self { mailbox, _task: task })
    }

    /// The next that is heard. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Heard {
        std::future::poll_fn(|ctx| match self.mailbox.poll_next(ctx) {
            Poll::Ready(Some(heard)) => Poll::Ready(heard),
            // It is never ended before this is gone.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        })
        .await
    }
}

async fn run(server: Server, channel: String, mailbox: Arc<Mailbox<Heard>>) {
    let (mut backoff, mut complaint) = (Backoff::default(), Complaint::default());
    loop {
        let mut listened = false;
        let listening = || {
            backoff.succeeded();
            complaint.succeeded();
            listened = true;
        };
        // Every end is an error.
        let end = listen(&server, &channel, &mailbox, listening).await;
        if listened {
            deliver(&mailbox, Heard::Missed);
        }
        if let Err(error) = end {
            complaint.failed(server.address(), &error);
        }
        backoff.pause().await;
    }
}

async fn listen(
    server: &Server,
    channel: &str,
    mailbox: &Mailbox<Heard>,
    listening: impl FnOnce(),
) -> RedisResult<()> {
    let (mut sink, mut messages) = server.subscriber().await?.split();
    answered(sink.subscribe(channel)).await?;
    listening();
    deliver(mailbox, Heard::Listening);
    loop {
        // What came first is taken first; silence is looked into, since a peer that is gone says nothing.
        match tokio::time::timeout(SILENCE_MAX, messages.next()).await {
            Ok(Some(message)) => {
                let payload = Bytes::copy_from_slice(message.get_payload_bytes());
                deliver(mailbox, Heard::Message(payload));
            }
            Ok(None) => return Err(RedisError::from((ErrorKind::Io, "the connection has ended"))),
            Err(_) => drop(answered(sink.ping::<Value>()).await?),
        }
    }
}

async fn answered<T>(answer: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    let late = |_| RedisError::from((ErrorKind::Io, "the server does not answer"));
    tokio::time::timeout(ANSWER_MAX, answer).await.map_err(late)?
}

/// The server never waits: whoever takes too slowly has missed something.
fn deliver(mailbox: &Mailbox<Heard>, heard: Heard) {
    let bytes = if let Heard::Message(payload) = &heard { payload.len() } else { 0 };
    if mailbox.push(heard, bytes) == Err(Overflow) {
        mailbox.replace([Heard::Missed]);
    }
}

/// Messages that wait to be taken.
const WAITING_MAX: usize = 4096;

/// Their bytes.
const WAITING_BYTES_MAX: usize = 8 << 20;

/// After so long without a message the server is asked whether it is there.
const SILENCE_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_takes_too_slowly_learns_that_something_was_missed() {
        let mailbox = Arc::new(Mailbox::new(WAITING_MAX, WAITING_BYTES_MAX));
        let mut subscriber = Subscriber { mailbox: Arc::clone(&mailbox), _task: JoinSet::new() };
        deliver(&mailbox, Heard::Listening);
        for _ in 0..WAITING_MAX {
            deliver(&mailbox, Heard::Message(Bytes::from("x")));
        }
        deliver(&mailbox, Heard::Message(Bytes::from("y")));
        assert_eq!(subscriber.next().await, Heard::Missed);
        assert_eq!(subscriber.next().await, Heard::Message(Bytes::from("y")));
        let large = Bytes::from(vec![0; WAITING_BYTES_MAX / 2 + 1]);
        deliver(&mailbox, Heard::Message(large.clone()));
        deliver(&mailbox, Heard::Message(large));
        assert_eq!(subscriber.next().await, Heard::Missed);
    }
}
