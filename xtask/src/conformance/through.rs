//! What stands between Autobahn's two peers: the gateway, or a control.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::conformance::{Job, Leg};
use crate::process::{self, Peer};

/// The pool that holds the servers behind the proxy.
pub(super) const POOL: &str = "echo";

/// A proxy, or none.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(super) enum Through {
    /// The gateway.
    Everwire,
    /// HAProxy, which tunnels blindly after the upgrade.
    Haproxy,
    /// nginx, which does too.
    Nginx,
    /// Nothing: the peers talk to each other.
    Nothing,
}

/// A running proxy, ended when dropped.
pub(super) struct Proxy {
    _process: Option<Peer>,
    /// The address that clients dial.
    pub(super) address: IpAddr,
    /// Where the gateway takes orders.
    pub(super) admin: Option<SocketAddr>,
}

impl Through {
    /// The name used for folders and in sentences.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Everwire => "everwire",
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Nothing => "nothing",
        }
    }

    /// Starts the proxy at an address, in front of the servers.
    pub(super) fn start(
        self,
        folder: &Path,
        job: &Job,
        listen: SocketAddr,
        servers: &[SocketAddr],
    ) -> Result<Proxy> {
        if self == Self::Nothing {
            return Ok(Proxy { _process: None, address: servers[0].ip(), admin: None });
        }
        let admin = match self {
            Self::Everwire => {
                let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
                Some(SocketAddr::new(address, process::free_port(&[address])?))
            }
            _ => None,
        };
        let config = folder.join(format!("{}.conf", self.name()));
        fs::write(&config, self.config(folder, job.leg, listen, servers, admin))?;
        let config = config.display().to_string();
        let mut command = match self {
            Self::Everwire => process::command(&job.binary, &["serve", "-c", &config]),
            Self::Haproxy => process::command(program("haproxy")?, &["-f", &config]),
            Self::Nginx | Self::Nothing => process::command(program("nginx")?, &["-c", &config]),
        };
        let log = folder.join(format!("{}.log", self.name()));
        let process = Peer::start(&mut command, listen, &log)?;
        Ok(Proxy { _process: Some(process), address: listen.ip(), admin })
    }

    fn config(
        self,
        folder: &Path,
        leg: Leg,
        listen: SocketAddr,
        servers: &[SocketAddr],
        admin: Option<SocketAddr>,
    ) -> String {
        match self {
            Self::Everwire => everwire(leg, listen, servers, admin),
            Self::Haproxy => format!(
                "defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  \
                 timeout server 60s\n  timeout tunnel 60s\n\
                 listen proxy\n  bind {listen}\n  server one {server}\n",
                server = servers[0],
            ),
            Self::Nginx | Self::Nothing => format!(
                "daemon off; master_process off; error_log stderr; pid {folder}/nginx.pid;\n\
                 events {{}}\nhttp {{\n  access_log off; client_body_temp_path {folder}/body;\n  \
                 proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;\n  \
                 uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n  \
                 server {{ listen {listen}; location / {{ proxy_pass http://{server};\n  \
                 proxy_http_version 1.1; proxy_set_header Host $http_host;\n  \
                 proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }} }}\n}}\n",
                folder = folder.display(),
                server = servers[0],
            ),
        }
    }
}

/// The gateway's configuration. Towards Autobahn as a backend no close code means "restarted",
/// since its cases close with every code there is and the client must see each. Where backends
/// are replaced, a move must end before Autobahn has waited its half second for an echo: with the
/// usual `drain_quiet`, just as long, a case that begins with a move would fail by chance.
fn everwire(
    leg: Leg,
    listen: SocketAddr,
    servers: &[SocketAddr],
    admin: Option<SocketAddr>,
) -> String {
    let admin = admin.map_or_else(String::new, |admin| format!("[admin]\nlisten = \"{admin}\"\n"));
    let backends: Vec<_> = servers.iter().map(|server| format!("\"ws://{server}\"")).collect();
    let goodbyes =
        if leg == Leg::Backend { "restart_codes = []\noutage_max = \"0s\"\n" } else { "" };
    let quiet = if servers.len() > 1 { "drain_quiet = \"100ms\"\n" } else { "" };
    format!(
        "listen = \"{listen}\"\n{admin}[pools.{POOL}]\nbackends = [{backends}]\n\
         [[routes]]\npath = \"/\"\npool = \"{POOL}\"\n{goodbyes}{quiet}",
        backends = backends.join(", "),
    )
}

fn program(name: &str) -> Result<std::path::PathBuf> {
    process::find(name).with_context(|| format!("{name} is not installed"))
}
