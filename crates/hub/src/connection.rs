//! The half of a connection that others see: its shard, which writes to it, and its transport.
//!
//! A broadcast is written from here, by the shard, straight to the socket. Only what a full socket
//! does not take is queued, and the connection's own [`task`] is woken to finish. What one writer
//! puts on the wire and what another does is kept apart by one lock, which nobody else waits for.

pub(crate) mod batch;
mod errands;
pub(crate) mod groups;
pub(crate) mod kept;
pub(crate) mod mail;
pub(crate) mod stream;
pub(crate) mod task;
mod wire;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU8},
};

use atomic_waker::AtomicWaker;
use bytes::Bytes;
use everwire_backplane::Cursor;
use everwire_proto::{
    signalr::{
        Protocol,
        negotiate::{StatefulReconnect, Transport},
    },
    time::Time,
};

use self::{
    batch::Batch,
    errands::Phase,
    groups::Joined,
    mail::{Mail, Visit},
};
pub(crate) use self::{
    errands::{Errands, Parted},
    wire::{Link, Own, Still, Wire},
};
use crate::{
    clock,
    config::HubConfig,
    end::End,
    frames::Framing,
    history::{
        follow::{Junction, Mode, Released},
        recover::{Brought, Step},
        run::{Parcel, Run},
    },
    id::{ConnectionId, GroupName},
    identity::Identity,
    method::Items,
    presence::Scope,
    pulse::{Due, Watch},
    recipients::GroupError,
    request::ClientRequest,
    shard::{Post, ShardHandle},
};

/// One client's connection.
#[derive(Debug)]
pub(crate) struct Connection {
    id: ConnectionId,
    pub(crate) identity: Identity,
    /// What the application keeps here.
    pub(crate) items: Items,
    pub(crate) transport: Transport,
    /// Whether it was negotiated that the session may outlive its socket.
    pub(crate) stateful_reconnect: StatefulReconnect,
    pub(crate) request: ClientRequest,
    pub(crate) shard: Arc<ShardHandle>,
    /// What requests bring and fetch; only with transports that are made of requests.
    pub(crate) mail: Option<Box<Mail>>,
    wire: Mutex<Wire>,
    waker: AtomicWaker,
    /// What others want done, until the task takes it.
    errands: Mutex<Option<Box<Errands>>>,
    groups: Mutex<Joined>,
    /// A [`Phase`].
    phase: AtomicU8,
}

/// What was agreed on before a connection begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun {
    pub(crate) id: ConnectionId,
    pub(crate) transport: Transport,
    pub(crate) stateful_reconnect: StatefulReconnect,
}

/// What became of a batch at one receiver.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Delivered {
    /// Messages that were written or queued.
    pub(crate) messages: u64,
    /// Messages that were queued.
    pub(crate) queued: u64,
    /// Messages that were dropped from the queue.
    pub(crate) dropped: u64,
}

impl Connection {
    pub(crate) fn new(
        begun: Begun,
        identity: Identity,
        request: ClientRequest,
        shard: Arc<ShardHandle>,
        mut wire: Wire,
    ) -> Self {
        let Begun { id, transport, stateful_reconnect } = begun;
        let mail = (transport != Transport::WebSockets).then(Box::default);
        let waker = AtomicWaker::new();
        let (errands, groups) = Default::default();
        wire.recovers_first = recovers_first(&request);
        let wire = Mutex::new(wire);
        Self {
            id,
            identity,
            items: Items::default(),
            transport,
            stateful_reconnect,
            request,
            shard,
            mail,
            wire,
            waker,
            errands,
            groups,
            phase: AtomicU8::new(Phase::Here as u8),
        }
    }

