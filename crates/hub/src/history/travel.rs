//! Sessions that move take their places in channels with a history along: how they leave one node,
//! and go on at the next; the story is in [`crate::moving`].
//!
//! What a channel is sent has one order everywhere, so a session's place in it is one cursor. The node
//! that it leaves says the cursor behind the last message that it told the session. The next node may
//! be ahead of that or behind: if it is behind, what comes here up to the cursor is left out for this
//! session; if it is ahead, what lies between is read from the history, and what comes meanwhile
//! waits. Either way a client that follows is told its cursors as before, and that something is lost
//! if the history does not have it any more.
//!
//! A session that has been sent nothing of a channel is where its node is. A node knows that once a
//! message has come. Until then it is at the end of the history, provided that this node has heard what
//! was recorded before that end was read: it is read before the successor begins to keep, and the
//! sessions stop when what the successor said then has been heard.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use everwire_backplane::{Cursor, Stretch};
use futures_util::{StreamExt, future::join_all, stream};
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use super::{
    Histories,
    follow::{Followed, Junction, Mode, Span},
    line::Told,
    listen::read_frames,
    recover::{Brought, Step, chunks},
    replay,
    run::Parcel,
};
use crate::{
    connection::Connection, hub::Hub, id::GroupName, presence::Scope, shard::Post,
    shard::ShardHandle,
};

/// Has this node know where the channels of some sessions are; gives those of which it does.
pub(crate) async fn look_up(hub: &Hub, sessions: &[Arc<Connection>]) -> HashSet<Scope> {
    let Some(histories) = hub.histories() else { return HashSet::new() };
    let channels = |session: &Arc<Connection>| histories.channels(&session.all_groups());
    let all: HashSet<Scope> = sessions.iter().flat_map(channels).collect();
    let (known, unknown): (HashSet<_>, HashSet<_>) = {
        let lines = histories.lines();
        let is_known = |scope: &Scope| lines.get(scope).is_some_and(|line| line.told().is_some());
        all.into_iter().partition(is_known)
    };
    let found = stream::iter(unknown).map(|scope| async move {
        let end = read(hub, &scope, u64::MAX - 1).await?.end();
        histories.want(&scope, end);
        Some(scope)
    });
    let found = found.buffer_unordered(READS_MAX).filter_map(async |scope| scope);
    let found = found.take_until(sleep(LOOK_UP_MAX));
    known.into_iter().chain(found.collect::<Vec<_>>().await).collect()
}

impl Histories {
    /// The channels with a history that a member of these groups is in.
    fn channels(&self, groups: &BTreeSet<GroupName>) -> Vec<Scope> {
        let groups = groups.iter().cloned().map(Scope::Group);
        let all = std::iter::once(Scope::Hub).chain(groups);
        all.filter(|scope| self.config.retention(scope).is_some()).collect()
    }

    /// Completes what a session followed when it stopped by the channels that it was sent nothing of,
    /// as long as nothing is handed out; `None` if it is not known where one of them is. `looked_up`
    /// are those whose end was read in time.
    pub(crate) fn complete(
        &self,
        mut follows: Vec<Followed>,
        groups: &BTreeSet<GroupName>,
        looked_up: &HashSet<Scope>,
    ) -> Option<Vec<Followed>> {
        let there: HashSet<Scope> = follows.iter().map(|one| one.scope.clone()).collect();
        let others = self.channels(groups).into_iter().filter(|scope| !there.contains(scope));
        for scope in others {
            let at = match self.lines().get(&scope)?.told()? {
                Told::UpTo(cursor) => cursor,
                Told::Nothing(cursor) if looked_up.contains(&scope) => cursor,
                Told::Nothing(_) => return None,
            };
            follows.push(Followed { scope, span: Span { since: at, at }, mode: Mode::Live });
        }
        Some(follows)
    }

    /// Whether all these channels have a history here.
    pub(crate) fn know(&self, follows: &[Followed]) -> bool {
        follows.iter().all(|followed| self.config.retention(&followed.scope).is_some())
    }

    /// Whether these are all channels with a history that a member of some groups is in.
    pub(crate) fn are_all(&self, follows: &[Followed], groups: &BTreeSet<GroupName>) -> bool {
        let there: HashSet<&Scope> = follows.iter().map(|one| &one.scope).collect();
        self.channels(groups).iter().all(|scope| there.contains(scope))
    }

    /// Whether what comes next here is next for a session that is at this place, or is what it has
    /// already; as long as nothing is handed out.
    pub(crate) fn is_next(&self, Followed { scope, span, .. }: &Followed) -> bool {
        let lines = self.lines();
        let Some(Told::UpTo(here)) = lines.get(scope).and_then(|line| line.told()) else {
            return false;
        };
        here.epoch == span.at.epoch && here.offset <= span.at.offset
    }
}

/// Sessions that come and have missed something, those together that are at the same place.
#[derive(Debug, Default)]
pub(crate) struct Arrivals(HashMap<(Scope, Cursor, Mode), Vec<Arc<Connection>>>);

