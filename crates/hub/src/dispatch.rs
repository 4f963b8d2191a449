//! Which call of a connection begins when, and what its client is told: pure.
//!
//! The story of a call. A client's message is [handled](Dispatch::handle_message); the call is
//! refused, or begins when it is its turn: calls take turns in the order in which they came, one
//! at a time by default, but a call that streams, up or down, needs no turn and only keeps its
//! place behind those that wait. The connection begins what [`Action::Start`] names, tells its
//! [items](Dispatch::handle_item) and its [end](Dispatch::handle_end), and the client gets them
//! under the id that it chose. It gets nothing if it chose none. Whatever else happens, a call
//! with an id is completed once.
//!
//! In the other direction the server [asks](Dispatch::handle_ask) the client and awaits its
//! completion. After each `handle_*` the caller obeys [`poll_action`](Dispatch::poll_action) until
//! there is nothing more to do, and it reads on only while [`is_full`](Dispatch::is_full) is false:
//! what cannot begin is the client's to keep.
//!
//! Not here: pings, acknowledgements and their sequence, which are about the connection and not
//! about calls; what a method does; any waiting.

mod asked;
pub mod limits;
mod refusal;
mod running;
mod waiting;

use std::collections::VecDeque;

use everwire_proto::signalr::{
    message::{
        Call, CancelInvocation, Close, Completion, HubMessage, Invocation, InvocationId, Outcome,
        StreamInvocation, StreamItem,
    },
    payload::{Arguments, Payload},
};
use serde::{Deserialize, Serialize};

pub use self::{asked::AskError, limits::Limits, refusal::Refusal};
use self::{
    asked::Asked,
    running::{Pace, Running},
    waiting::{Called, Waiting, Waits},
};
use crate::error::{ErrorDetail, Failure, HubError};

/// Names a call of one connection from its start to its end; the client's own id need not exist and
/// may come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallKey(pub u64);

/// Names an upload stream of a call: which of its streams it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UploadKey {
    /// The call.
    pub call: CallKey,
    /// Which of the call's streams, in their order; the first is 0.
    pub index: usize,
}

/// Names a method of a hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MethodId(pub(crate) usize);

/// How a method answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// With one result.
    Once,
    /// With items and an end.
    Stream,
}

/// What dispatching knows of a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// How it answers.
    pub answers: Answers,
    /// How many arguments it takes; `None` if any number.
    pub arguments: Option<usize>,
    /// How many upload streams it takes.
    pub uploads: usize,
}

/// What a client's word for a method stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// No method.
    Nothing,
    /// A method that this client may not call.
    Forbidden,
    /// This method.
    Method(MethodId, Signature),
}

/// What the connection is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Begin a call; it ends with [`Dispatch::handle_end`], whatever happens.
    Start(Start),
    /// Give an item to an upload.
    Feed(UploadKey, Payload),
    /// End an upload, with an error if the client or the connection has one.
    EndUpload(UploadKey, Option<HubError>),
    /// Tell a call that its client wants no more of it. It still has to end.
    Cancel(CallKey),
    /// Send the client a message.
    Send(HubMessage),
    /// The client has answered what it was asked.
    Answer(InvocationId, Outcome),
    /// The client will not answer any more what it was asked.
    Unanswered(InvocationId),
    /// The client ends the connection.
    Closed(Close),
    /// A call was refused; if it has an id, the client is told. For logs and counters.
    Refused(Refusal),
    /// A message named something that is not, or no longer, there. For logs and counters: it happens
    /// to honest clients too, since their messages cross with ours.
    Ignored(Ignored),
}

/// A call that is to begin.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    /// Its name from now on.
    pub call: CallKey,
    /// The method.
    pub method: MethodId,
    /// What the method is called with.
    pub arguments: Arguments,
}

/// A message that has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ignored {
    /// An item for an upload that is not open.
    Item,
    /// A completion of what is neither an open upload nor asked.
    Completion,
    /// A cancellation of what does not run.
    Cancellation,
}

