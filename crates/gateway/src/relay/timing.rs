//! When a pipe has to be looked at again, and what happens then.

use std::time::Duration;

use super::{
    CLOSE_TIMEOUT, CloseCode, End, LeavingReason, Leg, Live, Loss, OnFull, PARTING_TIMEOUT, Relay,
    State, Time, Trust, Violation, Why,
};
use everwire_proto::ws::frame::{Opcode, write_frame};

impl Relay {
    /// The next instant at which [`Relay::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Time> {
        [
            self.client_deadline(),
            self.leg_deadline(),
            self.outage_deadline(),
            self.up.lingers_until(),
            self.marker_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Time) {
        self.up.release_lingering(now);
        self.client_timeout(now);
        self.leg_timeout(now);
        if self.outage_deadline().is_some_and(|at| at <= now) {
            self.outage_timeout(now);
        }
        self.settle(now);
    }

    fn client_deadline(&self) -> Option<Time> {
        let hung = self.client.heartbeat.hung_at(&self.config.ping);
        match &self.client.state {
            State::Open => [
                hung,
                self.client.heartbeat.ask_at(&self.config.ping),
                self.client.open_since().map(|since| since + MESSAGE_TIMEOUT),
            ]
            .into_iter()
            .flatten()
            .min(),
            State::Dismissed(dismissal) => match dismissal.written {
                Some(written) => Some(written + dismissal.patience),
                None => {
                    let latest = dismissal.since + FAREWELL_TIMEOUT;
                    Some(hung.map_or(latest, |hung| hung.min(latest)))
                }
            },
            State::Closing { present: true, .. } => hung,
            State::Parting { since } => Some(*since + PARTING_TIMEOUT),
            State::Closing { .. } | State::Lost { .. } | State::Gone => None,
        }
    }

    fn client_timeout(&mut self, now: Time) {
        if self.client_deadline().is_none_or(|at| now < at) {
            return;
        }
        match &self.client.state {
            State::Dismissed(dismissal) if dismissal.written.is_some() => {
                self.client.state = State::Parting { since: now };
            }
            State::Parting { .. } => self.client_lost(Why::Vanished),
            State::Dismissed(dismissal) if dismissal.since + FAREWELL_TIMEOUT <= now => {
                self.client_lost(Why::Vanished);
            }
            _ if self.client.heartbeat.hung_at(&self.config.ping).is_some_and(|at| at <= now) => {
                self.client_lost(Why::Hung);
            }
            _ if self.client.open_since().is_some_and(|since| since + MESSAGE_TIMEOUT <= now) => {
                let reason = "message not finished in time";
                let violation = Violation { code: CloseCode::POLICY, reason };
                self.refuse_client(now, Why::Unfinished, violation);
            }
            State::Open => self.ask_client(now),
            _ => {}
        }
    }

    fn ask_client(&mut self, now: Time) {
        self.client.heartbeat.asked(now);
        let down = &mut self.down;
        down.output.push_control(&down.outbox, |to| write_frame(to, Opcode::Ping, None, b""));
    }

    fn leg_deadline(&self) -> Option<Time> {
        match &self.leg {
            Leg::Live(live) => {
                let ping = &self.config.ping;
                let ask = live.heartbeat.ask_at(ping).filter(|_| !live.unconfirmable);
                let restored = self.down.is_swallowing().then(|| live.since + RESTORE_TIMEOUT);
                let acknowledged = self.acknowledged_deadline(live);
                [live.heartbeat.hung_at(ping), ask, restored, acknowledged, self.move_ready_at()]
                    .into_iter()
                    .flatten()
                    .min()
            }
            Leg::Leaving(leaving) => {
                let latest = leaving.begun + FAREWELL_TIMEOUT;
                let silent = leaving.listening.then(|| leaving.since + CLOSE_TIMEOUT);
                Some(silent.map_or(latest, |silent| silent.min(latest)))
            }
            Leg::None | Leg::Wanted | Leg::Cut(_) => None,
        }
    }

    /// When the backend has confirmed nothing for too long although somebody waits for it.
    fn acknowledged_deadline(&self, live: &Live) -> Option<Time> {
        let confirms = self.confirmation_patience().map(|patience| live.acknowledged + patience);
        // A backend that talks and does not read is alive, and no client is left to hear it.
        let refusing = live.heartbeat.refusing_since().filter(|_| self.is_departing());
        let takes = refusing.map(|since| since + self.departure_patience());
        confirms.into_iter().chain(takes).min()
    }

