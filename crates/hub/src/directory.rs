//! Every connection of the hub by its id, on whatever shard, and which tokens have been used.
//!
//! A connection that was negotiated and that nobody has opened yet is nowhere but in its token. That
//! begins a connection for a short while, and once: the ids of those that were begun meanwhile are
//! kept so long. Of a connection whose token was issued here and that lives at another node it is
//! known at which.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use everwire_proto::time::Time;

use crate::{
    cluster::review::REVIEW_MAX, connection::Connection, id::ConnectionId, ticket::Ticket,
};

/// All connections. In parts, so that shards seldom wait for each other.
#[derive(Debug)]
pub(crate) struct Directory {
    parts: [Mutex<Part>; PARTS],
    /// How long a token may begin a connection.
    window: Duration,
    /// Used tokens that a part remembers.
    spent_max: usize,
    /// The part whose connections at other nodes are looked at next.
    next_review: AtomicUsize,
}

#[derive(Debug, Default)]
struct Part {
    live: HashMap<ConnectionId, Arc<Connection>>,
    away: HashMap<ConnectionId, Away>,
    /// Tokens that have begun a connection and otherwise still could, the oldest first.
    spent: BTreeSet<(Time, ConnectionId)>,
    /// Tokens that were issued up to this time begin nothing any more, because it is not known which
    /// of them have.
    forgotten: Option<Time>,
}

/// A connection that lives at another node.
#[derive(Debug)]
struct Away {
    node: Arc<str>,
    /// When it was known to be there.
    confirmed: Time,
    /// When it was asked for.
    asked: Time,
}

/// What a token attaches to.
#[derive(Debug)]
pub(crate) enum Found {
    /// The token is too old, or has been used.
    Nothing,
    /// A connection that begins; the token has been used now.
    New,
    Live(Arc<Connection>),
    /// A connection at the node that is reached here.
    Away(Arc<str>),
}

impl Directory {
    /// A directory of nobody. Tokens begin a connection within `window` after they were issued, and
    /// of those that did about `spent_max` are remembered: beyond that the oldest tokens begin none.
    pub(crate) fn new(window: Duration, spent_max: usize) -> Self {
        let spent_max = (spent_max / PARTS).max(1);
        let next_review = AtomicUsize::new(0);
        Self { parts: Default::default(), window, spent_max, next_review }
    }

    /// What a token that was issued here attaches to.
    pub(crate) fn attach(&self, ticket: &Ticket, now: Time) -> Found {
        self.part(ticket.id).attach(ticket, now, self)
    }

    /// The same for another node, where the connection is to live if it begins.
    pub(crate) fn lend(&self, ticket: &Ticket, node: &str, now: Time) -> Found {
        let mut part = self.part(ticket.id);
        if part.away.len() >= AWAY_MAX && !part.away.contains_key(&ticket.id) {
            return Found::Nothing;
        }
        let found = part.attach(ticket, now, self);
        if matches!(found, Found::New) {
            let away = Away { node: node.into(), confirmed: now, asked: now };
            part.away.insert(ticket.id, away);
        }
        found
    }

    /// Whether this connection lives at another node.
    pub(crate) fn is_away(&self, id: ConnectionId) -> bool {
        self.part(id).away.contains_key(&id)
    }

    /// Where a connection lives, if it is at another node.
    pub(crate) fn away(&self, id: ConnectionId) -> Option<Arc<str>> {
        self.part(id).away.get(&id).map(|away| Arc::clone(&away.node))
    }

    /// A connection is still where it was.
    pub(crate) fn confirm_away(&self, id: ConnectionId, now: Time) {
        if let Some(away) = self.part(id).away.get_mut(&id) {
            away.confirmed = now;
        }
    }

    /// A connection is no more where it was.
    pub(crate) fn forget_away(&self, id: ConnectionId) {
        self.part(id).away.remove(&id);
    }

    /// Connections that have not been asked for of late, by the node where they live; of one part,
    /// another one each time. Forgets those of nodes that have not answered for long.
    pub(crate) fn to_review(&self, now: Time) -> HashMap<Arc<str>, Vec<ConnectionId>> {
        let next = self.next_review.fetch_add(1, Relaxed) % PARTS;
        let mut part = self.parts[next].lock().unwrap_or_else(PoisonError::into_inner);
        part.away.retain(|_, away| now.saturating_since(away.confirmed) < GIVE_UP_AFTER);
        let mut nodes: HashMap<Arc<str>, Vec<ConnectionId>> = HashMap::new();
        for (id, away) in &mut part.away {
            if now.saturating_since(away.asked) < REVIEW_EVERY {
                continue;
            }
            let ids = nodes.entry(Arc::clone(&away.node)).or_default();
            if ids.len() < REVIEW_MAX {
                ids.push(*id);
                away.asked = now;
            }
        }
        nodes
    }

