//! When something is due for a connection, looked at once a second for all of them. Pure.

use everwire_proto::time::Time;

use crate::{config::HubConfig, end::End};

/// When a connection last did what is watched.
#[derive(Debug)]
pub(crate) struct Pulse {
    /// When something was last sent to the client.
    sent: Time,
    /// When something last came from it, or it last was not allowed to speak.
    received: Time,
    watch: Watch,
    /// Whether the client is heard: one whose calls are at work may have to wait.
    is_heard: bool,
    /// Since when the client takes nothing of what waits for it.
    stuck: Option<Time>,
    /// Since when nobody comes for what is to be sent, with a transport where somebody should.
    alone: Option<Time>,
    /// When the connection is to end, whatever its client does.
    expires: Option<Time>,
}

/// What is expected of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watch {
    /// Its handshake.
    Handshake,
    /// Nothing: it has not pinged yet, its transport needs no pings, or it is not being read.
    Nothing,
    /// A sign of life.
    Life,
    /// Its agreement that the connection ends.
    Farewell,
}

/// What is due.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    Ping,
    End(End),
}

impl Pulse {
    pub(crate) const fn new(now: Time) -> Self {
        Self {
            sent: now,
            received: now,
            watch: Watch::Handshake,
            is_heard: true,
            stuck: None,
            alone: None,
            expires: None,
        }
    }

    pub(crate) const fn watch(&mut self, watch: Watch, now: Time) {
        self.watch = watch;
        self.received = now;
    }

    pub(crate) const fn watched(&self) -> Watch {
        self.watch
    }

    pub(crate) const fn received(&mut self, now: Time) {
        // A beginning and an end have to come in time, however much comes before them.
        if !matches!(self.watch, Watch::Handshake | Watch::Farewell) {
            self.received = now;
        }
    }

    /// The client is heard from now on, or is not.
    pub(crate) const fn hear(&mut self, is_heard: bool, now: Time) {
        if is_heard && !self.is_heard {
            self.received(now);
        }
        self.is_heard = is_heard;
    }

    /// The client has taken something; `waits` if something else waits still.
    pub(crate) const fn sent(&mut self, now: Time, waits: bool) {
        self.sent = now;
        self.stuck = if waits { Some(now) } else { None };
    }

    /// Something waits for the client to take it.
    pub(crate) fn waits(&mut self, now: Time) {
        // Between two visits nothing can be taken.
        if self.alone.is_none() {
            self.stuck.get_or_insert(now);
        }
    }

    /// Somebody comes for what is to be sent.
    pub(crate) const fn visited(&mut self) {
        self.alone = None;
        self.stuck = None;
    }

    /// Nobody comes any more, until somebody does.
    pub(crate) const fn left_alone(&mut self, now: Time) {
        self.alone = Some(now);
        self.stuck = None;
    }

    /// The connection is to end at this time, or at none.
    pub(crate) const fn expire(&mut self, expires: Option<Time>) {
        self.expires = expires;
    }

    pub(crate) fn due(&self, now: Time, config: &HubConfig) -> Due {
        if self.stuck.is_some_and(|since| now.saturating_since(since) >= config.send_timeout) {
            return Due::End(End::Slow);
        }
        if self.alone.is_some_and(|since| now.saturating_since(since) >= config.disconnect_timeout)
        {
            return Due::End(End::Vanished);
        }
        if self.expires.is_some_and(|expires| expires <= now) && self.watch != Watch::Farewell {
            return Due::End(End::Expired);
        }
        let silent = now.saturating_since(self.received);
        match self.watch {
            Watch::Handshake if silent >= config.handshake_timeout => {
                Due::End(End::late_handshake())
            }
            Watch::Life if self.is_heard && silent >= config.client_timeout => {
                Due::End(End::Silent)
            }
            Watch::Farewell if silent >= config.close_timeout => Due::End(End::Vanished),
            Watch::Nothing | Watch::Life
                if self.stuck.is_none() && now.saturating_since(self.sent) >= config.keep_alive =>
            {
                Due::Ping
            }
            _ => Due::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_millis(seconds * 1000)
    }

    fn due(pulse: &Pulse, seconds: u64) -> Due {
        pulse.due(at(seconds), &HubConfig::default())
    }

    #[test]
    fn a_handshake_must_be_whole_in_time() {
        let mut pulse = Pulse::new(at(0));
        pulse.received(at(14));
        assert_eq!(due(&pulse, 14), Due::Nothing);
        assert_eq!(due(&pulse, 15), Due::End(End::late_handshake()));
    }

    #[test]
    fn only_a_client_that_pings_is_given_up_for_silence() {
        let mut pulse = Pulse::new(at(0));
        pulse.watch(Watch::Nothing, at(1));
        pulse.sent(at(1), false);
        assert_eq!(due(&pulse, 15), Due::Nothing);
        assert_eq!(due(&pulse, 1000), Due::Ping);
        pulse.watch(Watch::Life, at(1000));
        pulse.sent(at(1029), false);
        assert_eq!(due(&pulse, 1029), Due::Nothing);
        assert_eq!(due(&pulse, 1030), Due::End(End::Silent));
        pulse.hear(false, at(1020));
        assert_eq!(due(&pulse, 1030), Due::Nothing);
        pulse.hear(true, at(1031));
        assert_eq!(due(&pulse, 1040), Due::Nothing);
        pulse.sent(at(1060), false);
        assert_eq!(due(&pulse, 1061), Due::End(End::Silent));
    }

    #[test]
    fn a_connection_that_nobody_comes_for_ends() {
        let mut pulse = Pulse::new(at(0));
        pulse.watch(Watch::Nothing, at(0));
        pulse.left_alone(at(1));
        pulse.waits(at(2));
        assert_eq!(due(&pulse, 14), Due::Nothing);
        assert_eq!(due(&pulse, 16), Due::End(End::Vanished));
        pulse.visited();
        assert_ne!(due(&pulse, 16), Due::End(End::Vanished));
    }

    #[test]
    fn a_connection_ends_when_it_expires_and_ends_in_time_then() {
        let mut pulse = Pulse::new(at(0));
        pulse.watch(Watch::Nothing, at(0));
        pulse.expire(Some(at(10)));
        assert_eq!(due(&pulse, 9), Due::Nothing);
        assert_eq!(due(&pulse, 10), Due::End(End::Expired));
        pulse.expire(Some(at(13)));
        assert_eq!(due(&pulse, 12), Due::Nothing);
        assert_eq!(due(&pulse, 13), Due::End(End::Expired));
        pulse.watch(Watch::Farewell, at(13));
        assert_eq!(due(&pulse, 17), Due::Nothing);
        assert_eq!(due(&pulse, 18), Due::End(End::Vanished));
    }

    #[test]
    fn who_takes_nothing_is_slow_and_not_pinged() {
        let mut pulse = Pulse::new(at(0));
        pulse.watch(Watch::Nothing, at(0));
        pulse.waits(at(10));
        pulse.waits(at(15));
        assert_eq!(due(&pulse, 19), Due::Nothing);
        assert_eq!(due(&pulse, 20), Due::End(End::Slow));
        pulse.sent(at(20), true);
        assert_eq!(due(&pulse, 29), Due::Nothing);
        pulse.sent(at(29), false);
        assert_eq!(due(&pulse, 44), Due::Ping);
    }
}