    /// A connection of nobody, to nowhere.
    #[cfg(test)]
    pub(crate) fn unconnected() -> Self {
        let begun = Begun {
            id: ConnectionId::random(),
            transport: Transport::WebSockets,
            stateful_reconnect: StatefulReconnect::Off,
        };
        let request = ClientRequest::from_fields("/", std::iter::empty());
        let wire = Wire::new(Link::Gone, Default::default(), Time::default());
        Self::new(begun, Identity::default(), request, Arc::default(), wire)
    }

    pub(crate) const fn id(&self) -> ConnectionId {
        self.id
    }

    /// What the client speaks; `None` before it has said so, and once it has been told goodbye.
    pub(crate) fn protocol(&self) -> Option<Protocol> {
        self.wire().speech.map(|speech| speech.protocol)
    }

    pub(crate) const fn framing(&self) -> Framing {
        match self.transport {
            Transport::WebSockets => Framing::WebSocket,
            Transport::ServerSentEvents => Framing::Events,
            Transport::LongPolling => Framing::Plain,
        }
    }

    /// Writes a batch, or queues what the socket does not take; for the shard.
    pub(crate) fn deliver(
        &self,
        batch: &mut Batch<'_>,
        now: Time,
        config: &HubConfig,
    ) -> Delivered {
        let mut wire = self.wire();
        let delivered = wire.deliver(batch, now, config);
        if delivered.queued > 0 || wire.is_asked() {
            self.wake();
        }
        self.make_room(wire);
        delivered
    }

    /// Writes messages of a channel with a history, or queues what the socket does not take; for the
    /// shard.
    pub(crate) fn deliver_run(
        &self,
        run: &mut Run<'_>,
        now: Time,
        config: &HubConfig,
    ) -> Delivered {
        let mut wire = self.wire();
        let (delivered, is_gap) = wire.deliver_run(run, now, config);
        if is_gap {
            self.shard.count_gap();
        }
        if delivered.queued > 0 || wire.is_asked() {
            self.wake();
        }
        self.make_room(wire);
        delivered
    }

    /// Takes that a channel with a history goes on behind this place; for the shard.
    pub(crate) fn mark(&self, scope: &Scope, cursor: Cursor, is_gap: bool) {
        let mut wire = self.wire();
        let is_told =
            wire.follows.as_mut().is_some_and(|follows| follows.handle_mark(scope, cursor, is_gap));
        if is_told {
            self.shard.count_gap();
            self.deliver_parcel(wire, &Parcel::gap(scope, cursor));
        }
    }

    /// Does a step of a recovery; for the shard.
    pub(crate) fn follow(&self, scope: &Scope, step: Step) {
        let mut wire = self.wire();
        // Whoever does not wait any more has taken everything back.
        match step {
            Step::Begin(most, tell) => {
                // What waits here counts as sent.
                wire.outgoing.keep_all();
                let begun = wire.follows.get_or_insert_default().begin(scope, most);
                let _ = tell.send(begun);
            }
            Step::Send(parcel, tell) => {
                self.deliver_parcel(wire, &parcel);
                let _ = tell.send(());
            }
            Step::Judge(at, tell) => {
                let _ = tell.send(wire.follows.get_or_insert_default().junction(scope, at));
            }
            Step::Release(span) => {
                let released = wire.follows.as_mut().and_then(|all| all.release(scope, span));
                if let Some(released) = released {
                    self.deliver_waited(wire, scope, &released);
                }
            }
            Step::GoOn => {
                let released = wire.follows.as_mut().and_then(|all| all.go_on(scope));
                match released {
                    // Its cursor is the one that it was told last.
                    Some((Released { frames, junction, .. }, _))
                        if frames.is_empty() && junction == Junction::Whole => {}
                    Some((released, Mode::Following)) => {
                        self.deliver_waited(wire, scope, &released)
                    }
                    Some((Released { frames, .. }, _)) if !frames.is_empty() => {
                        self.deliver_parcel(wire, &Parcel::plain(&frames));
                    }
                    _ => {}
                }
            }
            Step::Bring(Brought { parcel, at, is_gap }, tell) => {
                let follows = wire.follows.as_mut();
                let waits = follows.is_some_and(|all| all.bring(scope, at, is_gap));
                if let Some(parcel) = parcel.filter(|_| waits) {
                    if is_gap {
                        self.shard.count_gap();
                    }
                    self.deliver_parcel(wire, &parcel);
                }
                let _ = tell.send(());
            }
        }
    }

