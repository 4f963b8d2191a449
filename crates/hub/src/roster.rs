//! Looking: who of some clients is there.

use std::sync::Arc;

use crate::{
    audience::Audience,
    connection::Connection,
    id::{ConnectionId, GroupName},
    member::Member,
    recipients::Recipients,
};

/// Who is called: of an audience those behind an id, and so many of them.
#[derive(Debug, Clone)]
pub(crate) struct Roll {
    pub(crate) audience: Arc<Audience>,
    after: Option<ConnectionId>,
    most: usize,
}

impl Roll {
    /// The called ones of those that are there, in the order of their ids.
    pub(crate) fn called<'m>(
        &self,
        there: impl Iterator<Item = (&'m Arc<Connection>, &'m [GroupName])>,
    ) -> Vec<Member> {
        let mut called: Vec<_> = there
            .filter(|(connection, _)| self.after.is_none_or(|after| connection.id() > after))
            .collect();
        called.sort_unstable_by_key(|(connection, _)| connection.id());
        called.truncate(self.most);
        called.into_iter().map(|(connection, groups)| Member::of(connection, groups)).collect()
    }
}

impl Recipients {
    /// Who of these is connected, and in which groups, in the order of ids. A stopped hub says
    /// nobody.
    pub async fn members_now(&self) -> Vec<Member> {
        self.page_now(None, usize::MAX).await
    }

    /// The same for so many whose ids are behind `after`: a page at a time of what may be many. Who
    /// stays meanwhile is on exactly one page.
    pub async fn page_now(&self, after: Option<ConnectionId>, most: usize) -> Vec<Member> {
        let audience = Arc::new(self.audience.clone());
        let mut members = self.hub.call(Roll { audience, after, most }).await;
        members.sort_unstable_by_key(|member| member.id);
        members.truncate(most);
        members
    }
}
