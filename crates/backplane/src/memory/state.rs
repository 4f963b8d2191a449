//! What the nodes of a process share, behind one lock.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::channel::{Line, make_room};
use crate::{
    Channel, Counts, Fate, History, Incarnation, Item, Member, Membership, NodeId, Origin,
    Position, Publishing, Refusal, Start, Stretch, clock,
    health::Reach,
    history::{
        random_epoch,
        reel::{Reel, Reels},
    },
    log::fold::Logs,
    mailbox::Mailbox,
    member::Roll,
    question::Listener,
};

/// All nodes, channels and logs.
#[derive(Debug)]
pub(super) struct State {
    pub(super) peers: BTreeMap<NodeId, Peer>,
    pub(super) logs: Logs,
    reels: Reels,
    lines: HashMap<Channel, Line>,
    epoch: u64,
    /// The last entry of any channel.
    entry: u64,
    reach: Reach,
    /// What was published while the backplane was away, in order.
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
}

/// One node.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) incarnation: Incarnation,
    pub(super) roll: Roll,
    pub(super) listeners: HashMap<Channel, Listener>,
    pub(super) counts: Counts,
}

#[derive(Debug)]
struct Waiting {
    origin: Origin,
    channel: Channel,
    history: Option<History>,
    payload: Bytes,
    tell: oneshot::Sender<Fate>,
}

impl Default for State {
    fn default() -> Self {
        let reach = Reach::default();
        reach.set(true, clock::now().as_millis());
        Self {
            peers: BTreeMap::new(),
            logs: Logs::default(),
            reels: Reels::default(),
            lines: HashMap::new(),
            epoch: rand::random(),
            entry: 0,
            reach,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
        }
    }
}

impl State {
    pub(super) fn join(&mut self, member: Member) {
        let mut roll = Roll::default();
        for (&node, peer) in &mut self.peers {
            roll.change(Membership::Joined(Member { node, incarnation: peer.incarnation }));
            peer.roll.change(Membership::Joined(member));
        }
        roll.change(Membership::Joined(member));
        let peer = Peer {
            incarnation: member.incarnation,
            roll,
            listeners: HashMap::new(),
            counts: Counts::default(),
        };
        self.peers.insert(member.node, peer);
    }

    pub(super) fn leave(&mut self, node: NodeId) {
        let Some(peer) = self.remove(node) else { return };
        let left = Member { node, incarnation: peer.incarnation };
        self.peers.values_mut().for_each(|peer| peer.roll.change(Membership::Left(left)));
        self.inherit(&peer);
    }

    /// A node ended without its leave.
    pub(super) fn crash(&mut self, node: NodeId) {
        let Some(peer) = self.remove(node) else { return };
        self.expired(Member { node, incarnation: peer.incarnation });
        self.inherit(&peer);
    }

    /// A node is taken for dead, and lives.
    pub(super) fn mistake_for_dead(&mut self, node: NodeId) {
        let Some(peer) = self.peers.get_mut(&node) else { return };
        let old = Member { node, incarnation: peer.incarnation };
        peer.incarnation = peer.incarnation.next();
        let new = Member { node, incarnation: peer.incarnation };
        self.expired(old);
        self.peers.values_mut().for_each(|peer| peer.roll.change(Membership::Joined(new)));
    }

    pub(super) fn publish(
        &mut self,
        node: NodeId,
        channel: &Channel,
        history: Option<&History>,
        payload: Bytes,
    ) -> Publishing {
        let Some(peer) = self.peers.get_mut(&node) else {
            return Publishing::known(Fate::NotStored(Refusal::Left));
        };
        let member = Member { node, incarnation: peer.incarnation };
        if self.reach.is_reachable() {
            peer.counts.stored += 1;
            let origin = self.line(channel).next_number(member);
            let position = self.deliver(origin, channel, history, payload);
            return Publishing::known(Fate::Stored(position)).of(origin);
        }
        if self.waiting.len() >= WAITING_MAX
            || self.waiting_bytes + payload.len() > WAITING_BYTES_MAX
        {
            peer.counts.refused += 1;
            return Publishing::known(Fate::NotStored(Refusal::Full));
        }
        let (tell, publishing) = Publishing::waiting();
        self.waiting_bytes += payload.len();
        let origin = self.line(channel).next_number(member);
        let (channel, history) = (channel.clone(), history.cloned());
        self.waiting.push_back(Waiting { origin, channel, history, payload, tell });
        publishing.of(origin)
    }

