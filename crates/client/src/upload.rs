//! Streams of the application as arguments of a call.

use std::{fmt, pin::Pin};

use bytes::Bytes;
use everwire_proto::signalr::{
    Protocol,
    message::{HubMessage, InvocationId, Outcome},
    payload::{Arguments, EncodeError, Payload},
};
use futures_util::{Stream, StreamExt};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use crate::{
    call::{Command, Reply},
    error::SendError,
};

/// A stream that is sent item by item while the method that takes it runs.
///
/// Items are taken from it no faster than the connection takes them. It is dropped when it has
/// ended, when the call it belongs to has, or when the connection is lost.
pub struct Upload(Box<dyn FnOnce(Protocol) -> Encoded + Send>);

type Encoded = Pin<Box<dyn Stream<Item = Result<Payload, EncodeError>> + Send>>;

impl<S> From<S> for Upload
where
    S: Stream<Item: Serialize> + Send + 'static,
{
    fn from(stream: S) -> Self {
        Self(Box::new(|protocol| {
            Box::pin(stream.map(move |item| Payload::encode(protocol, &item)))
        }))
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upload(..)")
    }
}

/// What a method is called with: a reference to a tuple, list or slice, or [`WithUploads`].
pub trait CallArguments {
    /// The encoded arguments and the upload streams.
    ///
    /// # Errors
    /// If an argument cannot be encoded, or they are no array.
    fn encode(self, protocol: Protocol) -> Result<(Arguments, Vec<Upload>), EncodeError>;
}

/// Arguments, and the streams that a method takes beside them, in the order of its parameters.
#[derive(Debug)]
pub struct WithUploads<'a, T: ?Sized>(pub &'a T, pub Vec<Upload>);

impl<T: Serialize + ?Sized> CallArguments for &T {
    fn encode(self, protocol: Protocol) -> Result<(Arguments, Vec<Upload>), EncodeError> {
        Ok((Arguments::encode(protocol, self)?, Vec::new()))
    }
}

impl<T: Serialize + ?Sized> CallArguments for WithUploads<'_, T> {
    fn encode(self, protocol: Protocol) -> Result<(Arguments, Vec<Upload>), EncodeError> {
        Ok((Arguments::encode(protocol, self.0)?, self.1))
    }
}

/// Sends what an upload stream gives.
pub(crate) struct Pump {
    id: InvocationId,
    protocol: Protocol,
    items: Encoded,
}

impl Pump {
    pub(crate) fn new(id: InvocationId, protocol: Protocol, upload: Upload) -> Self {
        Self { id, protocol, items: (upload.0)(protocol) }
    }

    /// Runs until the stream ends or the connection does not take any more.
    pub(crate) async fn run(mut self, commands: mpsc::Sender<Command>) {
        let mut outcome = Outcome::Void;
        while let Some(item) = self.items.next().await {
            let item = item.map(|item| HubMessage::item(self.id.clone(), item));
            match item.and_then(|item| self.protocol.encode(&item)) {
                Ok(message) => {
                    if say(&commands, message, Vec::new()).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    outcome = Outcome::Error(error.to_string().into());
                    break;
                }
            }
        }
        let end = HubMessage::completion(self.id, outcome);
        if let Ok(message) = self.protocol.encode(&end) {
            // A connection that is lost meanwhile has no use for it.
            let _ = say(&commands, message, Vec::new()).await;
        }
    }
}

impl fmt::Debug for Pump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pump").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Says something and waits until it is said.
pub(crate) async fn say(
    commands: &mpsc::Sender<Command>,
    message: Bytes,
    uploads: Vec<Pump>,
) -> Result<(), SendError> {
    let (said, is_said) = oneshot::channel();
    let command = Command { message, reply: Reply::Said(said), uploads };
    commands.send(command).await.map_err(|_| SendError::Closed)?;
    is_said.await.map_err(|_| SendError::Closed)?
}
