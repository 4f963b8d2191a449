//! The test kit's Redis with nodes on it.

use std::{
    ops::{Deref, DerefMut},
    path::Path,
};

use everwire_backplane::redis::{Config, Redis};
use everwire_testkit::{redis, wait::eventually};

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

/// Sends one command to the server at an address.
pub(crate) async fn tell(url: &str, words: &[&str]) -> ::redis::Value {
    let client = ::redis::Client::open(url).unwrap();
    let mut connection =
        eventually("a connection", async || client.get_multiplexed_async_connection().await.ok())
            .await;
    let mut command = ::redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query_async(&mut connection).await.unwrap()
}
