//! The uninterrupted WebSocket proxy: a client's socket outlives its backend.
#![forbid(unsafe_code)]

pub mod backends;
mod bell;
mod clock;
pub mod config;
mod dial;
mod gateway;
mod handle;
pub mod health;
mod http;
mod manager;
mod metrics;
mod pipe;
pub mod pool;
mod proxy;
pub mod relay;
mod route;
mod spread;

pub use everwire_proto::ws::upgrade::{Refusal, Scheme, UpgradeRequest};

pub use self::{
    gateway::{Gateway, GatewayConfig, PipeStatus, Totals},
    handle::{PipeId, PipeState},
    http::{CutOff, HttpBody},
    manager::{BackendError, ClientInfo, Opened, PipeManager},
    metrics::Metrics,
    pipe::{PersistentPipe, PipeEnd, Running},
    pool::{BackendId, Pool, PoolError},
    proxy::{InterruptibleProxy, Upgrading},
    relay::{End, Tally, Who, Why},
};