    pub(crate) fn insert(&self, connection: Arc<Connection>) {
        let mut part = self.part(connection.id());
        part.away.remove(&connection.id());
        part.live.insert(connection.id(), connection);
    }

    pub(crate) fn remove(&self, connection: &Arc<Connection>) {
        let mut part = self.part(connection.id());
        // Its session may have come back meanwhile.
        if part.live.get(&connection.id()).is_some_and(|there| Arc::ptr_eq(there, connection)) {
            part.live.remove(&connection.id());
        }
    }

    /// The session of a connection lives at another node from now on.
    pub(crate) fn depart(&self, id: ConnectionId, node: &str, now: Time) {
        let mut part = self.part(id);
        part.live.remove(&id);
        part.put_away(id, node, now);
    }

    /// The session of a connection that is not here lives at this node from now on.
    pub(crate) fn relocate(&self, id: ConnectionId, node: &str, now: Time) {
        let mut part = self.part(id);
        if !part.live.contains_key(&id) {
            part.put_away(id, node, now);
        }
    }

    /// All open connections.
    pub(crate) fn all(&self) -> Vec<Arc<Connection>> {
        let part = |part: &Mutex<Part>| {
            let part = part.lock().unwrap_or_else(PoisonError::into_inner);
            part.live.values().map(Arc::clone).collect::<Vec<_>>()
        };
        self.parts.iter().flat_map(part).collect()
    }

    /// The open connection of this id.
    pub(crate) fn find(&self, id: ConnectionId) -> Option<Arc<Connection>> {
        self.part(id).live.get(&id).map(Arc::clone)
    }

    /// So many open connections, whichever.
    pub(crate) fn some(&self, count: usize) -> Vec<Arc<Connection>> {
        let mut some = Vec::new();
        for part in &self.parts {
            let part = part.lock().unwrap_or_else(PoisonError::into_inner);
            let live = part.live.values().filter(|connection| !connection.is_ending());
            some.extend(live.take(count - some.len()).map(Arc::clone));
        }
        some
    }

    /// Forgets tokens that have been used and begin nothing any more.
    pub(crate) fn sweep(&self, now: Time) {
        for part in &self.parts {
            part.lock().unwrap_or_else(PoisonError::into_inner).expire(now, self.window);
        }
    }

    fn part(&self, id: ConnectionId) -> MutexGuard<'_, Part> {
        self.parts[id.spread(PARTS)].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Part {
    /// Beyond the limit the session can still be found by asking.
    fn put_away(&mut self, id: ConnectionId, node: &str, now: Time) {
        if self.away.len() < AWAY_MAX || self.away.contains_key(&id) {
            let away = Away { node: node.into(), confirmed: now, asked: now };
            self.away.insert(id, away);
        }
    }

    fn attach(&mut self, ticket: &Ticket, now: Time, directory: &Directory) -> Found {
        if let Some(connection) = self.live.get(&ticket.id) {
            return Found::Live(Arc::clone(connection));
        }
        if let Some(away) = self.away.get(&ticket.id) {
            return Found::Away(Arc::clone(&away.node));
        }
        self.expire(now, directory.window);
        let is_late = now.saturating_since(ticket.issued) >= directory.window;
        let is_new = !is_late && self.spend(ticket, directory.spent_max);
        if is_new { Found::New } else { Found::Nothing }
    }

    /// Uses a token; gives whether it had not been used.
    fn spend(&mut self, ticket: &Ticket, spent_max: usize) -> bool {
        let is_forgotten = self.forgotten.is_some_and(|forgotten| ticket.issued <= forgotten);
        if is_forgotten || !self.spent.insert((ticket.issued, ticket.id)) {
            return false;
        }
        if self.spent.len() > spent_max
            && let Some((issued, _)) = self.spent.pop_first()
        {
            self.forgotten = Some(issued);
        }
        true
    }

    fn expire(&mut self, now: Time, window: Duration) {
        while let Some((issued, _)) = self.spent.first()
            && now.saturating_since(*issued) >= window
        {
            self.spent.pop_first();
        }
    }
}

const PARTS: usize = 16;

/// Connections at other nodes that one part knows: a million in all, more than a few nodes serve.
const AWAY_MAX: usize = 65_536;

/// How often it is asked whether a connection at another node is still there. Each takes memory
/// here so much longer than it lives.
const REVIEW_EVERY: Duration = Duration::from_secs(30);

/// How long a node may not answer before what lives there is given up.
const GIVE_UP_AFTER: Duration = Duration::from_secs(180);

#[cfg(test)]
mod tests {
    use everwire_proto::signalr::negotiate::StatefulReconnect;

