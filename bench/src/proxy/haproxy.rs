//! HAProxy, configured as its manual recommends for long-lived WebSockets.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;

use anyhow::Result;

use super::{PIPES_MAX, Setup, WORKERS};
use crate::process::Workplace;
use crate::program::{Invocation, find};

/// Writes the configuration; health checks only where there is a choice of backends.
pub(super) fn command(place: &Workplace, listen: SocketAddr, setup: &Setup) -> Result<Invocation> {
    let mut text = format!(
        "global\n  nbthread {WORKERS}\n  maxconn {PIPES_MAX}\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n  \
         timeout tunnel 1h\n  timeout client-fin 5s\n  option redispatch\n  retries 3\n\
         frontend public\n  bind {listen}\n  default_backend bench\n\
         backend bench\n  balance leastconn\n"
    );
    let check = if setup.backends.len() > 1 { " check inter 200 fall 1 rise 1" } else { "" };
    for (number, backend) in setup.backends.iter().enumerate() {
        writeln!(text, "  server b{number} {backend}{check}")?;
    }
    let file = place.file("haproxy.cfg");
    fs::write(&file, text)?;
    let args = vec!["-db".into(), "-f".into(), file.into_os_string()];
    Ok(Invocation { program: find("haproxy", "haproxy")?, args })
}
