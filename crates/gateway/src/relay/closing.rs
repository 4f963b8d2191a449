//! Ending a pipe: telling the client, letting its messages arrive, closing both sockets.

use std::time::Duration;

use super::{
    CLOSE_TIMEOUT, CloseCode, Dismissal, End, Leaving, LeavingReason, Leg, PARTING_TIMEOUT, Relay,
    State, Time, Violation, Who, Why, write_close,
};
use everwire_proto::{
    session::outbox::Outbox,
    ws::{close::Close, intake::Event},
};

impl Relay {
    /// The client did what the protocol, or a limit, forbids.
    pub(super) fn client_broke_rules(&mut self, now: Time, violation: Violation) {
        let why = match violation.code {
            CloseCode::TOO_LARGE => Why::TooLarge,
            _ => Why::ProtocolError,
        };
        self.refuse_client(now, why, violation);
    }

    /// The client is told at once what it may not do, and its socket ends.
    pub(super) fn refuse_client(&mut self, now: Time, why: Why, violation: Violation) {
        self.up.abandon_open();
        let end = End::new(Who::Client, why, violation.code, violation.reason);
        self.dismiss(now, &end.close, PARTING_TIMEOUT, true);
        self.client.state = State::Parting { since: now };
        if self.end.is_none() {
            self.refusal(now, end);
        }
    }

    /// Keeps delivering what came whole before the client broke the rules.
    fn refusal(&mut self, now: Time, end: End) {
        if self.up.is_all_confirmed() {
            self.end_leg_of(now, &end);
        }
        self.end = Some(Box::new(end));
    }

    /// The client's socket is gone, or given up.
    pub(super) fn client_lost(&mut self, why: Why) {
        self.down.discard();
        match &mut self.client.state {
            State::Open => {
                self.up.abandon_open();
                self.client.state = State::Lost { why };
            }
            State::Closing { present, .. } => *present = false,
            State::Lost { .. } => {}
            State::Dismissed(_) | State::Parting { .. } | State::Gone => {
                self.client.state = State::Gone;
            }
        }
    }

    /// Decides the end: the client is told after what it is still owed, the leg is closed.
    pub(super) fn finish(&mut self, now: Time, end: End) {
        if let Some(end) = self.end.clone() {
            return self.end_leg_of(now, &end);
        }
        if self.client.is_present() {
            let urgent = matches!(end.why, Why::CutMessage) || self.down.outbox.is_exposed();
            let answers = matches!(self.client.state, State::Closing { .. });
            // A client that has sent its Close owes nothing more once it has ours.
            let patience = if answers { Duration::ZERO } else { CLOSE_TIMEOUT };
            self.dismiss(now, &end.close, patience, urgent);
        } else {
            self.client.state = State::Gone;
        }
        self.end_leg_of(now, &end);
        self.end = Some(Box::new(end));
    }

    /// Queues our Close for the client; `urgent` puts it before messages that wait.
    fn dismiss(&mut self, now: Time, close: &Close, patience: Duration, urgent: bool) {
        let down = &mut self.down;
        down.close_to_client();
        if urgent {
            down.output.push_close(&down.outbox, |to| write_close(to, None, close));
        } else {
            down.output.push_last(&down.outbox, |to| write_close(to, None, close));
        }
        let dismissal = Dismissal { since: now, written: None, patience };
        self.client.state = State::Dismissed(Box::new(dismissal));
    }

    /// Closes the leg of a pipe that ends.
    fn end_leg_of(&mut self, now: Time, end: &End) {
        match &mut self.leg {
            Leg::Live(_) => {
                let close = match end.who {
                    Who::Backend => Some(end.close.clone()),
                    Who::Client => None,
                    Who::Gateway | Who::Operator => {
                        Some(Close::new(CloseCode::GOING_AWAY, "gateway ends the session"))
                    }
                };
                self.leave_leg(now, LeavingReason::PipeEnds, close.as_ref());
                if end.who == Who::Client
                    && let Leg::Leaving(leaving) = &mut self.leg
                {
                    // Nothing is said, so nothing is awaited: the backend sees the socket end.
                    leaving.answered = true;
                }
            }
            Leg::Leaving(leaving) => leaving.reason = LeavingReason::PipeEnds,
            Leg::Cut(_) | Leg::None => {}
            Leg::Wanted => self.stop_dialling(),
        }
    }

    fn stop_dialling(&mut self) {
        if matches!(self.leg, Leg::Wanted) {
            self.leg = Leg::None;
        }
    }

    /// After our Close only the client's own matters.
    pub(super) fn handle_late_client_data(&mut self, now: Time, mut bytes: &[u8]) {
        let mut void = Outbox::default();
        while let Ok(Some(event)) = self.up.intake.next(&mut bytes, &mut void, &self.limits()) {
            void.release_through(u64::MAX);
            if matches!(event, Event::Close(_)) && matches!(self.client.state, State::Dismissed(_))
            {
                self.client.state = State::Parting { since: now };
            }
        }
    }

    /// A client that has left, or was refused, is followed by its Close once all it sent is
    /// confirmed.
    pub(super) fn settle_departure(&mut self, now: Time) {
        if !self.is_departing() {
            return;
        }
        let delivered = self.up.is_all_confirmed();
        match &self.leg {
            Leg::Live(_) if delivered => match self.client.state.clone() {
                State::Closing { close, .. } => {
                    self.leave_leg(now, LeavingReason::ClientLeft, Some(&close));
                }
                State::Lost { .. } => {
                    self.leave_leg(now, LeavingReason::ClientLeft, None);
                    self.expect_no_answer();
                }
                _ => {
                    self.leave_leg(now, LeavingReason::PipeEnds, None);
                    self.expect_no_answer();
                }
            },
            Leg::Wanted | Leg::None if delivered => {
                self.leg = Leg::None;
                let end = End::of_client(&self.client.state);
                self.finish(now, end);
            }
            _ => {}
        }
    }

    /// Whether the client has left or was refused, so that only what it sent before counts.
    pub(super) fn is_departing(&self) -> bool {
        let refused = self.end.as_ref().is_some_and(|end| end.who == Who::Client);
        self.client.is_leaving() || refused
    }

    const fn expect_no_answer(&mut self) {
        if let Leg::Leaving(Leaving { answered, .. }) = &mut self.leg {
            *answered = true;
        }
    }

    /// The client's part of the closing handshake goes on as its output is written.
    pub(super) fn settle_farewell(&mut self, now: Time) {
        let idle = || self.down.output.is_idle(&self.down.outbox);
        match &mut self.client.state {
            State::Dismissed(dismissal) if dismissal.written.is_none() && idle() => {
                if dismissal.patience.is_zero() {
                    self.client.state = State::Parting { since: now };
                } else {
                    dismissal.written = Some(now);
                }
            }
            State::Lost { .. } | State::Closing { present: false, .. } if self.end.is_some() => {
                self.client.state = State::Gone;
            }
            _ => {}
        }
    }
}
