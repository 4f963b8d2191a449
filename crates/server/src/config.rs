//! The configuration: file, then environment, then flags, read into plain types.
//!
//! Everything about routes and pools is the gateway crate's own config; this module only reads
//! it. Unknown keys are mistakes, and all mistakes are reported at once: nothing starts on a
//! configuration that has one.

mod backplane;
mod cluster;
mod environment;
mod flags;
mod fleet;
mod hub;
mod keys;
mod mistake;
mod pool;
mod print;
mod reader;
mod reference;
mod route;
mod tree;
mod units;

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use everwire_gateway::config::{PoolConfig, RouteConfig};
use everwire_hub::{HubConfig, declared::Declaration};

use self::{
    keys::{ADMIN, LIMITS, STOP, TOP},
    mistake::Origin,
    reader::Reader,
    tree::{Node, Table, Value},
};

pub(crate) use self::{
    backplane::Backplane,
    cluster::Cluster,
    environment::variables,
    flags::Flags,
    fleet::{Bridge, Fleet, Hook, Memory},
    hub::{Access, History},
    mistake::Mistakes,
};

/// What a node is told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    /// Where clients connect.
    pub(crate) listen: Vec<SocketAddr>,
    /// The form of the log.
    pub(crate) log: LogFormat,
    /// Threads that serve clients; 0 means one per processor.
    pub(crate) shards: usize,
    pub(crate) admin: Admin,
    pub(crate) pools: BTreeMap<String, PoolConfig>,
    pub(crate) routes: Vec<Route>,
    pub(crate) hubs: BTreeMap<String, Hub>,
    pub(crate) fleet: Option<Fleet>,
    /// The other nodes, if there may be any.
    pub(crate) cluster: Option<Cluster>,
    pub(crate) limits: Limits,
    pub(crate) stop: Stop,
    pub(crate) backplane: Backplane,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// `[admin]`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Admin {
    pub(crate) listen: SocketAddr,
    /// What a caller must present; none is asked for on loopback without one.
    pub(crate) token: Option<String>,
}

/// `[[routes]]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Route {
    /// Prefix of the client's path.
    pub(crate) path: String,
    /// The host the client must ask for, in lower case.
    pub(crate) host: Option<String>,
    pub(crate) pool: String,
    pub(crate) config: RouteConfig,
}

/// `[hubs.NAME]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hub {
    /// Where clients connect; what is below belongs to the hub too.
    pub(crate) path: String,
    /// Who is let in; everybody where there is nothing.
    pub(crate) access: Option<Access>,
    pub(crate) config: HubConfig,
    pub(crate) declaration: Declaration,
    /// What is kept of what the hub sent, if anything is.
    pub(crate) history: Option<History>,
}

/// `[limits]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) connections_max: usize,
    pub(crate) buffered_max: u64,
}

/// `[stop]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    /// How long the node says that it is going before it does anything.
    pub(crate) announce: Duration,
    /// Over how long the clients are closed.
    pub(crate) window: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 8080))],
            log: LogFormat::Text,
            shards: 0,
            admin: Admin { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8404)), token: None },
            pools: BTreeMap::new(),
            routes: Vec::new(),
            hubs: BTreeMap::new(),
            fleet: None,
            cluster: None,
            limits: Limits { connections_max: 18_000, buffered_max: 1 << 30 },
            stop: Stop { announce: Duration::from_secs(1), window: Duration::from_secs(5) },
            backplane: Backplane::default(),
        }
    }
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let token = self.token.as_ref().map(|_| "…");
        f.debug_struct("Admin").field("listen", &self.listen).field("token", &token).finish()
    }
}

/// What the configuration is made of.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// Name and text of the file, if there is one.
    pub(crate) file: Option<(String, String)>,
    /// `EVERWIRE_…` variables.
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) flags: Flags,
}

/// Whether this can be the name of a pool or a hub.
pub(crate) fn is_name(name: &str) -> bool {
    pool::is_name(name)
}

/// Reads a duration such as `30s`, for options that take one.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    units::parse_duration(text)
}

/// Reads the file of a configuration; its name stays with its text for the mistakes.
pub(crate) fn read_file(path: &Path) -> std::io::Result<(String, String)> {
    Ok((path.display().to_string(), std::fs::read_to_string(path)?))
}

/// Reads a configuration, or says everything that is wrong with it.
pub(crate) fn load(sources: &Sources) -> Result<Config, Mistakes> {
    let name = sources.file.as_ref().map_or("", |(name, _)| name);
    let mut mistakes = Mistakes::new(name);
    let mut tree = match &sources.file {
        Some((_, text)) => tree::from_file(text, &mut mistakes),
        None => BTreeMap::new(),
    };
    environment::overlay(&mut tree, &sources.variables, &mut mistakes);
    flags::overlay(&mut tree, &sources.flags, &mut mistakes);
    let config = read(tree, &mut mistakes);
    if mistakes.is_empty() { Ok(config) } else { Err(mistakes.sorted()) }
}

