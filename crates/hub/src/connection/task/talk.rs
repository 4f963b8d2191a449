//! What is said on a connection that speaks a hub protocol, and what is done about it.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use everwire_proto::{
    signalr::{
        handshake::{HandshakeResponse, Spoken},
        message::HubMessage,
        negotiate::{StatefulReconnect, Transport},
    },
    time::Time,
};
use tokio_util::sync::CancellationToken;

use super::{OWN_MAX, Task};
use crate::{
    calls::Calls,
    client::Question,
    connection::Own,
    conversation::{Conversation, Said},
    end::{CLOSED_WITH_AN_ERROR, End},
    events::Greeting,
    frames::{Speech, encode, frame_text},
    hub::Hub,
    method,
    pulse::Watch,
};

/// What is said, and what is done about it.
pub(super) struct Talk {
    pub(super) conversation: Conversation,
    /// What the client has said and nobody has listened to, because its calls are all at work.
    pub(super) unread: Vec<u8>,
    pub(super) calls: Calls,
    /// What the application does before the client's first call.
    pub(super) greeting: Option<Greeting>,
    /// Whether the client has come, so that leave is to be taken of it.
    pub(super) has_come: bool,
}

impl Talk {
    pub(super) fn new(hub: &Hub) -> Self {
        Self {
            conversation: Conversation::new(),
            unread: Vec::new(),
            calls: Calls::new(hub),
            greeting: None,
            has_come: false,
        }
    }

    /// Whether the client is not to be heard for the time being.
    fn is_deaf(&self) -> bool {
        self.greeting.is_some() || self.calls.is_full()
    }
}

impl Task {
    /// Whether calls may go on: the client takes what it is answered, or its acknowledgement may
    /// be behind what is still unread.
    pub(super) fn may_answer(&self) -> bool {
        let wire = self.connection.wire();
        let is_acknowledged = wire.is_acknowledged(self.hub.config());
        wire.outgoing.bytes() < OWN_MAX && (is_acknowledged || !self.talk.unread.is_empty())
    }

    /// Lets the calls go on, and listens to what was left unread meanwhile; gives whether they are
    /// held up until the client takes more.
    pub(super) fn work(&mut self, cx: &mut Context<'_>, now: Time) -> bool {
        if self.greet(cx, now).is_pending() {
            return false;
        }
        loop {
            let is_held_up = loop {
                if !self.may_answer() {
                    break true;
                }
                match self.talk.calls.poll(cx, &self.hub, &self.connection) {
                    Poll::Ready(Some((message, behind))) => {
                        self.say(&message);
                        behind.into_iter().for_each(|post| self.connection.shard.post(*post));
                    }
                    Poll::Ready(None) | Poll::Pending => break false,
                }
            };
            let is_over = self.ending.is_some() || self.is_shut();
            if self.talk.unread.is_empty() || self.talk.is_deaf() || is_over {
                return is_held_up;
            }
            let unread = std::mem::take(&mut self.talk.unread);
            self.listen(&unread, now);
        }
    }

    /// Lets the application greet the client.
    fn greet(&mut self, cx: &mut Context<'_>, now: Time) -> Poll<()> {
        let Some(greeting) = &mut self.talk.greeting else { return Poll::Ready(()) };
        let greeted = ready!(greeting.as_mut().poll(cx));
        self.talk.greeting = None;
        match greeted {
            Ok(()) => self.come(),
            Err(error) => {
                let detail = self.hub.methods().detail();
                self.end(End::Failed(error.told(CLOSED_WITH_AN_ERROR, detail)), now);
            }
        }
        Poll::Ready(())
    }

    /// Asks the client, if it may be asked.
    pub(super) fn ask(&mut self, question: Question) {
        let Some(speech) = self.connection.wire().speech else { return };
        let frames = Arc::clone(&question.frames);
        if let Some(frame) = frames.bytes(speech)
            && self.talk.calls.ask(question)
        {
            self.connection.send_own(Own::Counted(frame.clone()));
        }
    }

    /// Takes what the client says, or keeps it for later.
    pub(super) fn listen(&mut self, mut payload: &[u8], now: Time) {
        let message_max = self.hub.config().message_max;
        while self.ending.is_none() && !self.is_shut() {
            if self.talk.is_deaf() || !self.talk.unread.is_empty() {
                return self.talk.unread.extend_from_slice(payload);
            }
            let conversation = &mut self.talk.conversation;
            match conversation.next(&mut payload, self.connection.transport, message_max) {
                Ok(None) => return,
                Ok(Some(Said::Hello(spoken))) => self.begin(spoken, now),
                Ok(Some(Said::Message(message))) if self.is_too_late(&message) => {}
                Ok(Some(Said::Message(message))) => {
                    self.connection.shard.count_received();
                    self.count(now);
                    if self.ending.is_none() && self.is_new(&message, now) {
                        self.obey(message, now);
                    }
                }
                Err(misunderstood) => self.end(misunderstood.into(), now),
            }
        }
    }

    /// The client has said how it speaks.
    fn begin(&mut self, spoken: Spoken, now: Time) {
        let framing = self.connection.framing();
        let answer = frame_text(&HandshakeResponse::agreed().to_bytes(), framing);
        let speech = Speech { protocol: spoken.protocol, framing };
        let mut wire = self.connection.wire();
        wire.open(speech, answer, now);
        if spoken.allows_stateful_reconnect
            && self.connection.stateful_reconnect == StatefulReconnect::On
        {
            wire.begin_keeping(self.hub.config(), self.hub.keepers());
        }
        drop(wire);
        if let Some(attendance) = self.hub.attendance() {
            attendance.come(&self.context());
        }
        self.talk.greeting = self.hub.events().connected(|| self.context());
        if self.talk.greeting.is_none() {
            self.come();
        }
    }

    /// The client has come.
    fn come(&mut self) {
        self.talk.has_come = true;
        self.connection.come();
    }

    /// What is done for the connection itself and not for one of its calls.
    pub(super) fn context(&self) -> method::Context {
        let connection = Arc::clone(&self.connection);
        let (canceled, turn) = (CancellationToken::new(), method::Turn::default());
        method::Context::new(self.hub.clone(), connection, canceled, turn)
    }

    /// Whether the message has not been taken before, on an earlier socket.
    fn is_new(&mut self, message: &HubMessage, now: Time) -> bool {
        let judged = self.connection.wire().kept().map_or(Ok(true), |kept| kept.judge(message));
        judged.unwrap_or_else(|error| {
            self.end(error.into(), now);
            false
        })
    }

    fn obey(&mut self, message: HubMessage, now: Time) {
        match message {
            HubMessage::Ping => {
                let pulse = &mut self.connection.wire().pulse;
                let is_first = pulse.watched() == Watch::Nothing;
                if is_first && self.connection.transport != Transport::LongPolling {
                    pulse.watch(Watch::Life, now);
                }
            }
            HubMessage::Close(close) => self.end(End::Left(close.error), now),
            HubMessage::Ack(_) | HubMessage::Sequence(_) => {}
            message => self.talk.calls.handle(message, &self.hub, &self.connection),
        }
    }

    /// Sends a message of the client's own.
    pub(super) fn say(&self, message: &HubMessage) {
        let Some(speech) = self.connection.wire().speech else { return };
        match encode(message, speech) {
            Ok(frame) if message.is_tracked() => self.connection.send_own(Own::Counted(frame)),
            Ok(frame) => self.connection.send_own(Own::Passing(frame)),
            Err(error) => tracing::warn!(%error, "an answer cannot be encoded"),
        }
    }
}
