//! Who is alive, and who cleans up after whom.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::Stream;

use crate::{Incarnation, NodeId, mailbox::Mailbox};

/// A node in one of its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// Which node.
    pub node: NodeId,
    /// Which of its lives.
    pub incarnation: Incarnation,
}

/// What changes among the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// It is there: from before, newly started, or come back.
    Joined(Member),
    /// It took its leave and left nothing behind.
    Left(Member),
    /// It is gone without a word for a whole lease, or others took it for gone: then it hears this
    /// about itself, and comes back as a new incarnation.
    Expired {
        /// Who.
        member: Member,
        /// Whether this node is the one to clean up: true on exactly one survivor, until that one
        /// expires itself before it said [`cleaned`](crate::Bus::cleaned).
        yours: bool,
    },
    /// Events were dropped because nobody read them; everybody who is there follows as `Joined`.
    Reset,
}

/// The changes among the nodes, as a stream. Holds at most [`CHANGES_MAX`].
#[derive(Debug)]
pub struct Members(Arc<Mailbox<Membership>>);

impl Members {
    /// The next change; `None` after the bus has ended.
    pub async fn next(&mut self) -> Option<Membership> {
        std::future::poll_fn(|ctx| self.0.poll_next(ctx)).await
    }
}

impl Stream for Members {
    type Item = Membership;

    fn poll_next(self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<Option<Membership>> {
        self.0.poll_next(ctx)
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Who is alive as one node knows it, and who wants to hear of changes.
#[derive(Debug, Default)]
pub(crate) struct Roll {
    present: Vec<Member>,
    /// What this node has to clean up and has not: told again to whoever begins to listen late.
    dirty: Vec<Member>,
    listeners: Vec<Arc<Mailbox<Membership>>>,
}

impl Roll {
    /// Everybody, then what changes.
    pub(crate) fn listen(&mut self) -> Members {
        let mailbox = Arc::new(Mailbox::new(CHANGES_MAX, usize::MAX));
        let dirty = self.dirty.iter().map(|&member| Membership::Expired { member, yours: true });
        mailbox.replace(self.present.iter().copied().map(Membership::Joined).chain(dirty));
        self.listeners.push(Arc::clone(&mailbox));
        Members(mailbox)
    }

    #[cfg(feature = "redis")]
    pub(crate) fn has(&self, node: NodeId) -> bool {
        self.present.iter().any(|member| member.node == node)
    }

    /// Notes a change and tells everybody.
    pub(crate) fn change(&mut self, change: Membership) {
        match change {
            Membership::Joined(member) => self.present.push(member),
            Membership::Left(member) => self.present.retain(|other| *other != member),
            Membership::Expired { member, yours } => {
                self.present.retain(|other| *other != member);
                if yours && !self.dirty.contains(&member) {
                    self.dirty.push(member);
                }
            }
            Membership::Reset => {}
        }
        let present = &self.present;
        self.listeners.retain(|listener| !listener.is_closed());
        for listener in &self.listeners {
            if listener.push(change, 0).is_err() {
                let dirty =
                    self.dirty.iter().map(|&member| Membership::Expired { member, yours: true });
                let all = present.iter().copied().map(Membership::Joined).chain(dirty);
                listener.replace([Membership::Reset].into_iter().chain(all));
            }
        }
    }

    /// What a member left behind is gone.
    pub(crate) fn cleaned(&mut self, member: Member) {
        self.dirty.retain(|other| *other != member);
    }

    /// Whom this node has to clean up after.
    pub(crate) fn dirty(&self) -> &[Member] {
        &self.dirty
    }
}

impl Drop for Roll {
    fn drop(&mut self) {
        self.listeners.iter().for_each(|listener| listener.end());
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.node, self.incarnation)
    }
}

/// Changes that wait for one listener.
pub const CHANGES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn member(number: u8) -> Member {
        Member { node: NodeId::from([number; 12]), incarnation: Incarnation(1) }
    }

    fn read(members: &Members) -> Vec<Membership> {
        let mut ctx = Context::from_waker(std::task::Waker::noop());
        let next = || members.0.poll_next(&mut ctx);
        std::iter::repeat_with(next)
            .map_while(|next| if let Poll::Ready(change) = next { change } else { None })
            .collect()
    }

    #[test]
    fn who_listens_late_learns_who_is_there_and_what_is_to_clean() {
        let mut roll = Roll::default();
        roll.change(Membership::Joined(member(1)));
        roll.change(Membership::Joined(member(2)));
        let expired = Membership::Expired { member: member(1), yours: true };
        roll.change(expired);
        assert_eq!(read(&roll.listen()), [Membership::Joined(member(2)), expired]);
        roll.cleaned(member(1));
        assert_eq!(read(&roll.listen()), [Membership::Joined(member(2))]);
    }

    #[test]
    fn who_listens_too_slowly_starts_again() {
        let mut roll = Roll::default();
        let listener = roll.listen();
        roll.change(Membership::Joined(member(1)));
        for _ in 0..CHANGES_MAX {
            roll.change(Membership::Left(member(2)));
        }
        assert_eq!(read(&listener), [Membership::Reset, Membership::Joined(member(1))]);
    }
}
