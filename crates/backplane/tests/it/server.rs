//! The test kit's Redis with nodes on it.

use std::{
    ops::{Deref, DerefMut},
    path::Path,
};

use ::redis::{AsyncConnectionConfig, aio::MultiplexedConnection};
use everwire_backplane::redis::{Config, Redis};
use everwire_testkit::{
    redis,
    wait::{SOON, eventually},
};

pub(crate) use everwire_testkit::redis::{DURABLE, VOLATILE};

/// A server. Dropping it kills it.
pub(crate) struct Server(redis::Server);

impl Server {
    pub(crate) async fn start(program: &Path, options: &[&str]) -> Self {
        Self(redis::Server::start(program, options).await)
    }

    /// A node on this server.
    pub(crate) fn node(&self) -> Redis {
        Redis::start(Config::new(self.url())).unwrap()
    }

    /// A command of a test's own.
    pub(crate) async fn tell(&self, words: &[&str]) -> ::redis::Value {
        tell(&self.url(), words).await
    }
}

impl Deref for Server {
    type Target = redis::Server;

    fn deref(&self) -> &redis::Server {
        &self.0
    }
}

impl DerefMut for Server {
    fn deref_mut(&mut self) -> &mut redis::Server {
        &mut self.0
    }
}

/// A connection of a test's own. By its client's default an answer may take 500 ms, which a busy
/// machine takes longer for.
pub(crate) async fn connect(url: &str) -> MultiplexedConnection {
    let client = ::redis::Client::open(url).unwrap();
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(SOON))
        .set_response_timeout(Some(SOON));
    let open = async || client.get_multiplexed_async_connection_with_config(&config).await.ok();
    eventually("a connection", open).await
}

/// Sends one command to the server at an address.
pub(crate) async fn tell(url: &str, words: &[&str]) -> ::redis::Value {
    let mut connection = connect(url).await;
    let mut command = ::redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query_async(&mut connection).await.unwrap()
}