/// The calls of one connection, in both directions.
#[derive(Debug)]
pub struct Dispatch {
    limits: Limits,
    detail: ErrorDetail,
    next_call: u64,
    /// Calls that run and hold a turn.
    turns_taken: usize,
    running: Vec<Running>,
    waiting: Waiting,
    asked: Asked,
    actions: VecDeque<Action>,
    /// Nobody is there to be told anything.
    disconnected: bool,
}

impl Dispatch {
    /// A connection on which nothing has been said.
    pub const fn new(limits: Limits, detail: ErrorDetail) -> Self {
        Self {
            limits,
            detail,
            next_call: 1,
            turns_taken: 0,
            running: Vec::new(),
            waiting: Waiting::new(),
            asked: Asked::new(),
            actions: VecDeque::new(),
            disconnected: false,
        }
    }

    /// Takes what the client says; `find` looks up the method that a call names.
    pub fn handle_message(&mut self, message: HubMessage, find: impl FnOnce(&str) -> Found) {
        if self.disconnected {
            return;
        }
        match message {
            HubMessage::Invocation(Invocation { id, call, .. }) => {
                let found = find(&call.target);
                self.handle_call(id, call, Answers::Once, found);
            }
            HubMessage::StreamInvocation(StreamInvocation { id, call, .. }) => {
                let found = find(&call.target);
                self.handle_call(Some(id), call, Answers::Stream, found);
            }
            HubMessage::StreamItem(StreamItem { id, item, .. }) => self.feed(id, item),
            HubMessage::Completion(Completion { id, outcome, .. }) => self.complete(id, outcome),
            HubMessage::CancelInvocation(CancelInvocation { id, .. }) => self.cancel(&id),
            HubMessage::Close(close) => self.act(Action::Closed(close)),
            HubMessage::Ping | HubMessage::Ack(_) | HubMessage::Sequence(_) => {}
        }
    }

    /// Takes an item of a call's stream.
    pub fn handle_item(&mut self, call: CallKey, item: Payload) {
        let running = self.running.iter().find(|running| running.key == call);
        let Some(Running { id: Some(id), canceled: false, .. }) = running else { return };
        let item = HubMessage::item(id.clone(), item);
        self.send(item);
    }

    /// Takes the end of a call: its result, nothing for a stream, or why it failed. Its uploads are
    /// closed with it.
    pub fn handle_end(&mut self, call: CallKey, end: Result<Option<Payload>, Failure>) {
        let Some(at) = self.running.iter().position(|running| running.key == call) else { return };
        let Running { id, target, pace, .. } = self.running.swap_remove(at);
        if self.running.is_empty() {
            self.running = Vec::new();
        }
        if pace == Pace::Turn {
            self.turns_taken -= 1;
        }
        let outcome = match end {
            Ok(result) => result.map_or(Outcome::Void, Outcome::Result),
            Err(failure) => Outcome::Error(failure.text(&target, self.detail)),
        };
        self.tell(id, outcome);
        self.advance();
    }

    /// Takes that a call waits for its own client, which must not have to wait for it in turn: the
    /// next call may begin. `false` if as many wait for this client as may.
    pub fn handle_release(&mut self, call: CallKey) -> bool {
        let released = |running: &&Running| running.pace == Pace::Released;
        if self.running.iter().filter(released).count() >= self.limits.asked_max {
            return false;
        }
        let running = self.running.iter_mut().find(|running| running.key == call);
        let Some(running) = running.filter(|running| running.pace == Pace::Turn) else {
            return true;
        };
        running.pace = Pace::Released;
        self.turns_taken -= 1;
        self.advance();
        true
    }

    /// Takes that the client is being asked: an invocation with this id, which the server chose, is
    /// on its way. Ends in [`Action::Answer`] or [`Action::Unanswered`].
    ///
    /// # Errors
    /// If the client must not be asked; nothing is to be sent then.
    pub fn handle_ask(&mut self, id: InvocationId) -> Result<(), AskError> {
        if self.disconnected {
            return Err(AskError::Disconnected);
        }
        self.asked.add(id, self.limits.asked_max)
    }

    /// Takes that nobody waits any more for the answer to a question.
    pub fn handle_unask(&mut self, id: &InvocationId) {
        self.asked.remove(id);
    }

