//! Reaching the server: connections, their limits in time, and which server it is.

use std::time::Duration;

use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ErrorKind, Pipeline, RedisError,
    RedisResult, TlsCertificates, Value,
    aio::{MultiplexedConnection, PubSub},
};

use super::{
    config::{Config, InvalidConfig},
    keys::Keys,
};

/// Where the server is.
#[derive(Debug)]
pub(super) struct Server {
    client: Client,
}

/// A connection. What is sent through clones of it keeps its order.
#[derive(Clone)]
pub(super) struct Connection(MultiplexedConnection);

/// Which server a connection has reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    /// Which filling of it.
    pub(super) epoch: u64,
    /// Which process: another one after each start.
    pub(super) run: String,
    /// Whether it remembers what it has confirmed when its process is killed: it appends to a file.
    pub(super) is_durable: bool,
}

impl Server {
    pub(super) fn new(config: &Config) -> Result<Self, InvalidConfig> {
        if config.lease < LEASE_MIN {
            return Err(InvalidConfig::Lease);
        }
        // Refused if the process has chosen one already, and then that one does.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let invalid = |error: RedisError| InvalidConfig::Url(error.category().to_owned());
        let client = match &config.authorities {
            None => Client::open(config.url.as_str()),
            Some(pem) => {
                let root_cert = Some(pem.clone());
                let certificates = TlsCertificates { client_tls: None, root_cert };
                Client::build_with_tls(config.url.as_str(), certificates)
            }
        };
        Ok(Self { client: client.map_err(invalid)? })
    }

    /// Its address, without any secret.
    pub(super) fn address(&self) -> &ConnectionAddr {
        self.client.get_connection_info().addr()
    }

    /// A connection whose answers come within [`ANSWER_MAX`], and that much later if they wait.
    pub(super) async fn connect(&self, wait: Duration) -> RedisResult<Connection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_MAX))
            .set_response_timeout(Some(ANSWER_MAX + wait));
        self.client.get_multiplexed_async_connection_with_config(&config).await.map(Connection)
    }

    /// A connection that hears what others publish to plain channels.
    pub(super) async fn subscriber(&self) -> RedisResult<PubSub> {
        let late = |_| RedisError::from((ErrorKind::Io, "the server is not reached in time"));
        tokio::time::timeout(CONNECT_MAX, self.client.get_async_pubsub()).await.map_err(late)?
    }
}

impl Connection {
    pub(super) async fn one(&mut self, command: &Cmd) -> RedisResult<Value> {
        self.0.send_packed_command(command).await?.extract_error()
    }

    pub(super) async fn many(&mut self, commands: &Pipeline) -> RedisResult<Vec<Value>> {
        let answers = self.0.send_packed_commands(commands, 0, commands.len()).await?;
        answers.into_iter().map(Value::extract_error).collect()
    }

    /// Which server this is. The epoch is made where it is missing.
    pub(super) async fn session(&mut self, keys: &Keys) -> RedisResult<Session> {
        let mut commands = redis::pipe();
        commands.cmd("SET").arg(keys.epoch()).arg(rand::random::<u64>().to_string()).arg("NX");
        commands.cmd("GET").arg(keys.epoch());
        commands.cmd("INFO").arg("server");
        commands.cmd("INFO").arg("persistence");
        let mut answers = self.many(&commands).await?.into_iter();
        let (_, epoch, info) = (answers.next(), answers.next(), answers.next());
        let persistence = answers.next();
        let epoch = epoch.as_ref().and_then(number).ok_or_else(unexpected)?;
        let info = info.as_ref().and_then(text).ok_or_else(unexpected)?;
        let run = info.lines().find_map(|line| line.strip_prefix("run_id:"));
        let run = run.ok_or_else(unexpected)?.trim().to_owned();
        let persistence = persistence.as_ref().and_then(text).unwrap_or_default();
        let is_durable = persistence.lines().any(|line| line.trim() == "aof_enabled:1");
        Ok(Session { epoch, run, is_durable })
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

/// The server answered something else than it does.
pub(super) fn unexpected() -> RedisError {
    RedisError::from((ErrorKind::UnexpectedReturnType, "the server answered something unexpected"))
}

/// The text of a value.
pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => str::from_utf8(bytes).ok(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text),
        _ => None,
    }
}

/// The number in a value.
pub(super) fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        other => text(other)?.parse().ok(),
    }
}

/// The place in a stream.
pub(super) fn entry_id(value: &Value) -> Option<(u64, u64)> {
    let (major, minor) = text(value)?.split_once('-')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Longest time until a connection stands.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// Longest time for an answer; a server that is stopped for two seconds is waited for.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(4);

/// The shortest lease.
const LEASE_MIN: Duration = Duration::from_secs(1);
