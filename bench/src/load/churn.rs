//! Pipes opened, used for one echo, and closed with a handshake, by a fixed number of workers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::connection::{Connection, Message};
use super::dialect::Dialect;
use crate::control::{self, Questions};
use crate::wire;

/// How much churn.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// The proxy.
    #[arg(long)]
    target: SocketAddr,
    /// Pipes under way at one time.
    #[arg(long)]
    workers: usize,
    /// What is said instead of one echo.
    #[arg(long, value_enum)]
    dialect: Option<Dialect>,
}

/// What was counted since the question before.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Counted {
    /// Pipes opened, used and closed.
    pub(crate) pipes: u64,
}

/// Runs until the benchmark goes; every question is answered with [`Counted`].
pub(crate) async fn run(options: Options) -> Result<()> {
    let plan = Arc::new(Plan {
        target: options.target,
        head: wire::request_head(&options.target.to_string(), super::hold::HEAD_LEN),
        message: Message::new(MESSAGE_LEN, 1),
        dialect: options.dialect,
        pipes: AtomicU64::new(0),
    });
    plan.once().await?;
    let mut workers = JoinSet::new();
    for _ in 0..options.workers {
        workers.spawn(work(Arc::clone(&plan)));
    }
    let mut questions = Questions::listen()?;
    loop {
        tokio::select! {
            question = questions.next() => match question {
                Some(_) => {
                    control::answer(&Counted { pipes: plan.pipes.swap(0, Ordering::Relaxed) })?;
                }
                None => return Ok(()),
            },
            Some(ended) = workers.join_next() => bail!("a worker of the load ended: {ended:?}"),
        }
    }
}

async fn work(plan: Arc<Plan>) -> Result<()> {
    loop {
        match timeout(PIPE_MAX, plan.once()).await {
            Ok(done) => done?,
            Err(_) => bail!("a pipe took more than {PIPE_MAX:?}"),
        }
    }
}

struct Plan {
    target: SocketAddr,
    head: Vec<u8>,
    message: Message,
    dialect: Option<Dialect>,
    pipes: AtomicU64,
}

impl Plan {
    async fn once(&self) -> Result<()> {
        let mut connection = Connection::open(self.target, &self.head).await?;
        if let Some(dialect) = self.dialect {
            dialect.greet(&mut connection).await?;
        } else {
            connection.send(&self.message, 1).await?;
            let echoes = connection.receive(&self.message).await?;
            ensure!(echoes == 1, "{echoes} echoes of one message");
        }
        connection.close().await?;
        self.pipes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

const MESSAGE_LEN: usize = 128;
/// A pipe that takes longer is stuck, not slow.
const PIPE_MAX: Duration = Duration::from_secs(10);
