//! Spawns the real binary and ends it with the test.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

/// The binary with an environment that says nothing to it.
pub(crate) fn everwire(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_everwire"));
    command.args(args).current_dir(env!("CARGO_TARGET_TMPDIR"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("EVERWIRE_") {
            command.env_remove(name);
        }
    }
    command.env_remove("RUST_LOG");
    command
}

/// Runs a command to its end.
pub(crate) fn run(args: &[&str]) -> Ended {
    Ended::of(&everwire(args).output().expect("the binary runs"))
}

/// What a command left behind.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().expect("it ends by itself"),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A file of this test's own.
pub(crate) fn file(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("the test's directory can be written");
    path
}

/// A running node, killed when dropped.
pub(crate) struct Node {
    pub(crate) child: Child,
    pub(crate) gateway: SocketAddr,
    pub(crate) admin: SocketAddr,
    out: BufReader<std::process::ChildStdout>,
}

impl Node {
    /// A node with one pool of these backends.
    pub(crate) fn with_backends(backends: &[&str]) -> Self {
        let mut args = vec!["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        for backend in backends {
            args.extend(["--backend", backend]);
        }
        Self::start(everwire(&args))
    }

    /// A node with this configuration file.
    pub(crate) fn with_file(path: &Path) -> Self {
        let path = path.to_str().expect("the path is text");
        Self::start(everwire(&["serve", "-c", path]))
    }

    /// Waits for the two lines that say where it listens.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
        let gateway = address(&mut out, "gateway listening on ");
        let admin = address(&mut out, "admin listening on http://");
        Self { child, gateway, admin, out }
    }

    /// Sends a signal to this node, by its own process id.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().expect("kill runs");
        assert!(sent.success());
    }

    /// Waits for its end and returns what it logged.
    pub(crate) fn ended(mut self) -> Ended {
        let status = self.child.wait().expect("it can be waited for");
        let mut ended =
            Ended { code: status.code().unwrap_or(-1), out: String::new(), err: String::new() };
        self.out.read_to_string(&mut ended.out).expect("its output is text");
        let mut log = self.child.stderr.take().expect("it is piped");
        log.read_to_string(&mut ended.err).expect("its log is text");
        ended
    }

    /// A command that talks to this node.
    pub(crate) fn command(&self, args: &[&str]) -> Ended {
        let mut command = everwire(args);
        command.env("EVERWIRE_ADMIN", format!("http://{}", self.admin));
        Ended::of(&command.output().expect("the binary runs"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Both fail when the node has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn address(out: &mut impl BufRead, prefix: &str) -> SocketAddr {
    let mut line = String::new();
    out.read_line(&mut line).expect("the node says where it listens");
    let address =
        line.trim().strip_prefix(prefix).unwrap_or_else(|| panic!("not {prefix}: {line}"));
    address.parse().expect("it is an address")
}

/// Sends bytes and reads the answer to its end.
pub(crate) fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket has timeouts");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers and closes");
    answer
}

/// An HTTP request that asks for the connection to be closed behind its answer.
pub(crate) fn http(address: SocketAddr, line: &str, headers: &[&str], body: &str) -> String {
    let mut request = format!("{line} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|header| header.starts_with("Host:")) {
        request.push_str(&format!("Host: {address}\r\n"));
    }
    for header in headers {
        request.push_str(&format!("{header}\r\n"));
    }
    request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    exchange(address, &request)
}

/// The status of an answer.
pub(crate) fn status(answer: &str) -> u16 {
    let code = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
    code.and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("no status in {answer:?}"))
}

/// The body of an answer as JSON.
pub(crate) fn json(answer: &str) -> serde_json::Value {
    let (_, body) = answer.split_once("\r\n\r\n").expect("an answer has a body");
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error} in {body:?}"))
}
