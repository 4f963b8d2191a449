//! Who is present where under which name. Pure.
//!
//! A name may belong to several connections, such as two tabs of one user, and to connections of
//! several nodes: it comes with the first and goes with the last.

pub(crate) mod peers;
pub(crate) mod roster;

use std::sync::Arc;

use crate::id::GroupName;

/// Where a name is present.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Scope {
    /// In the hub.
    Hub,
    /// In a group of it.
    Group(GroupName),
}

/// A name where it is present.
pub(crate) type Place = (Scope, Arc<str>);
