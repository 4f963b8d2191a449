//! What is done with some clients besides sending to them.

use crate::{end::End, id::GroupName, recipients::Recipients, shard::Overloaded};

/// What is done with each of an audience.
#[derive(Debug, Clone)]
pub(crate) enum Treatment {
    /// It leaves a group.
    Part(GroupName),
    /// Its connection ends.
    End(End),
}

impl Treatment {
    /// What it takes in memory until it is done, in bytes: the post, and about what a name is long.
    pub(crate) const CHARGED: usize = 256;
}

impl Recipients {
    /// Ends these connections behind what was sent before. Their clients do not reconnect by
    /// themselves; with a `reason` they are told it as an error.
    ///
    /// # Errors
    /// [`Overloaded`]: some may not have ended.
    pub fn end(&self, reason: Option<&str>) -> Result<(), Overloaded> {
        let end = reason.map_or(End::Aborted, |reason| End::Dismissed(reason.into()));
        self.hub.handle(self.audience.clone(), &Treatment::End(end))
    }
}
