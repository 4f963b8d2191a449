//! Legs as they come and go: beginning one, confirming on it, moving from it, losing it.

use std::time::Duration;

use super::{
    Close, CloseCode, Delivery, End, Leaving, LeavingReason, Leg, LegUp, Live, Loss, Note, Relay,
    Time, Trust, Violation, Who, Why, leg::Moving, write_close,
};

impl Relay {
    pub(super) fn begin_leg(&mut self, now: Time, up: LegUp) {
        if !matches!(self.leg, Leg::Wanted) {
            return;
        }
        self.legs += 1;
        let trust = match (self.config.delivery, up.received) {
            (_, Some(_)) => Trust::Acks,
            (Delivery::AtMostOnce, None) => Trust::Written,
            (_, None) => Trust::Markers,
        };
        let known = self.up.outbox.first();
        if self.up.begin_leg(now, trust, up.received).is_err() {
            self.leg = Leg::Live(Live::new(now, false));
            let reason = "session could not be moved: backend is out of step";
            return self.finish(now, End::by_gateway(Why::OutOfStep, CloseCode::RESTART, reason));
        }
        let answered = self.config.restore.answers.min(self.accepted_messages());
        let later = self.legs > 1;
        self.down.begin_leg(if later && trust != Trust::Acks { answered } else { 0 });
        // A cooperating backend has its session: it counts what it is sent.
        if later && trust != Trust::Acks {
            let prelude = self.up.prelude.as_ref().map(|prelude| prelude.before(known).to_vec());
            if let Some(prelude) = prelude.filter(|prelude| !prelude.is_empty()) {
                self.up.output.push_control(&self.up.outbox, |to| to.extend_from_slice(&prelude));
            }
        }
        // Where no marker tells whether the stack answers Pings at all, the first Ping does.
        let greeting = later || trust == Trust::Written;
        self.leg = Leg::Live(Live::new(now, greeting));
    }

    fn accepted_messages(&self) -> u32 {
        u32::try_from(self.down.accepted()).unwrap_or(u32::MAX)
    }

    /// Puts a marker among what is written next, where one is due.
    pub(super) fn place_marker(&mut self, now: Time) {
        let urgent = self.is_marker_urgent();
        let Leg::Live(live) = &mut self.leg else { return };
        if live.greeting {
            if !self.up.marker_waits {
                self.up.mark(now);
            }
            live.greeting = !self.up.marker_waits;
        } else if self.up.marker_due(urgent).is_some_and(|due| due <= now) {
            self.up.mark(now);
        }
    }

    /// Whether somebody waits for everything to be confirmed.
    pub(super) fn is_marker_urgent(&self) -> bool {
        self.is_moving() || self.client.is_leaving() || self.is_suspect()
    }

    pub(super) fn handle_pong(&mut self, now: Time, payload: &[u8]) {
        if let Leg::Live(live) = &mut self.leg {
            live.ponged = true;
            live.stirred = now;
            self.outage = None;
            self.trust_again();
        }
        if self.up.trust == Trust::Acks {
            self.handle_acknowledgement(now, payload);
        }
        if let Some(marker) = self.up.take_marker(payload)
            && self.up.trust == Trust::Markers
        {
            self.confirm(now, marker, self.config.confirm_linger);
        }
    }

    fn handle_acknowledgement(&mut self, now: Time, payload: &[u8]) {
        let number = payload.strip_prefix(b"ack:").and_then(|digits| str::from_utf8(digits).ok());
        let Some(number) = number.and_then(|digits| digits.parse::<u64>().ok()) else { return };
        if number > self.up.output.written() {
            let reason = "backend acknowledges what it was not sent";
            return self.finish(now, End::by_gateway(Why::OutOfStep, CloseCode::RESTART, reason));
        }
        self.confirm(now, number, Duration::ZERO);
    }

    fn confirm(&mut self, now: Time, number: u64, linger: Duration) {
        if let Leg::Live(live) = &mut self.leg
            && number >= self.up.oldest_unconfirmed()
        {
            live.acknowledged = now;
        }
        self.up.confirm(now, number, linger);
    }

    /// A stack that sends data and has answered no Ping of this leg will not answer one.
    pub(super) fn notice_unconfirmable(&mut self, now: Time) {
        let Leg::Live(live) = &self.leg else { return };
        let Some(marker_sent) = self.up.marker_sent() else { return };
        // A Pong may still be on its way behind data that we did not read.
        let Some(listening) = live.heartbeat.listening_since() else { return };
        let patience = self.config.ping.timeout;
        if !live.ponged && !live.unconfirmable && now >= marker_sent.max(listening) + patience {
            self.give_up_confirming(now);
        }
    }

