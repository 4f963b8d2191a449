//! What others want a connection's task to do: with another socket, a question, a session that is to
//! move. They leave it here and wake the task, which takes all of it at once.

use std::{
    collections::BTreeSet,
    sync::{
        MutexGuard, PoisonError,
        atomic::Ordering::{Acquire, Release},
    },
};

use tokio::sync::oneshot;

use super::{Connection, stream::Takeover, wire::Link};
use crate::{client::Question, id::GroupName};

/// What others want a connection's task to do.
#[derive(Debug, Default)]
pub(crate) struct Errands {
    /// To go on with this socket.
    pub(crate) takeover: Option<Takeover>,
    /// To ask the client.
    pub(crate) questions: Vec<Question>,
    /// To finish what is at work and begin nothing new, since the session is to move; told when that
    /// is so.
    pub(crate) prepare: Option<oneshot::Sender<()>>,
    /// To give up what is still at work.
    pub(crate) hurry: bool,
    /// To act on where the session is.
    pub(crate) parted: Option<Parted>,
}

/// What has become of a session that was to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parted {
    /// Another node has it.
    Gone,
    /// It is here, as before.
    Stayed,
    /// Nobody knows: it is here no more.
    Lost,
}

/// Whether a session is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Here = 0,
    /// It stands still until it is known whether another node has it.
    Leaving = 1,
    Gone = 2,
}

impl Connection {
    /// The client is back with another socket; gives whether the session still waits for it.
    pub(crate) fn take_over(&self, takeover: Takeover) -> bool {
        let is_resumable = self.wire().is_resumable();
        if is_resumable {
            // One that came even later counts: the client knows nothing of the one before.
            self.errands().get_or_insert_default().takeover = Some(takeover);
            self.waker.wake();
        }
        is_resumable
    }

    /// Whether it is about to be known where the session is.
    pub(crate) fn is_leaving(&self) -> bool {
        self.phase.load(Acquire) == Phase::Leaving as u8
    }

    /// Whether another node has the session.
    pub(crate) fn is_gone(&self) -> bool {
        self.phase.load(Acquire) == Phase::Gone as u8
    }

    /// The session is about to move; gives its groups. At a standstill of the hub alone.
    pub(crate) fn begin_leaving(&self) -> BTreeSet<GroupName> {
        self.phase.store(Phase::Leaving as u8, Release);
        self.all_groups()
    }

    /// Has the task finish what is at work, and begin nothing new; told when that is so.
    pub(crate) fn prepare(&self, tell: oneshot::Sender<()>) {
        self.errands().get_or_insert_default().prepare = Some(tell);
        self.waker.wake();
    }

    /// Has the task give up what is still at work.
    pub(crate) fn hurry(&self) {
        self.errands().get_or_insert_default().hurry = true;
        self.waker.wake();
    }

    /// It is known what has become of the session.
    pub(crate) fn part_with(&self, parted: Parted) {
        let phase = if parted == Parted::Gone { Phase::Gone } else { Phase::Here };
        self.phase.store(phase as u8, Release);
        self.errands().get_or_insert_default().parted = Some(parted);
        self.waker.wake();
    }

    /// What has to wait until it is known where the session is; for the task.
    pub(crate) fn defer(&self, deferred: Errands) {
        let mut errands = self.errands();
        let there = errands.get_or_insert_default();
        // One that came even later counts.
        there.takeover = there.takeover.take().or(deferred.takeover);
        there.questions.splice(..0, deferred.questions);
    }

    /// Has the client asked something; for the shard. Who is gone is not asked.
    pub(crate) fn put_question(&self, question: Question) {
        let mut errands = self.errands();
        // Looked at under the lock under which the task takes its last errands.
        if matches!(self.wire().link, Link::Gone) {
            return;
        }
        errands.get_or_insert_default().questions.push(question);
        drop(errands);
        self.waker.wake();
    }

    /// What others want done; for the task.
    pub(crate) fn take_errands(&self) -> Option<Box<Errands>> {
        self.errands().take()
    }

    fn errands(&self) -> MutexGuard<'_, Option<Box<Errands>>> {
        self.errands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
