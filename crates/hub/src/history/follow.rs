//! What one connection has been sent of channels with a history. Pure.
//!
//! For each such channel a connection knows a *span*: everything behind `since` up to `at` was sent to
//! it. It begins with the first message that comes, or with the cursor that its client recovers from.
//! While a client recovers, what comes is kept behind what it is sent, so that the order is the
//! history's.

use std::{collections::VecDeque, sync::Arc};

use everwire_backplane::Cursor;

use crate::{frames::Frames, presence::Scope};

/// The channels of one connection: few, and none for most.
#[derive(Debug, Default)]
pub(crate) struct Follows(Vec<(Scope, Follow)>);

/// One channel.
#[derive(Debug)]
enum Follow {
    /// Messages go to the client.
    Span(Span, Mode),
    /// Messages wait behind those that were missing.
    Recovering { before: Option<(Span, Mode)>, pending: Pending },
    /// It came with its session from another node: messages wait behind those that are being read.
    Arriving { span: Span, mode: Mode, pending: Pending },
}

/// A channel as another node goes on with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Followed {
    pub(crate) scope: Scope,
    pub(crate) span: Span,
    pub(crate) mode: Mode,
}

/// What was sent of a channel: everything behind `since`, up to `at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) since: Cursor,
    pub(crate) at: Cursor,
}

/// What has waited.
#[derive(Debug)]
pub(crate) struct Released {
    /// Whether it goes on where it is to.
    pub(crate) junction: Junction,
    pub(crate) frames: Vec<Arc<Frames>>,
    /// The place behind it.
    pub(crate) end: Cursor,
}

/// How the client takes a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Mode {
    /// It has not asked for its cursor.
    Live,
    /// Something of it was dropped, because the client was slow.
    Torn,
    /// It is told its cursor.
    Following,
}

/// Messages that wait, without a hole.
#[derive(Debug, Default)]
struct Pending {
    /// The place behind the last one; unknown before the first.
    end: Option<Cursor>,
    frames: VecDeque<Arc<Frames>>,
    bytes: usize,
}

/// What is to be done with messages that come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All but so many go to the client as they are.
    Plain(usize),
    /// All but so many go to the client together with its cursor.
    WithCursor(usize),
    /// The same, and messages before them are lost.
    BehindGap,
    /// They do not go to the client, or not yet.
    Nothing,
}

/// Why a client cannot recover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfollowable {
    #[error("This channel is being recovered already.")]
    Already,
    #[error("This connection follows as many channels as it may.")]
    TooMany,
}

/// Whether what waits follows what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Junction {
    /// Without a hole.
    Whole,
    /// There is one: the history is to be read on.
    Hole,
    /// The client is no member any more.
    Gone,
}

impl Follows {
    /// Takes that messages come whose first has this number; `waits` if the client wants nothing of a
    /// channel before it has recovered it.
    pub(crate) fn handle_messages(
        &mut self,
        scope: &Scope,
        first: Cursor,
        frames: &[Arc<Frames>],
        waits: bool,
    ) -> Verdict {
        let count = frames.len() as u64;
        let before = Cursor { offset: first.offset.saturating_sub(1), ..first };
        let last = before.plus(count);
        match self.find(scope) {
            None if waits => Verdict::Nothing,
            None => {
                self.0.reserve_exact(1);
                let span = Span { since: before, at: last };
                self.0.push((scope.clone(), Follow::Span(span, Mode::Live)));
                Verdict::Plain(0)
            }
            Some(Follow::Recovering { pending, .. } | Follow::Arriving { pending, .. }) => {
                pending.push(before, last, frames);
                Verdict::Nothing
            }
            Some(Follow::Span(span, mode)) => span.advance(mode, before, last),
        }
    }

