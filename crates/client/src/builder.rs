//! How a connection is described and begun.

use std::{
    error::Error,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use everwire_proto::signalr::{
    Protocol,
    negotiate::{Secret, StatefulReconnect},
};
use everwire_socket::message::SocketConfig;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    address::Address,
    call::Cancellations,
    connection::{Connection, Shared},
    dial::{Dialer, Negotiation},
    dispatch::Handlers,
    error::ConnectError,
    handler::Handler,
    reconnect::ReconnectPolicy,
    session::SessionConfig,
    state::State,
    task::{Task, TaskConfig},
    token::AccessToken,
};

/// A SignalR client; [`Client::builder`] is where it begins.
#[derive(Debug)]
pub struct Client;

impl Client {
    /// Describes a connection to the hub at this address, `http://host:port/path` or the same with
    /// `ws`. A mistake in it shows when connecting.
    pub fn builder(url: impl Into<String>) -> ClientBuilder {
        ClientBuilder {
            url: url.into(),
            protocol: Protocol::Json,
            token: AccessToken::default(),
            headers: Ok(HeaderMap::new()),
            negotiation: Negotiation::Asked(StatefulReconnect::Off),
            reconnect: ReconnectPolicy::default(),
            timing: Timing::default(),
            limits: Limits::default(),
            handlers: Handlers::default(),
        }
    }
}

/// What a connection is to be like.
#[derive(Debug)]
pub struct ClientBuilder {
    url: String,
    protocol: Protocol,
    token: AccessToken,
    headers: Result<HeaderMap, ConnectError>,
    negotiation: Negotiation,
    reconnect: ReconnectPolicy,
    timing: Timing,
    limits: Limits,
    handlers: Handlers,
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Silence after which the server is given up; it should be twice the server's keep-alive
    /// interval. Default: 30 s, as in the official clients.
    pub server_timeout: Duration,
    /// Silence of ours after which a ping is sent; servers wait for twice as long. Default: 15 s.
    pub keep_alive: Duration,
    /// How long it may take to dial a connection, access token and negotiation included, and as
    /// long again to shake hands. Default: 15 s, what the official server waits for a handshake.
    pub connect_timeout: Duration,
}

/// How much of everything there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest message from the server in bytes; a larger one is a loss of the connection.
    /// Default: 1 MiB, because servers may say more to a client than it to them.
    pub message_max: usize,
    /// Calls in flight, and also uploads; one more is refused. Default: 1024.
    pub calls_max: usize,
    /// Calls of the server that wait for handlers. Nothing is read while there are so many; if no
    /// handler finishes in the server timeout, the connection is closed. Default: 64, so that they
    /// hold at most 64 times `message_max` bytes.
    pub handler_queue_max: usize,
    /// Items of one stream that wait for whoever takes them. Nothing is read while there are so
    /// many; if none is taken in the server timeout, the stream is cancelled. Default: 64.
    pub stream_buffer_max: usize,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            server_timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(15),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { message_max: 1 << 20, calls_max: 1024, handler_queue_max: 64, stream_buffer_max: 64 }
    }
}

impl ClientBuilder {
    /// The encoding. Default: JSON.
    #[must_use]
    pub const fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// A token that authenticates the client, as a bearer.
    #[must_use]
    pub fn access_token(mut self, token: impl Into<Box<str>>) -> Self {
        self.token = AccessToken::Value(Secret(token.into()));
        self
    }

