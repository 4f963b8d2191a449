//! What a node has of the fleet, for its tasks and its methods.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use everwire_backplane::Member;
use everwire_hub::{ConnectionId, End};
use tokio::sync::Notify;

use crate::{
    WallClock,
    book::{Book, Books},
    entry::{Event, Joined, Text, Why},
    events::Feed,
    facts::Facts,
    introduction::Introduction,
    ledger::Ledger,
    seats::Seats,
    sets::Sets,
    shelf::Shelf,
};

/// What a node has of the fleet.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) books: Books,
    pub(crate) ledger: Book<Ledger>,
    pub(crate) clock: WallClock,
    pub(crate) facts: Arc<Facts>,
    pub(crate) feed: Arc<Feed>,
    pub(crate) shelf: Shelf,
    pub(crate) sets: Sets,
    /// Wakes the steward.
    pub(crate) wake: Notify,
    seats: Mutex<Seats>,
}

impl Node {
    pub(crate) fn new(ledger: Book<Ledger>, clock: WallClock, shelf: Shelf) -> Self {
        let books = shelf.books().clone();
        let sets = Sets::new(shelf.clone(), clock.clone(), ledger.clone());
        Self {
            books,
            ledger,
            clock,
            facts: Arc::default(),
            feed: Arc::default(),
            shelf,
            sets,
            wake: Notify::new(),
            seats: Mutex::default(),
        }
    }

    /// An instance has connected here. It has its name once that is written down.
    pub(crate) fn come(&self, session: ConnectionId, introduction: &Introduction) {
        let since = self.clock.now();
        self.seats().add(session, introduction.clone(), since);
        self.facts.add(&Event::Joined(Joined {
            again: false,
            ..self.joined(session, introduction, since)
        }));
    }

    /// Says once more that an instance is connected here.
    pub(crate) fn come_again(
        &self,
        session: ConnectionId,
        introduction: &Introduction,
        since: u64,
    ) {
        self.facts.add(&Event::Joined(self.joined(session, introduction, since)));
    }

    fn joined(&self, session: ConnectionId, introduction: &Introduction, at: u64) -> Joined {
        let Member { node, incarnation } = self.member();
        let Introduction { instance, labels, version } = introduction.clone();
        Joined {
            instance,
            session: Text(session),
            node: Text(node),
            incarnation: incarnation.0,
            labels: Arc::unwrap_or_clone(labels),
            version: version.as_deref().map(Box::from),
            again: true,
            at,
        }
    }

    /// A connection has ended; if it was an instance's, that is written down.
    pub(crate) fn go(&self, session: ConnectionId, end: &End) {
        let Some(seat) = self.seats().remove(session) else { return };
        let why = match end {
            End::Left(None) => Why::Left,
            End::Dismissed(_) => Why::Replaced,
            _ => Why::Lost,
        };
        let instance = seat.introduction.instance;
        let at = self.clock.now();
        self.facts.add(&Event::Left { instance, session: Text(session), why, at });
    }

    /// This node in its present life.
    pub(crate) fn member(&self) -> Member {
        self.books.bus().member()
    }

    pub(crate) fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
