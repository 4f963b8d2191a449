//! Whether the server keeps what it accepts.

use std::{sync::Arc, time::Duration};

use redis::{RedisResult, Value};

use super::{
    Redis, Shared,
    server::{Connection, text, unexpected},
};
use crate::{LogUnreachable, LogWork};

/// What a server does with what it accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Durability {
    /// Whether it appends everything to a file. Without, a server that is killed forgets what it had
    /// accepted since it last saved all it has, if it ever does.
    pub appends: bool,
    /// When that file is synced to the disk. `None` if the server does not tell this user.
    pub syncs: Option<Syncs>,
}

/// When a server syncs its file, as `appendfsync` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syncs {
    /// Before it answers: what is confirmed outlasts a loss of power.
    Always,
    /// Each second: a loss of power may take the last of them.
    EverySecond,
    /// When the system likes to: a loss of power may take half a minute and more.
    Never,
}

impl Redis {
    /// Asks the server. Its word is `appendonly` of its configuration or, for a user who may not read
    /// that, what it says of itself.
    pub fn durability(&self) -> LogWork<Result<Durability, LogUnreachable>> {
        let shared = Arc::clone(&self.shared);
        LogWork::new(async move {
            ask(&shared).await.map_err(|error| LogUnreachable(error.to_string()))
        })
    }
}

async fn ask(shared: &Shared) -> RedisResult<Durability> {
    // Not the one that logs are read by: what is refused here is nothing that is wrong with it.
    let mut connection = shared.server.connect(Duration::ZERO).await?;
    let sync = configured(&mut connection, "appendfsync").await;
    let syncs = sync.ok().and_then(|word| syncs(&word));
    let appends = match configured(&mut connection, "appendonly").await {
        Ok(word) => word == "yes",
        Err(_) => connection.session(&shared.keys).await?.is_durable,
    };
    Ok(Durability { appends, syncs })
}

/// One word of the server's configuration.
async fn configured(connection: &mut Connection, key: &str) -> RedisResult<String> {
    let mut command = redis::cmd("CONFIG");
    command.arg("GET").arg(key);
    let Value::Array(answer) = connection.one(&command).await? else { return Err(unexpected()) };
    answer.get(1).and_then(text).map(str::to_owned).ok_or_else(unexpected)
}

fn syncs(word: &str) -> Option<Syncs> {
    match word {
        "always" => Some(Syncs::Always),
        "everysec" => Some(Syncs::EverySecond),
        "no" => Some(Syncs::Never),
        _ => None,
    }
}
