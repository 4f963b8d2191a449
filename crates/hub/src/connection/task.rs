//! The task of a connection: it reads, answers, and finishes what its shard could not write.
//!
//! A hand-written poll, because a hub has many thousands of them: an idle one holds no buffer and
//! sets no timer. Each turn, in this order: what others ask, the methods at work, what has come,
//! what is to go.

mod depart;
mod farewell;
mod raw;
mod talk;

use std::{
    any::Any,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use everwire_proto::{
    signalr::{Protocol, negotiate::Transport},
    time::Time,
    ws::{
        close::CloseCode,
        frame::{Opcode, Violation, write_frame},
        intake::Sender,
        payload::{PayloadReader, Piece},
    },
};
use everwire_socket::bytes::poll_read;
use tokio::{runtime::Handle, time::Sleep};

use self::{depart::Departing, raw::RawTalk, talk::Talk};
use super::{
    Connection, Errands, Link, Own,
    stream::{Input, Takeover},
};
use crate::{
    clock,
    conversation::Conversation,
    end::{End, Farewell},
    estate::{Leave, Teller},
    events::Leaving,
    hub::Hub,
    pulse::Watch,
    rate::Rate,
    raw::RawMessage,
};

/// A connection at work. Dropping it ends it.
pub(crate) struct Task {
    hub: Hub,
    connection: Arc<Connection>,
    input: Input,
    frames: PayloadReader,
    talk: Talk,
    /// Instead of `talk`, where the hub speaks no hub protocol.
    raw: Option<Box<RawTalk>>,
    ending: Option<Box<Ending>>,
    /// The session is to move.
    departing: Option<Box<Departing>>,
    /// How much the client has said of late.
    rate: Rate,
    /// What is given back when the connection ends, such as its place among those allowed.
    _guard: Option<Box<dyn Any + Send>>,
}

/// The connection ends.
struct Ending {
    end: End,
    /// Whether the client has said its last.
    client_closed: bool,
    /// How long that is waited for, if not the shard sees to it.
    until: Option<Pin<Box<Sleep>>>,
}

impl Task {
    pub(crate) fn new(
        hub: Hub,
        connection: Arc<Connection>,
        input: Input,
        guard: Option<Box<dyn Any + Send>>,
    ) -> Self {
        let mut talk = Talk::new(&hub);
        let raw = hub.raw().map(|raw| Box::new(RawTalk::new(raw, &hub, &connection)));
        if raw.is_some() {
            talk.has_come = true;
            connection.come();
            // Nothing is known of what is spoken: there is no handshake to wait for.
            connection.wire().pulse.watch(Watch::Nothing, clock::now());
        }
        hub.arrive(&connection);
        let frames = PayloadReader::new(Sender::Client);
        let rate = Rate::new(clock::now(), hub.config().rate_max);
        let (ending, departing) = (None, None);
        Self { hub, connection, input, frames, talk, raw, ending, departing, rate, _guard: guard }
    }

    /// The task of a session that another node had.
    pub(crate) fn restored(hub: Hub, connection: Arc<Connection>, protocol: Protocol) -> Self {
        let mut task = Self::new(hub, connection, Input::Ended, None);
        let message_max = task.hub.config().message_max;
        task.talk.conversation = Conversation::open(protocol, message_max);
        task.talk.has_come = true;
        task
    }

    /// Takes bytes that came behind the request.
    pub(crate) fn read_ahead(mut self, bytes: &[u8]) -> Self {
        let mut bytes = bytes.to_vec();
        self.hear(&mut bytes, clock::now());
        self
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = clock::now();
        self.connection.waker.register(cx.waker());
        loop {
            self.obey_asked(now);
            let had_room = self.has_room();
            let is_held_up = match &self.raw {
                Some(_) => self.work_raw(cx, now),
                None => self.work(cx, now),
            };
            let has_read = had_room && self.wants_input() && self.read(cx, now);
            self.write(cx, now);
            self.hang_up(cx);
            // The shard fills what is to go, and empties it, at any time: what was held up goes on
            // even if there was room before it and is room again behind it.
            let has_new_room = !had_room && self.has_room() || is_held_up && self.may_answer();
            if !has_read && !has_new_room {
                break;
            }
        }
        self.obey_asked(now);
        self.tell_quiet();
        self.end_in_time(cx);
        let is_heard = self.wants_input();
        self.connection.wire().pulse.hear(is_heard, now);
        if self.is_over() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn obey_asked(&mut self, now: Time) {
        if let Some(errands) = self.connection.take_errands() {
            let Errands { takeover, questions, prepare, hurry, parted } = *errands;
            prepare.into_iter().for_each(|tell| self.prepare(tell));
            if hurry {
                self.hurry();
            }
            if parted.is_none() && self.connection.is_leaving() {
                if takeover.is_some() || !questions.is_empty() {
                    self.connection.defer(Errands { takeover, questions, ..Errands::default() });
                }
                return;
            }
            let takeover = match parted {
                Some(parted) => self.part(parted, takeover, now),
                None => takeover,
            };
            takeover.into_iter().for_each(|takeover| self.adopt(takeover, now));
            questions.into_iter().for_each(|question| self.ask(question));
        }
        if self.connection.is_leaving() {
            return;
        }
        let asked = self.connection.wire().take_asked();
        let Some(end) = asked else { return };
        // Only a client that polls asks for this: it deletes its connection and polls no more.
        let is_deleted = matches!(end, End::Left(_));
        self.end(end, now);
        if let Some(ending) = self.ending.as_mut().filter(|_| is_deleted) {
            ending.client_closed = true;
            self.connection.wire().retire();
        }
    }

    /// Goes on with another socket, if the session has not ended meanwhile.
    fn adopt(&mut self, takeover: Takeover, now: Time) {
        let Takeover { stream, head, mut read_ahead, guard } = takeover;
        if self.ending.is_some() {
            return;
        }
        let Ok(stream) = stream.moved_here() else { return };
        let (input, link) = stream.split();
        self.input = input;
        self.forget_unread();
        self._guard = guard;
        self.connection.wire().resume(link, head, now);
        tracing::debug!(connection = %self.connection.id(), "resumed");
        self.hear(&mut read_ahead, now);
    }

    /// What was not whole, or not listened to, is said again on another socket.
    fn forget_unread(&mut self) {
        self.frames = PayloadReader::new(Sender::Client);
        self.talk.unread = Vec::new();
        self.talk.conversation.begin_again(self.hub.config().message_max);
    }

    /// Whether the socket takes what the client is answered: as long as it does not, the client is
    /// not heard.
    fn has_room(&self) -> bool {
        self.connection.wire().outgoing.bytes() < OWN_MAX
    }

    fn wants_input(&self) -> bool {
        let has_listened = match &self.raw {
            Some(raw) => raw.has_listened(),
            None => self.talk.unread.is_empty(),
        };
        has_listened && !self.is_shut() && !matches!(self.input, Input::Ended)
    }

    /// Reads once; gives whether there may be more.
    fn read(&mut self, cx: &mut Context<'_>, now: Time) -> bool {
        let mut input = std::mem::replace(&mut self.input, Input::Ended);
        let read = match &mut input {
            Input::Tcp(socket) => poll_read(socket, cx, |bytes| self.hear(bytes, now)),
            Input::Carried(stream) => poll_read(stream, cx, |bytes| self.hear(bytes, now)),
            Input::Mail => return self.read_mail(input, now),
            Input::Ended => return false,
        };
        match read {
            Poll::Pending => {
                self.input = input;
                false
            }
            Poll::Ready(Ok(count)) if count > 0 => {
                self.connection.wire().pulse.received(now);
                self.input = input;
                true
            }
            Poll::Ready(_) => {
                self.end(End::Vanished, now);
                false
            }
        }
    }

    fn read_mail(&mut self, input: Input, now: Time) -> bool {
        self.input = input;
        let bodies = self.connection.mail.as_ref().map(|mail| mail.take()).unwrap_or_default();
        for body in &bodies {
            match &mut self.raw {
                Some(_) => self.take_raw(RawMessage::Binary(body.clone()), now),
                None => self.listen(body, now),
            }
        }
        if !bodies.is_empty() {
            self.connection.wire().pulse.received(now);
        }
        !bodies.is_empty()
    }

    /// Takes what frames say.
    fn hear(&mut self, mut bytes: &mut [u8], now: Time) {
        if self.is_refused() {
            return;
        }
        if self.raw.is_some() {
            return self.hear_raw(bytes, now);
        }
        loop {
            match self.frames.next(&mut bytes) {
                Ok(None) => return,
                Ok(Some(Piece::Payload(payload))) => self.listen(payload, now),
                Ok(Some(Piece::Ping(payload))) => self.pong(&payload, now),
                Ok(Some(Piece::Pong)) => {}
                Ok(Some(Piece::Close(close))) => self.client_closes(&close, now),
                Err(Violation { code, .. }) => return self.end(End::Violation(code), now),
            }
        }
    }

    /// Answers a ping of the socket's, which counts as a message does.
    fn pong(&mut self, payload: &[u8], now: Time) {
        self.count(now);
        self.send(control(Opcode::Pong, payload));
    }

    /// Counts what the client says; one that says too much is not heard any more.
    fn count(&mut self, now: Time) {
        if self.rate.spend(now, self.hub.config().rate_max).is_err() {
            self.end(End::Flooding, now);
        }
    }

    fn send(&self, frame: Bytes) {
        if self.ending.is_none() {
            self.connection.send_own(Own::Passing(frame));
        }
    }

    /// Begins the end of the connection, unless it ends already: then there is no waiting.
    fn end(&mut self, end: End, now: Time) {
        if end == End::Vanished && self.suspend(now) {
            return;
        }
        if let Some(ending) = &mut self.ending {
            ending.client_closed |= end == End::Vanished;
            if ending.client_closed {
                self.connection.wire().retire();
            }
            return;
        }
        let farewell = end.farewell();
        let code = match (&end, &self.raw) {
            (End::Failed(_), Some(_)) => CloseCode::INTERNAL,
            _ => end.code(),
        };
        let client_closed = farewell == Farewell::Nothing && !matches!(end, End::Violation(_));
        self.tell(farewell, code, now);
        if client_closed {
            self.connection.wire().retire();
        }
        self.ending = Some(Box::new(Ending { end, client_closed, until: None }));
        self.talk.unread = Vec::new();
    }

    /// Waits for the client to come back, if the session can outlive its socket; it does so once
    /// for each socket.
    fn suspend(&mut self, now: Time) -> bool {
        let mut wire = self.connection.wire();
        if !wire.is_resumable() || wire.is_away() {
            return false;
        }
        wire.suspend(now, &self.connection);
        drop(wire);
        self.input = Input::Ended;
        self.forget_unread();
        tracing::debug!(connection = %self.connection.id(), "lost its socket");
        true
    }

    /// Whether the connection ends because the client broke the rules of WebSocket.
    fn is_refused(&self) -> bool {
        self.ending.as_ref().is_some_and(|ending| matches!(ending.end, End::Violation(_)))
    }

    /// Writes what waits, and sees to it that the task is woken when the socket takes more.
    fn write(&mut self, cx: &mut Context<'_>, now: Time) {
        loop {
            let mut wire = self.connection.wire();
            if let Input::Carried(stream) = &mut self.input {
                return crate::transport::carried::poll_write(stream, &mut wire, cx, now);
            }
            if wire.write(now) {
                return;
            }
            let ready = match &wire.link {
                Link::Tcp(socket) => socket.as_ref().poll_write_ready(cx),
                Link::Carried => return self.connection.wake_carrier(),
                Link::Away | Link::HungUp | Link::Gone => return,
            };
            if ready.is_pending() {
                return;
            }
        }
    }

    /// Whether nothing is left to be said or heard.
    fn is_over(&self) -> bool {
        let Some(ending) = &self.ending else { return false };
        let wire = self.connection.wire();
        match wire.link {
            Link::Away | Link::Gone => true,
            Link::Tcp(_) | Link::Carried | Link::HungUp => {
                let is_heard = match &self.connection.mail {
                    Some(mail) if self.connection.transport == Transport::LongPolling => {
                        mail.is_end_told()
                    }
                    Some(_) => true,
                    None => ending.client_closed,
                };
                is_heard && wire.outgoing.is_empty()
            }
        }
    }
}

impl Task {
    /// Tells of the end of a client that had come, unless another node does.
    fn take_leave(&self, end: End) -> Option<Leaving> {
        let context = self.context();
        let leave = self.connection.shard.gone(self.connection.id());
        let hub = self.hub.clone();
        if !hub.events().takes_leave() {
            return None;
        }
        match leave {
            Leave::Known(Teller::Own) => hub.events().disconnected(|| context, end),
            Leave::Known(Teller::Heir) => None,
            Leave::Awaited(_) => Some(Box::pin(async move {
                if leave.teller().await == Teller::Own
                    && let Some(leaving) = hub.events().disconnected(|| context, end)
                {
                    leaving.await;
                }
            })),
        }
    }
}

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.turn(cx)
    }
}

