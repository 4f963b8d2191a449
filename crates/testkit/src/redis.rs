//! A Redis of a test's own: at an address of its own, in a folder that goes with it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::{everwire::Folder, loopback::unique_address, process::Process, wait::soon};

/// Options of a server that forgets everything when it ends.
pub const VOLATILE: &[&str] = &["--save", "", "--appendonly", "no"];
/// Options of a server that forgets nothing it has confirmed.
pub const DURABLE: &[&str] = &["--save", "", "--appendonly", "yes", "--appendfsync", "always"];

/// A server. Dropping it kills it.
pub struct Server {
    /// Its process, to be stopped, resumed and killed.
    pub process: Process,
    program: PathBuf,
    address: Ipv4Addr,
    folder: Folder,
    options: Vec<String>,
}

impl Server {
    /// Starts `redis-server` with these options beside its port and folder, and waits until it
    /// listens.
    pub async fn start(program: &Path, options: &[&str]) -> Self {
        let folder = Folder::new();
        let address = unique_address();
        let options: Vec<_> = options.iter().map(|option| (*option).to_owned()).collect();
        let process = launch(program, address, &folder, &options);
        let mut server = Self { process, program: program.to_owned(), address, folder, options };
        server.listening().await;
        server
    }

    /// SIGKILL, and the same again with what it finds in its folder.
    pub async fn kill_and_restart(&mut self) {
        self.process.kill();
        self.restart().await;
    }

    /// Starts what has ended again, with what it finds in its folder.
    pub async fn restart(&mut self) {
        self.process = launch(&self.program, self.address, &self.folder, &self.options);
        self.listening().await;
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (self.address, PORT).into()
    }

    /// The same as a URL.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// Sends one command, and gives the first line of the answer and, of a text, that. Fails the test
    /// if it is an error.
    pub async fn tell<W: AsRef<[u8]>>(&self, words: &[W]) -> String {
        let mut command = format!("*{}\r\n", words.len()).into_bytes();
        for word in words.iter().map(AsRef::as_ref) {
            command.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            command.extend_from_slice(word);
            command.extend_from_slice(b"\r\n");
        }
        let answer = soon("an answer of Redis", ask(self.address(), &command)).await;
        let answer = answer.unwrap_or_else(|error| panic!("Redis is not reached: {error}"));
        assert!(!answer.starts_with('-'), "Redis refuses: {answer}");
        answer
    }

    async fn listening(&mut self) {
        self.process
            .ready("its readiness", |line| line.contains("Ready to accept").then_some(()))
            .await;
    }
}

async fn ask(to: SocketAddr, command: &[u8]) -> std::io::Result<String> {
    let mut stream = BufReader::new(TcpStream::connect(to).await?);
    stream.write_all(command).await?;
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let line = line.trim_end();
    let Some(length) = line.strip_prefix('$').and_then(|length| length.parse().ok()) else {
        return Ok(line.to_owned());
    };
    let mut text = vec![0; length];
    stream.read_exact(&mut text).await?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn launch(program: &Path, address: Ipv4Addr, folder: &Folder, options: &[String]) -> Process {
    let mut command = Command::new(program);
    command.args(["--bind", &address.to_string(), "--port", &PORT.to_string()]);
    command.arg("--dir").arg(&folder.0).args(options);
    Process::start("redis-server", &mut command)
}

/// Free at an address that is nobody else's.
const PORT: u16 = 6379;
