//! The state of one node, behind one lock, and what becomes of each entry it reads.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use everwire_proto::time::Time;
use tokio::sync::oneshot;

use super::{
    Shared,
    config::Config,
    inbox,
    line::{Found, Line},
};
use crate::{
    Answer, Channel, Fate, Gap, Item, Member, Membership, NodeId, PAYLOAD_MAX, Position, Question,
    Refusal, Start, clock,
    envelope::{Envelope, Kind},
    health::count,
    incoming::{Body, Incoming, Output},
    leases::Leases,
    mailbox::Mailbox,
    member::Roll,
    outgoing::{Bounds, Outgoing, Parcel, Stream},
    question::Listener,
};

/// The state.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) outgoing: Outgoing<Option<oneshot::Sender<Fate>>>,
    pub(super) lines: HashMap<Channel, Line>,
    /// Subscriptions that the reader has yet to begin.
    pub(super) opening: Vec<Opening>,
    /// The reader waits for the wrong streams.
    pub(super) wake_reader: bool,
    /// It is time to announce last numbers.
    pub(super) announce: bool,
    pub(super) inbox: Incoming,
    pub(super) inbox_cursor: (u64, u64),
    pub(super) listeners: HashMap<Channel, Listener>,
    pub(super) asked: HashMap<u64, Pending>,
    last_question: u64,
    pub(super) roll: Roll,
    pub(super) leases: Leases,
    /// Members after whom this node has cleaned up; the server is yet to be told.
    pub(super) to_tell_cleaned: Vec<Member>,
    pub(super) epoch: u64,
    pub(super) left: bool,
}

/// A subscription that is to begin.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) channel: Channel,
    pub(super) from: Start,
    pub(super) mailbox: Arc<Mailbox<Item>>,
}

/// Who waits for an answer.
#[derive(Debug)]
pub(super) enum Pending {
    User(oneshot::Sender<Answer>),
    /// A channel in which messages of this member are missing.
    Recall {
        channel: Channel,
        member: Member,
        asked: Time,
    },
}

impl Core {
    pub(super) fn new(member: Member, config: &Config) -> Self {
        let bounds =
            Bounds { entries_max: config.waiting_max, bytes_max: config.waiting_bytes_max };
        let mut roll = Roll::default();
        roll.change(Membership::Joined(member));
        let start = Position { epoch: 0, entry: (0, 0) };
        Self {
            outgoing: Outgoing::new(member, bounds),
            lines: HashMap::new(),
            opening: Vec::new(),
            wake_reader: false,
            announce: false,
            inbox: Incoming::new(start, 0, 0),
            inbox_cursor: (0, 0),
            listeners: HashMap::new(),
            asked: HashMap::new(),
            last_question: 0,
            roll,
            leases: Leases::new(config.lease, config.beat_interval() * 3),
            to_tell_cleaned: Vec::new(),
            epoch: 0,
            left: false,
        }
    }

    /// To all subscriptions.
    pub(super) fn tell(&mut self, item: &Item) {
        self.lines.values_mut().for_each(|line| line.followers.deliver(item));
    }

    /// Nothing comes any more, and nothing goes.
    pub(super) fn end(&mut self) {
        self.left = true;
        self.outgoing.end();
        self.lines.clear();
        self.opening.drain(..).for_each(|opening| opening.mailbox.end());
        self.listeners.clear();
        self.asked.clear();
        self.roll = Roll::default();
    }

    /// Which filling of the server this is. If it is another one, everybody learns that.
    pub(super) fn handle_epoch(&mut self, epoch: u64) {
        let before = std::mem::replace(&mut self.epoch, epoch);
        if before == epoch || before == 0 {
            return;
        }
        self.inbox_cursor = (0, 0);
        self.tell(&Item::Gap(Gap::Emptied));
        for line in self.lines.values_mut() {
            line.cursor = (0, 0);
            line.incoming.handle_emptied(Position { epoch, entry: (0, 0) });
        }
        // What was confirmed lately may have gone unread.
        self.outgoing.handle_forgotten();
    }
}

impl Shared {
    /// Asks another node; the number of the question.
    pub(super) fn question(
        &self,
        core: &mut Core,
        node: NodeId,
        topic: &str,
        payload: &[u8],
        pending: Pending,
    ) -> Result<u64, Refusal> {
        if core.asked.len() >= ASKED_MAX {
            return Err(Refusal::Full);
        }
        core.last_question += 1;
        let id = core.last_question;
        let question = inbox::question(id, topic, payload);
        self.send(core, parcel(node, Kind::Question, question), None)?;
        core.asked.insert(id, pending);
        Ok(id)
    }

    /// An entry of a channel.
    pub(super) fn handle_entry(
        &self,
        core: &mut Core,
        name: &Channel,
        Found { id, bytes, recorded }: Found,
    ) {
        let position = Position { epoch: core.epoch, entry: id };
        let Some(line) = core.lines.get_mut(name) else { return };
        line.cursor = id;
        match Envelope::decode(&bytes, PAYLOAD_MAX) {
            Ok(Envelope { origin, kind: Kind::Message, payload }) => {
                line.incoming.handle_message(origin, position, Body { payload, recorded });
            }
            Ok(Envelope { origin, kind: Kind::Announcement, .. }) => {
                line.incoming.handle_announcement(origin, position);
            }
            Ok(Envelope { origin, kind, .. }) => {
                count(&self.counters.foreign, 1);
                if kind.is_numbered() {
                    line.incoming.handle_unreadable(origin, position);
                }
            }
            Err(_) => return count(&self.counters.foreign, 1),
        }
        self.obey(core, name);
    }

