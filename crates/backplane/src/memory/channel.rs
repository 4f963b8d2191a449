//! One channel within a process: who follows it, and what was published lately.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use crate::subscription::Followers;
use crate::{Channel, Cursor, Gap, Item, Member, Message, NodeId, Origin, Position, Start};

/// A channel's followers by node, its numbers, and its latest messages.
#[derive(Debug)]
pub(super) struct Line {
    followers: HashMap<NodeId, Followers>,
    numbers: HashMap<Member, u64>,
    recent: VecDeque<Message>,
    recent_bytes: usize,
    /// The last entry that is not in `recent` any more.
    trimmed: u64,
}

impl Line {
    /// A channel in which everything up to this entry is gone.
    pub(super) fn new(trimmed: u64) -> Self {
        Self {
            followers: HashMap::new(),
            numbers: HashMap::new(),
            recent: VecDeque::new(),
            recent_bytes: 0,
            trimmed,
        }
    }

    /// The number of this member's next message here.
    pub(super) fn next_number(&mut self, member: Member) -> Origin {
        let sequence = self.numbers.entry(member).or_default();
        *sequence += 1;
        Origin { member, sequence: *sequence }
    }

    /// Delivers to all followers; the nodes that had any.
    pub(super) fn deliver(
        &mut self,
        origin: Origin,
        position: Position,
        recorded: Option<Cursor>,
        payload: Bytes,
    ) -> impl Iterator<Item = NodeId> {
        let message = Message { origin, position, recorded, payload };
        self.tell(&Item::Message(message.clone()));
        self.recent_bytes += message.payload.len();
        self.recent.push_back(message);
        while self.recent.len() > RECENT_MAX || self.recent_bytes > RECENT_BYTES_MAX {
            let Some(oldest) = self.recent.pop_front() else { break };
            self.recent_bytes -= oldest.payload.len();
            self.trimmed = oldest.position.entry.0;
        }
        self.followers.keys().copied()
    }

    /// To all followers.
    pub(super) fn tell(&mut self, item: &Item) {
        self.followers.values_mut().for_each(|followers| followers.deliver(item));
        self.followers.retain(|_, followers| !followers.is_empty());
    }

    /// One more follower, and what it has missed.
    pub(super) fn follow(
        &mut self,
        node: NodeId,
        from: Start,
        epoch: u64,
        mailbox: std::sync::Arc<crate::mailbox::Mailbox<Item>>,
    ) {
        if let Start::After(position) = from {
            if position.epoch != epoch {
                mailbox.deliver(Item::Gap(Gap::Emptied));
            } else if position.entry.0 < self.trimmed {
                mailbox.deliver(Item::Gap(Gap::Trimmed));
            }
            let missed = |message: &&Message| {
                position.epoch != epoch || message.position.entry > position.entry
            };
            for message in self.recent.iter().filter(missed) {
                mailbox.deliver(Item::Message(message.clone()));
            }
        }
        self.followers.entry(node).or_default().add(mailbox);
    }

    /// Forgets all messages; positions up to this entry mean nothing any more.
    pub(super) fn empty(&mut self, trimmed: u64) {
        self.recent.clear();
        self.recent_bytes = 0;
        self.trimmed = trimmed;
        self.tell(&Item::Gap(Gap::Emptied));
    }

    /// Has what comes wait before a node, or be read again.
    pub(super) fn hold(&self, node: NodeId, is_held: bool) {
        self.followers.get(&node).into_iter().for_each(|followers| followers.hold(is_held));
    }

    /// A node is gone.
    pub(super) fn forget(&mut self, node: NodeId) {
        self.followers.remove(&node);
        self.numbers.retain(|member, _| member.node != node);
    }

    /// Whether nobody follows it.
    pub(super) fn is_idle(&mut self) -> bool {
        self.followers.values_mut().all(Followers::is_empty)
    }
}

/// Drops a channel that nobody follows, if there are too many.
pub(super) fn make_room(lines: &mut HashMap<Channel, Line>) {
    if lines.len() < CHANNELS_MAX {
        return;
    }
    let idle = lines.iter_mut().find_map(|(name, line)| line.is_idle().then(|| name.clone()));
    if let Some(idle) = idle {
        lines.remove(&idle);
    }
}

/// Messages of one channel that can be read again.
const RECENT_MAX: usize = 8192;

/// Their bytes.
const RECENT_BYTES_MAX: usize = 8 << 20;

/// Channels whose messages are kept though nobody may follow them. Followed ones are not limited
/// here: their followers are held by somebody.
const CHANNELS_MAX: usize = 1024;
