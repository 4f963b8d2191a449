//! What one node does for all: who that is, and doing it.

use std::{collections::BTreeSet, fmt, pin::Pin, time::Duration};

use bytes::Bytes;
use everwire_backplane::{Member, Membership};

use crate::{
    book::Book,
    duties::{Duties, Keep, nodes},
    entry::write_event,
    ledger::Ledger,
    node::Node,
};

/// Who is alive, and what is being done for all.
pub(super) struct Lead {
    keep: Keep,
    alive: BTreeSet<Member>,
    /// Who has ended, and has to be said to have.
    gone: BTreeSet<Member>,
    /// Who was not alive when that was looked at last, though instances are connected there.
    absent: BTreeSet<Member>,
    /// When that was, in milliseconds since 1970.
    swept: u64,
    work: Option<Work>,
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Lead {
    pub(super) fn new(keep: Keep) -> Self {
        let none = BTreeSet::new;
        Self { keep, alive: none(), gone: none(), absent: none(), swept: 0, work: None }
    }

    /// Something has changed among the nodes.
    pub(super) fn changed(&mut self, change: Membership) {
        match change {
            Membership::Joined(member) => {
                self.alive.insert(member);
            }
            Membership::Left(member) | Membership::Expired { member, .. } => {
                self.alive.remove(&member);
                self.gone.insert(member);
            }
            Membership::Reset => self.alive.clear(),
        }
    }

    /// Begins what is to be done if this node does it and nothing is being done; gives how long until
    /// there may be more.
    pub(super) fn begin(&mut self, node: &Node) -> Duration {
        let now = node.clock.now();
        let is_leader = self.alive.first().is_some_and(|first| first.node == node.member().node);
        if !is_leader || self.work.is_some() || node.ledger.cursor().epoch == 0 {
            return SWEEP;
        }
        let is_due = now.abs_diff(self.swept) >= SWEEP.as_millis() as u64;
        let duties = node.ledger.read(|ledger| {
            let mut duties = Duties::of_commands(ledger, now);
            if is_due || !self.gone.is_empty() {
                duties.events.extend(Duties::of_nodes(&self.gone_now(ledger), now));
            }
            if is_due {
                duties.events.extend(Duties::of_age(ledger, now, &self.keep));
            }
            duties
        });
        if is_due {
            self.swept = now;
        }
        if !duties.events.is_empty() {
            let events = duties.events.iter().map(write_event).collect();
            self.work = Some(Box::pin(write(node.ledger.clone(), events)));
        }
        duties.next.map_or(SWEEP, |next| node.clock.until(next).min(SWEEP))
    }

    /// Ready when what is being done is done; never if nothing is.
    pub(super) async fn done(&mut self) {
        match &mut self.work {
            Some(work) => work.await,
            None => std::future::pending().await,
        }
        self.work = None;
    }

    /// Who has ended, of those whose connections are known. One that others have seen before this node
    /// has is not taken for dead at once.
    fn gone_now(&mut self, ledger: &Ledger) -> BTreeSet<Member> {
        let gone = std::mem::take(&mut self.gone);
        let known = nodes(ledger);
        let absent: BTreeSet<_> = known.difference(&self.alive).copied().collect();
        let twice = self.absent.intersection(&absent).copied();
        let ended = gone.intersection(&known).copied().chain(twice).collect();
        self.absent = absent;
        ended
    }
}

/// Writes events down, if the log takes them; otherwise they are looked for again.
async fn write(ledger: Book<Ledger>, events: Vec<Bytes>) {
    if let Err(refused) = ledger.append(events).await {
        tracing::debug!(%refused, "what one node does for all is done later");
        tokio::time::sleep(RETRY).await;
    }
}

impl fmt::Debug for Lead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lead").field("alive", &self.alive).finish_non_exhaustive()
    }
}

/// How often it is looked for what is old, and for nodes of whose end nobody has told.
const SWEEP: Duration = Duration::from_secs(1);

/// How soon what the log did not take is done again.
const RETRY: Duration = Duration::from_millis(200);