    /// Where such tokens come from; asked for each request, because they expire.
    #[must_use]
    pub fn access_token_from<F, T>(mut self, provide: F) -> Self
    where
        F: Fn() -> T + Send + Sync + 'static,
        T: Future<Output = Result<String, Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        self.token = AccessToken::provider(provide);
        self
    }

    /// A header for all requests, also to servers that negotiation redirects to. A mistake in it
    /// shows when connecting.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers = self.headers.and_then(|mut headers| {
            let (name, value) = header(name, value)?;
            headers.append(name, value);
            Ok(headers)
        });
        self
    }

    /// Opens the WebSocket without negotiation: one round trip less, but no connection id, no
    /// redirects and no stateful reconnect.
    #[must_use]
    pub const fn skip_negotiation(mut self) -> Self {
        self.negotiation = Negotiation::Skipped;
        self
    }

    /// Asks the server to keep the session when a socket is lost, so that another continues it
    /// with nothing lost or doubled. Has no effect where negotiation is skipped.
    #[must_use]
    pub const fn stateful_reconnect(mut self) -> Self {
        if matches!(self.negotiation, Negotiation::Asked(_)) {
            self.negotiation = Negotiation::Asked(StatefulReconnect::On);
        }
        self
    }

    /// What to do about a lost connection. Default: four attempts within 42 s.
    #[must_use]
    pub fn reconnect(mut self, policy: ReconnectPolicy) -> Self {
        self.reconnect = policy;
        self
    }

    /// How long things may take.
    #[must_use]
    pub const fn timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// How much of everything there may be.
    #[must_use]
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Adds a handler of what the server calls under this name, in any case. Several are called one
    /// after the other.
    ///
    /// Handlers run in the order of the calls, one at a time and apart from the connection, which
    /// goes on meanwhile; one that blocks its thread for long should use `spawn_blocking`. A panic
    /// closes the connection.
    #[must_use]
    pub fn on<S>(self, target: &str, handler: impl Handler<S>) -> Self {
        self.handlers.add(target, handler);
        self
    }

    /// Connects. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The first attempt's; there is no other.
    pub async fn connect(self) -> Result<Connection, ConnectError> {
        let dialer = self.dialer()?;
        let Self { protocol, limits, .. } = self;
        let (commands, command_rx) = mpsc::channel(COMMANDS_MAX);
        let (state_tx, state) = watch::channel(State::Connecting);
        let (started, starting) = oneshot::channel();
        let cancellations = Cancellations::new();
        let stop = CancellationToken::new();
        let handlers = Arc::new(self.handlers);
        let config = TaskConfig {
            session: SessionConfig {
                protocol,
                reconnect: self.reconnect,
                connect_timeout: self.timing.connect_timeout,
                server_timeout: self.timing.server_timeout,
                keep_alive: self.timing.keep_alive,
                message_max: limits.message_max,
                calls_max: limits.calls_max,
            },
            handler_queue_max: limits.handler_queue_max,
            dialer: Arc::new(dialer),
            handlers: handlers.clone(),
            cancellations: cancellations.clone(),
            command_tx: commands.clone(),
            commands: command_rx,
            state: state_tx,
            started: Some(started),
            stop: stop.clone(),
        };
        let mut task = JoinSet::new();
        task.spawn(Task::new(config).run());
        let connection = Connection::new(Shared {
            protocol,
            stream_buffer: limits.stream_buffer_max.max(1),
            commands,
            cancellations,
            handlers,
            state,
            stop,
            next_id: AtomicU64::new(0),
            _task: task,
        });
        starting.await.unwrap_or(Err(ConnectError::Stopped))?;
        Ok(connection)
    }

    fn dialer(&self) -> Result<Dialer, ConnectError> {
        let frame_max = self.limits.message_max.saturating_add(FRAME_SPARE);
        Ok(Dialer {
            address: Address::parse(&self.url)?,
            headers: self.headers.clone()?,
            token: self.token.clone(),
            negotiation: self.negotiation,
            // Whether the server lives is known from its messages, which the session watches.
            socket: SocketConfig {
                message_max: frame_max as u64,
                ping_interval: NEVER,
                ..SocketConfig::default()
            },
        })
    }
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), ConnectError> {
    let unfit = |_| ConnectError::Header(name.into());
    let parsed: HeaderName = name.parse().map_err(|_| ConnectError::Header(name.into()))?;
    let is_ours = OURS.contains(&parsed.as_str()) || parsed.as_str().starts_with("sec-websocket-");
    if is_ours || !value.is_ascii() {
        return Err(ConnectError::Header(name.into()));
    }
    Ok((parsed, HeaderValue::from_str(value).map_err(unfit)?))
}

/// Headers that say how a request is made; an application has no part in that.
const OURS: [&str; 5] = ["connection", "content-length", "host", "transfer-encoding", "upgrade"];
/// What the application may have said and the task not looked at yet.
const COMMANDS_MAX: usize = 64;
/// Servers may put several messages into one of WebSocket's.
const FRAME_SPARE: usize = 1 << 20;
/// Longer than any connection.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);
