//! `Recover(channel, cursor)`: a client is sent what it missed, and follows the channel from then on.
//!
//! What comes meanwhile waits at the connection. The history is read until what waits goes on where
//! the reading ends; then the call is answered, and what has waited follows its answer.

use std::{collections::VecDeque, sync::Arc};

use everwire_backplane::{Cursor, Recorded, Stretch};
use everwire_proto::signalr::payload::Payload;
use serde::Serialize;
use tokio::sync::oneshot;

use super::{
    Histories,
    follow::{Junction, Span, Unfollowable},
    listen::read_frames,
    plan::{Plan, plan},
    replay,
    run::{Parcel, Told},
};
use crate::{
    error::HubError,
    frames::Frames,
    id::GroupName,
    method::{Context, Opaque, Untouched},
    presence::Scope,
    shard::Post,
};

/// What clients call.
pub(crate) const METHOD: &str = "Recover";

/// One step of it, done by the connection's shard in the order of everything else.
#[derive(Debug)]
pub(crate) enum Step {
    /// What comes waits from now on. Tells what was sent before.
    Begin(usize, oneshot::Sender<Result<Option<Span>, Unfollowable>>),
    /// The client is sent something, and the sender is told when that waits for it.
    Send(Parcel, oneshot::Sender<()>),
    /// Does what waits go on behind this?
    Judge(Cursor, oneshot::Sender<Junction>),
    /// What has waited goes to the client, and what comes too.
    Release(Span),
    /// What comes goes on as before, behind what has waited.
    GoOn,
    /// A session that came from another node is sent what it has missed up to a place, or that this is
    /// lost; the sender is told when that waits for it.
    Bring(Brought, oneshot::Sender<()>),
}

/// What a session that has come is sent of a channel.
#[derive(Debug, Clone)]
pub(crate) struct Brought {
    /// Nothing if the client is not to be told of it.
    pub(crate) parcel: Option<Parcel>,
    /// The place behind it.
    pub(crate) at: Cursor,
    /// Whether messages before that are lost.
    pub(crate) is_gap: bool,
}

/// What the client is answered.
#[derive(Debug, Serialize)]
struct Answer {
    recovered: bool,
    cursor: Told,
}

/// A recovery at work. Dropped before its end, it leaves everything as it was.
struct Recovery<'a> {
    cx: &'a Context,
    scope: Scope,
    is_over: bool,
}

/// The method.
pub(crate) async fn recover(cx: Context, all: Untouched) -> Result<Opaque, HubError> {
    let mut arguments = all.0.iter();
    let scope = read_scope(arguments.next())?;
    let cursor = read_cursor(arguments.next())?;
    let answer = Recovery::begin(&cx, scope).await?.run(cursor).await?;
    Ok(Opaque(Payload::encode_all(&answer)?))
}

impl<'a> Recovery<'a> {
    /// Has what comes wait.
    async fn begin(cx: &'a Context, scope: Scope) -> Result<Started<'a>, HubError> {
        let histories =
            cx.hub().histories().ok_or_else(|| HubError::new("There is no history."))?;
        if histories.history(&scope).is_none() {
            return Err(HubError::new("This channel keeps no history."));
        }
        if let Scope::Group(group) = &scope
            && !cx.connection().is_in(group)
        {
            return Err(HubError::new("You are no member of this group."));
        }
        let (tell, told) = oneshot::channel();
        let mut recovery = Self { cx, scope, is_over: false };
        recovery.post(Step::Begin(histories.config.follows_max, tell));
        match told.await.map_err(|_| gone())? {
            Ok(sent) => Ok(Started { recovery, histories, sent }),
            Err(error) => {
                // Nothing has begun that would have to be taken back.
                recovery.is_over = true;
                Err(HubError::new(error.to_string()))
            }
        }
    }

    fn post(&self, step: Step) {
        self.cx.connection().shard.post(self.to_post(step));
    }

    fn to_post(&self, step: Step) -> Post {
        Post::Follow(Arc::clone(self.cx.connection()), self.scope.clone(), step)
    }

    /// Sends messages and the cursor behind them, and waits until that is on its way.
    async fn send(&self, messages: &[Arc<Frames>], end: Cursor) -> Result<(), HubError> {
        self.cx.connection().shard.count_replayed(messages.len());
        let (tell, told) = oneshot::channel();
        self.post(Step::Send(Parcel::new(&self.scope, messages, end), tell));
        told.await.map_err(|_| gone())
    }

    async fn judge(&self, at: Cursor) -> Result<Junction, HubError> {
        let (tell, told) = oneshot::channel();
        self.post(Step::Judge(at, tell));
        told.await.map_err(|_| gone())
    }
}

/// A recovery that has begun.
struct Started<'a> {
    recovery: Recovery<'a>,
    histories: &'a Histories,
    sent: Option<Span>,
}

