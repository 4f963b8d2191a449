//! The command line: what can be typed, nothing of what it does.

mod agent;
mod fleet;
mod token;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use self::{
    agent::{AgentArgs, AgentChildArgs},
    fleet::{FleetCommand, FleetLsArgs, FleetSendArgs, FleetSetArgs},
    token::{KeyArgs, MintArgs, TokenCheckArgs, TokenCommand},
};

/// A client's WebSocket outlives its backend
#[derive(Debug, Parser)]
#[command(name = "everwire", version, propagate_version = true)]
#[command(about = "Everwire: a client's WebSocket outlives its backend")]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 node \
                        unreachable.\nStart with: everwire demo")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// All commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show on this machine that clients survive killed backends and cut sockets
    Demo(DemoArgs),
    /// Run a node
    Serve(ServeArgs),
    /// Find every mistake in a configuration
    Check(CheckArgs),
    /// The effective configuration, or the reference of all keys
    #[command(subcommand)]
    Config(ConfigCommand),
    /// A snapshot of a running node
    Status(NodeArgs),
    /// Backends of a running node
    #[command(subcommand)]
    Pool(PoolCommand),
    /// Live sessions of a running node
    #[command(subcommand)]
    Pipe(PipeCommand),
    /// Hubs of a running node
    #[command(subcommand)]
    Hub(HubCommand),
    /// Nodes that share a backplane
    #[command(subcommand)]
    Node(NodeCommand),
    /// Run any program as an instance of a fleet: its environment from sets, an action per change
    Agent(AgentArgs),
    /// Instances of applications: commands to them, and their configuration
    #[command(subcommand)]
    Fleet(FleetCommand),
    /// Tokens that let clients into hubs with an access key
    #[command(subcommand)]
    Token(TokenCommand),
    /// The demo's sample service
    #[command(hide = true)]
    DemoBackend(DemoBackendArgs),
    /// A node of the demo's hub
    #[command(hide = true)]
    DemoNode(DemoNodeArgs),
    /// The step between an agent and its program
    #[command(hide = true)]
    AgentChild(AgentChildArgs),
    /// The manager of the demo's fleet
    #[command(hide = true)]
    DemoManager(DemoManagerArgs),
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// What to show; everything, one after the other, if not given
    #[arg(value_enum)]
    pub(crate) subject: Option<DemoSubject>,
    /// Exit after the proof, with 1 if it failed
    #[arg(long)]
    pub(crate) once: bool,
    /// The same faults without Everwire: shows what is lost then
    #[arg(long)]
    pub(crate) unprotected: bool,
    /// Joins the nodes of `demo status`, which are processes then instead of threads
    #[arg(long, value_name = "URL")]
    pub(crate) redis: Option<String>,
}

/// What the demo can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DemoSubject {
    /// Clients behind the gateway while backends are killed and rolled
    Gateway,
    /// Clients of a hub while their sockets are cut in the middle of messages
    Hub,
    /// Tabs on three nodes of a hub, which see who is there while the nodes are killed
    Status,
    /// Instances that get commands and configuration while their manager is killed
    Fleet,
}

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Where clients connect, for example 127.0.0.1:8080 (repeatable)
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Vec<String>,
    /// Where the admin API listens, for example 127.0.0.1:8404
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin: Option<String>,
    /// A backend, for example ws://127.0.0.1:9001 (repeatable: a pool and a route /)
    #[arg(long, value_name = "URL")]
    pub(crate) backend: Vec<String>,
    /// The path of a hub whose method Broadcast calls Receive of all, for example /chat
    #[arg(long, value_name = "PATH")]
    pub(crate) hub: Option<String>,
    /// A fleet at /fleet, with its journal in fleet.journal
    #[arg(long)]
    pub(crate) fleet: bool,
    /// The form of the log: text or json
    #[arg(long, value_name = "FORM")]
    pub(crate) log: Option<String>,
}

/// Where a configuration comes from.
#[derive(Clone, Debug, Args)]
pub(crate) struct SourceArgs {
    /// The configuration file [default: everwire.toml in this directory, if there is one]
    #[arg(short, long, value_name = "FILE", env = "EVERWIRE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// The mistakes as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Verbs of `config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// The effective configuration: file, environment and defaults together
    Print(SourceArgs),
    /// The reference of all keys
    Doc,
    /// A file with every key at its default
    Example,
}

/// Which node to talk to, and how its answer is shown.
#[derive(Clone, Debug, Args)]
pub(crate) struct NodeArgs {
    /// The node's admin address
    #[arg(
        long,
        value_name = "URL",
        env = "EVERWIRE_ADMIN",
        default_value = "http://127.0.0.1:8404"
    )]
    pub(crate) admin: String,
    /// The node's admin token
    #[arg(long, env = "EVERWIRE_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// The admin API's answer as it is
    #[arg(long)]
    pub(crate) json: bool,
}

