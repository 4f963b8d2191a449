//! Draining one backend and readying the other, every second, while Autobahn runs.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::conformance::through::POOL;
use crate::process::{self, QUICK_MAX};

/// Time between two replacements.
const PERIOD: Duration = Duration::from_secs(1);

/// Fewer replacements than this mean that the run did not test what it says.
const ROUNDS_MIN: u32 = 3;

/// The replacing thread, ended by [`Rolling::stop`].
pub(super) struct Rolling {
    over: Sender<()>,
    thread: JoinHandle<Result<u32>>,
}

impl Rolling {
    /// Begins to replace the first server by the second, then the other way round, and so on.
    pub(super) fn start(binary: &Path, admin: SocketAddr, servers: &[SocketAddr]) -> Self {
        let (over, ended) = mpsc::channel();
        let binary = binary.to_owned();
        let urls: Vec<String> = servers.iter().map(|server| format!("ws://{server}")).collect();
        let thread = thread::spawn(move || {
            let mut rounds = 0;
            while ended.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                let old = rounds as usize % urls.len();
                let new = (old + 1) % urls.len();
                order(&binary, admin, "ready", &urls[new])?;
                order(&binary, admin, "drain", &urls[old])?;
                rounds += 1;
            }
            Ok(rounds)
        });
        Self { over, thread }
    }

    /// Ends the replacing; an error if an order failed or there were too few.
    pub(super) fn stop(self) -> Result<()> {
        drop(self.over);
        let rounds = self.thread.join().map_err(|_| anyhow::anyhow!("the thread panicked"))??;
        println!("autobahn: the backend was replaced {rounds} times");
        ensure!(rounds >= ROUNDS_MIN, "only {rounds} replacements took place");
        Ok(())
    }
}

fn order(binary: &Path, admin: SocketAddr, verb: &str, url: &str) -> Result<()> {
    let admin = format!("http://{admin}");
    let arguments = ["pool", verb, POOL, url, "--admin", &admin];
    let mut everwire = process::command(binary, &arguments);
    let (done, said) = process::read(&mut everwire, QUICK_MAX)?;
    ensure!(done, "`everwire {}` failed: {said}", arguments.join(" "));
    Ok(())
}
