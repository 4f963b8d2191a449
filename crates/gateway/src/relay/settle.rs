//! What follows from an event: what is held back, streams, is full, or is listened to.
//!
//! Every `handle_*` ends here, so that the state alone answers what to do.

use super::{Leg, Relay, State, Time};

impl Relay {
    /// Draws the conclusions from whatever has just happened.
    pub(super) fn settle(&mut self, now: Time) {
        self.settle_hold();
        self.settle_streams();
        self.settle_departure(now);
        self.settle_move(now);
        self.settle_full(now);
        self.settle_farewell(now);
        self.settle_listening(now);
    }

    fn settle_listening(&mut self, now: Time) {
        let client = !matches!(self.client.state, State::Open) || self.may_read_client();
        let leg = self.may_read_leg();
        self.client.listen(now, client);
        match &mut self.leg {
            Leg::Live(live) => live.heartbeat.listen(now, leg),
            Leg::Leaving(leaving) => leaving.listen(now, leg),
            Leg::None | Leg::Wanted | Leg::Cut(_) => {}
        }
    }

    /// Holds back messages while a session is being restored, a message is suspected, or the pipe
    /// moves; lets go otherwise.
    fn settle_hold(&mut self) {
        let Leg::Live(live) = &self.leg else { return };
        if live.moving.is_some() || self.down.is_swallowing() {
            self.up.output.hold_after(self.up.output.written(), &self.up.outbox);
        } else if self.is_suspect() {
            self.up.output.hold_after(self.up.oldest_unconfirmed(), &self.up.outbox);
        } else {
            self.up.output.resume();
        }
    }

    /// Lets a message that alone fills a buffer stream through it.
    fn settle_streams(&mut self) {
        if matches!(self.leg, Leg::Live(_)) {
            self.up.expose_if_full(self.config.buffer_max);
        }
        if matches!(self.leg, Leg::Live(_) | Leg::Leaving(_)) {
            self.down.expose_if_full(self.config.buffer_max);
        }
    }

    fn settle_full(&mut self, now: Time) {
        self.full = match self.leg {
            Leg::Wanted if self.is_full() => self.full.or(Some(now)),
            _ => None,
        };
        let patience = self.confirmation_patience();
        if let Leg::Live(live) = &mut self.leg
            && patience.is_none()
        {
            live.acknowledged = now;
        }
    }

    /// Remembers since when the message that is coming in has been coming.
    pub(super) fn watch_open_message(&mut self, now: Time) {
        let number = self.up.outbox.last() + 1;
        self.client.open = match self.client.open {
            _ if !self.up.intake.is_mid_message() => None,
            Some((open, since)) if open == number => Some((open, since)),
            _ => Some((number, now)),
        };
    }
}
