//! What a route promises: the gateway's section of the configuration.
//!
//! Reading files and the environment is the binary's work; this file owns the meaning and the
//! defaults, each with its reason.

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use crate::pool::config::{BackendConfig, BackendUrl, Balance, HealthCheck, PoolConfig};

/// How a route treats the pipes that are opened through it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteConfig {
    /// How often a client's message may reach a backend. Default: at least once.
    pub delivery: Delivery,
    /// How an unmodified backend gets its session back. Default: not at all.
    pub restore: Restore,
    /// Memory for messages kept per pipe and direction, in bytes; the read that reaches it is kept
    /// whole, at up to 256 KiB more. Default: 5 MiB, the size that the interruptible proxy promised.
    pub buffer_max: usize,
    /// The largest message, in bytes; larger ones close the pipe with 1009. Default: 64 MiB.
    pub message_max: u64,
    /// How long a client is held without a backend; zero closes it at once with 1012. Default:
    /// 60 s, the time a usual container takes to start.
    pub outage_max: Duration,
    /// How long a leg must have been silent before it is moved on purpose. Default: 500 ms.
    pub drain_quiet: Duration,
    /// The longest that moving on purpose waits. Default: 10 s.
    pub drain_max: Duration,
    /// How many backends a message may end before its pipe is closed with 1011. Default: 3.
    pub replays_max: u8,
    /// When peers are asked whether they live, and how long they may take to answer.
    pub ping: Ping,
    /// What happens when the buffer is full and there is no backend. Default: close with 1013.
    pub on_full: OnFull,
    /// How much longer confirmed messages are kept, for backends whose stack queues. Default: 0.
    pub confirm_linger: Duration,
    /// Close codes of a backend that mean *restarted*; all others are its goodbye. 1006 stands for
    /// an end without a Close.
    pub restart_codes: Vec<u16>,
    /// Origins that browsers may connect from; empty lets all in.
    pub origins: Vec<String>,
    /// Requests that open no WebSocket; `None` refuses them. Default: they are passed on.
    pub http: Option<HttpConfig>,
}

impl Default for RouteConfig {
    fn default() -> Self {
        Self {
            delivery: Delivery::AtLeastOnce,
            restore: Restore::NONE,
            buffer_max: 5 << 20,
            message_max: 64 << 20,
            outage_max: Duration::from_secs(60),
            drain_quiet: Duration::from_millis(500),
            drain_max: Duration::from_secs(10),
            replays_max: 3,
            ping: Ping { interval: Duration::from_secs(20), timeout: Duration::from_secs(10) },
            on_full: OnFull::Close,
            confirm_linger: Duration::ZERO,
            restart_codes: vec![1001, 1006, 1011, 1012, 1013, 1014],
            origins: Vec::new(),
            http: Some(HttpConfig::default()),
        }
    }
}

/// How often a client's message may reach a backend while backends come and go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// What the kernel has accepted for a backend is never sent again.
    AtMostOnce,
    /// What a backend has not confirmed is sent again.
    AtLeastOnce,
    /// Only backends that count messages themselves are used.
    ExactlyOnce,
}

/// How a backend that knows nothing of Everwire gets a session back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restore {
    /// How many of the client's first messages are sent again at the start of each later leg.
    pub first: u32,
    /// How many of the backend's first messages answer them, and are kept from the client then.
    pub answers: u32,
}

impl Restore {
    /// Nothing is restored.
    pub const NONE: Self = Self { first: 0, answers: 0 };
    /// One handshake message, one answer: SignalR, and graphql-transport-ws' `connection_init`.
    pub const HANDSHAKE: Self = Self { first: 1, answers: 1 };
}

/// When a peer is asked whether it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// Silence after which a Ping is sent. Default: 20 s, below the usual 30 s of middle boxes.
    pub interval: Duration,
    /// How long the peer may then stay silent. Default: 10 s, time enough for a slow reader to get
    /// through what kernels have buffered before the Ping.
    pub timeout: Duration,
}

/// How a route treats requests that open no WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpConfig {
    /// Requests being served at once; more are answered 503. Default: 10,000, above half of what
    /// the process takes by default.
    pub requests_max: u32,
    /// How long a backend may take to begin its answer, and a client to send the next piece of its
    /// body. Default: 120 s, because polls are answered after up to 100.
    pub response_timeout: Duration,
    /// How long nothing may move once the answer has begun. Default: 10 minutes, since events may
    /// be rare.
    pub idle_timeout: Duration,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            requests_max: 10_000,
            response_timeout: Duration::from_secs(120),
            idle_timeout: Duration::from_secs(600),
        }
    }
}

/// What happens when a pipe's buffer is full and it has no leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFull {
    /// The client is told 1013.
    Close,
    /// The client is not read from until there is room.
    Pause,
}
