//! The task that listens to other nodes: what they say, what they ask, and who of them is there.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use everwire_backplane::{
    Answer, Gap, Item, Member, Members, Membership, Message, Observer, Origin, Questions, Start,
    Subscription,
};
use everwire_proto::signalr::message::HubMessage;
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};

use super::{
    ANSWER_WITHIN, Counts, Fanout,
    envelope::{Envelope, read_call},
    ledger::Said,
    request::{Request, read_page, read_stays},
    serve::serve,
};
use crate::{
    audience::Audience,
    clock,
    estate::heir::inherit,
    frames::Frames,
    history::listen::{self, Reading},
    hub::{Hub, Inner},
    presence::Place,
    recipients::Recipients,
    shard::Post,
};

/// The task's own. It does not keep the hub alive.
#[derive(Debug)]
pub(crate) struct Exchange(pub(crate) Weak<Inner>);

struct Ears {
    heard: Subscription,
    questions: Questions,
    members: Members,
}

impl Exchange {
    /// Listens until the bus or the hub ends.
    pub(crate) async fn run(self) {
        let Some(mut ears) = self.begin() else { return };
        let mut work = JoinSet::new();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut takes_questions = true;
        let mut reading = Reading::default();
        loop {
            let takes = takes_questions && work.len() < WORK_MAX;
            tokio::select! {
                change = ears.members.next() => {
                    let (Some(hub), Some(change)) = (self.hub(), change) else { return };
                    attend(&hub, change, ears.members.observer(), &mut work);
                }
                item = ears.heard.next() => {
                    let (Some(hub), Some(item)) = (self.hub(), item) else { return };
                    hear(&hub, item, &mut work, &mut reading).await;
                }
                question = ears.questions.next(), if takes => {
                    let Some(hub) = self.hub() else { return };
                    takes_questions = question.is_some();
                    question.into_iter().for_each(|asked| drop(work.spawn(serve(hub.clone(), asked))));
                }
                Some(_) = work.join_next() => {}
                Some(read) = reading.next() => {
                    let Some(hub) = self.hub() else { return };
                    listen::hear_read(&hub, read, &mut reading).await;
                }
                _ = tick.tick() => {
                    let Some(hub) = self.hub() else { return };
                    look_after(&hub);
                    listen::tick(&hub, &mut reading).await;
                }
            }
            let Some(hub) = self.hub() else { return };
            read_on(&hub, &mut work);
        }
    }

    /// Begins to listen, and says so: the others tell what they have to tell then.
    fn begin(&self) -> Option<Ears> {
        let hub = self.hub()?;
        let Fanout { bus, channel, .. } = hub.fanout()?;
        let ears = Ears {
            heard: bus.subscribe(channel, Start::Now),
            questions: bus.questions(channel),
            members: bus.members(),
        };
        hub.standing().begin_learning(clock::now());
        stand(&hub, true);
        Some(ears)
    }

    fn hub(&self) -> Option<Hub> {
        self.0.upgrade().map(Hub::from_inner)
    }
}

/// Says how many changes of who is present were announced.
fn stand(hub: &Hub, is_new: bool) {
    if let (Some(fanout), Some(attendance)) = (hub.fanout(), hub.attendance()) {
        // What is refused is counted, and said again with the next tick.
        let _ = fanout.say(&Envelope::Standing { version: attendance.version(), is_new });
    }
}

async fn hear(hub: &Hub, item: Item, work: &mut JoinSet<()>, reading: &mut Reading) {
    match item {
        Item::Message(message) => hear_message(hub, message, reading).await,
        Item::Gap(gap) => {
            hear_gap(hub, gap, work);
            listen::doubt(hub, reading).await;
        }
        Item::Reachable(is_reachable) => {
            if is_reachable {
                listen::tick(hub, reading).await;
            }
            tracing::debug!(is_reachable, "what other nodes say can be heard, or not");
        }
    }
}