    /// Whether the backend has sent data, and no Pong, well after the leg's first Ping.
    pub(super) fn is_deaf_to_pings(&self) -> bool {
        let (Leg::Live(live), Some(sent)) = (&self.leg, self.up.marker_sent()) else {
            return false;
        };
        let sends = live.heard_data.is_some_and(|heard| heard >= sent + IN_FLIGHT);
        sends && !live.ponged && !live.unconfirmable && !live.heartbeat.is_refusing()
    }

    /// On this leg what is written counts as confirmed, and no Ping is sent.
    pub(super) fn give_up_confirming(&mut self, now: Time) {
        let Leg::Live(live) = &mut self.leg else { return };
        live.unconfirmable = true;
        live.heartbeat.excuse();
        self.outage = None;
        self.up.marker_waits = false;
        if self.up.trust == Trust::Markers {
            self.up.trust = Trust::Written;
            let written = self.up.output.written();
            self.up.confirm(now, written, Duration::ZERO);
        }
        self.notes.push(Note::Unconfirmable);
    }

    /// A stack that was only slow to answer its first Ping confirms like any other.
    fn trust_again(&mut self) {
        let Leg::Live(live) = &mut self.leg else { return };
        if std::mem::take(&mut live.unconfirmable)
            && self.up.trust == Trust::Written
            && self.config.delivery != Delivery::AtMostOnce
        {
            self.up.trust = Trust::Markers;
        }
    }

    pub(super) fn handle_leg_close(&mut self, now: Time, close: Close) {
        let code = close.reported_code();
        match &mut self.leg {
            Leg::Live(_) if self.config.restart_codes.contains(&code.0) => {
                self.leave_leg(now, LeavingReason::Restarted, Some(&close));
                if let Leg::Leaving(leaving) = &mut self.leg {
                    leaving.answered = true;
                    leaving.code = code.0;
                }
            }
            Leg::Live(_) => {
                self.finish(now, End { who: Who::Backend, why: Why::Goodbye, close });
                if let Leg::Leaving(leaving) = &mut self.leg {
                    leaving.answered = true;
                }
            }
            Leg::Leaving(leaving) => {
                leaving.answered = true;
                leaving.code = code.0;
                if leaving.reason == LeavingReason::ClientLeft {
                    let end = End { close, ..End::of_client(&self.client.state) };
                    self.finish(now, end);
                }
            }
            Leg::None | Leg::Wanted | Leg::Cut(_) => {}
        }
    }

    pub(super) fn backend_broke_rules(&mut self, now: Time, violation: Violation) {
        self.notes.push(Note::BackendBrokeRules { reason: violation.reason.to_owned() });
        if let Leg::Leaving(Leaving { reason: LeavingReason::ClientLeft, .. }) = &self.leg {
            self.finish(now, End::of_client(&self.client.state));
        }
        if matches!(self.leg, Leg::Live(_) | Leg::Leaving(_)) {
            self.leg = Leg::Cut(Loss::ProtocolError);
        }
    }

    pub(super) fn begin_move(&mut self, now: Time) {
        if let Leg::Live(live) = &mut self.leg {
            live.moving.get_or_insert(Moving { since: now });
        }
    }

    /// When a move may go on: everything written is confirmed and the leg has been quiet, or it
    /// has lasted too long.
    pub(super) fn move_ready_at(&self) -> Option<Time> {
        let Leg::Live(live) = &self.leg else { return None };
        let since = live.moving?.since;
        let latest = since + self.config.drain_max;
        // While we do not read, silence says nothing.
        let listening = live.heartbeat.listening_since();
        let quiet = listening.is_some()
            && self.up.output.is_held()
            && self.up.is_written_confirmed()
            && !self.down.intake.is_mid_message();
        let stirred = live.stirred.max(since).max(listening.unwrap_or(since));
        let earliest = stirred + self.config.drain_quiet;
        Some(if quiet { earliest.min(latest) } else { latest })
    }

    pub(super) fn settle_move(&mut self, now: Time) {
        if self.move_ready_at().is_none_or(|at| now < at) {
            return;
        }
        let unfinished = (self.client.is_present() && self.down.intake.is_mid_message())
            || (self.up.output.is_mid_message() && self.up.outbox.is_exposed());
        if unfinished {
            let reason = "session could not be moved: a message was not finished in time";
            return self.finish(now, End::by_gateway(Why::CutMessage, CloseCode::RESTART, reason));
        }
        let close = Close::new(CloseCode::GOING_AWAY, "session moves to another backend");
        self.leave_leg(now, LeavingReason::Moved, Some(&close));
    }

