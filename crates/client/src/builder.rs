//! How a connection is described and begun.

use std::{
    error::Error,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use everwire_proto::signalr::{
    Protocol,
    negotiate::{Secret, StatefulReconnect, Transport},
};
use everwire_socket::message::SocketConfig;
use http::{HeaderMap, HeaderName, HeaderValue};
use rustls::pki_types::CertificateDer;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    address::Address,
    call::Cancellations,
    carrier::RequestLimits,
    connection::{Connection, Shared},
    dial::{Dialer, Negotiation},
    dispatch::Handlers,
    error::ConnectError,
    handler::Handler,
    http::Reach,
    options::{Limits, Timing},
    reconnect::ReconnectPolicy,
    session::SessionConfig,
    state::State,
    task::{Task, TaskConfig},
    tls::{Trust, certificates},
    token::{AccessToken, TokenPlace},
};

/// A SignalR client; [`Client::builder`] is where it begins.
#[derive(Debug)]
pub struct Client;

impl Client {
    /// Describes a connection to the hub at this address, `https://host:port/path` or the same with
    /// `http`, `wss` or `ws`. A mistake in it shows when connecting.
    pub fn builder(url: impl Into<String>) -> ClientBuilder {
        ClientBuilder {
            url: url.into(),
            protocol: Protocol::Json,
            token: AccessToken::default(),
            token_place: TokenPlace::default(),
            headers: Ok(HeaderMap::new()),
            roots: Ok(Vec::new()),
            transports: Transport::ALL.into(),
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
    token_place: TokenPlace,
    headers: Result<HeaderMap, ConnectError>,
    /// Certificates that vouch for servers, beside the system's.
    roots: Result<Vec<CertificateDer<'static>>, ConnectError>,
    transports: Vec<Transport>,
    negotiation: Negotiation,
    reconnect: ReconnectPolicy,
    timing: Timing,
    limits: Limits,
    handlers: Handlers,
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

    /// Where such tokens come from, because they expire: asked for each negotiation and each
    /// WebSocket, and where a token is refused that events or polls were begun with.
    #[must_use]
    pub fn access_token_from<F, T>(mut self, provide: F) -> Self
    where
        F: Fn() -> T + Send + Sync + 'static,
        T: Future<Output = Result<String, Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        self.token = AccessToken::provider(provide);
        self
    }

    /// Where the token stands in requests that open a WebSocket or events. Default: in a header.
    #[must_use]
    pub const fn token_place(mut self, place: TokenPlace) -> Self {
        self.token_place = place;
        self
    }

    /// Trusts servers that these certificates vouch for, beside those that the system's do; in PEM,
    /// one or more. A mistake in it shows when connecting. There is no way to trust all servers.
    #[must_use]
    pub fn root_certificates(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.roots = self.roots.and_then(|mut roots| {
            roots.extend(certificates(pem.as_ref())?);
            Ok(roots)
        });
        self
    }

    /// The transports to use, of those that the server offers and in its order, until one of them
    /// works. Events carry no MessagePack and are passed over with it. Default: all.
    #[must_use]
    pub fn transports(mut self, transports: impl IntoIterator<Item = Transport>) -> Self {
        self.transports = transports.into_iter().collect();
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
    /// redirects, no stateful reconnect and no other transport.
    #[must_use]
    pub const fn skip_negotiation(mut self) -> Self {
        self.negotiation = Negotiation::Skipped;
        self
    }

    /// Asks the server to keep the session when a socket is lost, so that another continues it
    /// with nothing lost or doubled. Has no effect where negotiation is skipped, and on transports
    /// other than WebSockets.
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
            token_place: self.token_place,
            reach: Arc::new(Reach::new(Trust::with(self.roots.clone()?))),
            negotiation: self.negotiation,
            transports: self.transports.clone(),
            format: self.protocol.transfer_format(),
            attempt_max: self.timing.connect_timeout / 3,
            // Whether the server lives is known from its messages, which the session watches.
            socket: SocketConfig {
                message_max: frame_max as u64,
                ping_interval: NEVER,
                ..SocketConfig::default()
            },
            requests: RequestLimits {
                bytes_max: frame_max,
                answer_max: self.timing.answer_timeout,
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
const OURS: [&str; 7] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
    "upgrade",
];
/// What the application may have said and the task not looked at yet.
const COMMANDS_MAX: usize = 64;
/// Servers may put several messages into one of WebSocket's, or into the answer to a poll.
const FRAME_SPARE: usize = 1 << 20;
/// Longer than any connection.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);
