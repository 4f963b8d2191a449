//! Histories of a hub: what it sent lately to everybody, or to a group, for clients that were away.
//!
//! What is sent to a channel with a history is not told to anybody directly. The backplane gives it
//! the next number there and hands it to every node, this one included, so that all clients see one
//! order, which is the order of the history. [`line`](mod@line) puts what comes in order and reads what
//! is missing; [`follow`] knows what each connection has been sent; [`recover`] is the method that
//! clients call, and [`plan`] what it decides. With [`travel`] a session that moves to another node goes on
//! where it was.

pub(crate) mod follow;
pub(crate) mod line;
pub(crate) mod listen;
mod plan;
pub(crate) mod recover;
pub(crate) mod run;
pub(crate) mod travel;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use everwire_backplane::{self as backplane, Bus, Channel, Cursor, Retention};
use sha2::{Digest, Sha256};

use self::line::Line;
use crate::{
    audience::{Audience, Whom},
    id::GroupName,
    presence::Scope,
};

/// Which channels of a hub have a history, and what clients may ask of it.
///
/// A channel is the hub's own, which has what is sent to [all](crate::Hub::all), or a
/// [group](crate::Hub::group). What is sent to some connections, to users, to all but somebody or to
/// several groups at once belongs to no history.
///
/// ```
/// use everwire_hub::{History, Hub, Retention};
///
/// let kept = Retention { count_max: 100, ..Retention::default() };
/// let history = History::new().hub(Retention::default()).groups("room-*", kept);
/// let hub = Hub::builder().history(history).build().unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    hub: Option<Retention>,
    groups: Vec<(Box<str>, Retention)>,
    replay_max: u64,
    follows_max: usize,
}

/// The histories of a hub at work.
#[derive(Debug)]
pub(crate) struct Histories {
    pub(crate) config: History,
    channel: Channel,
    lines: Mutex<HashMap<Scope, Line>>,
    /// Held from when a line says what is to be done until that is posted to all shards.
    steady: tokio::sync::Mutex<()>,
    recorded: AtomicU64,
}

impl History {
    /// No channel has one yet.
    pub const fn new() -> Self {
        Self { hub: None, groups: Vec::new(), replay_max: REPLAY_MAX, follows_max: FOLLOWS_MAX }
    }

    /// The hub's own channel has one.
    #[must_use]
    pub const fn hub(mut self, retention: Retention) -> Self {
        self.hub = Some(retention);
        self
    }

    /// Groups have one each: the group of this name, or with a `*` at its end all whose names begin
    /// so. Of several that fit a group the first counts.
    #[must_use]
    pub fn groups(mut self, pattern: impl Into<Box<str>>, retention: Retention) -> Self {
        self.groups.push((pattern.into(), retention));
        self
    }

    /// How many messages a client is sent at once that were missing; one that misses more is told to
    /// load its state. Default: 1,000.
    #[must_use]
    pub const fn replay_max(mut self, count: u64) -> Self {
        self.replay_max = count;
        self
    }

    /// How many channels one connection may follow. Default: 100; beyond that its calls fail.
    #[must_use]
    pub const fn follows_max(mut self, count: usize) -> Self {
        self.follows_max = count;
        self
    }

    /// What is kept of a channel, if anything is.
    fn retention(&self, scope: &Scope) -> Option<Retention> {
        let fits = |pattern: &str, group: &GroupName| match pattern.strip_suffix('*') {
            Some(begin) => group.as_str().starts_with(begin),
            None => group.as_str() == pattern,
        };
        match scope {
            Scope::Hub => self.hub,
            Scope::Group(group) => {
                let found = self.groups.iter().find(|(pattern, _)| fits(pattern, group));
                found.map(|(_, retention)| *retention)
            }
        }
    }
}

impl Default for History {
    fn default() -> Self {
        Self::new()
    }
}

impl Histories {
    pub(crate) fn new(config: History, channel: Channel) -> Self {
        let (lines, steady, recorded) = Default::default();
        Self { config, channel, lines, steady, recorded }
    }

    /// The channel with a history that an audience is, if it is one.
    pub(crate) fn scope(&self, audience: &Audience) -> Option<Scope> {
        let scope = match &audience.whom {
            _ if !audience.except.is_empty() => return None,
            Whom::All => Scope::Hub,
            Whom::Groups(names) => match &names[..] {
                [name] => Scope::Group(name.clone()),
                _ => return None,
            },
            Whom::Users(_) | Whom::Connections(_) => return None,
        };
        self.config.retention(&scope).map(|_| scope)
    }