    /// Sends what has waited to a client that follows, and where it is then.
    fn deliver_waited(&self, mut wire: MutexGuard<'_, Wire>, scope: &Scope, waited: &Released) {
        if waited.junction == Junction::Hole {
            let known = waited.end.offset.saturating_sub(waited.frames.len() as u64);
            let lost = Cursor { offset: known, ..waited.end };
            wire.push_parcel(&Parcel::gap(scope, lost), usize::MAX);
            self.shard.count_gap();
        }
        self.deliver_parcel(wire, &Parcel::new(scope, &waited.frames, waited.end));
    }

    /// Forgets what was sent of a channel with a history; for the shard.
    pub(crate) fn unfollow(&self, scope: &Scope) {
        self.wire().follows.iter_mut().for_each(|follows| follows.forget(scope));
    }

    fn deliver_parcel(&self, mut wire: MutexGuard<'_, Wire>, parcel: &Parcel) {
        if !wire.push_parcel(parcel, usize::MAX) || !wire.write(clock::now()) {
            self.wake();
        }
        self.make_room(wire);
    }

    /// Writes a frame of the client's own, behind what waits; for the shard.
    pub(crate) fn deliver_own(&self, own: Own, now: Time) {
        let mut wire = self.wire();
        wire.push_own(own);
        if !wire.write(now) {
            self.wake();
        }
        self.make_room(wire);
    }

    /// Sends a frame of the client's own behind everything that was published before.
    pub(crate) fn send_own(self: &Arc<Self>, own: Own) {
        if self.shard.is_clear() {
            let mut wire = self.wire();
            wire.push_own(own);
            self.make_room(wire);
        } else {
            self.shard.post_own(Post::Own(Arc::clone(self), own));
        }
    }

    /// Sees to it that all sessions together keep no more than they may, holding no lock of one.
    fn make_room(&self, wire: MutexGuard<'_, Wire>) {
        let crowd = wire.crowd();
        drop(wire);
        crowd.into_iter().for_each(|keepers| keepers.make_room(self));
    }

    /// Keeps nothing any more for a client that comes back; gives whether something was kept.
    pub(crate) fn give_up(&self) -> bool {
        let has_given_up = self.wire().give_up();
        if has_given_up {
            tracing::debug!(connection = %self.id(), "can no longer be resumed");
            self.wake();
        }
        has_given_up
    }

    /// Has the connection end; for the shard.
    pub(crate) fn ask(&self, end: End) {
        let mut wire = self.wire();
        wire.ask(end);
        self.wake();
    }

    /// Whether the connection has been told to end.
    pub(crate) fn is_ending(&self) -> bool {
        let wire = self.wire();
        wire.is_asked() || wire.is_closed()
    }

    /// The client has come, and leave is to be taken of it.
    pub(crate) fn come(&self) {
        // Held as for joining.
        let groups = self.groups();
        self.shard.came(self.id(), self.identity.user.as_ref(), groups.all());
    }

    /// Joins a group, unless the connection is in as many as it may be.
    pub(crate) fn join(&self, group: GroupName, most: usize) -> Result<(), GroupError> {
        // Held while the shard is told, so that it hears of all in the order in which they happen.
        let mut groups = self.groups();
        if groups.add(&group, most)? {
            self.shard.join(self.id(), group);
        }
        Ok(())
    }

    /// Leaves a group.
    pub(crate) fn part(&self, group: GroupName) {
        let mut groups = self.groups();
        if groups.remove(&group) {
            self.shard.part(self.id(), group);
        }
    }