    use super::*;
    use crate::{seal::Seal, ticket::Office};

    const WINDOW: Duration = Duration::from_secs(15);

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    fn ticket(issued: Time) -> Ticket {
        let office = Office::new(Seal::random(), "", "", 1);
        let id = ConnectionId::random();
        office.read(&office.issue(id, StatefulReconnect::Off, issued, None)).unwrap()
    }

    #[test]
    fn a_token_begins_one_connection_and_not_for_long() {
        let directory = Directory::new(WINDOW, 1000);
        let (one, late) = (ticket(at(5)), ticket(at(5)));
        assert!(matches!(directory.attach(&one, at(6)), Found::New));
        assert!(matches!(directory.attach(&one, at(7)), Found::Nothing), "it has been used");
        assert!(matches!(directory.attach(&late, at(15_005)), Found::Nothing), "it is too late");
        assert!(matches!(directory.attach(&one, at(15_005)), Found::Nothing), "it is both");
    }

    #[test]
    fn a_connection_lives_at_one_node() {
        let directory = Directory::new(WINDOW, 1000);
        let ticket = ticket(at(5));
        assert!(matches!(directory.lend(&ticket, "b:1", at(6)), Found::New));
        for node in ["b:1", "c:1"] {
            let found = directory.lend(&ticket, node, at(99_999));
            assert!(matches!(found, Found::Away(node) if &*node == "b:1"));
        }
        assert!(directory.is_away(ticket.id));
        directory.forget_away(ticket.id);
        assert!(matches!(directory.attach(&ticket, at(7)), Found::Nothing), "it has been used");
    }

    #[test]
    fn what_lives_elsewhere_is_asked_for_and_at_last_given_up() {
        let directory = Directory::new(WINDOW, 1000);
        let ticket = ticket(at(5));
        directory.lend(&ticket, "b:1", at(5));
        let review = |millis| (0..PARTS).any(|_| !directory.to_review(at(millis)).is_empty());
        assert!(!review(30_004));
        assert!(review(30_005));
        assert!(!review(60_004), "it has just been asked for");
        assert!(review(60_005));
        directory.confirm_away(ticket.id, at(60_005));
        review(240_004);
        assert!(directory.is_away(ticket.id));
        review(240_005);
        assert!(!directory.is_away(ticket.id));
    }

    #[test]
    fn so_many_connections_elsewhere_are_known() {
        let directory = Directory::new(WINDOW, 1000);
        let ticket = ticket(at(5));
        let mut part = directory.part(ticket.id);
        while part.away.len() < AWAY_MAX {
            let away = Away { node: "b:1".into(), confirmed: at(5), asked: at(5) };
            part.away.insert(ConnectionId::random(), away);
        }
        drop(part);
        assert!(matches!(directory.lend(&ticket, "b:1", at(6)), Found::Nothing));
        assert!(matches!(directory.attach(&ticket, at(6)), Found::New), "here there is room");
    }

    #[test]
    fn used_tokens_are_forgotten_when_they_are_of_no_use() {
        let directory = Directory::new(WINDOW, 1000);
        let spent =
            || directory.parts.iter().map(|part| part.lock().unwrap().spent.len()).sum::<usize>();
        for _ in 0..100 {
            directory.attach(&ticket(at(5)), at(6));
        }
        assert_eq!(spent(), 100);
        directory.sweep(at(15_004));
        assert_eq!(spent(), 100);
        directory.sweep(at(15_005));
        assert_eq!(spent(), 0);
    }

    #[test]
    fn with_more_used_tokens_than_are_remembered_none_is_used_twice() {
        let directory = Directory::new(WINDOW, 64);
        let tickets: Vec<_> = (0..1000).map(|issued| ticket(at(issued))).collect();
        for ticket in &tickets {
            assert!(matches!(directory.attach(ticket, at(1000)), Found::New));
        }
        let kept = directory.parts.iter().map(|part| part.lock().unwrap().spent.len());
        assert_eq!(kept.sum::<usize>(), 64);
        for ticket in &tickets {
            assert!(matches!(directory.attach(ticket, at(1000)), Found::Nothing));
        }
    }
}
