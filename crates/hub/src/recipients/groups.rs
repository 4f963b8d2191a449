//! Groups: who is added, who is removed, and which there are.

use std::sync::Arc;

use super::{GroupError, Groups};
use crate::{
    connection::Connection,
    fanout::{
        Across, Fanout,
        envelope::Envelope,
        request::{NamesOf, Request, read_flag, read_joined, read_names},
    },
    hub::Hub,
    id::{ConnectionId, GroupName},
    look::Behind,
};

impl Groups {
    /// Adds a connection to a group; what is sent to the group after this reaches it. One that is
    /// gone, or in the group already, changes nothing. One on another node is added there, before
    /// anything that this node sends later arrives; whether it may be in one more group is only known
    /// there, and [`add_confirmed`](Self::add_confirmed) tells.
    ///
    /// # Errors
    /// See [`GroupError`]; the groups that the connection is in stay.
    pub fn add(
        &self,
        connection: ConnectionId,
        group: impl Into<GroupName>,
    ) -> Result<(), GroupError> {
        self.regroup(connection, group.into(), true)
    }

    /// Takes a connection out of a group, on whichever node it is. When a connection ends this happens
    /// by itself.
    ///
    /// # Errors
    /// [`GroupError::NotStored`] if the connection is not on this node, and others cannot be told.
    pub fn remove(
        &self,
        connection: ConnectionId,
        group: impl Into<GroupName>,
    ) -> Result<(), GroupError> {
        self.regroup(connection, group.into(), false)
    }

    /// Adds a connection to a group like [`add`](Self::add), and gives whether there is one.
    ///
    /// # Errors
    /// See [`GroupError`]; the groups that the connection is in stay.
    pub async fn add_confirmed(
        &self,
        connection: ConnectionId,
        group: impl Into<GroupName>,
    ) -> Result<Across<bool>, GroupError> {
        let group = group.into();
        if self.hub.settled(connection).await.is_some() {
            return self.add(connection, group).map(|()| Across::here(true));
        }
        self.ask(connection, group, true).await
    }

    /// Takes a connection out of a group like [`remove`](Self::remove), and gives whether there is
    /// such a connection.
    pub async fn remove_confirmed(
        &self,
        connection: ConnectionId,
        group: impl Into<GroupName>,
    ) -> Across<bool> {
        let group = group.into();
        if self.hub.settled(connection).await.is_some() {
            return Across::here(self.remove(connection, group).is_ok());
        }
        // Who removes is refused nothing.
        self.ask(connection, group, false).await.unwrap_or_default()
    }

    /// Takes a connection out of all groups, on whichever node it is, and gives whether there is one.
    pub async fn remove_from_all(&self, connection: ConnectionId) -> Across<bool> {
        let here = self.hub.leave_all_here(connection);
        match self.hub.fanout().filter(|_| !here) {
            Some(fanout) => {
                let request = Request::LeaveAll(connection);
                fanout.gather(&request, false, read_flag, |one, other| one | other).await
            }
            None => Across::here(here),
        }
    }

    /// Some of the groups that have members on any node, in the order of their names, behind one of
    /// them: at most so many, and how many members each has.
    pub async fn page(
        &self,
        after: Option<&GroupName>,
        limit: usize,
    ) -> Across<Vec<(GroupName, usize)>> {
        let behind = Behind { after: after.map(|group| Arc::clone(group.shared())), limit };
        let Across { value, unreached } = self.hub.names(NamesOf::Groups, behind).await;
        let groups = value.into_iter().map(|(name, count)| (GroupName::new(name), count));
        Across { value: groups.collect(), unreached }
    }

    /// Has a connection join or leave a group, on whichever node it is.
    fn regroup(
        &self,
        connection: ConnectionId,
        group: GroupName,
        joins: bool,
    ) -> Result<(), GroupError> {
        let _order = self.hub.fanout().map(Fanout::in_order);
        match self.hub.find(connection) {
            Some(there) => self.regroup_here(&there, group, joins),
            None => self.tell(connection, group, joins),
        }
    }

    fn regroup_here(
        &self,
        there: &Connection,
        group: GroupName,
        joins: bool,
    ) -> Result<(), GroupError> {
        if joins {
            there.join(group.clone(), self.hub.config().groups_max)?;
        } else {
            there.part(group.clone());
        }
        self.tell_successor(there, group, joins)
    }

    /// Takes a connection of this node out of a group.
    pub(crate) fn remove_here(&self, connection: ConnectionId, group: GroupName) {
        let _order = self.hub.fanout().map(Fanout::in_order);
        if let Some(there) = self.hub.find(connection) {
            // What is refused is counted.
            let _ = self.regroup_here(&there, group, false);
        }
    }

    /// Tells the node that a session is moving to.
    pub(crate) fn tell_successor(
        &self,
        there: &Connection,
        group: GroupName,
        joins: bool,
    ) -> Result<(), GroupError> {
        if there.is_leaving() { self.tell(there.id(), group, joins) } else { Ok(()) }
    }

    fn tell(
        &self,
        connection: ConnectionId,
        group: GroupName,
        joins: bool,
    ) -> Result<(), GroupError> {
        let Some(fanout) = self.hub.fanout() else { return Ok(()) };
        // What becomes of it later is told by the counters of the bus.
        fanout.say(&Envelope::Membership { connection, group, joins }).map(drop)?;
        Ok(())
    }

    async fn ask(
        &self,
        connection: ConnectionId,
        group: GroupName,
        joins: bool,
    ) -> Result<Across<bool>, GroupError> {
        let Some(fanout) = self.hub.fanout() else { return Ok(Across::here(false)) };
        let request = Request::Membership { connection, group, joins };
        let first = |one: Result<bool, GroupError>, other: Result<bool, GroupError>| match one {
            Ok(false) => other,
            one => one,
        };
        let Across { value, unreached } =
            fanout.gather(&request, Ok(false), read_joined, first).await;
        value.map(|value| Across { value, unreached })
    }
}

impl Hub {
    pub(crate) async fn names(
        &self,
        of: NamesOf,
        behind: Behind,
    ) -> Across<Vec<(Arc<str>, usize)>> {
        let behind = Behind { limit: behind.limit.min(NAMES_MAX), ..behind };
        let here = match of {
            NamesOf::Groups => self.groups_here(&behind).await,
            NamesOf::Users => self.users_here(&behind).await,
        };
        let Some(fanout) = self.fanout() else { return Across::here(here) };
        let after = behind.after.as_deref().unwrap_or_default().to_owned();
        let request = Request::Names { of, after, limit: behind.limit as u32 };
        fanout.gather(&request, here, read_names, |one, other| behind.merge(one, other)).await
    }
}

/// Names of one page: with the longest names of groups some 1 MiB.
const NAMES_MAX: usize = 1000;
