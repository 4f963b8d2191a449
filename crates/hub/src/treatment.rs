//! What is done with some clients besides sending to them.

use crate::{
    end::End,
    fanout::envelope::Envelope,
    id::GroupName,
    recipients::{Recipients, SendError},
    shard::Overloaded,
};

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
    /// Ends these connections, on all nodes, behind what was sent before. Their clients do not reconnect by
    /// themselves; with a `reason` they are told it as an error.
    ///
    /// # Errors
    /// [`SendError::Overloaded`]: some may not have ended. [`SendError::NotStored`]: those of other nodes
    /// have not.
    pub fn end(&self, reason: Option<&str>) -> Result<(), SendError> {
        self.end_here(reason)?;
        let fanout = self.hub.fanout().filter(|_| self.is_everywhere());
        if let (Some(fanout), Some(audience)) = (fanout, self.hub.elsewhere(&self.audience)) {
            let reason = reason.map(str::to_owned);
            // What becomes of it later is told by the counters of the bus.
            drop(fanout.say(&Envelope::Dismissal { audience, reason })?);
        }
        Ok(())
    }

    pub(crate) fn end_here(&self, reason: Option<&str>) -> Result<(), Overloaded> {
        let end = reason.map_or(End::Aborted, |reason| End::Dismissed(reason.into()));
        self.hub.handle(self.audience.clone(), &Treatment::End(end))
    }
}