/// The effective configuration as TOML.
pub(crate) fn print(config: &Config) -> String {
    print::config(config)
}

/// The reference of all keys, for people.
pub(crate) fn reference() -> String {
    reference::text()
}

/// A file with every key at its default.
pub(crate) fn example() -> String {
    reference::example()
}

fn read(tree: BTreeMap<String, Node>, mistakes: &mut Mistakes) -> Config {
    let mut config = Config::default();
    let mut top = Reader::new("", &TOP, Table { entries: tree }, mistakes);
    if let Some(listen) = read_listen(&mut top) {
        config.listen = listen;
    }
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    top.set("log", &mut config.log, reader::one_of(&formats));
    top.set("shards", &mut config.shards, reader::number(0, SHARDS_MAX));
    if let Some(node) = top.take("admin") {
        read_admin(node, &mut config.admin, top.mistakes());
    }
    if config.admin.listen.port() != 0 && config.listen.contains(&config.admin.listen) {
        let what = format!("{} is the admin API's address too; take another", config.admin.listen);
        top.contradict(&["listen", "admin"], what);
    }
    if let Some(node) = top.take("limits") {
        read_limits(node, &mut config.limits, top.mistakes());
    }
    if let Some(node) = top.take("stop") {
        read_stop(node, &mut config.stop, top.mistakes());
    }
    if let Some(node) = top.take("backplane") {
        config.backplane = backplane::read(node, top.mistakes());
    }
    config.cluster = top.take("cluster").and_then(|node| cluster::read(node, top.mistakes()));
    if let Some(nodes) = config.cluster.as_ref().map(|cluster| cluster.listen)
        && nodes.port() != 0
        && (config.listen.contains(&nodes) || config.admin.listen == nodes)
    {
        top.contradict(&["cluster"], format!("{nodes} is not for nodes alone; take another"));
    }
    if let Some(node) = top.take("pools") {
        config.pools = pool::read_all(node, top.mistakes());
    }
    let routes = top.take("routes").map(|node| route::read_all(node, top.mistakes()));
    let hubs = top.take("hubs").map(|node| hub::read_all(node, top.mistakes()));
    let fleet = read_fleet(&mut top, &config);
    top.finish();
    let (routes, hubs) = (routes.unwrap_or_default(), hubs.unwrap_or_default());
    check_routes(&routes, &config.pools, mistakes);
    check_hubs(&hubs, &routes, mistakes);
    if let Some(written) = &fleet {
        fleet::check(written, &config.listen, &hubs, &routes, mistakes);
    }
    if routes.is_empty() && hubs.is_empty() && fleet.is_none() && mistakes.is_empty() {
        mistakes.add(Origin::Whole, "", NOTHING_TO_SERVE);
    }
    config.fleet = fleet.map(|written| written.fleet);
    config.hubs = hubs.into_iter().map(|(name, written)| (name, written.hub)).collect();
    config.routes = routes.into_iter().map(|written| written.route).collect();
    config
}

fn read_fleet(top: &mut Reader<'_>, config: &Config) -> Option<fleet::Written> {
    let node = top.take("fleet");
    let has_fleet = node.is_some();
    let mut fleet = node.and_then(|node| fleet::read(node, &config.backplane, top.mistakes()));
    if let Some(node) = top.take("bridges") {
        let bridges = fleet::read_bridges(node, has_fleet, &config.backplane, top.mistakes());
        if let Some(written) = &mut fleet {
            written.fleet.bridges = bridges;
        }
    }
    fleet
}

fn read_listen(top: &mut Reader<'_>) -> Option<Vec<SocketAddr>> {
    let mut node = top.take("listen")?;
    let origin = node.origin.clone();
    if let Value::String(text) = node.value {
        node.value = Value::Text(text);
    }
    let items = node.into_list().unwrap_or_else(|node| vec![node]);
    if items.is_empty() {
        top.complain(&origin, "listen", "is empty; write for example \"127.0.0.1:8080\"");
    }
    let mut addresses = Vec::new();
    for item in &items {
        match reader::address(item) {
            Ok(address) if addresses.contains(&address) => {
                top.refuse("listen", item, "is listed twice");
            }
            Ok(address) => addresses.push(address),
            Err(what) => top.refuse("listen", item, &what),
        }
    }
    Some(addresses)
}