/// Verbs of `pool`.
#[derive(Debug, Subcommand)]
pub(crate) enum PoolCommand {
    /// List the backends of one pool, or of all
    Ls {
        /// The pool
        pool: Option<String>,
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Add a backend
    Add {
        #[command(flatten)]
        target: BackendArgs,
        /// Its share of new sessions beside the others'
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
        weight: u32,
        /// How many sessions it may have
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        sessions_max: Option<u32>,
    },
    /// Move a backend's sessions away, then forget it: when this returns it can be stopped
    Rm {
        #[command(flatten)]
        target: BackendArgs,
    },
    /// Move a backend's sessions away and give it no new ones
    Drain {
        #[command(flatten)]
        target: BackendArgs,
    },
    /// Give a drained backend sessions again
    Ready {
        #[command(flatten)]
        target: BackendArgs,
    },
}

/// One backend of one pool.
#[derive(Debug, Args)]
pub(crate) struct BackendArgs {
    /// The pool
    pub(crate) pool: String,
    /// The backend's URL, as `pool ls` shows it
    pub(crate) url: String,
    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

/// Verbs of `pipe`.
#[derive(Debug, Subcommand)]
pub(crate) enum PipeCommand {
    /// List the live sessions
    Ls {
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Close one session: its client gets 1008
    Close {
        /// The session's id, as `pipe ls` shows it
        id: String,
        #[command(flatten)]
        node: NodeArgs,
    },
}

/// Verbs of `hub`.
#[derive(Debug, Subcommand)]
pub(crate) enum HubCommand {
    /// List the hubs, or the clients of one
    Ls {
        /// The hub
        hub: Option<String>,
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Call a method of a hub's clients
    Send(HubSendArgs),
    /// Close one connection: its client does not reconnect by itself
    Close {
        /// The hub
        hub: String,
        /// The connection's id, as `hub ls HUB` shows it; it may begin with a hyphen
        #[arg(allow_hyphen_values = true)]
        id: String,
        #[command(flatten)]
        node: NodeArgs,
    },
}

/// Verbs of `node`.
#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// List the nodes
    Ls {
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Move a node's sessions to the others and send its other clients there: when this returns it can
    /// be stopped
    Drain {
        /// The node, as `node ls` shows it; the one that is asked, if not given
        #[arg(value_name = "NODE", allow_hyphen_values = true)]
        id: Option<String>,
        /// Do not wait
        #[arg(long)]
        detach: bool,
        #[command(flatten)]
        node: NodeArgs,
    },
}

/// Arguments of `hub send`.
#[derive(Debug, Args)]
pub(crate) struct HubSendArgs {
    /// The hub
    pub(crate) hub: String,
    /// The clients' method, for example Receive
    pub(crate) target: String,
    /// What it is called with: JSON, or else text. Text that begins with a hyphen stands behind --
    #[arg(value_name = "ARG", allow_negative_numbers = true)]
    pub(crate) arguments: Vec<String>,
    /// Only the members of this group
    #[arg(long, conflicts_with_all = ["user", "connection"], allow_hyphen_values = true)]
    pub(crate) group: Option<String>,
    /// Only the connections of this user
    #[arg(long, conflicts_with = "connection", allow_hyphen_values = true)]
    pub(crate) user: Option<String>,
    /// Only this connection
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub(crate) connection: Option<String>,
    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

/// Arguments of a node of the demo's hub.
#[derive(Debug, Args)]
pub(crate) struct DemoNodeArgs {
    /// Where it listens
    #[arg(long)]
    pub(crate) listen: std::net::SocketAddr,
    /// What joins it and the others
    #[arg(long, hide_env_values = true, env = "EVERWIRE_DEMO_REDIS")]
    pub(crate) redis: String,
}

/// Arguments of the demo's sample service.
#[derive(Debug, Args)]
pub(crate) struct DemoBackendArgs {
    /// Where it listens
    #[arg(long)]
    pub(crate) listen: std::net::SocketAddr,
    /// The directory it remembers its sessions in, shared with its siblings
    #[arg(long)]
    pub(crate) store: PathBuf,
}

/// Arguments of the manager of the demo's fleet.
#[derive(Debug, Args)]
pub(crate) struct DemoManagerArgs {
    /// Where it listens
    #[arg(long)]
    pub(crate) listen: std::net::SocketAddr,
    /// Where it writes down what it must not forget; if absent, nowhere
    #[arg(long)]
    pub(crate) journal: Option<PathBuf>,
}
