//! The hub: real-time messaging for stock SignalR clients.
//!
//! A [`Hub`] is a handle: whoever has one sends to all clients, to groups, users or connections.
//! Mounted as a [`service`](Hub::service) it lets clients in. Each connection has a lean task that
//! reads and answers; what is published is written by its shard, one task per processor, straight
//! to the sockets.
//!
//! Read on in this order: `transport` (how a client comes in), `connection` and its task,
//! `conversation` (what it says), [`dispatch`] and [`method`] (what is done about it), `shard` (how it
//! is written to), `registry` (who is where), `fanout` (the same on several nodes), `history` (what was
//! sent lately), `moving` (how sessions leave a node that is to stop).
#![forbid(unsafe_code)]

mod audience;
mod calls;
mod client;
mod clock;
mod cluster;
pub mod config;
mod connection;
mod conversation;
pub mod declared;
mod directory;
pub mod dispatch;
mod end;
pub mod error;
mod estate;
mod events;
mod fanout;
mod frames;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod history;
mod hub;
mod id;
mod identity;
mod keepers;
mod look;
mod member;
pub mod method;
mod moving;
mod outgoing;
mod presence;
mod pulse;
mod rate;
mod raw;
mod recipients;
mod redirect;
mod registry;
mod replies;
mod request;
mod roster;
mod seal;
mod service;
mod shard;
mod standing;
mod ticket;
#[cfg(feature = "tokens")]
pub mod token;
mod transport;
mod treatment;
pub mod upload;

pub use everwire_backplane::{Channel, Gap, NodeId, Position, Refusal, Retention};
pub use everwire_proto::signalr::payload::Timestamp;

pub use self::{
    client::{Client, InvokeError},
    cluster::{Cluster, ClusterError, ClusterTotals, PeerService},
    config::HubConfig,
    declared::Presence,
    end::End,
    error::{ErrorDetail, Failure, HubError},
    events::{Lost, LostClient},
    fanout::{Across, Exchanged},
    history::History,
    hub::{Hub, HubBuilder, Totals},
    id::{ConnectionId, GroupName, NotAnId, UserId},
    identity::{Denied, Identity},
    member::Member,
    method::{Context, Methods},
    moving::Drained,
    raw::{Gone, RawMessage, RawSocket},
    recipients::{GroupError, Groups, Recipients, SendError, Sent},
    redirect::Redirect,
    replies::{Replies, Reply},
    request::ClientRequest,
    seal::SecretsError,
    service::HubService,
    shard::{Overloaded, Shard},
    standing::StandingError,
    transport::{body::HubBody, receipt::Receipt, websocket::Opening},
    upload::{Feeder, Upload},
};