    /// Takes that the channel goes on behind this place, after a loss or without one. Gives whether
    /// the client is to be told of a gap, or of nothing.
    pub(crate) fn handle_mark(&mut self, scope: &Scope, cursor: Cursor, is_gap: bool) -> bool {
        match self.find(scope) {
            Some(Follow::Span(span, mode)) => {
                let follows = *mode == Mode::Following;
                let is_behind = span.at.epoch != cursor.epoch || span.at.offset < cursor.offset;
                if !is_behind {
                    return false;
                }
                span.at = cursor;
                if is_gap {
                    span.since = cursor;
                }
                is_gap && follows
            }
            Some(Follow::Recovering { pending, .. } | Follow::Arriving { pending, .. }) => {
                // What is missing is seen when it is to go behind what was recovered.
                *pending = Pending { end: Some(cursor), ..Pending::default() };
                false
            }
            None => false,
        }
    }

    /// A client begins to recover; gives what it has been sent before.
    pub(crate) fn begin(
        &mut self,
        scope: &Scope,
        most: usize,
    ) -> Result<Option<Span>, Unfollowable> {
        let taken = self.0.iter().filter(|(there, follow)| there != scope && follow.is_followed());
        if taken.count() >= most {
            return Err(Unfollowable::TooMany);
        }
        let before = match self.find(scope) {
            Some(Follow::Recovering { .. } | Follow::Arriving { .. }) => {
                return Err(Unfollowable::Already);
            }
            Some(Follow::Span(span, mode)) => Some((*span, *mode)),
            None => None,
        };
        let pending = Pending { end: before.map(|(span, _)| span.at), ..Pending::default() };
        let recovering = Follow::Recovering { before, pending };
        match self.find(scope) {
            Some(follow) => *follow = recovering,
            None => self.0.push((scope.clone(), recovering)),
        }
        let whole = before.filter(|(_, mode)| *mode != Mode::Torn);
        Ok(whole.map(|(span, _)| span))
    }

    /// Whether what waits goes on behind this place.
    pub(crate) fn junction(&mut self, scope: &Scope, at: Cursor) -> Junction {
        match self.find(scope) {
            Some(Follow::Recovering { pending, .. } | Follow::Arriving { pending, .. }) => {
                pending.junction(at)
            }
            _ => Junction::Gone,
        }
    }

    /// The client has what it missed: it follows from here on. Gives what has waited behind that.
    pub(crate) fn release(&mut self, scope: &Scope, Span { since, at }: Span) -> Option<Released> {
        let follow = self.find(scope)?;
        let Follow::Recovering { pending, .. } = follow else { return None };
        let junction = pending.junction(at);
        let (frames, end) = pending.behind(at);
        *follow = Follow::Span(Span { since, at: end }, Mode::Following);
        Some(Released { junction, frames, end })
    }

    /// What comes goes to the client again, as before: nothing could be recovered, or everything that
    /// was missing when the session came. Gives what has waited, and how the client takes it.
    pub(crate) fn go_on(&mut self, scope: &Scope) -> Option<(Released, Mode)> {
        let at = self.0.iter().position(|(there, _)| there == scope)?;
        let (before, pending) = match &mut self.0[at].1 {
            Follow::Recovering { before, pending } => (*before, pending),
            Follow::Arriving { span, mode, pending } => (Some((*span, *mode)), pending),
            Follow::Span(..) => return None,
        };
        let Some((mut span, mut mode)) = before else {
            self.0.swap_remove(at);
            return None;
        };
        let junction = pending.junction(span.at);
        let (frames, end) = pending.behind(span.at);
        span.at = end;
        if junction == Junction::Hole && mode == Mode::Live {
            mode = Mode::Torn;
        }
        self.0[at].1 = Follow::Span(span, mode);
        Some((Released { junction, frames, end }, mode))
    }

    /// Everything as another node is to go on with it; `None` while a client recovers, of which
    /// nobody else can know what it has been sent.
    pub(crate) fn still(&self) -> Option<Vec<Followed>> {
        let still = |(scope, follow): &(Scope, Follow)| match follow {
            Follow::Span(span, mode) | Follow::Arriving { span, mode, .. } => {
                Some(Followed { scope: scope.clone(), span: *span, mode: *mode })
            }
            Follow::Recovering { .. } => None,
        };
        self.0.iter().map(still).collect()
    }