    /// Whether it is in a group.
    pub(crate) fn is_in(&self, group: &GroupName) -> bool {
        self.groups().has(group)
    }

    /// All groups that it is in.
    pub(crate) fn all_groups(&self) -> BTreeSet<GroupName> {
        self.groups().all().clone()
    }

    /// Leaves all groups; gives which they were.
    pub(crate) fn part_all(&self) -> Vec<GroupName> {
        let mut groups = self.groups();
        let all: Vec<_> = groups.take_all().collect();
        all.iter().for_each(|group| self.shard.part(self.id(), group.clone()));
        all
    }

    /// Leaves all groups for good; gives which they were.
    pub(crate) fn close_groups(&self) -> BTreeSet<GroupName> {
        self.groups().close()
    }

    fn groups(&self) -> MutexGuard<'_, Joined> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the session can move: it outlives its socket, and both ends count.
    pub(crate) fn is_movable(&self) -> bool {
        let wire = self.wire();
        wire.is_resumable() && wire.speech.is_some() && !wire.is_asked()
    }

    /// Numbers nothing any more; gives what another node is to go on with. For the shard.
    pub(crate) fn freeze(&self) -> Option<Still> {
        self.wire().freeze()
    }

    /// The session waits for its client, as it came here without.
    pub(crate) fn await_client(self: &Arc<Self>) {
        if let Some(kept) = self.wire().kept() {
            kept.wait(Arc::downgrade(self));
        }
    }

    /// Whether the client has yet to say how it speaks.
    pub(crate) fn is_shaking_hands(&self) -> bool {
        self.wire().pulse.watched() == Watch::Handshake
    }

    /// Does what the time asks for; for the shard.
    pub(crate) fn tick(&self, now: Time, config: &HubConfig) {
        let mut wire = self.wire();
        wire.acknowledge(now);
        match wire.pulse.due(now, config) {
            Due::Nothing => {}
            Due::Ping => wire.ping(now, self.transport),
            Due::End(end) => wire.ask(end),
        }
        if !wire.outgoing.is_empty() || wire.is_asked() {
            self.wake();
        }
    }

    pub(crate) fn wire(&self) -> MutexGuard<'_, Wire> {
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes all that waits, for who carries it away.
    pub(crate) fn carry(&self, now: Time) -> Option<Bytes> {
        let mut wire = self.wire();
        let taken = wire.outgoing.take_all()?;
        wire.pulse.sent(now, false);
        drop(wire);
        self.waker.wake();
        Some(taken)
    }

    /// What a visit carried away has not reached the client: it waits again, before everything else.
    pub(crate) fn take_back(&self, visit: Visit) {
        let Some(mail) = &self.mail else { return };
        let mut wire = self.wire();
        // Under the lock of the wire, so that a next visit finds it either here or there.
        let Some(bytes) = mail.take_back(visit) else { return };
        if !matches!(wire.link, Link::Gone) {
            wire.outgoing.put_back(bytes);
        }
        drop(wire);
        tracing::debug!(connection = %self.id(), "an answer to a poll was lost and is given again");
        self.wake();
    }

    /// Wakes the task, and whoever carries away what waits.
    pub(crate) fn wake(&self) {
        self.waker.wake();
        self.wake_carrier();
    }

    /// Wakes whoever carries away what waits.
    pub(crate) fn wake_carrier(&self) {
        if let Some(mail) = &self.mail {
            mail.wake_carrier();
        }
    }
}

/// Whether a client wants nothing of a channel with a history before it has recovered that.
pub(crate) fn recovers_first(request: &ClientRequest) -> bool {
    request.parameter(RECOVER).as_deref() == Some(RECOVER_FIRST)
}

/// With this parameter a client says how it recovers.
const RECOVER: &str = "recover";

/// It wants nothing of a channel with a history before it has recovered that.
const RECOVER_FIRST: &str = "first";
