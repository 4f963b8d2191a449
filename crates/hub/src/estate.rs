//! What a node leaves behind: its clients, written down at the backplane as they come and go, so that
//! a survivor can tell the application of their end.
//!
//! Only a hub whose application [asks for it](crate::HubBuilder::client_lost) does this. Each node has
//! a log for each of its lives. Its [`keeper`] writes there, in the background, who has come, joined,
//! left and gone. When the node is given up, the survivor that is to clean up is its [`heir`]: it *seals*
//! the log, which the owner cannot write to any more, and tells of each client that is in it.
//!
//! So every client's end is told once. A client that goes while its node cannot reach the backplane is
//! told of as soon as it is known by whom: by its own node, if that could still write it down, else
//! by the heir. A node that was given up and lives seals its log itself; it comes too late only if
//! its heir has begun, and then it ends the connections of which the heir tells.

pub(crate) mod heir;
pub(crate) mod keeper;
mod ledger;
mod note;

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use everwire_backplane::{Channel, Log, Member};
use sha2::{Digest, Sha256};
use tokio::sync::{Notify, oneshot};

#[cfg(feature = "fuzzing")]
pub(crate) use self::note::{Entry, Holdings};
use self::note::{Holding, Note};
use crate::id::{ConnectionId, GroupName, UserId};

/// What this node would leave behind.
pub(crate) struct Estate {
    log: Arc<dyn Log>,
    /// Tells the logs of one hub from those of another.
    hub: String,
    state: Mutex<State>,
    /// Told when the keeper has something to do.
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The clients that are here.
    live: HashMap<ConnectionId, Holding>,
    /// What is to be written, in order.
    pending: Vec<Note>,
    /// All that is live has to be written again, `pending` or not.
    is_anew: bool,
    /// How much has happened, and how much of it is written.
    noted: u64,
    settled: u64,
    /// Clients whose end is told once that is written.
    waiting: VecDeque<Waiting>,
    /// Whom an heir would tell of.
    written: HashSet<ConnectionId>,
    /// Clients of which an heir tells and that are still connected here.
    disowned: HashSet<ConnectionId>,
    /// Nothing is written any more.
    is_closed: bool,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    id: ConnectionId,
    tell: oneshot::Sender<Teller>,
}

/// Who tells the application that a client has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Teller {
    /// Its own node.
    Own,
    /// The node that has inherited it.
    Heir,
}

/// The same where it may not be known yet.
#[derive(Debug)]
pub(crate) enum Leave {
    Known(Teller),
    Awaited(oneshot::Receiver<Teller>),
}

/// What the keeper takes to write.
#[derive(Debug)]
struct Batch {
    notes: Vec<Note>,
    /// Once these are written, so much is of what has happened.
    noted: u64,
    /// Whether this is all that there is, and replaces what was written before.
    is_anew: bool,
}

impl Estate {
    pub(crate) fn new(log: Arc<dyn Log>, channel: &Channel) -> Self {
        // Of a fixed length, whatever the channel's name has.
        let hub = URL_SAFE_NO_PAD.encode(&Sha256::digest(channel.as_str())[..HUB_BYTES]);
        Self { log, hub, state: Mutex::default(), wake: Notify::new() }
    }

    /// A client has come, and is in these groups.
    pub(crate) fn came(
        &self,
        id: ConnectionId,
        user: Option<&UserId>,
        groups: &BTreeSet<GroupName>,
    ) {
        let holding = Holding { user: user.cloned(), groups: groups.clone() };
        let mut state = self.state();
        state.live.insert(id, holding.clone());
        self.note(state, Note::Came(id, holding));
    }

    /// A client that has come joins a group.
    pub(crate) fn joined(&self, id: ConnectionId, group: &GroupName) {
        let mut state = self.state();
        let Some(holding) = state.live.get_mut(&id) else { return };
        if holding.groups.insert(group.clone()) {
            self.note(state, Note::Joined(id, group.clone()));
        }
    }

    /// A client that has come leaves a group.
    pub(crate) fn parted(&self, id: ConnectionId, group: &GroupName) {
        let mut state = self.state();
        let Some(holding) = state.live.get_mut(&id) else { return };
        if holding.groups.remove(group) {
            self.note(state, Note::Parted(id, group.clone()));
        }
    }

    /// A client has gone.
    pub(crate) fn gone(&self, id: ConnectionId) -> Leave {
        let mut state = self.state();
        if state.disowned.remove(&id) {
            return Leave::Known(Teller::Heir);
        }
        if state.live.remove(&id).is_none() || state.is_closed {
            return Leave::Known(Teller::Own);
        }
        let number = state.noted + 1;
        // With so many of them it is better to tell of one twice than to keep more.
        let leave = if state.waiting.len() < WAITING_MAX {
            let (tell, told) = oneshot::channel();
            state.waiting.push_back(Waiting { number, id, tell });
            Leave::Awaited(told)
        } else {
            Leave::Known(Teller::Own)
        };
        self.note(state, Note::Gone(id));
        leave
    }