    /// Goes on with what another node sent. Unless what comes next here follows that, it waits until
    /// what is missing was [brought](Self::bring).
    pub(crate) fn arrive(&mut self, followed: Followed, is_next: bool) {
        let Followed { scope, span, mode } = followed;
        let follow = match is_next {
            true => Follow::Span(span, mode),
            false => Follow::Arriving { span, mode, pending: Pending::default() },
        };
        self.0.push((scope, follow));
    }

    /// A session that has come is sent what it missed up to this place, or that it is lost. Gives
    /// whether it still waits for that.
    pub(crate) fn bring(&mut self, scope: &Scope, at: Cursor, is_gap: bool) -> bool {
        let Some(Follow::Arriving { span, .. }) = self.find(scope) else { return false };
        span.at = at;
        if is_gap {
            span.since = at;
        }
        true
    }

    /// Something that was to be sent was dropped.
    pub(crate) fn handle_dropped(&mut self) {
        for (_, follow) in &mut self.0 {
            if let Follow::Span(_, mode @ Mode::Live) = follow {
                *mode = Mode::Torn;
            }
        }
    }

    /// The client is no member any more.
    pub(crate) fn forget(&mut self, scope: &Scope) {
        self.0.retain(|(there, _)| there != scope);
    }

    fn find(&mut self, scope: &Scope) -> Option<&mut Follow> {
        self.0.iter_mut().find(|(there, _)| there == scope).map(|(_, follow)| follow)
    }
}

impl Follow {
    const fn is_followed(&self) -> bool {
        matches!(
            self,
            Self::Recovering { .. }
                | Self::Span(_, Mode::Following)
                | Self::Arriving { mode: Mode::Following, .. }
        )
    }
}

impl Span {
    fn advance(&mut self, mode: &mut Mode, before: Cursor, last: Cursor) -> Verdict {
        let follows = *mode == Mode::Following;
        if self.at.epoch == before.epoch && last.offset <= self.at.offset {
            return Verdict::Nothing;
        }
        if self.at.epoch == before.epoch && before.offset <= self.at.offset {
            let known = (self.at.offset - before.offset) as usize;
            self.at = last;
            return if follows { Verdict::WithCursor(known) } else { Verdict::Plain(known) };
        }
        *self = Self { since: before, at: last };
        match mode {
            Mode::Following => Verdict::BehindGap,
            Mode::Live | Mode::Torn => {
                *mode = Mode::Live;
                Verdict::Plain(0)
            }
        }
    }
}

impl Pending {
    fn push(&mut self, before: Cursor, last: Cursor, frames: &[Arc<Frames>]) {
        let bytes: usize = frames.iter().map(|frames| frames.charged()).sum();
        let follows = self.end.is_none_or(|end| end == before);
        if !follows
            || self.frames.len() + frames.len() > PENDING_MAX
            || self.bytes + bytes > PENDING_BYTES_MAX
        {
            // The history has what is let go here.
            *self = Self::default();
        }
        self.end = Some(last);
        self.bytes += bytes;
        self.frames.extend(frames.iter().cloned());
    }

    /// Whether it goes on behind this place.
    fn junction(&self, at: Cursor) -> Junction {
        let Some(end) = self.end else { return Junction::Whole };
        let begin = end.offset.saturating_sub(self.frames.len() as u64);
        match end.epoch == at.epoch && begin <= at.offset {
            true => Junction::Whole,
            false => Junction::Hole,
        }
    }

    /// Takes what lies behind a place, and where that ends.
    fn behind(&mut self, at: Cursor) -> (Vec<Arc<Frames>>, Cursor) {
        let Self { end, frames, .. } = std::mem::take(self);
        let Some(end) = end else { return (Vec::new(), at) };
        let begin = end.offset.saturating_sub(frames.len() as u64);
        if end.epoch != at.epoch {
            return (frames.into(), end);
        }
        let known = usize::try_from(at.offset.saturating_sub(begin)).unwrap_or(usize::MAX);
        (frames.into_iter().skip(known).collect(), if end > at { end } else { at })
    }
}

/// Messages that wait for one client that recovers: some seconds of a busy channel.
const PENDING_MAX: usize = 4096;

/// Their bytes.
const PENDING_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests;
