//! What a connection's task does when its session moves to another node; the story is in
//! [`crate::moving`].

use std::task::Context;

use everwire_proto::{signalr::message::HubMessage, time::Time, ws::close::CloseCode};
use tokio::{runtime::Handle, sync::oneshot, time::sleep};

use super::{Ending, Task};
use crate::{
    connection::{Parted, stream::Takeover},
    end::{End, Farewell},
};

/// The session is to move.
pub(super) struct Departing {
    /// Told when nothing is at work any more.
    quiet: Option<oneshot::Sender<()>>,
    /// Whether the client is not listened to any more: it says the rest again, to who has the session
    /// then.
    is_shut: bool,
}

impl Task {
    /// Begins nothing new from now on.
    pub(super) fn prepare(&mut self, tell: oneshot::Sender<()>) {
        if self.ending.is_none() && self.raw.is_none() {
            self.departing = Some(Box::new(Departing { quiet: Some(tell), is_shut: false }));
        }
    }

    /// Gives up what is still at work, of which the client is told.
    pub(super) fn hurry(&mut self) {
        if self.departing.is_none() {
            return;
        }
        self.shut();
        let (said, answers) = self.talk.calls.abandon(&self.hub, &self.connection);
        for (message, behind) in said {
            self.say(&message);
            behind.into_iter().for_each(|post| self.connection.shard.post(*post));
        }
        if let Ok(runtime) = Handle::try_current() {
            let tasks = &self.connection.shard.tasks;
            answers.into_iter().for_each(|answer| drop(tasks.spawn_on(answer, &runtime)));
        }
    }

    /// Says so if nothing is at work.
    pub(super) fn tell_quiet(&mut self) {
        let is_quiet = self.talk.greeting.is_none() && self.talk.calls.is_idle();
        let Some(departing) = self.departing.as_mut().filter(|_| is_quiet) else { return };
        if let Some(tell) = departing.quiet.take() {
            self.shut();
            // Who does not wait any more wants the session to stay, and says so.
            let _ = tell.send(());
        }
    }

    /// Whether nothing of the client is listened to.
    pub(super) fn is_shut(&self) -> bool {
        self.departing.as_ref().is_some_and(|departing| departing.is_shut)
    }

    /// Whether the message would begin something, which only the next node is to do.
    pub(super) fn is_too_late(&mut self, message: &HubMessage) -> bool {
        let begins = matches!(message, HubMessage::Invocation(_) | HubMessage::StreamInvocation(_));
        let is_too_late = begins && self.departing.is_some();
        if is_too_late {
            self.shut();
        }
        is_too_late
    }

    fn shut(&mut self) {
        if let Some(departing) = &mut self.departing {
            departing.is_shut = true;
            self.talk.unread = Vec::new();
        }
    }

    /// It is known where the session is; gives back the socket that is for this node.
    pub(super) fn part(
        &mut self,
        parted: Parted,
        takeover: Option<Takeover>,
        now: Time,
    ) -> Option<Takeover> {
        self.departing = None;
        match parted {
            Parted::Gone => {
                takeover.into_iter().for_each(|takeover| self.take_socket(takeover));
                self.forward_end();
                self.depart(now);
                None
            }
            Parted::Stayed => {
                if let Some(kept) = self.connection.wire().kept() {
                    kept.thaw();
                }
                // What was not listened to is said again on the next socket.
                let asked = self.connection.wire().take_asked();
                match asked.filter(|end| *end != End::Vanished) {
                    Some(end) => self.end(end, now),
                    None if self.suspend(now) || self.connection.wire().is_away() => {}
                    None => self.end(End::Stopping, now),
                }
                takeover
            }
            Parted::Lost => {
                self.end(End::Stopping, now);
                None
            }
        }
    }

    /// Has the session end where it is, if the application has ended it here meanwhile.
    fn forward_end(&self) {
        let asked = self.connection.wire().take_asked();
        if let Some(End::Aborted | End::Dismissed(_)) = asked {
            let (hub, id) = (self.hub.clone(), self.connection.id());
            self.connection.shard.tasks.spawn(async move { hub.abort(id).await });
        }
    }

    /// Closes the socket of a session that is elsewhere, without a word of the hub's protocol: the
    /// client comes back with the same token, and finds it.
    fn depart(&mut self, now: Time) {
        if self.ending.is_some() {
            return;
        }
        let is_away = self.connection.wire().is_away();
        if is_away {
            self.connection.wire().retire();
        } else {
            self.tell(Farewell::Nothing, CloseCode::GOING_AWAY, now);
        }
        // The shard does not look after it any more.
        let until = Box::pin(sleep(self.hub.config().close_timeout));
        let (end, client_closed, until) = (End::Moved, is_away, Some(until));
        self.ending = Some(Box::new(Ending { end, client_closed, until }));
    }

    /// Waits no longer than it may for a client whose session is elsewhere.
    pub(super) fn end_in_time(&mut self, cx: &mut Context<'_>) {
        let Some(ending) = &mut self.ending else { return };
        if ending.until.as_mut().is_some_and(|until| until.as_mut().poll(cx).is_ready()) {
            ending.until = None;
            ending.client_closed = true;
            self.connection.wire().retire();
        }
    }

    /// Takes the socket alone, to close it.
    fn take_socket(&mut self, Takeover { stream, head, guard, .. }: Takeover) {
        let Ok(stream) = stream.moved_here() else { return };
        let (input, link) = stream.split();
        self.input = input;
        self.forget_unread();
        self._guard = guard;
        let mut wire = self.connection.wire();
        wire.link = link;
        wire.outgoing.clear();
        if !head.is_empty() {
            wire.outgoing.push_own(head);
        }
    }
}