fn read_admin(node: Node, admin: &mut Admin, mistakes: &mut Mistakes) {
    let origin = node.origin.clone();
    let Some(mut reader) = Reader::open("admin".to_owned(), &ADMIN, node, mistakes) else { return };
    let listen = reader.take("listen");
    let token = reader.take("token");
    let token_given = token.is_some();
    if let Some(node) = token {
        match self::token(&node) {
            Ok(token) => admin.token = Some(token),
            // The value is a secret even when it is wrong: it is not repeated.
            Err(what) => reader.complain(&node.origin, "token", what),
        }
    }
    let origin = listen.as_ref().map_or(origin, |node| node.origin.clone());
    if let Some(node) = listen {
        match reader::address(&node) {
            Ok(address) => admin.listen = address,
            Err(what) => reader.refuse("listen", &node, &what),
        }
    }
    if !token_given && !admin.listen.ip().is_loopback() {
        let what = format!(
            "is required because {} is not loopback; write token = \"…\" under [admin], or set \
             EVERWIRE_ADMIN__TOKEN",
            admin.listen
        );
        reader.complain(&origin, "token", what);
    }
    reader.finish();
}

fn token(node: &Node) -> Result<String, String> {
    let token = reader::string(node)?;
    if token.len() < TOKEN_MIN {
        return Err(format!("is too short; at least {TOKEN_MIN} characters"));
    }
    check_header(&token)?;
    Ok(token)
}

/// Judges what has to fit a header.
fn check_header(text: &str) -> Result<(), String> {
    match text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(()),
        false => Err("has characters that a header cannot carry".to_owned()),
    }
}

fn read_limits(node: Node, limits: &mut Limits, mistakes: &mut Mistakes) {
    let Some(mut reader) = Reader::open("limits".to_owned(), &LIMITS, node, mistakes) else {
        return;
    };
    let connections = reader::number(1, CONNECTIONS_MAX);
    reader.set("connections_max", &mut limits.connections_max, connections);
    reader.set("buffered_max", &mut limits.buffered_max, reader::size_from(1 << 20));
    reader.finish();
}

fn read_stop(node: Node, stop: &mut Stop, mistakes: &mut Mistakes) {
    let Some(mut reader) = Reader::open("stop".to_owned(), &STOP, node, mistakes) else { return };
    reader.set("announce", &mut stop.announce, reader::duration);
    reader.set("window", &mut stop.window, reader::duration);
    reader.finish();
}

/// What only all routes and pools together show.
fn check_routes(
    routes: &[route::Written],
    pools: &BTreeMap<String, PoolConfig>,
    mistakes: &mut Mistakes,
) {
    for (index, written) in routes.iter().enumerate() {
        let route = &written.route;
        if !pools.contains_key(&route.pool) {
            let what = format!("there is no [pools.{}]", route.pool);
            mistakes.add(written.origin.clone(), format!("routes[{index}].pool"), what);
        }
        let same = |other: &&route::Written| {
            other.route.path == route.path && other.route.host == route.host
        };
        if routes[..index].iter().find(same).is_some() {
            let what = format!("a route for {} exists already", route.path);
            mistakes.add(written.origin.clone(), format!("routes[{index}].path"), what);
        }
    }
}

/// What only all hubs and routes together show: each path leads to one place.
fn check_hubs(
    hubs: &BTreeMap<String, hub::Written>,
    routes: &[route::Written],
    mistakes: &mut Mistakes,
) {
    for (name, written) in hubs {
        let path = &written.hub.path;
        let shadows = |(other, outer): &(&String, &hub::Written)| {
            *other != name && is_at_or_below(path, &outer.hub.path)
        };
        if let Some((other, outer)) = hubs.iter().find(shadows) {
            let what = format!("{path} belongs to [hubs.{other}], which is at {}", outer.hub.path);
            mistakes.add(written.origin.clone(), format!("hubs.{name}.path"), what);
        }
    }
    for (index, written) in routes.iter().enumerate() {
        let path = &written.route.path;
        let shadows = |(_, hub): &(&String, &hub::Written)| is_at_or_below(path, &hub.hub.path);
        if let Some((name, _)) = hubs.iter().find(shadows) {
            let what = format!("{path} belongs to [hubs.{name}]: no client comes to this route");
            mistakes.add(written.origin.clone(), format!("routes[{index}].path"), what);
        }
    }
}

/// Whether a path is a hub's or below it. Letters count as equal in any case, as in the official
/// server, whose clients write paths in the case they like.
pub(crate) fn is_at_or_below(path: &str, hub: &str) -> bool {
    let Some((start, rest)) = path.split_at_checked(hub.len()) else { return false };
    start.eq_ignore_ascii_case(hub) && (rest.is_empty() || rest.starts_with('/'))
}

const NOTHING_TO_SERVE: &str = "there is no route, no hub and no fleet: give --backend ws://127.0.0.1:9001, --hub /chat or --fleet, \
     or a file with [pools.NAME] and [[routes]], [hubs.NAME] or [fleet] (`everwire config doc` shows \
     how)";

/// Guessing a shorter token is within reach of somebody who may try all day.
const TOKEN_MIN: usize = 8;

/// More threads than the largest machines have processors are a mistake.
const SHARDS_MAX: usize = 1024;

/// What one process can have in file descriptors, two per client.
const CONNECTIONS_MAX: usize = 4_000_000;

#[cfg(test)]
mod tests;