    /// How much has happened that is not written.
    pub(crate) fn unwritten(&self) -> u64 {
        let state = self.state();
        state.noted - state.settled
    }

    /// The node may have been given up.
    pub(crate) fn look_after(&self) {
        self.wake.notify_one();
    }

    /// The backplane has lost what it had: all is written again.
    pub(crate) fn begin_anew(&self) {
        let mut state = self.state();
        state.noted += 1;
        state.begin_anew();
        drop(state);
        self.wake.notify_one();
    }

    fn note(&self, mut state: MutexGuard<'_, State>, note: Note) {
        if state.is_closed {
            return;
        }
        state.noted += 1;
        if !state.is_anew {
            state.pending.push(note);
        }
        if state.pending.len() > PENDING_MAX {
            // What is live takes no more memory than it did.
            state.begin_anew();
        }
        drop(state);
        self.wake.notify_one();
    }

    /// What is to be written, if anything is.
    fn take(&self) -> Option<Batch> {
        let mut state = self.state();
        let is_anew = std::mem::take(&mut state.is_anew);
        let notes = if is_anew { state.everybody() } else { std::mem::take(&mut state.pending) };
        let noted = state.noted;
        (is_anew || !notes.is_empty()).then_some(Batch { notes, noted, is_anew })
    }

    /// Everybody, to be written once more beside what was written before.
    fn everybody(&self) -> Vec<Note> {
        self.state().everybody()
    }

    /// How many clients there are.
    fn len(&self) -> usize {
        self.state().live.len()
    }

    /// These are written.
    fn wrote(&self, notes: &[Note]) {
        let mut state = self.state();
        for note in notes {
            match note {
                Note::Came(id, _) => drop(state.written.insert(*id)),
                Note::Gone(id) => drop(state.written.remove(id)),
                Note::Joined(..) | Note::Parted(..) => {}
            }
        }
    }

    /// So much is written of what has happened.
    fn settle(&self, noted: u64) {
        let mut state = self.state();
        state.settled = noted;
        let is_settled = |first: &mut Waiting| first.number <= noted;
        while let Some(first) = state.waiting.pop_front_if(is_settled) {
            // Nobody waits any more where a runtime has ended.
            let _ = first.tell.send(Teller::Own);
        }
    }

    /// What was written is void, and all that is live is to be written anew.
    fn forget(&self) {
        let mut state = self.state();
        state.written.clear();
        state.noted += 1;
        state.begin_anew();
    }

    /// An heir has taken what was written; gives the clients of it that are still here.
    fn disown(&self) -> Vec<ConnectionId> {
        let mut state = self.state();
        let State { live, waiting, written, disowned, .. } = &mut *state;
        for Waiting { id, tell, .. } in waiting.drain(..) {
            let teller = if written.contains(&id) { Teller::Heir } else { Teller::Own };
            let _ = tell.send(teller);
        }
        let theirs: Vec<_> = live.keys().filter(|id| written.contains(id)).copied().collect();
        for id in &theirs {
            live.remove(id);
            disowned.insert(*id);
        }
        drop(state);
        self.forget();
        theirs
    }

    /// Nothing is written any more: each end is told here.
    fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        state.pending = Vec::new();
        state.settled = state.noted;
        for Waiting { tell, .. } in state.waiting.drain(..) {
            let _ = tell.send(Teller::Own);
        }
    }

    /// The log of a node's life.
    fn name(&self, member: Member) -> Option<Channel> {
        // A member and a fixed length make a name.
        Channel::new(format!("estate/{}/{member}", self.hub)).ok()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Has all that is live written again.
    fn begin_anew(&mut self) {
        self.is_anew = true;
        self.pending = Vec::new();
    }

    /// All that is live, as if it had just come.
    fn everybody(&self) -> Vec<Note> {
        self.live.iter().map(|(id, holding)| Note::Came(*id, holding.clone())).collect()
    }
}

impl fmt::Debug for Estate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Estate").field("clients", &self.len()).finish_non_exhaustive()
    }
}

impl Leave {
    /// Waits until it is known who tells.
    pub(crate) async fn teller(self) -> Teller {
        match self {
            Self::Known(teller) => teller,
            Self::Awaited(told) => told.await.unwrap_or(Teller::Own),
        }
    }
}

/// Bytes of a channel's digest: two hubs of one backplane do not meet by chance.
const HUB_BYTES: usize = 12;

/// Notes that wait to be written; with more, all is written anew.
const PENDING_MAX: usize = 65_536;

/// Clients that have gone and whose end waits to be told; of further ones it is told at once, and
/// perhaps again by an heir.
const WAITING_MAX: usize = 65_536;
