//! Who is to receive a message: plain data that any shard resolves for itself.

use std::collections::BTreeSet;

use crate::id::{ConnectionId, GroupName, UserId};

/// Receivers, and who of them is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Audience {
    pub(crate) whom: Whom,
    pub(crate) except: Vec<ConnectionId>,
}

/// Receivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whom {
    /// Every connection.
    All,
    /// The members of any of these groups, each once.
    Groups(Vec<GroupName>),
    /// The connections of any of these users, each once.
    Users(Vec<UserId>),
    /// These connections.
    Connections(Vec<ConnectionId>),
}

impl Audience {
    /// Whether a connection is one of them.
    pub(crate) fn has(
        &self,
        id: ConnectionId,
        user: Option<&UserId>,
        groups: &BTreeSet<GroupName>,
    ) -> bool {
        let is_meant = match &self.whom {
            Whom::All => true,
            Whom::Groups(names) => names.iter().any(|name| groups.contains(name)),
            Whom::Users(names) => user.is_some_and(|user| names.contains(user)),
            Whom::Connections(ids) => ids.contains(&id),
        };
        is_meant && !self.except.contains(&id)
    }
}

impl From<Whom> for Audience {
    fn from(whom: Whom) -> Self {
        Self { whom, except: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_meant_by_what_it_belongs_to() {
        let (id, other) = (ConnectionId::random(), ConnectionId::random());
        let (user, groups) = (UserId::from("ann"), BTreeSet::from(["go".into()]));
        let is_meant = |whom: Whom| Audience::from(whom).has(id, Some(&user), &groups);
        assert!(is_meant(Whom::All) && is_meant(Whom::Groups(vec!["chess".into(), "go".into()])));
        assert!(is_meant(Whom::Users(vec!["ann".into()])));
        assert!(is_meant(Whom::Connections(vec![other, id])));
        assert!(!is_meant(Whom::Groups(vec!["chess".into()])));
        assert!(!is_meant(Whom::Users(vec!["bob".into()])));
        assert!(!is_meant(Whom::Connections(vec![other])));
        assert!(!Audience::from(Whom::Users(vec!["ann".into()])).has(id, None, &groups));
        let but = Audience { whom: Whom::All, except: vec![id] };
        assert!(!but.has(id, None, &groups) && but.has(other, None, &groups));
    }
}
