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
    /// Whether the entry that is being read has told something.
    is_telling: bool,
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
        self.is_telling = true;
    }

    /// All that an entry tells has been added.
    pub(super) fn end_entry(&mut self, version: Version) {
        if std::mem::take(&mut self.is_telling)
            && let Some((last, _)) = self.events.last_mut()
        {
            *last = version;
        }
        self.last = version;
    }
}

/// Events that wait for who acts on them: those of some commands to 10,000 instances.
pub const NEWS_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: usize) -> FleetEvent {
        FleetEvent::InstanceForgotten { instance: format!("shop:0:{number}").parse().unwrap() }
    }

    #[test]
    fn news_that_nobody_takes_become_one_that_everything_is_new() {
        let mut news = News::everything();
        assert!(news.take().is_everything, "at the beginning everything is");
        (0..NEWS_MAX).for_each(|number| news.add(event(number)));
        assert!(!news.is_everything);
        news.add(event(NEWS_MAX));
        assert_eq!((news.is_everything, news.events.len()), (true, 1));
        news.take();
        news.add(event(0));
        let news = news.take();
        assert_eq!((news.is_everything, news.events.len()), (false, 1));
    }

    #[test]
    fn who_knows_a_version_misses_nothing_behind_it() {
        let mut news = News::default();
        for (version, count) in [(1, 2), (2, 0), (3, 1)] {
            (0..count).for_each(|number| news.add(event(number)));
            news.end_entry(Version(version));
        }
        let versions = |news: &News| news.events.iter().map(|(at, _)| at.0).collect::<Vec<_>>();
        assert_eq!(versions(&news), [0, 1, 3], "the first of two stands before its entry");
        news.take();
        news.add(event(0));
        news.add(event(1));
        news.end_entry(Version(4));
        assert_eq!(versions(&news), [3, 4]);
    }
}