    /// Does what came of a channel's entry.
    pub(super) fn obey(&self, core: &mut Core, name: &Channel) {
        let mut questions = Vec::new();
        let Some(line) = core.lines.get_mut(name) else { return };
        while let Some(output) = line.incoming.poll_output() {
            match output {
                Output::Deliver(message) => {
                    count(&self.counters.received, 1);
                    line.followers.deliver(&Item::Message(message));
                }
                Output::Duplicate => count(&self.counters.duplicates, 1),
                Output::Gap(gap) => {
                    if let Gap::Lost { first, last, .. } = gap {
                        count(&self.counters.lost, last - first + 1);
                    }
                    line.followers.deliver(&Item::Gap(gap));
                }
                Output::Ask { member, first, last } => questions.push((member, first, last)),
            }
        }
        for (member, first, last) in questions {
            self.recall(core, name, member, first, last);
        }
    }

    fn recall(&self, core: &mut Core, name: &Channel, member: Member, first: u64, last: u64) {
        let channel = name.clone();
        let missing =
            inbox::Missing { incarnation: member.incarnation, first, last, channel }.encode();
        let pending = Pending::Recall { channel: name.clone(), member, asked: clock::now() };
        if self.question(core, member.node, "", &missing, pending).is_err() {
            self.recalled(core, name, member, Vec::new());
        }
    }

    /// The publisher's answer, or its silence.
    pub(super) fn recalled(
        &self,
        core: &mut Core,
        name: &Channel,
        member: Member,
        messages: Vec<(u64, Bytes)>,
    ) {
        let Some(line) = core.lines.get_mut(name) else { return };
        count(&self.counters.recovered, messages.len() as u64);
        line.incoming.handle_recalled(member, messages);
        self.obey(core, name);
    }

    /// An entry of this node's inbox.
    pub(super) fn handle_inbox(self: &Arc<Self>, core: &mut Core, id: (u64, u64), entry: &Bytes) {
        core.inbox_cursor = id;
        let Ok(envelope) = Envelope::decode(entry, INBOX_ENTRY_MAX) else {
            return count(&self.counters.foreign, 1);
        };
        let (kind, member) = (envelope.kind, envelope.origin.member);
        if !kind.is_numbered() {
            return;
        }
        let position = Position { epoch: core.epoch, entry: id };
        core.inbox.handle_message(envelope.origin, position, envelope.payload.clone());
        let mut is_new = false;
        while let Some(output) = core.inbox.poll_output() {
            match output {
                // Only what comes right now is wanted: a question that is missing has timed out.
                Output::Ask { member, .. } => core.inbox.handle_recalled(member, []),
                Output::Deliver(_) => is_new = true,
                Output::Duplicate | Output::Gap(_) => {}
            }
        }
        match kind {
            Kind::Question if is_new => self.handle_question(core, member, envelope.payload),
            Kind::Answer if is_new => self.handle_answer(core, envelope.payload),
            _ => {}
        }
    }

    fn handle_question(self: &Arc<Self>, core: &mut Core, from: Member, payload: Bytes) {
        let Some(asked) = inbox::read_question(payload) else {
            return count(&self.counters.foreign, 1);
        };
        if asked.topic.is_empty() {
            return self.handle_missing(core, from, asked);
        }
        let (shared, id) = (Arc::clone(self), asked.id);
        let reply = move |reply: Option<Bytes>| {
            shared.answer(&mut shared.core(), from.node, id, reply.as_deref());
        };
        let topic = Channel::new(asked.topic).ok();
        let question = Question::new(from, asked.payload, reply);
        let refused = match topic.and_then(|topic| core.listeners.get(&topic)) {
            Some(listener) => listener.accept(question),
            None => Err(question),
        };
        if refused.is_err() {
            // Not through the question, which would lock what is locked here.
            self.answer(core, from.node, id, None);
        }
    }

    fn handle_missing(&self, core: &mut Core, from: Member, asked: inbox::Asked) {
        let Some(missing) = inbox::Missing::decode(asked.payload) else {
            return count(&self.counters.foreign, 1);
        };
        let member = Member { node: core.outgoing.member().node, incarnation: missing.incarnation };
        let sent = core.outgoing.recall(&missing.channel, member, missing.first, missing.last);
        let sent = sent.map(|sent| (sent.origin.sequence, &sent.payload));
        let messages = inbox::messages(sent, PAYLOAD_MAX + 12);
        self.answer(core, from.node, asked.id, Some(&messages));
    }

    fn answer(&self, core: &mut Core, node: NodeId, id: u64, reply: Option<&[u8]>) {
        let answer = inbox::answer(id, reply);
        // Who asked runs into its deadline if there is no room.
        let _ = self.send(core, parcel(node, Kind::Answer, answer), None);
    }

    fn handle_answer(&self, core: &mut Core, payload: Bytes) {
        let Some((id, reply)) = inbox::read_answer(payload) else {
            return count(&self.counters.foreign, 1);
        };
        match core.asked.remove(&id) {
            Some(Pending::User(tell)) => {
                // Who asked may have stopped waiting.
                let _ = tell.send(reply.map_or(Answer::NotTaken, Answer::Reply));
            }
            Some(Pending::Recall { channel, member, .. }) => {
                let messages = inbox::read_messages(reply.unwrap_or_default());
                self.recalled(core, &channel, member, messages);
            }
            None => {}
        }
    }
}

/// What goes into one node's inbox.
const fn parcel(node: NodeId, kind: Kind, payload: Bytes) -> Parcel {
    Parcel { stream: Stream::Inbox(node), kind, payload, history: None }
}

/// Questions that this node waits for.
const ASKED_MAX: usize = 65_536;

/// Bytes of an entry in an inbox: the largest payload, and what stands before it.
const INBOX_ENTRY_MAX: usize = PAYLOAD_MAX + 1024;
