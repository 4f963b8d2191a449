//! A connection that speaks no hub protocol: an application's handler hears and says what it likes.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll},
};

use everwire_proto::{
    time::Time,
    ws::{
        frame::{Opcode, Violation},
        intake::Sender,
        message::{Message, MessageReader},
    },
};
use tokio::sync::mpsc;

use super::{OWN_MAX, Task};
use crate::{
    connection::{Connection, Own},
    end::{CLOSED_WITH_AN_ERROR, End},
    frames::frame_bytes,
    hub::Hub,
    raw::{Handling, RawHandler, RawMessage, RawSocket},
};

/// A handler at work, and what it hears and says.
pub(super) struct RawTalk {
    reader: MessageReader,
    /// What has come and the handler has no room for.
    waiting: VecDeque<RawMessage>,
    /// `None` once the client has said its last.
    heard: Option<mpsc::Sender<RawMessage>>,
    said: mpsc::Receiver<RawMessage>,
    /// `None` once it has ended.
    handler: Option<Handling>,
    /// How it ended, which is told behind all that it said.
    end: Option<End>,
}

/// What a handler has come to.
enum Step {
    Say(RawMessage),
    End(End),
}

impl RawTalk {
    pub(super) fn new(handler: &RawHandler, hub: &Hub, connection: &Arc<Connection>) -> Self {
        let (heard, hears) = mpsc::channel(MESSAGES_MAX);
        let (says, said) = mpsc::channel(MESSAGES_MAX);
        let socket = RawSocket::new(hears, says, Arc::clone(connection));
        let message_max = hub.config().message_max as u64;
        Self {
            reader: MessageReader::new(Sender::Client, message_max),
            waiting: VecDeque::new(),
            heard: Some(heard),
            said,
            handler: Some(handler.handle(socket)),
            end: None,
        }
    }

    /// Takes what the client says.
    pub(super) fn take(&mut self, message: RawMessage) {
        self.waiting.push_back(message);
        self.pass_on();
    }

    pub(super) fn has_listened(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The handler with nothing more to hear, for who lets it end.
    pub(super) async fn into_rest(self) {
        let Self { heard, handler, .. } = self;
        drop(heard);
        if let Some(handler) = handler
            && let Err(error) = handler.await
        {
            tracing::debug!(?error, "a handler failed after its client had gone");
        }
    }

    /// Lets the handler go on until it says something or has ended.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        self.pass_on();
        if let Some(handler) = &mut self.handler
            && let Poll::Ready(ended) = handler.as_mut().poll(cx)
        {
            self.handler = None;
            self.end = Some(match ended {
                Ok(()) => End::Aborted,
                Err(error) => End::Failed(format!("{CLOSED_WITH_AN_ERROR} {error}").into()),
            });
        }
        if let Poll::Ready(Some(message)) = self.said.poll_recv(cx) {
            return Poll::Ready(Step::Say(message));
        }
        self.end.take().map_or(Poll::Pending, |end| Poll::Ready(Step::End(end)))
    }

    fn pass_on(&mut self) {
        let Some(heard) = &self.heard else { return self.waiting.clear() };
        while let Some(message) = self.waiting.pop_front() {
            match heard.try_send(message) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(message)) => {
                    return self.waiting.push_front(message);
                }
                // The handler does not listen any more.
                Err(mpsc::error::TrySendError::Closed(_)) => return self.waiting.clear(),
            }
        }
    }
}

impl Task {
    /// Lets the handler go on as long as the client takes what it says; gives whether it is held up
    /// until that takes more.
    pub(super) fn work_raw(&mut self, cx: &mut Context<'_>, now: Time) -> bool {
        while self.ending.is_none()
            && let Some(raw) = &mut self.raw
        {
            if self.connection.wire().outgoing.bytes() >= OWN_MAX {
                return true;
            }
            match raw.poll(cx) {
                Poll::Pending => return false,
                Poll::Ready(Step::Say(message)) => self.say_raw(&message),
                Poll::Ready(Step::End(end)) => self.end(end, now),
            }
        }
        false
    }

    /// Takes what frames say.
    pub(super) fn hear_raw(&mut self, bytes: &[u8], now: Time) {
        let mut bytes = bytes;
        loop {
            let Some(raw) = &mut self.raw else { return };
            match raw.reader.next(&mut bytes) {
                Ok(None) => return,
                Ok(Some(Message::Text(text))) => self.take_raw(RawMessage::Text(text), now),
                Ok(Some(Message::Binary(bytes))) => {
                    self.take_raw(RawMessage::Binary(bytes.into()), now);
                }
                // A Pong belongs behind what was answered to earlier messages.
                Ok(Some(Message::Ping(payload))) => self.pong(&payload, now),
                Ok(Some(Message::Pong(_))) => {}
                Ok(Some(Message::Close(close))) => self.client_closes(&close, now),
                Err(Violation { code, .. }) => return self.end(End::Violation(code), now),
            }
        }
    }

    /// Takes a message, unless the client says too many.
    pub(super) fn take_raw(&mut self, message: RawMessage, now: Time) {
        self.count(now);
        if self.ending.is_none()
            && let Some(raw) = &mut self.raw
        {
            raw.take(message);
        }
    }

    fn say_raw(&self, message: &RawMessage) {
        let framing = self.connection.framing();
        let frame = match message {
            RawMessage::Text(text) => frame_bytes(Opcode::Text, text.as_bytes(), framing),
            RawMessage::Binary(bytes) => frame_bytes(Opcode::Binary, bytes, framing),
        };
        self.connection.send_own(Own::Passing(frame));
    }
}

/// Messages that wait between a client and its handler, in each direction.
const MESSAGES_MAX: usize = 16;
