//! A service behind the node: the demo's sample backend, a process of its own.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Stdio},
};

use crate::process::everwire;

/// A running backend, killed when dropped.
pub(crate) struct Service {
    child: Child,
    address: SocketAddr,
}

impl Service {
    /// Starts one that remembers in a directory of this name, shared with others of that name.
    pub(crate) fn start(store: &str) -> Self {
        let store = Path::new(env!("CARGO_TARGET_TMPDIR")).join(store);
        std::fs::create_dir_all(&store).expect("the test's directory can be written");
        let store = store.to_str().expect("the path is text");
        let mut child = everwire(&["demo-backend", "--listen", "127.0.0.1:0", "--store", store])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut line = String::new();
        let out = child.stdout.take().expect("it is piped");
        BufReader::new(out).read_line(&mut line).expect("it says where it listens");
        let address = line.trim().strip_prefix("listening on ").and_then(|line| line.parse().ok());
        Self { child, address: address.unwrap_or_else(|| panic!("no address: {line}")) }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.address)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Both fail when it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