impl Started<'_> {
    async fn run(self, cursor: Option<Cursor>) -> Result<Answer, HubError> {
        let after = cursor.map_or(u64::MAX - 1, |cursor| cursor.offset);
        let stretch = self.read(after).await?;
        let replay_max = self.histories.config.replay_max;
        self.histories.want(&self.recovery.scope, stretch.end());
        match plan(cursor, self.sent, &stretch, replay_max) {
            Plan::Nothing(span) => self.join(true, span).await,
            Plan::Lost(span) => self.join(false, span).await,
            Plan::Replay { after, until, at } => {
                let sent = self.replay(stretch, after, until).await?;
                let at = if sent > at { sent } else { at };
                self.join(true, Span { since: after, at }).await
            }
        }
    }

    /// Sends what lies between two places.
    async fn replay(
        &self,
        mut stretch: Stretch,
        after: Cursor,
        until: Cursor,
    ) -> Result<Cursor, HubError> {
        let mut at = after;
        loop {
            let entries: VecDeque<Recorded> = stretch.entries.into();
            let from = at.offset;
            let wanted = entries
                .into_iter()
                .filter(|entry| entry.offset > from && entry.offset <= until.offset);
            for chunk in chunks(wanted) {
                let messages: Vec<_> =
                    chunk.iter().filter_map(|entry| read_frames(&entry.payload)).collect();
                at.offset = chunk.last().map_or(at.offset, |last| last.offset);
                self.recovery.send(&messages, at).await?;
            }
            if at.offset >= until.offset {
                return Ok(at);
            }
            stretch = self.read(at.offset).await?;
            if !stretch.continues(at) || stretch.entries.is_empty() {
                tracing::debug!(%at, "a history was trimmed while it was read");
                return Err(HubError::new("The history was trimmed while it was read. Try again."));
            }
        }
    }

    /// Reads on until what waits goes on where that ends, and has it go to the client behind the
    /// answer.
    async fn join(mut self, mut recovered: bool, mut span: Span) -> Result<Answer, HubError> {
        for _ in 0..ROUNDS_MAX {
            match self.recovery.judge(span.at).await? {
                Junction::Whole => break,
                Junction::Gone => return Err(HubError::new("You are no member of this group.")),
                Junction::Hole => {}
            }
            let stretch = self.read(span.at.offset).await?;
            let end = stretch.end();
            if !stretch.continues(span.at) {
                (recovered, span) = (false, Span { since: end, at: end });
                continue;
            }
            span.at = self.replay(stretch, span.at, end).await?;
        }
        self.recovery.is_over = true;
        let release = self.recovery.to_post(Step::Release(span));
        self.recovery.cx.afterwards(release);
        Ok(Answer { recovered, cursor: span.at.into() })
    }

    async fn read(&self, after: u64) -> Result<Stretch, HubError> {
        let Recovery { cx, scope, .. } = &self.recovery;
        let history = self.histories.history(scope).ok_or_else(gone)?;
        let fanout = cx.hub().fanout().ok_or_else(gone)?;
        replay(fanout.bus(), &history, after).await.map_err(|error| {
            tracing::debug!(%error, "a history cannot be read");
            HubError::new("The history cannot be read now. Try again.")
        })
    }
}

impl Drop for Recovery<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.post(Step::GoOn);
        }
    }
}

/// So many messages at once that a cursor is told now and then, and a slow client is waited for.
pub(super) fn chunks(
    entries: impl Iterator<Item = Recorded>,
) -> impl Iterator<Item = Vec<Recorded>> {
    let mut rest = entries.peekable();
    std::iter::from_fn(move || {
        let mut chunk = Vec::new();
        let mut bytes = 0;
        while let Some(entry) =
            rest.next_if(|next| chunk.is_empty() || bytes + next.payload.len() <= CHUNK_BYTES_MAX)
        {
            bytes += entry.payload.len();
            chunk.push(entry);
            if chunk.len() >= CHUNK_MAX {
                break;
            }
        }
        (!chunk.is_empty()).then_some(chunk)
    })
}

fn read_scope(channel: Option<Payload>) -> Result<Scope, HubError> {
    let name: Option<String> = match channel {
        Some(channel) => channel
            .decode()
            .map_err(|_| HubError::new("A channel is text, or null for the hub's own."))?,
        None => None,
    };
    Ok(name.map_or(Scope::Hub, |name| Scope::Group(GroupName::new(name))))
}

fn read_cursor(cursor: Option<Payload>) -> Result<Option<Cursor>, HubError> {
    let Some(cursor) = cursor else { return Ok(None) };
    let told: Option<Told> =
        cursor.decode().map_err(|_| HubError::new("A cursor is {epoch, offset}, or null."))?;
    Ok(told.map(Cursor::from))
}

fn gone() -> HubError {
    HubError::new("The connection has ended.")
}

/// Messages that are sent at once.
const CHUNK_MAX: usize = 64;

/// Their bytes, about.
const CHUNK_BYTES_MAX: usize = 32 << 10;

/// How often the history is read on while a channel is so busy that what comes cannot wait. What is
/// then missing all the same is announced as a gap.
const ROUNDS_MAX: usize = 100;