    /// How long the backend may confirm nothing: while the buffer is full of what a cooperating
    /// one has to acknowledge, and while a client's Close waits behind what has been written.
    pub(super) fn confirmation_patience(&self) -> Option<Duration> {
        let full = self.up.trust == Trust::Acks && self.is_full();
        let leaving = self.is_departing()
            && !self.up.is_all_confirmed()
            && self.up.output.waiting(&self.up.outbox) == 0;
        match (full, leaving) {
            (true, _) => Some(ACKNOWLEDGE_TIMEOUT),
            (false, true) => Some(self.departure_patience()),
            (false, false) => None,
        }
    }

    /// How long a client that has left is waited for.
    fn departure_patience(&self) -> Duration {
        ACKNOWLEDGE_TIMEOUT.max(self.config.outage_max)
    }

    fn leg_timeout(&mut self, now: Time) {
        if self.leg_deadline().is_none_or(|at| now < at) {
            return;
        }
        let Leg::Live(live) = &self.leg else {
            return self.cut_left_leg(now);
        };
        let ping = &self.config.ping;
        if live.heartbeat.hung_at(ping).is_some_and(|at| at <= now) {
            if self.is_deaf_to_pings() {
                self.give_up_confirming(now);
            } else {
                self.leg = Leg::Cut(Loss::Hung);
            }
        } else if self.down.is_swallowing() && live.since + RESTORE_TIMEOUT <= now {
            self.leg = Leg::Cut(Loss::NotRestored);
        } else if self.acknowledged_deadline(live).is_some_and(|at| at <= now) {
            let reason = "backend acknowledges nothing";
            self.finish(now, End::by_gateway(Why::NotAcknowledged, CloseCode::TRY_AGAIN, reason));
        } else if live.heartbeat.ask_at(ping).is_some_and(|at| at <= now) && !live.unconfirmable {
            self.ask_leg(now);
        }
    }

    /// A leg that was left does not end by itself.
    fn cut_left_leg(&mut self, now: Time) {
        let Leg::Leaving(leaving) = &self.leg else { return };
        let loss = match leaving.reason {
            LeavingReason::Restarted => Loss::Restarted,
            _ => Loss::Moved,
        };
        if leaving.reason == LeavingReason::ClientLeft {
            self.finish(now, End::of_client(&self.client.state));
        }
        self.leg = Leg::Cut(loss);
    }

    /// Asks whether the backend lives; a marker that waits for its Pong does as well.
    fn ask_leg(&mut self, now: Time) {
        if !self.up.marker_waits {
            self.up.mark(now);
        }
        if !self.up.marker_waits {
            let mask = Some(self.up.masks.next());
            let up = &mut self.up;
            up.output.push_control(&up.outbox, |to| write_frame(to, Opcode::Ping, mask, b""));
        }
        if let Leg::Live(live) = &mut self.leg {
            live.heartbeat.asked(now);
        }
    }

    fn outage_deadline(&self) -> Option<Time> {
        if !matches!(self.leg, Leg::Wanted) {
            return None;
        }
        let outage = self.outage.map(|since| since + self.config.outage_max);
        let full = match self.config.on_full {
            OnFull::Close => self.full.map(|since| since + FULL_TIMEOUT),
            OnFull::Pause => None,
        };
        outage.into_iter().chain(full).min()
    }

    fn outage_timeout(&mut self, now: Time) {
        let end = match self.outage {
            Some(since) if since + self.config.outage_max <= now => Self::end_by_outage(),
            _ => {
                let reason = "buffer full and no backend";
                End::by_gateway(Why::BufferFull, CloseCode::TRY_AGAIN, reason)
            }
        };
        self.finish(now, end);
    }

    fn marker_deadline(&self) -> Option<Time> {
        let Leg::Live(live) = &self.leg else { return None };
        // With data to write the marker goes along; only one that goes alone needs a timer.
        let alone = self.up.output.waiting(&self.up.outbox) == 0 && !live.greeting;
        self.up.marker_due(self.is_marker_urgent()).filter(|_| alone)
    }
}

/// A message must be complete this long after it was begun: a slow link uploads megabytes in it,
/// and nobody holds memory for less than he sends.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(300);
/// How long a farewell may take in all, however busy the peer is with something else: long enough
/// for a slow link to take what it is still owed.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(300);
/// How long a backend may take to answer the messages that restore its session.
const RESTORE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a backend may confirm nothing while somebody waits for it.
const ACKNOWLEDGE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a full buffer waits for a backend: long enough to pass from one to the next.
const FULL_TIMEOUT: Duration = Duration::from_secs(1);
