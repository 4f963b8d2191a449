//! A hub on several nodes, seen through any of them.

use std::sync::{Arc, Weak};

use everwire_backplane::{NodeId, Publishing};
use everwire_proto::signalr::message::HubMessage;
use tokio::{sync::oneshot, task::JoinSet};

use super::{Hub, Inner, Running};
use crate::{
    audience::{Audience, Whom},
    declared::attendance::Attendance,
    end::End,
    fanout::{
        Across, Exchanged, Fanout,
        envelope::Envelope,
        ledger::Said,
        request::{Request, read_flag},
    },
    frames::Frames,
    history::Histories,
    id::{ConnectionId, UserId},
    look::{Behind, Look},
    recipients::SendError,
    shard::{Post, ShardHandle},
};

impl Hub {
    /// Begins to work on this runtime, if nobody has [taken](Self::take_shards) the shards: a hub with
    /// a [backplane](crate::HubBuilder::backplane) listens to other nodes from then on. Otherwise the
    /// first request does.
    pub fn start(&self) {
        let mut running = self.running();
        if matches!(*running, Running::NotYet) {
            let tasks: JoinSet<()> = self.all_shards().map(crate::Shard::run).collect();
            *running = Running::Own { _tasks: tasks };
        }
    }

    /// Ends a connection on whichever node, and gives whether there is one. Its client does not
    /// reconnect by itself.
    pub async fn abort(&self, connection: ConnectionId) -> Across<bool> {
        let here = self.abort_here(connection);
        match self.fanout().filter(|_| !here) {
            Some(fanout) => {
                let request = Request::Abort(connection);
                fanout.gather(&request, false, read_flag, |one, other| one | other).await
            }
            None => Across::here(here),
        }
    }

    /// Whether there is such a connection, on whichever node.
    pub async fn exists(&self, connection: ConnectionId) -> Across<bool> {
        if self.has(connection) {
            return Across::here(true);
        }
        let Across { value, unreached } = self.connections([connection]).count().await;
        Across { value: value > 0, unreached }
    }

    /// Some of the users that are connected to any node, in the order of their names, behind one of
    /// them: at most so many, and how many connections each has.
    pub async fn users_page(
        &self,
        after: Option<&UserId>,
        limit: usize,
    ) -> Across<Vec<(UserId, usize)>> {
        let behind = Behind { after: after.map(|user| Arc::clone(user.shared())), limit };
        let Across { value, unreached } =
            self.names(crate::fanout::request::NamesOf::Users, behind).await;
        let users = value.into_iter().map(|(name, count)| (UserId::new(name), count)).collect();
        Across { value: users, unreached }
    }

    /// What this node is called: on its [backplane](crate::HubBuilder::backplane), or without one
    /// by a name that it has given itself. Each start has another.
    pub fn node(&self) -> NodeId {
        self.0.node
    }

    /// Under which names clients are present on all nodes, as far as this one knows, in order; nobody
    /// is in a hub without [presence](crate::HubBuilder::presence).
    pub fn present(&self) -> Vec<Arc<str>> {
        self.attendance().map(Attendance::names).unwrap_or_default()
    }

    /// The other nodes that are alive, as far as this one knows.
    pub fn nodes(&self) -> Vec<NodeId> {
        let living = self.fanout().map(Fanout::living);
        living.iter().flat_map(|living| living.iter()).map(|member| member.node).collect()
    }

    /// What the hub has said to other nodes and heard of them; `None` without a
    /// [backplane](crate::HubBuilder::backplane).
    pub fn exchanged(&self) -> Option<Exchanged> {
        let fanout = self.fanout().filter(|fanout| !fanout.is_alone)?;
        let unwritten = self.estate().map_or(0, |estate| estate.unwritten());
        Some(Exchanged { unwritten, ..fanout.exchanged() })
    }

    pub(crate) const fn from_inner(inner: Arc<Inner>) -> Self {
        Self(inner)
    }

    /// What does not keep the hub alive.
    pub(crate) fn downgrade(&self) -> Weak<Inner> {
        Arc::downgrade(&self.0)
    }

    pub(crate) fn fanout(&self) -> Option<&Fanout> {
        self.0.fanout.as_ref()
    }

    pub(crate) fn attendance(&self) -> Option<&Attendance> {
        self.0.attendance.as_deref()
    }

    pub(crate) fn shards(&self) -> &[Arc<ShardHandle>] {
        &self.0.shards
    }

