//! Runs what the server calls: one call after the other, apart from the connection's task.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use bytes::Bytes;
use everwire_proto::signalr::{
    Protocol,
    message::{Call, HubMessage, Invocation, Outcome},
    payload::{Arguments, DecodeError, Payload},
};
use tokio::sync::mpsc;

use crate::{
    handler::{Answering, Handler},
    session::Epoch,
};

/// Runs handlers until the connection has ended.
pub(crate) async fn dispatch(
    handlers: Arc<Handlers>,
    protocol: Protocol,
    mut calls: mpsc::Receiver<(Epoch, Invocation)>,
    answers: mpsc::Sender<(Epoch, Bytes)>,
) {
    while let Some((epoch, Invocation { id, call, .. })) = calls.recv().await {
        let outcome = handlers.run(&call, protocol).await;
        let Some(id) = id else { continue };
        let encoded = protocol.encode(&HubMessage::completion(id.clone(), outcome));
        // An answer that cannot be written, being too long, is a failure that can.
        let failure = || protocol.encode(&HubMessage::completion(id, Outcome::Error(LONG.into())));
        let Ok(message) = encoded.or_else(|_| failure()) else { continue };
        if answers.send((epoch, message)).await.is_err() {
            return;
        }
    }
}

/// What a server can call, by the names of the methods in lower case.
#[derive(Default)]
pub(crate) struct Handlers(RwLock<HashMap<String, Vec<Arc<Erased>>>>);

type Erased = dyn Fn(&Arguments, Protocol) -> Result<Answering, DecodeError> + Send + Sync;

impl Handlers {
    /// Adds a handler to those that the method has.
    pub(crate) fn add<S>(&self, target: &str, handler: impl Handler<S>) {
        let erased: Arc<Erased> =
            Arc::new(move |arguments: &_, protocol| handler.call(arguments, protocol));
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.entry(target.to_lowercase()).or_default().push(erased);
    }

    /// Drops all handlers, and with them what they hold.
    pub(crate) fn clear(&self) {
        let all = std::mem::take(&mut *self.0.write().unwrap_or_else(PoisonError::into_inner));
        drop(all);
    }

    /// Runs the handlers of a method, one after the other, and gives what the server is told if it
    /// waits: what the official clients tell it.
    pub(crate) async fn run(&self, call: &Call, protocol: Protocol) -> Outcome {
        let mut outcome = None;
        let mut is_doubled = false;
        for handler in self.of(&call.target) {
            match answer(&*handler, call, protocol).await {
                Ok(None) => {}
                Ok(Some(result)) => {
                    is_doubled |= matches!(outcome, Some(Outcome::Result(_)));
                    outcome = Some(Outcome::Result(result));
                }
                Err(error) => {
                    tracing::warn!(target = %call.target, "a handler failed");
                    outcome = Some(Outcome::Error(error));
                }
            }
        }
        match outcome {
            _ if is_doubled => Outcome::Error(DOUBLED.into()),
            Some(outcome) => outcome,
            None => Outcome::Error(NONE.into()),
        }
    }

    fn of(&self, target: &str) -> Vec<Arc<Erased>> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.get(&target.to_lowercase()).cloned().unwrap_or_default()
    }
}

async fn answer(
    handler: &Erased,
    call: &Call,
    protocol: Protocol,
) -> Result<Option<Payload>, Box<str>> {
    match handler(&call.arguments, protocol) {
        Ok(answering) => answering.await,
        Err(error) => Err(error.to_string().into()),
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handlers(..)")
    }
}

/// What a server is told that waits for a result and gets none.
const NONE: &str = "Client didn't provide a result.";
/// What it is told if it gets two.
const DOUBLED: &str = "Client provided multiple results.";
/// What it is told if the result is more than a message can say.
const LONG: &str = "The client's result is too long.";
