//! Whether a peer lives: when to ask it, and when its silence has lasted too long.
//!
//! A peer is hung only when for the whole timeout it gave no sign although something waited for
//! it: bytes it did not take, or a Ping. A sign is a byte received, or bytes taken after it had
//! refused some. While we do not read from it, its silence proves nothing and the clock stands.

use serde::{Deserialize, Serialize};

use everwire_proto::time::Time;

use crate::config::Ping;

/// The signs of life of one peer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Heartbeat {
    /// When the peer last gave a sign, or when we began to listen again.
    sign: Time,
    /// Since when a Ping is unanswered.
    asked: Option<Time>,
    /// Since when the peer takes no more bytes although some wait.
    refusing: Option<Time>,
    /// Since when we have been reading without a pause; `None` while we do not.
    listening: Option<Time>,
}

impl Heartbeat {
    pub(super) const fn new(now: Time) -> Self {
        Self { sign: now, asked: None, refusing: None, listening: Some(now) }
    }

    /// Bytes came from the peer.
    pub(super) const fn heard(&mut self, now: Time) {
        self.sign = now;
        self.asked = None;
    }

    /// The peer took `count` bytes; `more` waits for it still.
    pub(super) fn took(&mut self, now: Time, count: usize, more: bool) {
        if count > 0 {
            if self.refusing.is_some() {
                self.sign = now;
            }
            self.refusing = None;
        }
        self.refusing = more.then(|| self.refusing.unwrap_or(now));
    }

    /// A Ping has been sent, or stands for one that was sent before.
    pub(super) fn asked(&mut self, now: Time) {
        self.asked.get_or_insert(now);
    }

    /// The peer's stack has turned out to answer no Ping: none is awaited.
    pub(super) const fn excuse(&mut self) {
        self.asked = None;
    }

    /// Since when bytes wait of which the peer takes none.
    pub(super) const fn refusing_since(&self) -> Option<Time> {
        self.refusing
    }

    /// Whether bytes wait that the peer does not take.
    pub(super) const fn is_refusing(&self) -> bool {
        self.refusing.is_some()
    }

    /// Whether we read from the peer; its clocks begin anew when we do again.
    pub(super) const fn listen(&mut self, now: Time, listening: bool) {
        match (listening, self.listening) {
            (true, None) => {
                self.sign = now;
                self.listening = Some(now);
            }
            (true, Some(_)) => {}
            (false, _) => self.listening = None,
        }
    }

    /// Whether we read from the peer.
    pub(super) const fn is_listening(&self) -> bool {
        self.listening.is_some()
    }

    /// Since when we have been reading without a pause; `None` while we do not.
    pub(super) const fn listening_since(&self) -> Option<Time> {
        self.listening
    }

    /// When the next Ping is due.
    pub(super) fn ask_at(&self, ping: &Ping) -> Option<Time> {
        (self.listening.is_some() && self.asked.is_none()).then(|| self.sign + ping.interval)
    }

    /// When the peer is given up unless it gives a sign before.
    pub(super) fn hung_at(&self, ping: &Ping) -> Option<Time> {
        self.listening?;
        let waiting = match (self.asked, self.refusing) {
            (Some(asked), Some(refusing)) => asked.min(refusing),
            (asked, refusing) => asked.or(refusing)?,
        };
        Some(self.sign.max(waiting) + ping.timeout)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PING: Ping = Ping { interval: Duration::from_secs(20), timeout: Duration::from_secs(10) };

    const fn at(seconds: u64) -> Time {
        Time::from_millis(seconds * 1000)
    }

    #[test]
    fn a_silent_peer_is_asked_and_then_given_up() {
        let mut heartbeat = Heartbeat::new(at(0));
        assert_eq!((heartbeat.ask_at(&PING), heartbeat.hung_at(&PING)), (Some(at(20)), None));
        heartbeat.asked(at(20));
        heartbeat.asked(at(25));
        assert_eq!((heartbeat.ask_at(&PING), heartbeat.hung_at(&PING)), (None, Some(at(30))));
        heartbeat.heard(at(29));
        assert_eq!((heartbeat.ask_at(&PING), heartbeat.hung_at(&PING)), (Some(at(49)), None));
    }

    #[test]
    fn a_peer_that_takes_bytes_slowly_is_slow_and_not_hung() {
        let mut heartbeat = Heartbeat::new(at(0));
        heartbeat.took(at(1), 5, true);
        assert_eq!(heartbeat.hung_at(&PING), Some(at(11)));
        heartbeat.took(at(9), 1, true);
        assert_eq!(heartbeat.hung_at(&PING), Some(at(19)));
        heartbeat.took(at(10), 5, false);
        assert_eq!(heartbeat.hung_at(&PING), None);
    }

    #[test]
    fn bytes_taken_without_ado_prove_nothing() {
        let mut heartbeat = Heartbeat::new(at(0));
        heartbeat.asked(at(20));
        heartbeat.took(at(25), 5, false);
        assert_eq!(heartbeat.hung_at(&PING), Some(at(30)));
    }

    #[test]
    fn trying_in_vain_to_write_is_no_sign_of_life() {
        let mut heartbeat = Heartbeat::new(at(0));
        heartbeat.took(at(1), 0, true);
        heartbeat.took(at(8), 0, true);
        assert_eq!(heartbeat.hung_at(&PING), Some(at(11)));
    }

    #[test]
    fn the_clock_stands_while_we_do_not_read() {
        let mut heartbeat = Heartbeat::new(at(0));
        heartbeat.asked(at(20));
        heartbeat.listen(at(22), false);
        assert_eq!((heartbeat.ask_at(&PING), heartbeat.hung_at(&PING)), (None, None));
        heartbeat.listen(at(100), true);
        assert_eq!(heartbeat.hung_at(&PING), Some(at(110)));
    }
}
