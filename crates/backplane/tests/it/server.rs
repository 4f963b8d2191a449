//! A Redis of a test's own: at an address of its own, in a folder that goes with it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
};

use everwire_backplane::redis::{Config, Redis};
use everwire_testkit::{
    everwire::Folder, loopback::unique_address, process::Process, wait::eventually,
};

/// What a server of these tests is told beside its port and folder.
pub(crate) const VOLATILE: &[&str] = &["--save", "", "--appendonly", "no"];
pub(crate) const DURABLE: &[&str] =
    &["--save", "", "--appendonly", "yes", "--appendfsync", "always"];

/// A server. Dropping it kills it.
pub(crate) struct Server {
    pub(crate) process: Process,
    program: PathBuf,
    address: Ipv4Addr,
    folder: Folder,
    options: Vec<String>,
}

impl Server {
    pub(crate) async fn start(program: &Path, options: &[&str]) -> Self {
        let folder = Folder::new();
        let address = unique_address();
        let options: Vec<_> = options.iter().map(|option| (*option).to_owned()).collect();
        let process = launch(program, address, &folder, &options);
        let mut server = Self { process, program: program.to_owned(), address, folder, options };
        server.listening().await;
        server
    }

    /// SIGKILL, and the same again with what it finds in its folder.
    pub(crate) async fn kill_and_restart(&mut self) {
        self.process.kill();
        self.restart().await;
    }

    pub(crate) async fn restart(&mut self) {
        self.process = launch(&self.program, self.address, &self.folder, &self.options);
        self.listening().await;
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (self.address, PORT).into()
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// A node on this server.
    pub(crate) fn node(&self) -> Redis {
        Redis::start(Config::new(self.url())).unwrap()
    }

    /// A command of a test's own.
    pub(crate) async fn tell(&self, words: &[&str]) -> redis::Value {
        tell(&self.url(), words).await
    }

    async fn listening(&mut self) {
        self.process
            .ready("its readiness", |line| line.contains("Ready to accept").then_some(()))
            .await;
    }
}

/// Sends one command to the server at an address.
pub(crate) async fn tell(url: &str, words: &[&str]) -> redis::Value {
    let client = redis::Client::open(url).unwrap();
    let mut connection =
        eventually("a connection", async || client.get_multiplexed_async_connection().await.ok())
            .await;
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query_async(&mut connection).await.unwrap()
}

fn launch(program: &Path, address: Ipv4Addr, folder: &Folder, options: &[String]) -> Process {
    let mut command = Command::new(program);
    command.args(["--bind", &address.to_string(), "--port", &PORT.to_string()]);
    command.arg("--dir").arg(&folder.0).args(options);
    Process::start("redis-server", &mut command)
}

/// Free at an address that is nobody else's.
const PORT: u16 = 6379;
