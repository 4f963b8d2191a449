//! What a hub allows its clients. Defaults are the official server's where it has them.

use std::{num::NonZeroU32, time::Duration};

use everwire_proto::{
    session::resend::RESEND_MAX,
    signalr::{
        MESSAGE_MAX,
        negotiate::{StatefulReconnect, Transport},
    },
};

use crate::dispatch::Limits;

/// Limits, timeouts and permissions of a hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubConfig {
    /// How long a client may take to say which protocol it speaks. Default: 15 s.
    pub handshake_timeout: Duration,
    /// Silence of ours after which a client is sent a ping. Default: 15 s, half of what clients
    /// wait by default.
    pub keep_alive: Duration,
    /// Silence of a client that has pinged once, after which it is given up. Default: 30 s, twice
    /// the interval at which clients ping by default.
    pub client_timeout: Duration,
    /// The largest message that is received, framing included, in bytes. Default: 32 KiB.
    pub message_max: usize,
    /// Bytes that may wait for one client to take them; what happens then is `slow`. Default:
    /// 1 MiB, several seconds of a busy hub for a client on a bad network.
    pub queue_max: usize,
    /// What happens to a client that takes less than it is sent. Default: close.
    pub slow: SlowPolicy,
    /// How long a client may take nothing of what waits for it. Default: 10 s.
    pub send_timeout: Duration,
    /// How long a client may take to answer that the connection closes. Default: 5 s.
    pub close_timeout: Duration,
    /// How long a session is kept without a connection: before the first, between two polls, and
    /// for a stateful reconnect. Default: 15 s.
    pub disconnect_timeout: Duration,
    /// How long a poll waits for something to answer with. Default: 90 s.
    pub poll_timeout: Duration,
    /// Unacknowledged bytes per client at which its own answers wait, with stateful reconnect.
    /// Default: 100,000.
    pub stateful_max: usize,
    /// Bytes that are kept for all clients that may resume their sessions, those of a message that
    /// many share counted for each. Default: 256 MiB, 2,500 clients with as much as one may have.
    /// Beyond that the sessions that have waited longest for their client to come back are given
    /// up, and if none waits, the one that has something more to keep can no longer be resumed.
    pub stateful_total_max: usize,
    /// Whether a client that asks for it may resume its session. Default: on.
    pub stateful_reconnect: StatefulReconnect,
    /// The transports that clients may choose, the best first. Default: all.
    pub transports: Vec<Transport>,
    /// Web pages that browsers may connect from. Default: those of the hub's own origin.
    pub origins: Origins,
    /// Negotiated connections that nobody has opened yet. Default: 65,536, a reconnect storm of
    /// a full node; beyond that negotiation answers 503.
    pub pending_max: usize,
    /// Bytes published that a shard has not delivered yet. Default: 64 MiB; beyond that publishing
    /// fails, and the publisher is told.
    pub inbox_max: usize,
    /// Answers of clients that are awaited, of all clients together. Default: 262,144, which is
    /// less than 100 MiB; beyond that asking fails, and who asks is told. What one client may leave
    /// unanswered is in `calls`.
    pub asked_max: usize,
    /// Messages that one client may say a second, pings included, over ten seconds: so often this at
    /// once. Default: 10,000, some hundred times what a page says that follows a pointer, so that
    /// who says more floods; it is told so, and its connection ends with 1008. `None`: any number.
    pub rate_max: Option<NonZeroU32>,
    /// Groups that one connection may be in; beyond that it is added to no other. Default: 1,000.
    pub groups_max: usize,
    /// What one client may call at once. Default: one call at a time, and see [`Limits`].
    pub calls: Limits,
    /// What happens to a connection when its client's [identity](crate::Identity::expires) expires.
    /// Default: nothing, as in the official server.
    pub expiry: Expiry,
    /// Whether clients are told what an application's error says. Default: no, it may be secret.
    pub detailed_errors: bool,
}

/// What happens to a client whose queue is full. Answers to its own calls are never dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlowPolicy {
    /// The connection ends.
    Close,
    /// The oldest waiting broadcasts are dropped and counted.
    DropOldest,
    /// A broadcast replaces a waiting one for the same target; the connection ends if that does
    /// not suffice.
    Conflate,
}

/// What happens to a connection whose client's identity expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// Nothing: who has come in stays.
    Ignored,
    /// It ends within a second, and its client may reconnect: with another token, if it has one. A
    /// later request for the same connection, a poll for instance, brings the identity that counts.
    Closes,
}

/// Origins whose pages may connect, with credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// The origin that the hub itself is reached at.
    Same,
    /// These, such as `https://app.example.com`, and the hub's own.
    Listed(Vec<String>),
    /// Any. For development, or where tokens and not cookies authenticate.
    Any,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(15),
            keep_alive: Duration::from_secs(15),
            client_timeout: Duration::from_secs(30),
            message_max: MESSAGE_MAX,
            queue_max: 1 << 20,
            slow: SlowPolicy::Close,
            send_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
            disconnect_timeout: Duration::from_secs(15),
            poll_timeout: Duration::from_secs(90),
            stateful_max: RESEND_MAX,
            stateful_total_max: 256 << 20,
            stateful_reconnect: StatefulReconnect::On,
            transports: Transport::ALL.to_vec(),
            origins: Origins::Same,
            pending_max: 65_536,
            inbox_max: 64 << 20,
            asked_max: 262_144,
            rate_max: NonZeroU32::new(10_000),
            groups_max: 1000,
            calls: Limits::default(),
            expiry: Expiry::Ignored,
            detailed_errors: false,
        }
    }
}
