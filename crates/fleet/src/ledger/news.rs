//! What has happened, for who acts on it: kept until taken, and no more than may be.

use everwire_backplane::Version;

use crate::events::FleetEvent;

/// What has happened since the last time.
#[derive(Debug, Default)]
pub struct News {
    /// Whether more has happened than is told, so that everything is to be looked at.
    pub is_everything: bool,
    /// What has happened, in order, and the version of the entry that tells it if it is the last that
    /// does; that of the one before otherwise, so that who knows everything up to there misses nothing.
    pub events: Vec<(Version, FleetEvent)>,
    /// The last entry that was read.
    last: Version,
}

impl News {
    /// What tells that everything may be new.
    pub(super) fn everything() -> Self {
        Self { is_everything: true, ..Self::default() }
    }

    pub(super) fn take(&mut self) -> Self {
        let last = self.last;
        std::mem::replace(self, Self { last, ..Self::default() })
    }

    pub(super) fn add(&mut self, event: FleetEvent) {
        if self.events.len() >= NEWS_MAX {
            *self = Self { last: self.last, ..Self::everything() };
        }
        self.events.push((self.last, event));
    }

    /// All that an entry tells has been added.
    pub(super) fn end_entry(&mut self, version: Version) {
        if let Some((last, _)) = self.events.last_mut()
            && *last == self.last
        {
            *last = version;
        }
        self.last = version;
    }
}

/// Events that wait for who acts on them: those of some commands to 10,000 instances.
pub const NEWS_MAX: usize = 65_536;
