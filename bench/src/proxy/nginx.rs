//! nginx, configured as its documentation on WebSocket proxying says.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;

use anyhow::Result;

use super::{PIPES_MAX, Setup, WORKERS};
use crate::process::Workplace;
use crate::program::{Invocation, find};

/// Writes the configuration: quick failover, no logs, listeners shared out between the workers.
pub(super) fn command(place: &Workplace, listen: SocketAddr, setup: &Setup) -> Result<Invocation> {
    let mut servers = String::new();
    for backend in &setup.backends {
        // Failures are not counted: nginx forgives a server only when a request to it *ends*, so
        // that with WebSockets one that came back would get one new connection per timeout. A
        // refused dial goes to the next server at once, which costs next to nothing.
        writeln!(servers, "    server {backend} max_fails=0;")?;
    }
    let folder = place.file("nginx");
    fs::create_dir_all(&folder)?;
    let at = folder.display();
    // Twice the pipes, since a pipe is two connections, and the balance over workers is uneven.
    let connections = 2 * PIPES_MAX;
    let text = format!(
        "daemon off;\nworker_processes {WORKERS};\npid {at}/pid;\nerror_log stderr crit;\n\
         events {{ use epoll; worker_connections {connections}; multi_accept on; }}\n\
         http {{\n  access_log off;\n  server_tokens off;\n  keepalive_timeout 0;\n  \
         client_body_temp_path {at}/b;\n  proxy_temp_path {at}/p;\n  fastcgi_temp_path {at}/f;\n  \
         uwsgi_temp_path {at}/u;\n  scgi_temp_path {at}/s;\n  \
         upstream bench {{\n    zone bench 64k;\n    least_conn;\n{servers}  }}\n  \
         server {{\n    listen {listen} reuseport backlog=4096;\n    location / {{\n      \
         proxy_pass http://bench;\n      proxy_http_version 1.1;\n      \
         proxy_set_header Upgrade $http_upgrade;\n      proxy_set_header Connection upgrade;\n      \
         proxy_set_header Host $http_host;\n      proxy_connect_timeout 5s;\n      \
         proxy_read_timeout 1h;\n      proxy_send_timeout 1h;\n    }}\n  }}\n}}\n"
    );
    let file = place.file("nginx.conf");
    fs::write(&file, text)?;
    let args = vec!["-e".into(), "stderr".into(), "-c".into(), file.into_os_string()];
    Ok(Invocation { program: find("nginx", "nginx")?, args })
}