    /// Closes the leg, after the frame that is being written; with a Close frame or without.
    pub(super) fn leave_leg(&mut self, now: Time, reason: LeavingReason, close: Option<&Close>) {
        if let Some(close) = close {
            let mask = Some(self.up.masks.next());
            self.up.output.push_close(&self.up.outbox, |to| write_close(to, mask, close));
        }
        let listening = self.may_read_leg();
        self.leg = Leg::Leaving(Leaving {
            begun: now,
            since: now,
            reason,
            answered: false,
            code: 1006,
            listening,
        });
    }

    /// The leg's socket is gone.
    pub(super) fn end_leg(&mut self, now: Time, clean: bool) {
        let confirms = clean && self.is_confirmed_by_end();
        match std::mem::replace(&mut self.leg, Leg::None) {
            Leg::None => {}
            Leg::Wanted => self.leg = Leg::Wanted,
            Leg::Live(_) => self.lose_leg(now, Loss::Vanished, 1006),
            Leg::Cut(loss) => self.lose_leg(now, loss, 1006),
            Leg::Leaving(leaving) => self.end_left_leg(now, &leaving, confirms),
        }
    }

    fn end_left_leg(&mut self, now: Time, leaving: &Leaving, confirms: bool) {
        let loss = match leaving.reason {
            LeavingReason::PipeEnds => return,
            LeavingReason::ClientLeft => {
                return self.finish(now, End::of_client(&self.client.state));
            }
            LeavingReason::Restarted => Loss::Restarted,
            LeavingReason::Moved => Loss::Moved,
        };
        if confirms {
            let written = self.up.output.written();
            self.up.confirm(now, written, Duration::ZERO);
        }
        self.lose_leg(now, loss, leaving.code);
    }

    fn lose_leg(&mut self, now: Time, loss: Loss, code: u16) {
        let strikes = loss.strikes();
        let cut_up = self.up.end_leg(strikes);
        let cut_down = self.down.end_leg();
        self.leg_pongs = super::Pongs::default();
        self.protocol_errors = match loss {
            Loss::ProtocolError => self.protocol_errors + 1,
            _ => 0,
        };
        if self.end.is_some() && !self.is_owed_another_leg(loss) {
            return;
        }
        self.notes.push(Note::LegLost { loss, code, unconfirmed: self.unconfirmed() });
        self.outage.get_or_insert(now);
        if let Some(end) = self.end_by_loss(now, loss, cut_up || cut_down) {
            return self.finish(now, end);
        }
        self.replayed += self.up.written_again();
        self.leg = Leg::Wanted;
    }

    /// Whether a refused client's messages, which came whole before, still go to a further backend.
    fn is_owed_another_leg(&self, loss: Loss) -> bool {
        // A pipe that is ended by others leaves its leg as one that moves does.
        self.is_departing() && !self.up.is_all_confirmed() && loss != Loss::Moved
    }

    /// The end of the pipe, where the loss of a leg is one.
    fn end_by_loss(&self, now: Time, loss: Loss, cut: bool) -> Option<End> {
        let suspect = self.up.oldest_unconfirmed();
        let abnormal = !matches!(loss, Loss::Restarted | Loss::Moved);
        if self.protocol_errors >= PROTOCOL_ERRORS_MAX {
            let reason = "backends broke the protocol three times in a row";
            return Some(End::new(
                Who::Backend,
                Why::BackendProtocolErrors,
                CloseCode::INTERNAL,
                reason,
            ));
        }
        if abnormal && !self.config.restart_codes.contains(&CloseCode::ABNORMAL.0) {
            let reason = "backend ended without a close";
            return Some(End::new(Who::Backend, Why::NotRestarted, CloseCode::INTERNAL, reason));
        }
        if self.config.outage_max.is_zero() {
            let reason = "backend lost";
            return Some(End::by_gateway(Why::LegLost, CloseCode::RESTART, reason));
        }
        if cut {
            let reason = "backend lost in the middle of a message too large to be kept";
            return Some(End::by_gateway(Why::CutMessage, CloseCode::RESTART, reason));
        }
        if loss.strikes() && self.up.strikes.of(suspect) >= self.config.replays_max {
            let reason = format!("message {suspect} ended {} backends", self.config.replays_max);
            return Some(End::by_gateway(Why::Poison, CloseCode::INTERNAL, &reason));
        }
        if self.outage.is_some_and(|since| now >= since + self.config.outage_max) {
            return Some(Self::end_by_outage());
        }
        None
    }

    pub(super) fn end_by_outage() -> End {
        End::by_gateway(Why::Outage, CloseCode::TRY_AGAIN, "no backend in time")
    }
}

/// What comes so soon after a Ping may have been sent before the Ping was read.
const IN_FLIGHT: Duration = Duration::from_secs(1);
/// Legs in a row that may end because the backend broke the protocol.
const PROTOCOL_ERRORS_MAX: u8 = 3;
