//! The waves of sessions that come to this node. Pure.

use std::{collections::VecDeque, time::Duration};

use everwire_proto::time::Time;

use crate::id::ConnectionId;

/// Waves that have begun of late.
#[derive(Debug, Default)]
pub(super) struct Waves(VecDeque<Wave>);

#[derive(Debug)]
struct Wave {
    number: u64,
    begun: Time,
    is_open: bool,
    adopted: Vec<ConnectionId>,
}

impl Waves {
    pub(super) fn begin(&mut self, number: u64, now: Time) {
        if self.0.len() >= WAVES_MAX {
            self.0.pop_front();
        }
        self.0.push_back(Wave { number, begun: now, is_open: true, adopted: Vec::new() });
    }

    /// Notes that a session was taken in.
    pub(super) fn adopt(&mut self, number: u64, id: ConnectionId) {
        self.wave(number).into_iter().for_each(|wave| wave.adopted.push(id));
    }

    /// Whether a session was taken in with this wave.
    pub(super) fn has(&mut self, number: u64, id: ConnectionId) -> bool {
        self.wave(number).is_some_and(|wave| wave.adopted.contains(&id))
    }

    /// Whether sessions of a wave may come.
    pub(super) fn is_open(&mut self, number: u64) -> bool {
        self.wave(number).is_some_and(|wave| wave.is_open)
    }

    /// No session of a wave comes any more; gives those that have. None has of a wave that is unknown:
    /// it began before this node did.
    pub(super) fn end(&mut self, number: u64) -> Vec<ConnectionId> {
        let Some(wave) = self.wave(number) else { return Vec::new() };
        wave.is_open = false;
        wave.adopted.clone()
    }

    /// Ends waves that take too long, and forgets old ones; gives which have ended.
    pub(super) fn expire(&mut self, now: Time) -> Vec<u64> {
        self.0.retain(|wave| now.saturating_since(wave.begun) < FORGET_AFTER);
        let is_late =
            |wave: &&mut Wave| wave.is_open && now.saturating_since(wave.begun) >= OPEN_MAX;
        let late = self.0.iter_mut().filter(is_late);
        late.map(|wave| {
            wave.is_open = false;
            wave.number
        })
        .collect()
    }

    fn wave(&mut self, number: u64) -> Option<&mut Wave> {
        self.0.iter_mut().find(|wave| wave.number == number)
    }
}

/// How long a wave may take.
const OPEN_MAX: Duration = Duration::from_secs(30);

/// How long it is known what has come with a wave: longer than its old node asks for it.
const FORGET_AFTER: Duration = Duration::from_secs(120);

/// Waves that are known: so many of them do not come in the time in which one is asked for.
const WAVES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_millis(seconds * 1000)
    }

    #[test]
    fn what_has_come_with_a_wave_is_known_after_its_end() {
        let (mut waves, id) = (Waves::default(), ConnectionId::random());
        waves.begin(1, at(0));
        assert!(waves.is_open(1) && !waves.is_open(2));
        waves.adopt(1, id);
        waves.adopt(2, id);
        assert!(waves.has(1, id) && !waves.has(2, id));
        for _ in 0..2 {
            assert_eq!(waves.end(1), [id]);
            assert!(!waves.is_open(1), "nothing comes that was late");
        }
        assert!(waves.end(2).is_empty());
    }

    #[test]
    fn a_wave_that_nobody_ends_ends_by_itself() {
        let (mut waves, id) = (Waves::default(), ConnectionId::random());
        waves.begin(1, at(0));
        waves.adopt(1, id);
        assert!(waves.expire(at(29)).is_empty());
        assert_eq!(waves.expire(at(30)), [1]);
        assert!(waves.expire(at(31)).is_empty() && !waves.is_open(1));
        assert_eq!(waves.end(1), [id]);
        waves.expire(at(120));
        assert!(waves.end(1).is_empty() && waves.0.is_empty());
    }

    #[test]
    fn so_many_waves_are_known() {
        let mut waves = Waves::default();
        (0..=WAVES_MAX as u64).for_each(|wave| waves.begin(wave, at(0)));
        assert!(!waves.is_open(0) && waves.is_open(1));
        assert_eq!(waves.0.len(), WAVES_MAX);
    }
}