    /// The history of a channel, as the backplane knows it.
    pub(crate) fn history(&self, scope: &Scope) -> Option<backplane::History> {
        let retention = self.config.retention(scope)?;
        Some(backplane::History { name: name(&self.channel, scope)?, retention })
    }

    /// From here on everything that comes in this channel is wanted by somebody of this node.
    pub(crate) fn want(&self, scope: &Scope, cursor: Cursor) {
        self.lines().entry(scope.clone()).or_default().handle_wanted(cursor);
    }

    /// Messages of this node that the backplane took for a history.
    pub(crate) fn recorded(&self) -> u64 {
        self.recorded.load(Relaxed)
    }

    pub(crate) fn count_recorded(&self) {
        self.recorded.fetch_add(1, Relaxed);
    }

    /// As long as this is held nothing is handed out: everything up to where a line is has been posted,
    /// and nothing behind it.
    pub(crate) async fn steady(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.steady.lock().await
    }

    pub(crate) fn lines(&self) -> MutexGuard<'_, HashMap<Scope, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whom a channel reaches.
pub(crate) fn audience(scope: &Scope) -> Audience {
    match scope {
        Scope::Hub => Whom::All.into(),
        Scope::Group(group) => Whom::Groups(vec![group.clone()]).into(),
    }
}

/// A part of a history, from the backplane.
pub(crate) fn replay(
    bus: &Arc<dyn Bus>,
    history: &backplane::History,
    after: u64,
) -> backplane::LogWork<Result<backplane::Stretch, backplane::LogUnreachable>> {
    bus.replay(history, after, backplane::READ_MAX)
}

/// The name of a channel's history: lengths keep apart what has separators in it.
fn name(channel: &Channel, scope: &Scope) -> Option<Channel> {
    let begin = format!("{}:{channel}", channel.as_str().len());
    let whole = match scope {
        Scope::Hub => format!("{begin}:hub"),
        Scope::Group(group) => format!("{begin}:group:{group}"),
    };
    if whole.len() <= backplane::NAME_MAX {
        return Channel::new(whole).ok();
    }
    let digest: String = Sha256::digest(&whole).iter().map(|byte| format!("{byte:02x}")).collect();
    Channel::new(format!("digest:{digest}")).ok()
}

/// Messages that one client is sent at once.
const REPLAY_MAX: u64 = 1000;

/// Channels that one connection follows.
const FOLLOWS_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::id::ConnectionId;

    fn group(name: &str) -> Scope {
        Scope::Group(name.into())
    }

    #[test]
    fn the_first_pattern_that_fits_says_what_is_kept() {
        let keep = |count_max| Retention { count_max, ..Retention::default() };
        let history =
            History::new().groups("room-1", keep(1)).groups("room-*", keep(2)).groups("x", keep(3));
        let count = |scope: &Scope| history.retention(scope).map(|kept| kept.count_max);
        let names = ["room-1", "room-12", "room-", "room", "x", "xy", "*"];
        let counts: Vec<_> = names.iter().map(|name| count(&group(name))).collect();
        assert_eq!(counts, [Some(1), Some(2), Some(2), None, Some(3), None, None]);
        assert_eq!(count(&Scope::Hub), None);
        assert_eq!(History::new().groups("*", keep(4)).retention(&group("")), Some(keep(4)));
    }

    #[test]
    fn only_everybody_and_whole_groups_have_a_history() {
        let kept = Retention::default();
        let history = History::new().hub(kept).groups("*", kept);
        let histories = Histories::new(history, Channel::new("hub").unwrap());
        let of = |audience: &Audience| histories.scope(audience);
        assert_eq!(of(&Whom::All.into()), Some(Scope::Hub));
        assert_eq!(of(&Whom::Groups(vec!["a".into()]).into()), Some(group("a")));
        let id = ConnectionId::random();
        for other in [
            Audience { whom: Whom::All, except: vec![id] },
            Whom::Groups(vec!["a".into(), "b".into()]).into(),
            Whom::Users(vec!["a".into()]).into(),
            Whom::Connections(vec![id]).into(),
        ] {
            assert_eq!(of(&other), None, "{other:?}");
        }
    }

    #[test]
    fn no_name_is_another_ones_history() {
        let mut all = HashSet::new();
        let long = "x".repeat(1024);
        for channel in ["a", "a:hub", "a:group:b", "1:a"] {
            let channel = Channel::new(channel).unwrap();
            for scope in ["hub", "b", "b:hub", ":group:b", "", &long, &long[1..]].map(group) {
                assert!(all.insert(name(&channel, &scope).unwrap()), "{channel} {scope:?}");
            }
            assert!(all.insert(name(&channel, &Scope::Hub).unwrap()), "{channel}");
        }
    }
}
