//! HAProxy and nginx in Everwire's place: the controls that must drop what Everwire keeps.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    everwire::Folder, loopback::unique_address, process::Process, relay::listens, wait::eventually,
};

/// A running rival. Dropping it kills it.
#[derive(Debug)]
pub struct Rival {
    address: SocketAddr,
    _process: Process,
    _folder: Folder,
}

impl Rival {
    /// HAProxy with checks every 200 ms, as its users run it for WebSockets.
    pub async fn haproxy(program: &Path, backends: &[SocketAddr]) -> Self {
        Self::balancing(program, backends, "leastconn").await
    }

    /// HAProxy that sends each request to the next backend, whoever's it is.
    pub async fn round_robin(program: &Path, backends: &[SocketAddr]) -> Self {
        Self::balancing(program, backends, "roundrobin\n  option redispatch 1").await
    }

    async fn balancing(program: &Path, backends: &[SocketAddr], balance: &str) -> Self {
        let folder = Folder::new();
        let address = SocketAddr::from((unique_address(), PORT));
        let servers: String = backends
            .iter()
            .enumerate()
            .map(|(n, backend)| format!("  server s{n} {backend} check inter 200ms\n"))
            .collect();
        let config = format!(
            "defaults\n  mode http\n  timeout connect 2s\n  timeout client 60s\n  \
             timeout server 60s\n  timeout tunnel 1h\nfrontend f\n  bind {address}\n  \
             default_backend b\nbackend b\n  balance {balance}\n{servers}"
        );
        let file = write(&folder, "haproxy.cfg", &config);
        let process =
            Process::start("haproxy", Command::new(program).arg("-db").arg("-f").arg(file));
        Self::ready(address, process, folder).await
    }

    /// nginx as a WebSocket proxy, in one process.
    pub async fn nginx(program: &Path, backends: &[SocketAddr]) -> Self {
        let folder = Folder::new();
        let address = SocketAddr::from((unique_address(), PORT));
        let servers: String = backends
            .iter()
            .map(|backend| format!("    server {backend} max_fails=1 fail_timeout=1s;\n"))
            .collect();
        let path = folder.0.display();
        let config = format!(
            "daemon off; master_process off; pid {path}/pid; error_log stderr;\n\
             events {{ worker_connections 4096; }}\nhttp {{\n  access_log off;\n  \
             client_body_temp_path {path}/body; proxy_temp_path {path}/proxy;\n  \
             fastcgi_temp_path {path}/f; uwsgi_temp_path {path}/u; scgi_temp_path {path}/s;\n  \
             upstream b {{\n    least_conn;\n{servers}  }}\n  server {{\n    listen {address};\n    \
             location / {{\n      proxy_pass http://b; proxy_http_version 1.1;\n      \
             proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;\n      \
             proxy_read_timeout 1h;\n    }}\n  }}\n}}\n"
        );
        let file = write(&folder, "nginx.conf", &config);
        let process = Process::start("nginx", Command::new(program).arg("-c").arg(file));
        Self::ready(address, process, folder).await
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    async fn ready(address: SocketAddr, mut process: Process, folder: Folder) -> Self {
        eventually("a rival listening", async || {
            assert!(!process.has_ended(), "{}", process.transcript());
            listens(address).await.then_some(())
        })
        .await;
        Self { address, _process: process, _folder: folder }
    }
}

fn write(folder: &Folder, name: &str, text: &str) -> PathBuf {
    let path = folder.0.join(name);
    fs::write(&path, text).expect("the test's folder can be written");
    path
}

/// Free at an address that is nobody else's.
const PORT: u16 = 8080;