async fn hear_message(hub: &Hub, message: Message, reading: &mut Reading) {
    let Some(fanout) = hub.fanout() else { return };
    let origin = message.origin;
    let is_own = origin.member.node == fanout.bus.member().node;
    // What this node has said was told to its clients when it was said, but for what is recorded.
    if is_own && hub.histories().is_none() {
        return;
    }
    if !is_own {
        Counts::count(&fanout.counts.heard);
    }
    let envelope = Envelope::read(&message.payload);
    if let (Ok(Envelope::Call { audience, .. }), Some(histories)) = (&envelope, hub.histories())
        && let Some(scope) = histories.scope(audience)
    {
        return listen::hear(hub, scope, message, reading).await;
    }
    if is_own {
        return;
    }
    match envelope {
        Ok(Envelope::Call { audience, body }) => {
            return hear_call(hub, fanout, origin, audience, body).await;
        }
        Ok(Envelope::Membership { connection, group, joins }) => {
            let _order = fanout.in_order();
            let said = Said::Membership { connection, group: group.clone(), joins };
            fanout.note(origin, Some(&said));
            let Some(there) = hub.find(connection) else { return };
            if !joins {
                there.part(group);
            } else if let Err(error) = there.join(group, hub.config().groups_max) {
                tracing::warn!(%connection, %error, "is not added to a group as another node wants");
            }
            return;
        }
        Ok(Envelope::Mark) => {}
        Ok(Envelope::Dismissal { audience, reason }) => {
            // First, so that who comes meanwhile is meant too.
            fanout.note(origin, Some(&Said::Dismissal(Arc::new(audience.clone()))));
            if wanted(hub, fanout, &audience) {
                dismiss(hub, audience, reason.as_deref()).await;
            }
        }
        Ok(Envelope::Users(change)) => {
            if let Err(error) = hub.groups().follow(&change).await {
                tracing::warn!(%error, "a user's groups are not quite what another node wants");
            }
        }
        Ok(Envelope::Presence { version, place, is_there }) => {
            if let Some(attendance) = hub.attendance() {
                attendance.change_elsewhere(hub, origin.member, version, place, is_there);
            }
        }
        Ok(Envelope::Standing { version, is_new }) => {
            if let Some(attendance) = hub.attendance() {
                attendance.standing_elsewhere(origin.member, version);
            }
            if is_new {
                stand(hub, false);
            }
        }
        Err(error) => unreadable(fanout, origin.member, &error),
    }
    fanout.note(origin, None);
}

/// Tells clients what another node says to them. Where as much waits as may, this waits: what comes
/// meanwhile waits at the bus, which announces it when that is too much.
async fn hear_call(hub: &Hub, fanout: &Fanout, origin: Origin, audience: Audience, body: Bytes) {
    let (audience, mut body, mut frames) = (Arc::new(audience), Some(body), None);
    loop {
        {
            let _order = fanout.in_order();
            let is_wanted = wanted(hub, fanout, &audience);
            if !is_wanted && !fanout.ledger().has_taps() {
                return fanout.note(origin, None);
            }
            if let Some(body) = body.take() {
                frames = read_call(body).map(|(target, arguments)| {
                    Arc::new(Frames::new(HubMessage::call(target, arguments)))
                });
            }
            let Some(frames) = &frames else {
                unreadable(fanout, origin.member, &"it cannot be told to clients");
                return fanout.note(origin, None);
            };
            if deliver(hub, &audience, frames) {
                let said = Said::Call(Arc::clone(&audience), Arc::clone(frames));
                return fanout.note(origin, Some(&said));
            }
        }
        sleep(ROOM_AFTER).await;
    }
}

/// Whether somebody of the audience may be here.
fn wanted(hub: &Hub, fanout: &Fanout, audience: &Audience) -> bool {
    let is_wanted = hub.shards().iter().any(|shard| hub.may_reach(shard, audience));
    if !is_wanted {
        Counts::count(&fanout.counts.unwanted);
    }
    is_wanted
}

/// Posts to the shards that may have somebody, if there is room in all of them.
fn deliver(hub: &Hub, audience: &Arc<Audience>, frames: &Arc<Frames>) -> bool {
    let reached = || hub.shards().iter().filter(|shard| hub.may_reach(shard, audience));
    if !reached().all(|shard| shard.has_room(hub.config().inbox_max)) {
        return false;
    }
    for shard in reached() {
        shard.publish_all_the_same(
            Post::Send(Arc::clone(audience), Arc::clone(frames)),
            frames.charged(),
        );
    }
    true
}

/// Ends connections behind what other nodes have said before.
async fn dismiss(hub: &Hub, audience: Audience, reason: Option<&str>) {
    let these = Recipients::of(hub.clone(), audience);
    while these.end_here(reason).is_err() {
        sleep(ROOM_AFTER).await;
    }
}

fn unreadable(fanout: &Fanout, member: Member, why: &dyn std::fmt::Display) {
    Counts::count(&fanout.counts.unreadable);
    tracing::debug!(node = %member.node, channel = %fanout.channel, %why, "an envelope is dropped");
}

fn hear_gap(hub: &Hub, gap: Gap, work: &mut JoinSet<()>) {
    let Some(fanout) = hub.fanout() else { return };
    Counts::count(&fanout.counts.gaps);
    tracing::warn!(channel = %fanout.channel, ?gap, "messages of other nodes are lost");
    if let Gap::Lost { member, last, .. } = gap {
        fanout.note(Origin { member, sequence: last }, None);
    }
    if let Some(attendance) = hub.attendance() {
        let of = if let Gap::Lost { member, .. } = gap { Some(member) } else { None };
        attendance.gap(of);
    }
    if gap == Gap::Emptied {
        hub.estate().into_iter().for_each(|estate| estate.begin_anew());
    }
    hub.events().gap(hub, gap).into_iter().for_each(|told| drop(work.spawn(told)));
}

