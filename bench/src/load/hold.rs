//! Idle pipes: opened with a browser's handshake, one echo each, then quiet until all are asked at
//! once. A pipe that is dropped dials again every 50 ms, as a browser's application would.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::connection::{Connection, Message};
use crate::control::{self, Questions};
use crate::{clock, wire};

/// Bytes of the handshake every connection of the load is opened with.
pub(crate) const HEAD_LEN: usize = 1024;

/// What is to be held.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// The proxy.
    #[arg(long)]
    target: SocketAddr,
    /// How many pipes.
    #[arg(long)]
    connections: u64,
}

/// The answer once every pipe has had its echo, or patience is at its end.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// Pipes that have had their echo.
    pub(crate) answered: u64,
    /// Sockets dropped since the question before.
    pub(crate) dropped: u64,
    /// Dials that failed since the question before.
    pub(crate) failed_dials: u64,
    /// From the question to the last echo, in milliseconds.
    pub(crate) took_ms: f64,
}

/// Runs until the benchmark goes; each question asks every pipe for an echo.
pub(crate) async fn run(options: Options) -> Result<()> {
    let shared = Arc::new(Shared {
        target: options.target,
        head: wire::request_head(&options.target.to_string(), HEAD_LEN),
        message: Message::new(MESSAGE_LEN, 1),
        dials: Semaphore::new(DIALS_MAX),
        answered: AtomicU64::new(0),
        dropped: AtomicU64::new(0),
        failed_dials: AtomicU64::new(0),
    });
    // The first round of questions is the echo that every pipe has before it counts as held.
    let (ask, asked) = watch::channel(1_u64);
    let mut pipes = JoinSet::new();
    for _ in 0..options.connections {
        pipes.spawn(hold(Arc::clone(&shared), asked.clone()));
    }
    let opened = shared.wait_answered(options.connections).await;
    anyhow::ensure!(
        opened.answered == options.connections,
        "{} of {} pipes opened, {} failed dials",
        opened.answered,
        options.connections,
        opened.failed_dials
    );
    let mut questions = Questions::listen()?;
    while questions.next().await.is_some() {
        shared.answered.store(0, Ordering::Relaxed);
        ask.send_modify(|round| *round += 1);
        control::answer(&shared.wait_answered(options.connections).await)?;
    }
    Ok(())
}

struct Shared {
    target: SocketAddr,
    head: Vec<u8>,
    message: Message,
    dials: Semaphore,
    answered: AtomicU64,
    dropped: AtomicU64,
    failed_dials: AtomicU64,
}

impl Shared {
    async fn wait_answered(&self, all: u64) -> Asked {
        let start = clock::now();
        while self.answered.load(Ordering::Relaxed) < all && start.elapsed() < PATIENCE {
            sleep(POLL).await;
        }
        Asked {
            answered: self.answered.load(Ordering::Relaxed),
            dropped: self.dropped.swap(0, Ordering::Relaxed),
            failed_dials: self.failed_dials.swap(0, Ordering::Relaxed),
            took_ms: start.elapsed().as_secs_f64() * 1000.0,
        }
    }

    async fn dial(&self) -> Result<Connection> {
        let _turn = self.dials.acquire().await?;
        Ok(Connection::open(self.target, &self.head).await?)
    }
}

/// Keeps one pipe open for ever and answers each round of questions once.
async fn hold(shared: Arc<Shared>, mut asked: watch::Receiver<u64>) {
    let mut answered = 0;
    loop {
        let lost = match shared.dial().await {
            Ok(mut connection) => {
                let _ = keep(&shared, &mut connection, &mut asked, &mut answered).await;
                &shared.dropped
            }
            Err(_) => &shared.failed_dials,
        };
        lost.fetch_add(1, Ordering::Relaxed);
        sleep(REDIAL).await;
    }
}

async fn keep(
    shared: &Shared,
    connection: &mut Connection,
    asked: &mut watch::Receiver<u64>,
    answered: &mut u64,
) -> Result<()> {
    loop {
        let round = *asked.borrow_and_update();
        if round > *answered {
            connection.send(&shared.message, 1).await?;
            connection.receive(&shared.message).await?;
            *answered = round;
            shared.answered.fetch_add(1, Ordering::Relaxed);
        }
        tokio::select! {
            changed = asked.changed() => changed.context("the generator is stopping")?,
            error = connection.idle() => return Err(error.into()),
        }
    }
}

const MESSAGE_LEN: usize = 128;
/// Dials of the generator under way at one time, so that its own storm is not what is measured.
const DIALS_MAX: usize = 256;
const REDIAL: Duration = Duration::from_millis(50);
const POLL: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(45);
