//! Who is alive, and who cleans up after whom.

use std::{
    collections::BTreeSet,
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
        /// expires itself before all its observers said [`cleaned`](crate::Bus::cleaned).
        yours: bool,
    },
    /// Events were dropped because nobody read them; everybody who is there follows as `Joined`.
    Reset,
}

/// The changes among the nodes, as a stream. Holds at most [`CHANGES_MAX`].
#[derive(Debug)]
pub struct Members {
    observer: Observer,
    mailbox: Arc<Mailbox<Membership>>,
}

/// Names one stream of [`Members`] on its node: each hub that shares a bus has its own, and cleans
/// up its own part of what a node left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Observer(u64);

impl Members {
    /// Who listens here, for [`cleaned`](crate::Bus::cleaned).
    pub const fn observer(&self) -> Observer {
        self.observer
    }

    /// The next change; `None` after the bus has ended.
    pub async fn next(&mut self) -> Option<Membership> {
        std::future::poll_fn(|ctx| self.mailbox.poll_next(ctx)).await
    }
}

impl Stream for Members {
    type Item = Membership;

    fn poll_next(self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<Option<Membership>> {
        self.mailbox.poll_next(ctx)
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}

/// Who is alive as one node knows it, and who wants to hear of changes.
#[derive(Debug, Default)]
pub(crate) struct Roll {
    present: Vec<Member>,
    /// What this node has to clean up and has not: told again to whoever begins to listen late.
    dirty: Vec<Dirty>,
    observers: Vec<(Observer, Arc<Mailbox<Membership>>)>,
    last_observer: u64,
}

/// Somebody after whom this node cleans up.
#[derive(Debug)]
struct Dirty {
    member: Member,
    /// Those who have been told and have not said that they are done.
    busy: BTreeSet<Observer>,
}

impl Roll {
    /// Everybody, then what changes.
    pub(crate) fn listen(&mut self) -> Members {
        self.last_observer += 1;
        let observer = Observer(self.last_observer);
        let mailbox = Arc::new(Mailbox::new(CHANGES_MAX, usize::MAX));
        for dirty in &mut self.dirty {
            dirty.busy.insert(observer);
        }
        mailbox.replace(everything(&self.present, &self.dirty, observer));
        self.observers.push((observer, Arc::clone(&mailbox)));
        Members { observer, mailbox }
    }

    #[cfg(feature = "redis")]
    pub(crate) fn has(&self, node: NodeId) -> bool {
        self.present.iter().any(|member| member.node == node)
    }

    /// Notes a change and tells everybody.
    pub(crate) fn change(&mut self, change: Membership) {
        self.observers.retain(|(_, observer)| !observer.is_closed());
        match change {
            Membership::Joined(member) => self.present.push(member),
            Membership::Left(member) => self.present.retain(|other| *other != member),
            Membership::Expired { member, yours } => {
                self.present.retain(|other| *other != member);
                if yours && !self.dirty().any(|other| other == member) {
                    let busy = self.observers.iter().map(|(observer, _)| *observer).collect();
                    self.dirty.push(Dirty { member, busy });
                }
            }
            Membership::Reset => {}
        }
        for (observer, mailbox) in &self.observers {
            if mailbox.push(change, 0).is_err() {
                let all = everything(&self.present, &self.dirty, *observer);
                mailbox.replace([Membership::Reset].into_iter().chain(all));
            }
        }
    }

    /// An observer has cleaned up after a member; gives whether that was the last that had to.
    pub(crate) fn cleaned(&mut self, observer: Observer, member: Member) -> bool {
        let Some(at) = self.dirty.iter().position(|dirty| dirty.member == member) else {
            return false;
        };
        let busy = &mut self.dirty[at].busy;
        busy.remove(&observer);
        // Who has stopped listening is not waited for.
        let listens = |observer: &Observer| {
            self.observers.iter().any(|(there, mailbox)| there == observer && !mailbox.is_closed())
        };
        busy.retain(listens);
        let is_clean = busy.is_empty();
        if is_clean {
            self.dirty.swap_remove(at);
        }
        is_clean
    }

    /// Whom this node has to clean up after.
    pub(crate) fn dirty(&self) -> impl Iterator<Item = Member> {
        self.dirty.iter().map(|dirty| dirty.member)
    }
}

/// Everybody who is there, and after whom this observer has to clean up.
fn everything(
    present: &[Member],
    dirty: &[Dirty],
    observer: Observer,
) -> impl Iterator<Item = Membership> {
    let present = present.iter().copied().map(Membership::Joined);
    let dirty = dirty.iter().filter(move |dirty| dirty.busy.contains(&observer));
    present.chain(dirty.map(|dirty| Membership::Expired { member: dirty.member, yours: true }))
}

impl Drop for Roll {
    fn drop(&mut self) {
        self.observers.iter().for_each(|(_, observer)| observer.end());
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.node, self.incarnation)
    }
}

/// Changes that wait for one observer.
pub const CHANGES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn member(number: u8) -> Member {
        Member { node: NodeId::from([number; 12]), incarnation: Incarnation(1) }
    }

    fn read(members: &Members) -> Vec<Membership> {
        let mut ctx = Context::from_waker(std::task::Waker::noop());
        let next = || members.mailbox.poll_next(&mut ctx);
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
        let late = roll.listen();
        assert_eq!(read(&late), [Membership::Joined(member(2)), expired]);
        assert!(roll.cleaned(late.observer(), member(1)));
        assert_eq!(read(&roll.listen()), [Membership::Joined(member(2))]);
    }

    #[test]
    fn a_member_is_cleaned_up_after_when_all_who_listen_have_done_their_part() {
        let mut roll = Roll::default();
        let (one, other, idle) = (roll.listen(), roll.listen(), roll.listen());
        let expired = Membership::Expired { member: member(1), yours: true };
        roll.change(expired);
        roll.change(expired);
        assert!(!roll.cleaned(one.observer(), member(1)));
        assert!(!roll.cleaned(one.observer(), member(1)), "it was heard the first time");
        assert!(!roll.cleaned(one.observer(), member(2)), "nobody has to");
        drop(idle);
        let late = roll.listen();
        assert!(!roll.cleaned(other.observer(), member(1)), "another observer has to, too");
        assert_eq!(roll.dirty().collect::<Vec<_>>(), [member(1)]);
        assert_eq!(read(&late), [expired]);
        assert!(roll.cleaned(late.observer(), member(1)));
        assert_eq!(roll.dirty().count(), 0);
    }

    #[test]
    fn who_is_done_is_not_told_again_when_it_was_too_slow() {
        let mut roll = Roll::default();
        let (done, busy) = (roll.listen(), roll.listen());
        let expired = Membership::Expired { member: member(1), yours: true };
        roll.change(expired);
        assert!(!roll.cleaned(done.observer(), member(1)));
        for _ in 0..CHANGES_MAX {
            roll.change(Membership::Left(member(2)));
        }
        assert_eq!(read(&done), [Membership::Reset]);
        assert_eq!(read(&busy), [Membership::Reset, expired]);
    }

    #[test]
    fn who_listens_too_slowly_starts_again() {
        let mut roll = Roll::default();
        let observer = roll.listen();
        roll.change(Membership::Joined(member(1)));
        for _ in 0..CHANGES_MAX {
            roll.change(Membership::Left(member(2)));
        }
        assert_eq!(read(&observer), [Membership::Reset, Membership::Joined(member(1))]);
    }
}
