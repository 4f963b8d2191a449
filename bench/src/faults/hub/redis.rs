//! The Redis of a play: a process of the bench's own, and the few commands that strike it.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;

use crate::process::{Process, Talk, Workplace, free_address};
use crate::program::find;

/// A server through all its lives, at one address.
pub(super) struct Redis {
    pub(super) address: SocketAddr,
    program: PathBuf,
    folder: PathBuf,
    is_durable: bool,
    running: Option<Process>,
}

impl Redis {
    /// Starts one that keeps what it confirmed on disk, or nothing.
    pub(super) fn start(place: &Workplace, is_durable: bool) -> Result<Self> {
        let folder = place.file("redis");
        std::fs::create_dir_all(&folder)?;
        let program = find("redis-server", "redis-server")?;
        let address = free_address()?;
        let mut redis = Self { address, program, folder, is_durable, running: None };
        redis.start_again()?;
        Ok(redis)
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self) {
        self.running = None;
    }

    /// Starts with what is in its folder.
    pub(super) fn start_again(&mut self) -> Result<()> {
        let port = self.address.port().to_string();
        let append = if self.is_durable { "yes" } else { "no" };
        let options = [
            ["--bind", "127.0.0.1"],
            ["--port", &port],
            ["--save", ""],
            ["--appendonly", append],
            ["--appendfsync", "always"],
        ];
        let mut args: Vec<OsString> = options.concat().into_iter().map(OsString::from).collect();
        args.extend(["--dir".into(), self.folder.clone().into_os_string()]);
        let log = self.folder.join("log");
        let mut process = Process::start(&self.program, &args, log, Talk::Logged)?;
        process.wait_listening(self.address)?;
        self.running = Some(process);
        Ok(())
    }

    /// SIGSTOP or SIGCONT.
    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        self.running.as_ref().context("the Redis is not running")?.signal(signal)
    }

    /// Runs a command and gives the first line of its answer.
    pub(super) fn command(&self, words: &[&[u8]]) -> Result<String> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            bytes.extend_from_slice(word);
            bytes.extend_from_slice(b"\r\n");
        }
        stream.write_all(&bytes)?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        match answer.strip_prefix('-') {
            Some(error) => bail!("Redis: {}", error.trim()),
            None => Ok(answer.trim().to_owned()),
        }
    }

    /// Answers nobody for so long.
    pub(super) fn pause_clients(&self, seconds: u64) -> Result<()> {
        let millis = (seconds * 1000).to_string();
        self.command(&[b"CLIENT", b"PAUSE", millis.as_bytes(), b"ALL"]).map(drop)
    }

    /// Cuts everybody off who is connected.
    pub(super) fn kill_clients(&self) -> Result<()> {
        for kind in [&b"normal"[..], b"pubsub"] {
            self.command(&[b"CLIENT", b"KILL", b"TYPE", kind])?;
        }
        Ok(())
    }

    /// Cuts off from now on whoever has more than so many bytes waiting.
    pub(super) fn limit_output(&self, bytes: u64) -> Result<()> {
        let limit = format!("normal {bytes} 0 0");
        let name = b"client-output-buffer-limit";
        self.command(&[b"CONFIG", b"SET", name, limit.as_bytes()]).map(drop)
    }
}

/// A server that is not struck at the moment answers at once.
const ANSWER_MAX: Duration = Duration::from_secs(5);