    /// Takes that the client is gone: nothing is told or begun any more, what runs is canceled, and
    /// what was asked stays unanswered.
    pub fn handle_disconnect(&mut self) {
        self.disconnected = true;
        self.waiting.clear();
        let gone = "The underlying connection was closed.";
        let gone = HubError::unexpected("OperationCanceledException", gone);
        for running in &mut self.running {
            let call = running.key;
            for index in running.close_uploads() {
                let key = UploadKey { call, index };
                self.actions.push_back(Action::EndUpload(key, Some(gone.clone())));
            }
            if !std::mem::replace(&mut running.canceled, true) {
                self.actions.push_back(Action::Cancel(call));
            }
        }
        for id in self.asked.take() {
            self.act(Action::Unanswered(id));
        }
    }

    /// What to do next.
    pub fn poll_action(&mut self) -> Option<Action> {
        let action = self.actions.pop_front();
        if action.is_none() {
            // An idle connection holds no memory.
            self.actions = VecDeque::new();
        }
        action
    }

    /// Whether as much waits for its turn as may, so that nothing is to be read from the client.
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= self.limits.waiting_max
            || self.waiting.bytes() >= self.limits.waiting_bytes_max
    }

    /// Whether nothing runs or waits. Who wants to see done what a client has said last waits for
    /// this between the client's last byte and [`handle_disconnect`](Self::handle_disconnect).
    pub fn is_idle(&self) -> bool {
        self.running.is_empty() && self.waiting.len() == 0
    }

    fn handle_call(&mut self, id: Option<InvocationId>, call: Call, wanted: Answers, found: Found) {
        let (method, signature) = match judge(found, wanted, call.streams.len()) {
            Ok(judged) => judged,
            Err(refusal) => return self.refuse(id, &call.target, refusal),
        };
        let called = Called { id, call, method, signature };
        if self.waiting.len() == 0 && self.may_begin(&called) {
            self.begin(called);
        } else {
            self.waiting.push(Waits::Call(called));
        }
    }

    fn may_begin(&self, called: &Called) -> bool {
        called.streams() || self.turns_taken < self.limits.parallel_max.get()
    }

    /// Begins what waits, as far as it may.
    fn advance(&mut self) {
        while let Some(next) = self.waiting.front() {
            if matches!(next, Waits::Call(called) if !self.may_begin(called)) {
                return;
            }
            match self.waiting.pop() {
                Some(Waits::Call(called)) => self.begin(called),
                Some(Waits::Item(id, item)) => self.feed(id, item),
                Some(Waits::End(id, outcome)) => self.complete(id, outcome),
                None => return,
            }
        }
    }

    fn begin(&mut self, called: Called) {
        if let Err(refusal) = self.admit(&called) {
            return self.refuse(called.id, &called.call.target, refusal);
        }
        let pace = if called.streams() { Pace::Free } else { Pace::Turn };
        let Called { id, call: Call { target, arguments, streams }, method, .. } = called;
        let key = CallKey(self.next_call);
        self.next_call += 1;
        if pace == Pace::Turn {
            self.turns_taken += 1;
        }
        let uploads = streams.into_iter().map(Some).collect();
        self.running.push(Running { key, id, target, pace, canceled: false, uploads });
        self.act(Action::Start(Start { call: key, method, arguments }));
    }

    /// Judges what may have changed since the call came: ids in use, and limits.
    fn admit(&self, called: &Called) -> Result<(), Refusal> {
        let streams = &called.call.streams;
        if called.id.is_some() && self.running.iter().any(|running| running.id == called.id) {
            return Err(Refusal::IdInUse);
        }
        let in_use = |(at, id)| self.open_upload(id).is_some() || streams[..at].contains(id);
        if streams.iter().enumerate().any(in_use) {
            return Err(Refusal::StreamIdInUse);
        }
        let streaming = |running: &&Running| running.pace == Pace::Free;
        let open = self.running.iter().map(Running::open_uploads).sum::<usize>();
        if called.streams()
            && self.running.iter().filter(streaming).count() >= self.limits.streams_max
        {
            return Err(Refusal::TooManyStreams);
        }
        if open + streams.len() > self.limits.uploads_max {
            return Err(Refusal::TooManyUploads);
        }
        Ok(())
    }

    fn refuse(&mut self, id: Option<InvocationId>, target: &str, refusal: Refusal) {
        if let Some(id) = id {
            let text = refusal.text(target, id.as_str());
            self.tell(Some(id), Outcome::Error(text));
        }
        self.act(Action::Refused(refusal));
    }

    /// Gives an item to its upload, or keeps it for one whose call waits.
    fn feed(&mut self, id: InvocationId, item: Payload) {
        match self.open_upload(&id) {
            Some(key) => self.act(Action::Feed(key, item)),
            None if self.waiting.announces(&id) => self.waiting.push(Waits::Item(id, item)),
            None => self.act(Action::Ignored(Ignored::Item)),
        }
    }

    /// Ends an upload, or takes the answer to a question.
    fn complete(&mut self, id: InvocationId, outcome: Outcome) {
        if let Some(key) = self.close_upload(&id) {
            let error = match outcome {
                Outcome::Error(error) => Some(HubError::new(error)),
                Outcome::Void | Outcome::Result(_) => None,
            };
            self.act(Action::EndUpload(key, error));
        } else if self.waiting.announces(&id) {
            self.waiting.push(Waits::End(id, outcome));
        } else if self.asked.remove(&id) {
            self.act(Action::Answer(id, outcome));
        } else {
            self.act(Action::Ignored(Ignored::Completion));
        }
    }

    /// Cancels a call that runs, or one that waits, which then never begins.
    fn cancel(&mut self, id: &InvocationId) {
        let running = self.running.iter_mut().find(|running| running.id.as_ref() == Some(id));
        if let Some(running) = running {
            if !std::mem::replace(&mut running.canceled, true) {
                let key = running.key;
                self.act(Action::Cancel(key));
            }
        } else if let Some(Called { id, call, signature, .. }) = self.waiting.take_call(id) {
            let outcome = match signature.answers {
                Answers::Stream => Outcome::Void,
                Answers::Once => {
                    let failure = Failure::Invoking(HubError::canceled());
                    Outcome::Error(failure.text(&call.target, self.detail))
                }
            };
            self.tell(id, outcome);
            self.advance();
        } else {
            self.act(Action::Ignored(Ignored::Cancellation));
        }
    }

    fn open_upload(&self, id: &InvocationId) -> Option<UploadKey> {
        self.running.iter().find_map(|running| {
            let index = running.upload(id)?;
            Some(UploadKey { call: running.key, index })
        })
    }

    fn close_upload(&mut self, id: &InvocationId) -> Option<UploadKey> {
        self.running.iter_mut().find_map(|running| {
            let index = running.upload(id)?;
            running.uploads[index] = None;
            Some(UploadKey { call: running.key, index })
        })
    }

    /// Completes a call for its client, if that wants to know.
    fn tell(&mut self, id: Option<InvocationId>, outcome: Outcome) {
        if let Some(id) = id {
            self.send(HubMessage::completion(id, outcome));
        }
    }

    fn send(&mut self, message: HubMessage) {
        if !self.disconnected {
            self.act(Action::Send(message));
        }
    }

    fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }
}

/// Judges what never changes: whether the method is there, allowed and called as it must be.
const fn judge(
    found: Found,
    wanted: Answers,
    sent: usize,
) -> Result<(MethodId, Signature), Refusal> {
    let (method, signature) = match found {
        Found::Nothing => return Err(Refusal::UnknownMethod),
        Found::Forbidden => return Err(Refusal::Unauthorized),
        Found::Method(method, signature) => (method, signature),
    };
    match (signature.answers, wanted) {
        (Answers::Stream, Answers::Once) => return Err(Refusal::Streaming),
        (Answers::Once, Answers::Stream) => return Err(Refusal::NotStreaming),
        (Answers::Once, Answers::Once) | (Answers::Stream, Answers::Stream) => {}
    }
    if signature.uploads != sent {
        return Err(Refusal::Uploads { sent, expected: signature.uploads });
    }
    Ok((method, signature))
}

#[cfg(test)]
mod tests;
