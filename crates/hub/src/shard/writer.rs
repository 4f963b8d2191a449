//! The one task of a shard: it does what is posted and looks after its connections once a second.

use std::{sync::Arc, time::Duration};

use everwire_backplane::Cursor;
use everwire_proto::time::Time;
use tokio::{
    task::yield_now,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{Post, ShardHandle, Tidies};
use crate::{
    audience::Audience,
    clock,
    cluster::review::review,
    config::HubConfig,
    connection::{Connection, Delivered, batch::Batch},
    end::End,
    frames::Frames,
    history::{self, run::Run},
    id::{ConnectionId, GroupName},
    presence::Scope,
    registry::{Registry, Seat},
    replies::Survey,
    treatment::Treatment,
};

/// The task's own.
pub(super) struct Writer {
    handle: Arc<ShardHandle>,
    config: Arc<HubConfig>,
    tidies: Option<Tidies>,
    registry: Registry<Arc<Connection>>,
    /// Memory that is used again for every batch.
    posts: Vec<Post>,
    seats: Vec<Seat>,
    messages: Vec<Arc<Frames>>,
    /// Writes since other tasks of the thread had their turn.
    writes: usize,
}

impl Writer {
    pub(super) fn new(
        handle: Arc<ShardHandle>,
        config: Arc<HubConfig>,
        tidies: Option<Tidies>,
    ) -> Self {
        Self {
            handle,
            config,
            tidies,
            registry: Registry::new(),
            posts: Vec::new(),
            seats: Vec::new(),
            messages: Vec::new(),
            writes: 0,
        }
    }

    /// What is posted goes first: a tick that is late does no harm.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.handle.wake.notified() => self.drain().await,
                _ = tick.tick() => self.tick(),
            }
        }
        self.stop().await;
    }

    /// Does everything that has been posted, and what comes meanwhile.
    async fn drain(&mut self) {
        while self.handle.take(&mut self.posts) {
            let mut posts = std::mem::take(&mut self.posts);
            let mut rest = posts.drain(..).peekable();
            while let Some(post) = rest.next() {
                let (audience, frames) = match post {
                    Post::Send(audience, frames) => (audience, frames),
                    Post::Recorded(scope, first, frames) => {
                        self.messages.push(frames);
                        while self.messages.len() < BATCH_MAX
                            && let Some(Post::Recorded(_, _, frames)) = rest.next_if(|next| {
                                is_next(next, &scope, first.plus(self.messages.len() as u64))
                            })
                        {
                            self.messages.push(frames);
                        }
                        self.send_recorded(&scope, first).await;
                        continue;
                    }
                    Post::Survey(audience, survey) => {
                        self.ask(&audience, survey).await;
                        continue;
                    }
                    post => {
                        self.apply(post);
                        continue;
                    }
                };
                self.messages.push(frames);
                while self.messages.len() < BATCH_MAX
                    && let Some(Post::Send(_, frames)) =
                        rest.next_if(|next| is_for(next, &audience))
                {
                    self.messages.push(frames);
                }
                self.send(&audience).await;
            }
            drop(rest);
            self.posts = posts;
        }
    }

    fn apply(&mut self, post: Post) {
        match post {
            Post::Arrive(connection) => {
                let (id, user) = (connection.id(), connection.identity.user.clone());
                self.registry.arrive(id, user, connection);
            }
            Post::Leave(id) => self.registry.leave(id),
            Post::Join(id, group) => self.registry.join(id, &group),
            Post::Part(id, group) => self.part(id, &group),
            Post::Mark(scope, cursor, is_gap) => self.mark(&scope, cursor, is_gap),
            Post::Follow(connection, scope, step) => connection.follow(&scope, step),
            Post::Own(connection, own) => connection.deliver_own(own, clock::now()),
            Post::Ask(connection, question) => connection.put_question(question),
            Post::Look(look) => look.answer(&self.registry, &mut self.seats),
            Post::Handle(audience, treatment) => self.handle(&audience, &treatment),
            Post::Call(roll, answer) => {
                self.registry.resolve(&roll.audience, &mut self.seats);
                let there = self.seats.iter().filter_map(|seat| self.registry.entry(*seat));
                // Nobody hears it who does not wait any more.
                let _ = answer.send(roll.called(there));
            }
            Post::End(connection, end) => connection.ask(end),
            // Nobody hears it who does not wait any more.
            Post::Freeze(connection, tell) => drop(tell.send(connection.freeze())),
            Post::Send(..) | Post::Recorded(..) | Post::Survey(..) => {}
        }
    }

    /// Writes the messages at hand to each of the audience, in one write each.
    async fn send(&mut self, audience: &Audience) {
        self.registry.resolve(audience, &mut self.seats);
        let mut batch = Batch::new(&self.messages);
        let now = clock::now();
        let mut all = Delivered::default();
        for seats in self.seats.chunks(TURN) {
            for connection in seats.iter().filter_map(|seat| self.registry.member(*seat)) {
                all += connection.deliver(&mut batch, now, &self.config);
            }
            Self::rest(&mut self.writes, seats.len()).await;
        }
        self.handle.count(all);
        self.messages.clear();
    }

    /// Writes messages of a channel with a history to each of its members, as far as they are new to
    /// it, and with its cursor to each that follows.
    async fn send_recorded(&mut self, scope: &Scope, first: Cursor) {
        self.registry.resolve(&history::audience(scope), &mut self.seats);
        let mut run = Run::new(scope, first, &self.messages);
        let now = clock::now();
        let mut all = Delivered::default();
        for seats in self.seats.chunks(TURN) {
            for connection in seats.iter().filter_map(|seat| self.registry.member(*seat)) {
                all += connection.deliver_run(&mut run, now, &self.config);
            }
            Self::rest(&mut self.writes, seats.len()).await;
        }
        self.handle.count(all);
        self.messages.clear();
    }

    /// Tells the members of a channel with a history where it goes on.
    fn mark(&mut self, scope: &Scope, cursor: Cursor, is_gap: bool) {
        self.registry.resolve(&history::audience(scope), &mut self.seats);
        for connection in self.seats.iter().filter_map(|seat| self.registry.member(*seat)) {
            connection.mark(scope, cursor, is_gap);
        }
    }

    fn part(&mut self, id: ConnectionId, group: &GroupName) {
        if let Some(connection) = self.registry.find(id) {
            connection.unfollow(&Scope::Group(group.clone()));
        }
        self.registry.part(id, group);
    }

    /// Has each of the audience asked that has shaken hands.
    async fn ask(&mut self, audience: &Audience, survey: Survey) {
        if !survey.is_wanted() {
            return;
        }
        self.registry.resolve(audience, &mut self.seats);
        let mut awaited = Vec::new();
        for seats in self.seats.chunks(TURN) {
            let members = seats.iter().filter_map(|seat| self.registry.member(*seat));
            let listening = members.filter(|member| member.protocol().is_some());
            awaited.extend(listening.map(|connection| survey.ask(connection)));
            Self::rest(&mut self.writes, seats.len()).await;
        }
        survey.tell(awaited);
    }

    /// Lets the other tasks of the thread have a turn after so many more writes, if it is time.
    async fn rest(writes: &mut usize, more: usize) {
        *writes += more;
        if *writes >= TURN {
            *writes = 0;
            yield_now().await;
        }
    }

    /// Does something with each of an audience.
    fn handle(&mut self, audience: &Audience, treatment: &Treatment) {
        self.registry.resolve(audience, &mut self.seats);
        for connection in self.seats.iter().filter_map(|seat| self.registry.member(*seat)) {
            match treatment {
                Treatment::Part(group) => connection.part(group.clone()),
                Treatment::End(end) => connection.ask(end.clone()),
            }
        }
    }

    fn tick(&mut self) {
        let now = clock::now();
        for connection in self.registry.members() {
            connection.tick(now, &self.config);
        }
        self.tidies.iter_mut().for_each(|tidies| tidies.tidy(now));
    }

    /// Tells every client that the hub stops, and waits until all have gone.
    async fn stop(mut self) {
        self.handle.tasks.close();
        let gone = self.handle.tasks.clone();
        let mut tick = interval(TICK);
        loop {
            self.drain().await;
            for connection in self.registry.members() {
                connection.ask(End::Stopping);
            }
            tokio::select! {
                () = gone.wait() => return,
                () = self.handle.wake.notified() => {}
                _ = tick.tick() => self.tick(),
            }
        }
    }
}

impl Tidies {
    fn tidy(&mut self, now: Time) {
        let Self { directory, standing, mesh, reviews } = self;
        standing.sweep(now);
        while reviews.try_join_next().is_some() {}
        directory.sweep(now);
        if let Some(mesh) = mesh {
            for (node, ids) in directory.to_review(now) {
                reviews.spawn(review(Arc::clone(directory), Arc::clone(mesh), node, ids));
            }
        }
    }
}

impl std::ops::AddAssign for Delivered {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.queued += other.queued;
        self.dropped += other.dropped;
    }
}

fn is_next(post: &Post, scope: &Scope, cursor: Cursor) -> bool {
    matches!(post, Post::Recorded(there, at, _) if there == scope && *at == cursor)
}

fn is_for(post: &Post, audience: &Arc<Audience>) -> bool {
    matches!(post, Post::Send(there, _) if there == audience)
}

/// How late a ping or the end of a silent client may be.
const TICK: Duration = Duration::from_secs(1);

/// Messages of one write: more do not make it cheaper, and the system takes at most 1,024.
const BATCH_MAX: usize = 64;

/// Writes after which the other tasks of the thread have a turn: about a millisecond's worth.
const TURN: usize = 1024;