/// Takes note of who comes and goes.
fn attend(hub: &Hub, change: Membership, observer: Observer, work: &mut JoinSet<()>) {
    let Some(fanout) = hub.fanout() else { return };
    let own = fanout.bus.member().node;
    match change {
        Membership::Joined(member) if member.node == own => {}
        Membership::Joined(member) => {
            fanout.living().insert(member);
            if hub.standing().learns(clock::now()) {
                work.spawn(learn(hub.clone(), member));
            }
        }
        Membership::Left(member) => drop(part(hub, fanout, member)),
        // The others have forgotten this node, and hear of it as of a new one.
        Membership::Expired { member, .. } if member.node == own => {
            hub.estate().into_iter().for_each(|estate| estate.look_after());
            stand(hub, true);
        }
        Membership::Expired { member, yours } => {
            let names = part(hub, fanout, member);
            // Who listened too slowly is told once more.
            if yours && fanout.cleaning().insert(member) {
                clean_up(hub, fanout, member, names, observer, work);
            }
        }
        Membership::Reset => fanout.living().clear(),
    }
}

/// Tells the application what has gone with a node.
fn clean_up(
    hub: &Hub,
    fanout: &Fanout,
    member: Member,
    names: Vec<Place>,
    observer: Observer,
    work: &mut JoinSet<()>,
) {
    let told = hub.events().lost(hub, member.node, names);
    let estate = hub.estate().cloned();
    let (bus, weak) = (Arc::clone(&fanout.bus), hub.downgrade());
    work.spawn(async move {
        if let Some(told) = told {
            told.await;
        }
        if let Some(estate) = estate {
            inherit(weak.clone(), estate, member, bus.member()).await;
        }
        bus.cleaned(observer, member);
        if let Some(hub) = weak.upgrade().map(Hub::from_inner)
            && let Some(fanout) = hub.fanout()
        {
            fanout.cleaning().remove(&member);
        }
    });
}

fn part(hub: &Hub, fanout: &Fanout, member: Member) -> Vec<Place> {
    fanout.living().remove(&member);
    fanout.gone(member.node);
    tracing::info!(node = %member.node, channel = %fanout.channel, "another node is gone");
    hub.attendance().map(|attendance| attendance.node_gone(hub, member)).unwrap_or_default()
}

fn look_after(hub: &Hub) {
    hub.expire_waves();
    let (Some(fanout), Some(attendance)) = (hub.fanout(), hub.attendance()) else { return };
    let living = fanout.living().clone();
    // While the backplane is away nobody can be seen to live, and nobody is missed.
    let can_see = fanout.bus.health().reachable;
    attendance.tick(hub, can_see.then_some(&living));
    if !living.is_empty() && attendance.version() > 0 {
        stand(hub, false);
    }
}

/// Asks other nodes for what of their presence is to be read.
fn read_on(hub: &Hub, work: &mut JoinSet<()>) {
    let Some(attendance) = hub.attendance() else { return };
    while let Some((member, after)) = attendance.poll_ask() {
        let Some(fanout) = hub.fanout() else { return };
        let request = Request::Presence(after.clone()).write();
        let asking = fanout.ask(member.node, request, ANSWER_WITHIN);
        let hub = hub.clone();
        work.spawn(async move {
            let page = match asking.await {
                Answer::Reply(reply) => read_page(reply),
                _ => None,
            };
            if let Some(attendance) = hub.attendance() {
                attendance.page_elsewhere(&hub, member, after.as_ref(), page);
            }
        });
    }
}

/// Reads from a node which groups users are to be in, for a node that has not heard it being said.
async fn learn(hub: Hub, member: Member) {
    let mut after = None;
    loop {
        let Some(fanout) = hub.fanout() else { return };
        let request = Request::Stays(after.take()).write();
        let answer = fanout.ask(member.node, request, ANSWER_WITHIN).await;
        let page = if let Answer::Reply(reply) = answer { read_stays(reply) } else { None };
        let Some((stays, next)) = page else {
            return tracing::debug!(node = %member.node, "users' groups are not learnt from a node");
        };
        for stay in stays {
            hub.groups().learn(stay).await;
        }
        if next.is_none() {
            return;
        }
        after = next;
    }
}

/// How often nodes say how they stand, and what was not answered is asked again.
const TICK: Duration = Duration::from_secs(10);

/// Questions at work; further ones wait at the bus, which refuses them when those are too many.
const WORK_MAX: usize = 4096;

/// After which time a full shard is looked at again.
pub(crate) const ROOM_AFTER: Duration = Duration::from_millis(1);