impl Arrivals {
    /// A session that [waits](super::follow::Follows::arrive) to be sent what it has missed of a channel.
    pub(crate) fn add(&mut self, followed: Followed, session: &Arc<Connection>) {
        let Followed { scope, span, mode } = followed;
        self.0.entry((scope, span.at, mode)).or_default().push(Arc::clone(session));
    }

    /// Has them go on.
    pub(crate) fn start(self, hub: &Hub, shard: &ShardHandle) {
        for ((scope, at, mode), sessions) in self.0 {
            let arrival = Arrival { hub: hub.clone(), scope, at, mode, sessions };
            shard.tasks.spawn(arrival.run());
        }
    }
}

/// Sessions that are at one place of a channel.
struct Arrival {
    hub: Hub,
    scope: Scope,
    at: Cursor,
    mode: Mode,
    sessions: Vec<Arc<Connection>>,
}

impl Arrival {
    /// Until each is sent what comes here.
    async fn run(mut self) {
        let mut rounds = 0;
        while !self.sessions.is_empty() {
            let Some(stretch) = read(&self.hub, &self.scope, self.at.offset).await else {
                sleep(AGAIN_AFTER).await;
                self.let_go(|junction| junction == Junction::Gone).await;
                continue;
            };
            rounds += 1;
            if self.bring(stretch).await {
                let is_last = rounds >= ROUNDS_MAX;
                self.let_go(|junction| is_last || junction != Junction::Hole).await;
            }
        }
    }

    /// Sends all what was read; gives whether that is all there is.
    async fn bring(&mut self, stretch: Stretch) -> bool {
        let (end, before) = (stretch.end(), self.at);
        if let Some(histories) = self.hub.histories() {
            histories.want(&self.scope, end);
        }
        if !stretch.continues(before) {
            self.lose(end).await;
            return true;
        }
        let new = stretch.entries.into_iter().filter(|entry| entry.offset > before.offset);
        for chunk in chunks(new) {
            let messages: Vec<_> =
                chunk.iter().filter_map(|entry| read_frames(&entry.payload)).collect();
            self.at.offset = chunk.last().map_or(self.at.offset, |last| last.offset);
            let parcel = match self.mode {
                Mode::Following => Some(Parcel::new(&self.scope, &messages, self.at)),
                Mode::Live | Mode::Torn => (!messages.is_empty()).then(|| Parcel::plain(&messages)),
            };
            self.sessions.iter().for_each(|one| one.shard.count_replayed(messages.len()));
            self.send(&Brought { parcel, at: self.at, is_gap: false }).await;
        }
        if self.at == before && self.at < end {
            // It says that it has what it does not give.
            self.lose(end).await;
        }
        self.at >= end
    }

    /// Has all know that what lies before this place is lost.
    async fn lose(&mut self, at: Cursor) {
        tracing::warn!(scope = ?self.scope, %at, "messages of sessions that have come are lost");
        self.at = at;
        let is_told = self.mode == Mode::Following;
        let parcel = is_told.then(|| Parcel::gap(&self.scope, at));
        self.send(&Brought { parcel, at, is_gap: true }).await;
    }

    /// Sends something to all, and waits until that is on its way.
    async fn send(&self, brought: &Brought) {
        let all = self.sessions.iter().map(|session| {
            let (tell, told) = oneshot::channel();
            self.post(session, Step::Bring(brought.clone(), tell));
            told
        });
        // One whose shard has ended has gone.
        join_all(all).await;
    }

    /// Lets those go on of which this holds, by where what waits for them begins.
    async fn let_go(&mut self, goes: impl Fn(Junction) -> bool) {
        let judged = join_all(self.sessions.iter().map(|session| {
            let (tell, told) = oneshot::channel();
            self.post(session, Step::Judge(self.at, tell));
            told
        }));
        let mut judged = judged.await.into_iter();
        let mut is_done =
            |_: &mut _| goes(judged.next().and_then(Result::ok).unwrap_or(Junction::Gone));
        let done: Vec<_> = self.sessions.extract_if(.., |session| is_done(session)).collect();
        done.iter().for_each(|session| self.post(session, Step::GoOn));
    }

    fn post(&self, session: &Arc<Connection>, step: Step) {
        session.shard.post(Post::Follow(Arc::clone(session), self.scope.clone(), step));
    }
}

/// A part of a channel's history, if it can be read.
async fn read(hub: &Hub, scope: &Scope, after: u64) -> Option<Stretch> {
    let history = hub.histories()?.history(scope)?;
    let reading = replay(hub.fanout()?.bus(), &history, after);
    timeout(READ_WITHIN, reading).await.ok()?.ok()
}

/// Histories that are read at once.
const READS_MAX: usize = 16;

/// How long one reading may take.
const READ_WITHIN: Duration = Duration::from_secs(5);

/// How long it may take to read where all channels of a wave are: sessions in the others stay.
const LOOK_UP_MAX: Duration = Duration::from_secs(2);

/// How long after a failure a history is read again. Sessions wait meanwhile, as all do who follow it.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How often a history is read on while its channel is so busy that what comes cannot wait. What is
/// then missing all the same is announced as a gap.
const ROUNDS_MAX: u32 = 100;
