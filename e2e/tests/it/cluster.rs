//! Three nodes over one Redis, each a process of its own with clients of its own: what is said at one
//! of them reaches the clients of all, whatever happens in between.

mod clocks;
mod deaths;
mod hostile;
mod operator;
mod outages;
mod partitions;
mod polling;
mod swallowed;
mod three;

pub(crate) use three::SECRET;
