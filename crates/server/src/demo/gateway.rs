//! `everwire demo gateway`: live clients behind the gateway, backends that are killed and rolled.
//!
//! The backends are processes of their own, killed by the process id that the demo started; the
//! gateway is this process' own node. Clients number and hash what they send, the service numbers
//! and hashes what it answers and keeps what it took, and both sides are compared at the end.

pub(crate) mod backend;
mod backends;
mod crowd;
mod journal;
mod script;
mod verdict;

use std::{net::SocketAddr, time::Duration};

use everwire_gateway::config::{BackendConfig, Delivery, PoolConfig, RouteConfig};

use self::{backends::Backends, crowd::Crowd, script::Script, verdict::Verdict};
use crate::{
    config::{Admin, Config, Limits, Route, Stop},
    demo::{self, store::Store},
    failure::Failure,
    running::Running,
    terminal,
};

/// A proof that is done, and what it was done with.
pub(super) struct GatewayShow {
    backends: Backends,
    gateway: Option<Running>,
    _store: Store,
}

impl GatewayShow {
    /// Shows that clients notice nothing of what happens to backends or, unprotected, what they do.
    pub(super) async fn prove(unprotected: bool) -> Result<Self, Failure> {
        let store = Store::create()?;
        let mut backends = Backends::start(BACKENDS, store.path()).await?;
        let gateway = if unprotected { None } else { Some(start_gateway(&backends).await?) };
        introduce(&backends, gateway.as_ref())?;
        let targets = match &gateway {
            Some(gateway) => gateway.node.listening().to_vec(),
            None => backends.addresses(),
        };
        let crowd = Crowd::start(CLIENTS, &targets).await?;
        Script::new(&crowd, gateway.as_ref()).play(&mut backends).await?;
        let verdict = Verdict::reach(&crowd.finish().await, store.path())?;
        terminal::print(&verdict.render())?;
        let end = if unprotected { UNPROTECTED_END } else { PROTECTED_END };
        demo::judge(verdict.is_clean(), unprotected, end)?;
        Ok(Self { backends, gateway, _store: store })
    }

    /// Keeps everything up, and brings back what a visitor kills.
    pub(super) async fn stay(&mut self) -> Result<(), Failure> {
        if let Some(gateway) = &self.gateway {
            let address = gateway.node.listening().first().map(SocketAddr::to_string);
            terminal::print(&format!(
                "The gateway, by hand, in other terminals:\n  npx wscat -c ws://{}/me\n  everwire pipe \
                 ls --admin http://{}\n  kill -9 {}    (a backend; it is started again)\n",
                address.unwrap_or_default(),
                gateway.admin,
                self.backends.process_id(0).unwrap_or_default(),
            ))?;
        }
        loop {
            let index = self.backends.one_died().await;
            self.backends.restart(index).await?;
            let id = self.backends.process_id(index).unwrap_or_default();
            let back = format!("backend {} died and is back as pid {id}", index + 1);
            terminal::print_line(&back)?;
        }
    }
}

fn introduce(backends: &Backends, gateway: Option<&Running>) -> Result<(), Failure> {
    let mut text = String::new();
    match gateway {
        Some(gateway) => {
            text += "Everwire demo, gateway: live clients while backends die.\n\n";
            for address in gateway.node.listening() {
                text += &format!("  gateway   ws://{address}\n");
            }
            text += &format!("  admin     http://{}\n", gateway.admin);
        }
        None => {
            text += "Everwire demo, gateway, unprotected: the same clients and faults, without Everwire. A \
                     client whose\nsocket drops dials the next backend.\n\n";
        }
    }
    text += &backends.describe();
    text += &format!(
        "  clients   {CLIENTS}, {} messages a second each, numbered and hashed both ways; the \
         service\n            works {} ms on each\n\n",
        crowd::MESSAGES_PER_SECOND,
        backend::WORK.as_millis(),
    );
    terminal::print(&text)
}

async fn start_gateway(backends: &Backends) -> Result<Running, Failure> {
    let local = SocketAddr::from(([127, 0, 0, 1], 0));
    let configured = backends.addresses().into_iter().map(|address| {
        let url = format!("ws://{address}").parse();
        url.map(|url| BackendConfig { url, weight: 1, sessions_max: None })
    });
    let configured = configured.collect::<Result<_, _>>().map_err(Failure::failed)?;
    let pool = PoolConfig { backends: configured, ..PoolConfig::default() };
    let promises = RouteConfig { delivery: Delivery::ExactlyOnce, ..RouteConfig::default() };
    let route = Route { path: "/".to_owned(), host: None, pool: POOL.to_owned(), config: promises };
    let config = Config {
        listen: vec![local],
        admin: Admin { listen: local, token: None },
        pools: [(POOL.to_owned(), pool)].into(),
        routes: vec![route],
        limits: Limits { connections_max: CONNECTIONS_MAX, ..Config::default().limits },
        stop: Stop { announce: Duration::ZERO, window: Duration::ZERO },
        ..Config::default()
    };
    Running::start(config).await.map_err(Failure::failed)
}

const BACKENDS: usize = 3;
const CLIENTS: usize = 100;
const POOL: &str = "demo";
const CONNECTIONS_MAX: usize = 1000;

const PROTECTED_END: &str = "
How: the gateway keeps each client's socket and numbers its messages; the next backend gets first
what the last one had not confirmed. The sample service cooperates (it answers the Everwire-*
headers and remembers what it took), which makes that exactly-once. A service that knows nothing
of Everwire gets at-least-once: no message it had not confirmed is lost, one may come twice after
a kill -9. The same for your service:

  everwire serve --listen 127.0.0.1:8080 --backend ws://127.0.0.1:9001 --backend ws://127.0.0.1:9002

What is lost without Everwire:  everwire demo gateway --unprotected
";

const UNPROTECTED_END: &str = "
These losses are what a client sees when nothing keeps its socket. The same clients and faults
behind the gateway:  everwire demo gateway
";