    /// Takes a connection of this node out of all groups; gives whether there is one.
    pub(crate) fn leave_all_here(&self, connection: ConnectionId) -> bool {
        let _order = self.fanout().map(Fanout::in_order);
        let Some(there) = self.find(connection) else { return false };
        for group in there.part_all() {
            // What is refused is counted.
            let _ = self.groups().tell_successor(&there, group, false);
        }
        true
    }

    pub(crate) fn abort_here(&self, connection: ConnectionId) -> bool {
        let Some(connection) = self.find(connection) else { return false };
        let shard = Arc::clone(&connection.shard);
        shard.post(Post::End(connection, End::Aborted));
        true
    }

    /// Whether somebody of the audience may be on this shard.
    pub(crate) fn may_reach(&self, shard: &Arc<ShardHandle>, audience: &Audience) -> bool {
        match &audience.whom {
            Whom::Connections(ids) => {
                let here = ids.iter().filter_map(|id| self.find(*id));
                here.into_iter().any(|there| Arc::ptr_eq(&there.shard, shard))
            }
            whom => shard.members() > 0 && shard.may_have(whom),
        }
    }

    /// Says a message to the clients that other nodes may have; `None` if there are none.
    pub(crate) fn publish_elsewhere(
        &self,
        audience: &Arc<Audience>,
        frames: &Arc<Frames>,
    ) -> Result<Option<Publishing>, SendError> {
        let Some(fanout) = self.fanout().filter(|fanout| !fanout.is_alone) else { return Ok(None) };
        let Some(away) = self.elsewhere(audience) else { return Ok(None) };
        let Some(envelope) = Envelope::call(&away, frames.message()) else { return Ok(None) };
        let said = Said::Call(Arc::clone(audience), Arc::clone(frames));
        Ok(Some(fanout.publish(envelope, Some(&said))?))
    }

    /// Says a message to whoever is in a channel with a history, on all nodes; `None` if it has none.
    pub(crate) fn record(
        &self,
        audience: &Audience,
        message: &HubMessage,
    ) -> Result<Option<Publishing>, SendError> {
        let (Some(fanout), Some(histories)) = (self.fanout(), self.histories()) else {
            return Ok(None);
        };
        let history = histories.scope(audience).and_then(|scope| histories.history(&scope));
        let Some((history, envelope)) = history.zip(Envelope::call(audience, message)) else {
            return Ok(None);
        };
        let recorded = fanout.record(&history, envelope)?;
        histories.count_recorded();
        Ok(Some(recorded))
    }

    /// Which channels have a history, if any have.
    pub(crate) fn histories(&self) -> Option<&Histories> {
        self.0.histories.as_ref()
    }

    /// Who of an audience may be on other nodes.
    pub(crate) fn elsewhere(&self, audience: &Audience) -> Option<Audience> {
        let whom = match &audience.whom {
            Whom::Connections(ids) => {
                let is_away =
                    |id: &&ConnectionId| self.find(**id).is_none_or(|there| there.is_leaving());
                let away = ids.iter().filter(is_away).copied();
                Whom::Connections(away.collect())
            }
            whom => whom.clone(),
        };
        let is_nobody = match &whom {
            Whom::All => false,
            Whom::Groups(names) => names.is_empty(),
            Whom::Users(names) => names.is_empty(),
            Whom::Connections(ids) => ids.is_empty(),
        };
        (!is_nobody).then(|| Audience { whom, except: audience.except.clone() })
    }

    pub(crate) async fn count_here(&self, audience: &Arc<Audience>) -> usize {
        let counts = self.look(|answer| Look::Count(Arc::clone(audience), answer)).await;
        counts.into_iter().sum()
    }

    pub(crate) async fn groups_here(&self, behind: &Behind) -> Vec<(Arc<str>, usize)> {
        let parts = self.look(|answer| Look::Groups(behind.clone(), answer)).await;
        parts.into_iter().fold(Vec::new(), |one, other| behind.merge(one, other))
    }

    pub(crate) async fn users_here(&self, behind: &Behind) -> Vec<(Arc<str>, usize)> {
        let parts = self.look(|answer| Look::Users(behind.clone(), answer)).await;
        parts.into_iter().fold(Vec::new(), |one, other| behind.merge(one, other))
    }

    /// What each shard answers that has connections; a stopped one says nothing.
    async fn look<T>(&self, look: impl Fn(oneshot::Sender<T>) -> Look) -> Vec<T> {
        let mut answers = Vec::new();
        for shard in self.shards().iter().filter(|shard| shard.members() > 0) {
            let (answer, answered) = oneshot::channel();
            shard.post(Post::Look(look(answer)));
            answers.extend(answered.await);
        }
        answers
    }
}