    pub(super) fn subscribe(
        &mut self,
        node: NodeId,
        channel: &Channel,
        from: Start,
        mailbox: Arc<Mailbox<Item>>,
    ) {
        if !self.peers.contains_key(&node) {
            return mailbox.end();
        }
        mailbox.deliver(Item::Reachable(self.reach.is_reachable()));
        let epoch = self.epoch;
        self.line(channel).follow(node, from, epoch, mailbox);
    }

    pub(super) fn cut(&mut self) {
        self.reached(false);
    }

    pub(super) fn heal(&mut self) {
        self.reached(true);
        self.waiting_bytes = 0;
        for waiting in std::mem::take(&mut self.waiting) {
            let Waiting { origin, channel, history, payload, tell } = waiting;
            let position = self.deliver(origin, &channel, history.as_ref(), payload);
            if let Some(peer) = self.peers.get_mut(&origin.member.node) {
                peer.counts.stored += 1;
            }
            // Who published may not care.
            let _ = tell.send(Fate::Stored(position));
        }
    }

    pub(super) fn empty(&mut self) {
        self.epoch = rand::random();
        self.logs = Logs::default();
        self.reels = Reels::default();
        let entry = self.entry;
        self.lines.values_mut().for_each(|line| line.empty(entry));
    }

    pub(super) const fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(super) fn is_reachable(&self) -> bool {
        self.reach.is_reachable()
    }

    pub(super) fn reach_since(&self) -> Duration {
        self.reach.since(clock::now().as_millis())
    }

    fn reached(&mut self, reachable: bool) {
        if self.reach.set(reachable, clock::now().as_millis()) {
            let item = Item::Reachable(reachable);
            self.lines.values_mut().for_each(|line| line.tell(&item));
        }
    }

    /// Has what is published wait before a node, or be read again.
    pub(super) fn hold(&self, node: NodeId, is_held: bool) {
        self.lines.values().for_each(|line| line.hold(node, is_held));
    }

    /// A part of a history.
    pub(super) fn replay(&mut self, history: &History, after: u64, limit: usize) -> Stretch {
        let read = |reel: &mut Reel| reel.read(after, limit, &history.retention, clock::now());
        self.reels.with(&history.name, random_epoch(), read)
    }

    fn deliver(
        &mut self,
        origin: Origin,
        channel: &Channel,
        history: Option<&History>,
        payload: Bytes,
    ) -> Position {
        self.entry += 1;
        let position = Position { epoch: self.epoch, entry: (self.entry, 0) };
        let recorded = history.map(|History { name, retention }| {
            let record =
                |reel: &mut Reel| reel.push(origin, payload.clone(), retention, clock::now());
            self.reels.with(name, random_epoch(), record)
        });
        let line = self.line(channel);
        let receivers: Vec<NodeId> = line.deliver(origin, position, recorded, payload).collect();
        for node in receivers {
            if let Some(peer) = self.peers.get_mut(&node) {
                peer.counts.received += 1;
            }
        }
        position
    }

    fn line(&mut self, channel: &Channel) -> &mut Line {
        if !self.lines.contains_key(channel) {
            make_room(&mut self.lines);
        }
        let entry = self.entry;
        self.lines.entry(channel.clone()).or_insert_with(|| Line::new(entry.saturating_sub(1)))
    }

    fn remove(&mut self, node: NodeId) -> Option<Peer> {
        let peer = self.peers.remove(&node)?;
        self.lines.values_mut().for_each(|line| line.forget(node));
        self.waiting.retain(|waiting| waiting.origin.member.node != node);
        self.waiting_bytes = self.waiting.iter().map(|waiting| waiting.payload.len()).sum();
        Some(peer)
    }

    /// Tells everybody, and one to clean up.
    fn expired(&mut self, member: Member) {
        let mut to_clean = true;
        for (&node, peer) in &mut self.peers {
            let yours = to_clean && node != member.node;
            to_clean &= !yours;
            peer.roll.change(Membership::Expired { member, yours });
        }
    }

    /// Somebody else cleans up what a node that is gone had yet to.
    fn inherit(&mut self, gone: &Peer) {
        let Some(heir) = self.peers.values_mut().next() else { return };
        for member in gone.roll.dirty() {
            heir.roll.change(Membership::Expired { member, yours: true });
        }
    }
}

/// Messages that wait while the backplane is away.
const WAITING_MAX: usize = 8192;

/// Their bytes.
const WAITING_BYTES_MAX: usize = 16 << 20;
