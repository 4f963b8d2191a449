//! One client: what it is sent, and what it is asked.

use std::{future::poll_fn, sync::Arc};

use everwire_proto::signalr::{
    message::{HubMessage, InvocationId, Outcome},
    payload::{Arguments, DecodeError, EncodeError, Payload},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::oneshot;

use crate::{
    audience::Whom,
    dispatch::AskError,
    fanout::{afar::Elsewhere, envelope::write_body},
    frames::Frames,
    hub::Hub,
    id::ConnectionId,
    method::Turn,
    recipients::{Recipients, SendError},
    shard::Post,
};

/// One of a hub's clients; see [`Hub::connection`].
#[derive(Debug, Clone)]
pub struct Client {
    hub: Hub,
    id: ConnectionId,
    /// The turn of the call of this client that wants something of it.
    turn: Option<Turn>,
}

/// A method of a client that is called for its answer.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) id: InvocationId,
    pub(crate) frames: Arc<Frames>,
    /// Closed without a word if the client goes before it has answered.
    pub(crate) answer: oneshot::Sender<Result<Outcome, AskError>>,
}

/// An answer that nobody has looked at.
pub(crate) type Unread = oneshot::Receiver<Result<Outcome, AskError>>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// The arguments cannot be encoded: the application's fault.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// There may be such a connection on nodes that cannot be asked.
    #[error("Connection '{0}' may be on a node that cannot be asked.")]
    Unreached(ConnectionId),
    /// There is no such connection.
    #[error("Connection '{0}' does not exist.")]
    Unknown(ConnectionId),
    /// The client must not be asked any more.
    #[error(transparent)]
    Refused(#[from] AskError),
    /// The client went before it answered.
    #[error("Connection '{0}' disconnected.")]
    Disconnected(ConnectionId),
    /// The client has not answered in time.
    #[error("Connection '{0}' did not answer in time.")]
    Late(ConnectionId),
    /// The hub awaits as many answers as it [may](crate::HubConfig::asked_max).
    #[error("Too many answers of clients are awaited.")]
    TooMany,
    /// The client's method failed, and this is what it says.
    #[error("{0}")]
    Failed(Box<str>),
    /// The answer is of another type: the client's fault.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl Client {
    pub(crate) const fn new(hub: Hub, id: ConnectionId) -> Self {
        Self { hub, id, turn: None }
    }

    /// The same for a call of this client, which gives up its turn to ask.
    pub(crate) fn within(self, turn: Turn) -> Self {
        Self { turn: Some(turn), ..self }
    }

    /// The connection.
    pub const fn id(&self) -> ConnectionId {
        self.id
    }

    /// Calls a method of this client and wants no answer; see [`Recipients::send`].
    ///
    /// # Errors
    /// See [`SendError`]. That the client is gone is none.
    pub fn send(
        &self,
        target: &str,
        arguments: &(impl Serialize + ?Sized),
    ) -> Result<(), SendError> {
        self.recipients().send(target, arguments)
    }

    /// The same with arguments that are encoded already.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send_encoded(&self, target: &str, arguments: Arguments) -> Result<(), SendError> {
        self.recipients().send_encoded(target, arguments)
    }

    /// Calls a method of this client and waits for its answer. The question comes after everything
    /// that was sent before. Who gives up waiting drops this, and the answer is ignored.
    ///
    /// # Errors
    /// See [`InvokeError`].
    pub async fn invoke<R: DeserializeOwned>(
        &self,
        target: &str,
        arguments: &(impl Serialize + ?Sized),
    ) -> Result<R, InvokeError> {
        let arguments = Arguments::encode_all(arguments)?;
        result_of(self.ask(target, arguments).await?)
    }

    async fn ask(&self, target: &str, arguments: Arguments) -> Result<Outcome, InvokeError> {
        let Some(there) = self.hub.settled(self.id).await else {
            return self.ask_elsewhere(target, &arguments).await;
        };
        let _permit = self.hub.may_ask().ok_or(InvokeError::TooMany)?;
        let id = self.hub.next_question();
        let frames = Frames::new(HubMessage::ask(id.clone(), target, arguments));
        let (question, answered) = Question::new(id, Arc::new(frames));
        self.turn.iter().for_each(Turn::release);
        let shard = Arc::clone(&there.shard);
        shard.post(Post::Ask(there, question));
        Ok(answered.await.map_err(|_| InvokeError::Disconnected(self.id))??)
    }

    /// The client may be on another node.
    async fn ask_elsewhere(
        &self,
        target: &str,
        arguments: &Arguments,
    ) -> Result<Outcome, InvokeError> {
        let audience = Whom::Connections(vec![self.id]).into();
        let body = write_body(target, arguments);
        let mut elsewhere = Elsewhere::ask(&self.hub, &audience, body, None)
            .ok_or(InvokeError::Unknown(self.id))?;
        let _permit = self.hub.may_ask().ok_or(InvokeError::TooMany)?;
        self.turn.iter().for_each(Turn::release);
        match poll_fn(|cx| elsewhere.poll_next(cx)).await {
            Some((_, answer)) => answer,
            None if elsewhere.unreached() > 0 => Err(InvokeError::Unreached(self.id)),
            None => Err(InvokeError::Unknown(self.id)),
        }
    }

    fn recipients(&self) -> Recipients {
        self.hub.connections([self.id])
    }
}

impl Question {
    /// The question of this id, which is in these frames too, and where its answer comes.
    pub(crate) fn new(id: InvocationId, frames: Arc<Frames>) -> (Self, Unread) {
        let (answer, answered) = oneshot::channel();
        (Self { id, frames, answer }, answered)
    }
}

/// What a client has answered, as this type.
pub(crate) fn result_of<R: DeserializeOwned>(outcome: Outcome) -> Result<R, InvokeError> {
    match outcome {
        Outcome::Result(result) => Ok(result.decode()?),
        Outcome::Void => Ok(Payload::null().decode()?),
        Outcome::Error(error) => Err(InvokeError::Failed(error)),
    }
}
