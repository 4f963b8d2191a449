//! What becomes of a session whose socket is lost, or that gets none.

use std::sync::Arc;

use everwire_proto::time::Time;

use super::{
    Event, Session,
    phase::{Phase, Retry},
};
use crate::{
    error::{CloseReason, ConnectError, Loss},
    state::State,
};

impl Session {
    /// What was dialled cannot be reached.
    pub(crate) fn handle_dial_failed(&mut self, now: Time, error: ConnectError) {
        match &mut self.phase {
            Phase::Dialling { retry, .. } => {
                let retry = retry.take();
                self.fail(now, retry, error);
            }
            Phase::Resuming { loss, .. } => {
                let loss = loss.clone();
                self.reconnect(now, loss);
            }
            _ => {}
        }
    }

    /// The transport has ended.
    pub(crate) fn handle_socket_end(&mut self, now: Time, why: Arc<str>) {
        let loss = Loss::Socket(why);
        match &self.phase {
            Phase::Open(_) => self.lose(now, loss),
            Phase::Shaking { .. } => self.fail_shaking(now, ConnectError::Lost(loss)),
            _ => {}
        }
    }

    /// A socket is lost that may be replaced within the session.
    pub(super) fn lose(&mut self, now: Time, loss: Loss) {
        let Some(open) = self.phase.take_resumable() else { return self.reconnect(now, loss) };
        self.output.clear();
        let deadline = now + self.config.connect_timeout;
        self.phase = Phase::Resuming { deadline, open, loss };
    }

    /// The session is lost; the policy says whether there is another.
    pub(super) fn reconnect(&mut self, now: Time, loss: Loss) {
        let Some(delay) = self.config.reconnect.delay(0, &mut self.random) else {
            return self.end(CloseReason::Lost(loss));
        };
        self.lose_calls();
        self.output.clear();
        self.events.push_back(Event::State(State::Reconnecting { loss: loss.clone() }));
        self.phase = Phase::Waiting { until: now + delay, retry: Retry { loss, failed: 0 } };
    }

    /// The handshake has failed.
    pub(super) fn fail_shaking(&mut self, now: Time, error: ConnectError) {
        if let Phase::Shaking { link, .. } = &mut self.phase {
            let retry = link.retry.take();
            self.fail(now, retry, error);
        }
    }

    /// An attempt has failed.
    fn fail(&mut self, now: Time, retry: Option<Retry>, error: ConnectError) {
        self.output.clear();
        let Some(Retry { loss, failed }) = retry else {
            return self.end(CloseReason::NeverConnected(error));
        };
        let attempts = failed + 1;
        self.phase = match self.config.reconnect.delay(attempts, &mut self.random) {
            Some(delay) => {
                Phase::Waiting { until: now + delay, retry: Retry { loss, failed: attempts } }
            }
            None => Phase::Ended(CloseReason::GaveUp { loss, attempts, last: error }),
        };
    }

    /// There is no more to come.
    pub(super) fn end(&mut self, why: CloseReason) {
        self.lose_calls();
        self.phase = Phase::Ended(why);
    }

    fn lose_calls(&mut self) {
        self.calls.clear();
        self.events.push_back(Event::CallsLost);
    }
}
