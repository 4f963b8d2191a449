//! The handle by which an application uses its connection.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use everwire_proto::signalr::{
    Protocol, STREAMS_MAX,
    message::{Call, Headers, HubMessage, Invocation, InvocationId, Outcome, StreamInvocation},
    payload::Payload,
};
use serde::de::DeserializeOwned;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    call::{CallGuard, Cancellations, Command, Items, Reply},
    dispatch::Handlers,
    error::{CloseReason, InvokeError, SendError},
    handler::Handler,
    session::CallId,
    state::{ConnectionId, State},
    stream::ItemStream,
    upload::{CallArguments, Pump, say},
};

/// A connection to a hub. Clones are the same connection.
///
/// When the last clone is dropped, the socket is dropped, too, without a goodbye; call
/// [`stop`](Self::stop) to say one. A handler that holds a clone keeps the connection until then.
#[derive(Debug, Clone)]
pub struct Connection {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) protocol: Protocol,
    pub(crate) stream_buffer: usize,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) cancellations: Arc<Cancellations>,
    pub(crate) handlers: Arc<Handlers>,
    pub(crate) state: watch::Receiver<State>,
    pub(crate) stop: CancellationToken,
    /// The number of the next call or upload stream.
    pub(crate) next_id: AtomicU64,
    /// The connection's task, which ends with the last handle.
    pub(crate) _task: JoinSet<()>,
}

impl Connection {
    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// Calls a method and wants no answer.
    ///
    /// Returns when the message is on its way, and waits while too many bytes are: 64 KiB not yet
    /// written or, where the server keeps the session, 100,000 not yet acknowledged. With a session
    /// that the server keeps, the message then arrives unless that session is lost; otherwise it may
    /// be lost with its socket. A future that is dropped has sent, or never will.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send(&self, target: &str, arguments: impl CallArguments) -> Result<(), SendError> {
        let (call, uploads) = self.call(target, arguments)?;
        let headers = Headers::default();
        let message = HubMessage::Invocation(Invocation { headers, id: None, call });
        let message = self.shared.protocol.encode(&message)?;
        say(&self.shared.commands, message, uploads).await
    }

    /// Calls a method and waits for its result. Dropping the future tells the server that nobody
    /// does any more.
    ///
    /// # Errors
    /// See [`InvokeError`].
    pub async fn invoke<R: DeserializeOwned>(
        &self,
        target: &str,
        arguments: impl CallArguments,
    ) -> Result<R, InvokeError> {
        let (call, uploads) = self.call(target, arguments)?;
        let id = self.next_id();
        let invocation = Invocation { headers: Headers::default(), id: Some(id.0.into()), call };
        let (completed, completion) = oneshot::channel();
        let reply = Reply::Once(id, completed);
        let mut guard = CallGuard::new(id, self.shared.cancellations.clone());
        self.command(&HubMessage::Invocation(invocation), reply, uploads).await?;
        let outcome = completion.await;
        guard.disarm();
        match outcome.map_err(|_| SendError::Closed)?? {
            Outcome::Void => Ok(Payload::null().decode()?),
            Outcome::Result(result) => Ok(result.decode()?),
            Outcome::Error(error) => Err(InvokeError::Server(error)),
        }
    }

    /// Calls a method that answers with a stream. Dropping the stream cancels it.
    ///
    /// # Errors
    /// See [`InvokeError`]; the errors of the method come through the stream.
    pub async fn stream<T: DeserializeOwned>(
        &self,
        target: &str,
        arguments: impl CallArguments,
    ) -> Result<ItemStream<T>, InvokeError> {
        let (call, uploads) = self.call(target, arguments)?;
        let id = self.next_id();
        let invocation = StreamInvocation { headers: Headers::default(), id: id.0.into(), call };
        let (said, is_said) = oneshot::channel();
        let (item_tx, items) = mpsc::channel(self.shared.stream_buffer);
        let (end_tx, end) = oneshot::channel();
        let reply = Reply::Stream(id, said, Items { items: item_tx, end: end_tx });
        let guard = CallGuard::new(id, self.shared.cancellations.clone());
        self.command(&HubMessage::StreamInvocation(invocation), reply, uploads).await?;
        is_said.await.map_err(|_| SendError::Closed)??;
        Ok(ItemStream::new(items, end, guard))
    }

    /// Adds a handler while the connection is open; see
    /// [`ClientBuilder::on`](crate::ClientBuilder::on).
    pub fn on<S>(&self, target: &str, handler: impl Handler<S>) {
        self.shared.handlers.add(target, handler);
    }

    /// The state, now and whenever it changes. Only the latest is kept.
    pub fn state(&self) -> watch::Receiver<State> {
        self.shared.state.clone()
    }

    /// The id under which the server knows this connection; `None` while there is none, or if
    /// negotiation was skipped.
    pub fn connection_id(&self) -> Option<ConnectionId> {
        self.shared.state.borrow().connection_id()
    }

    /// Says goodbye, waits at most 5 s for the server's, and ends the connection for good. Calls
    /// that are in flight fail.
    pub async fn stop(&self) {
        self.shared.stop.cancel();
        self.closed().await;
    }

    /// Waits until the connection is closed for good, and tells why.
    pub async fn closed(&self) -> Arc<CloseReason> {
        let mut state = self.shared.state.clone();
        let closed = state.wait_for(|state| matches!(state, State::Closed { .. })).await;
        match closed.as_deref() {
            Ok(State::Closed { why }) => why.clone(),
            _ => Arc::new(CloseReason::Stopped),
        }
    }

    fn call(
        &self,
        target: &str,
        arguments: impl CallArguments,
    ) -> Result<(Call, Vec<Pump>), SendError> {
        if target.is_empty() {
            return Err(SendError::NoTarget);
        }
        let protocol = self.shared.protocol;
        let (arguments, uploads) = arguments.encode(protocol)?;
        if uploads.len() > STREAMS_MAX {
            return Err(SendError::TooManyStreams(STREAMS_MAX));
        }
        let streams: Vec<InvocationId> = uploads.iter().map(|_| self.next_id().0.into()).collect();
        let pumps = streams.iter().cloned().zip(uploads);
        let pumps = pumps.map(|(id, upload)| Pump::new(id, protocol, upload)).collect();
        Ok((Call { target: target.into(), arguments, streams }, pumps))
    }

    async fn command(
        &self,
        message: &HubMessage,
        reply: Reply,
        uploads: Vec<Pump>,
    ) -> Result<(), SendError> {
        let message = self.shared.protocol.encode(message)?;
        let command = Command { message, reply, uploads };
        self.shared.commands.send(command).await.map_err(|_| SendError::Closed)
    }

    fn next_id(&self) -> CallId {
        CallId(self.shared.next_id.fetch_add(1, Ordering::Relaxed))
    }
}