impl Drop for Task {
    /// However the connection ends, this is where it has ended.
    fn drop(&mut self) {
        self.connection.wire().retire();
        // Who asked learns now that there is no answer, however long others keep the connection.
        drop(self.connection.take_errands());
        if let Some(mail) = &self.connection.mail {
            mail.close();
            mail.wake_carrier();
        }
        let end = self.ending.take().map_or(End::Vanished, |ending| ending.end);
        self.connection.shard.count_end(&end);
        let id = self.connection.id();
        tracing::debug!(connection = %id, ?end, "disconnected");
        let is_gone = self.connection.is_gone();
        if !is_gone {
            self.connection.shard.leave(&self.connection);
            self.hub.directory().remove(&self.connection);
        }
        let at_work = self.talk.calls.disconnect(&self.hub, &self.connection);
        if let Some(attendance) = self.hub.attendance().filter(|_| !is_gone) {
            attendance.gone(&self.hub, id);
        }
        let takes_leave = self.talk.has_come && !is_gone;
        let leaving = takes_leave.then(|| self.take_leave(end));
        if let Ok(runtime) = Handle::try_current() {
            let tasks = &self.connection.shard.tasks;
            let raw = self.raw.take().map(|raw| raw.into_rest());
            raw.into_iter().for_each(|rest| drop(tasks.spawn_on(rest, &runtime)));
            at_work.into_iter().for_each(|answer| drop(tasks.spawn_on(answer, &runtime)));
            leaving.flatten().into_iter().for_each(|left| drop(tasks.spawn_on(left, &runtime)));
        }
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("connection", &self.connection.id()).finish_non_exhaustive()
    }
}

fn control(opcode: Opcode, payload: &[u8]) -> Bytes {
    let mut frame = Vec::new();
    write_frame(&mut frame, opcode, None, payload);
    frame.into()
}

/// Bytes of answers that wait for a client before it is heard again, as in the official server.
const OWN_MAX: usize = 64 * 1024;
