//! How nodes talk and remember: a [`Bus`] and a [`Log`].
//!
//! A *node* is one Everwire process. Nodes publish to channels, each of which every node can follow;
//! they ask one another; and they know who is alive. What they agree on lies in logs, where each
//! entry has a version and two writers cannot both write the next one. The crate does not know what
//! the messages mean: groups, presence, sets and commands belong to its users.
//!
//! # What a bus promises
//!
//! Each message carries its [`Origin`]: node, incarnation and number. A publisher keeps what is not
//! confirmed and sends it again with the same numbers, a receiver drops what it has. So a message
//! arrives once and in its publisher's order on each [`Subscription`], or a [`Gap`] is announced
//! there. A publisher learns of each message that it is [stored](Fate::Stored), is not, or that
//! nobody knows. A message may be recorded in a [`History`] in the same step, and read again later.
//!
//! # Two of them
//!
//! [`memory`] joins nodes within one process: the default of a single node, and what tests run
//! several nodes over. [`redis`] joins processes. Both pass the same conformance suite (feature
//! `conformance`). [`journal`] is a log alone, in a file, for a single node that is to remember.
#![forbid(unsafe_code)]

mod bus;
mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
mod envelope;
mod health;
mod history;
#[cfg(feature = "redis")]
mod incoming;
pub mod journal;
#[cfg(feature = "redis")]
mod leases;
mod log;
mod mailbox;
mod member;
pub mod memory;
mod name;
#[cfg(feature = "redis")]
mod outgoing;
mod question;
#[cfg(feature = "redis")]
pub mod redis;
mod subscription;

pub use bus::{Bus, Fate, Leaving, PAYLOAD_MAX, Publishing, Refusal};
pub use envelope::{Envelope, Foreign, HEAD, Kind};
pub use health::{Counts, Health};
pub use history::{Cursor, EPOCH_MAX, History, Recorded, Retention, Stretch};
pub use log::{
    Append, Entry, Expected, Keep, Log, LogUnreachable, LogWork, Page, READ_MAX, Snapshot, Version,
};
pub use member::{CHANGES_MAX, Member, Members, Membership, Observer};
pub use name::{Channel, Incarnation, InvalidName, NAME_MAX, NodeId};
pub use question::{Answer, Asking, QUESTIONS_BYTES_MAX, QUESTIONS_MAX, Question, Questions};
pub use subscription::{
    Gap, Item, Message, NotAPosition, Origin, Position, Start, Subscription, WAITING_BYTES_MAX,
    WAITING_MAX,
};
