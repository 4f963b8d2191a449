//! `[pools.NAME]`: reads one pool.

use std::{collections::BTreeMap, str::FromStr, time::Duration};

use everwire_gateway::config::{BackendConfig, BackendUrl, Balance, HealthCheck, PoolConfig};

use super::{
    keys,
    mistake::{Mistakes, Origin},
    reader::{self, Reader},
    tree::{Node, Value},
};

/// The names of the ways to choose a backend.
pub(super) const BALANCES: [(&str, Balance); 3] = [
    ("least-sessions", Balance::LeastSessions),
    ("round-robin", Balance::RoundRobin),
    ("hash", Balance::Hash),
];

/// Reads all pools.
pub(super) fn read_all(node: Node, mistakes: &mut Mistakes) -> BTreeMap<String, PoolConfig> {
    let origin = node.origin.clone();
    let Ok(table) = node.into_table() else {
        mistakes.add(origin, "pools", "is not a table; write [pools.NAME]");
        return BTreeMap::new();
    };
    let mut pools = BTreeMap::new();
    for (name, node) in table.entries {
        if !is_name(&name) {
            let what = "a pool's name has letters, digits, - and _, at most 64 of them";
            mistakes.add(node.origin.clone(), format!("pools.{name}"), what);
        }
        if let Some(pool) = read(format!("pools.{name}"), node, mistakes) {
            pools.insert(name, pool);
        }
    }
    pools
}

fn read(path: String, node: Node, mistakes: &mut Mistakes) -> Option<PoolConfig> {
    let mut pool = PoolConfig::default();
    let origin = node.origin.clone();
    let mut reader = Reader::open(path, &keys::POOL, node, mistakes)?;
    reader.set("balance", &mut pool.balance, reader::one_of(&BALANCES));
    reader.read("affinity", no_affinity);
    pool.backends = read_backends(&mut reader, &origin);
    if let Some(node) = reader.take("health") {
        let path = reader.path_of("health");
        pool.health = read_health(path, node, reader.mistakes());
    }
    reader.finish();
    Some(pool)
}

fn read_backends(reader: &mut Reader<'_>, origin: &Origin) -> Vec<BackendConfig> {
    let mut backends: Vec<BackendConfig> = Vec::new();
    if !reader.has("backends") {
        let what = "is missing; write [] if they are added over the admin API";
        reader.complain(origin, "backends", what);
    }
    for (index, node) in reader.take_list("backends").unwrap_or_default().into_iter().enumerate() {
        let key = format!("backends[{index}]");
        let origin = node.origin.clone();
        let path = reader.path_of(&key);
        let Some(backend) = read_backend(path, node, reader.mistakes()) else { continue };
        if backends.iter().any(|other| other.url == backend.url) {
            reader.complain(&origin, &key, format!("{} is in this pool twice", backend.url));
        } else {
            backends.push(backend);
        }
    }
    backends
}

fn read_backend(path: String, node: Node, mistakes: &mut Mistakes) -> Option<BackendConfig> {
    if matches!(node.value, Value::String(_) | Value::Text(_)) {
        let url = url(&node).map_err(|what| mistakes.add(node.origin.clone(), path, what)).ok()?;
        return Some(BackendConfig { url, weight: 1, sessions_max: None });
    }
    let origin = node.origin.clone();
    let mut reader = Reader::open(path, &keys::BACKEND, node, mistakes)?;
    let weight = reader.read("weight", reader::number(1, 1000)).unwrap_or(1);
    let sessions_max = reader.read("sessions_max", reader::number(1, u32::MAX));
    let url = match reader.take("url") {
        Some(node) => url(&node).map_err(|what| reader.complain(&node.origin, "url", what)).ok(),
        None => {
            reader.complain(&origin, "url", "is missing");
            None
        }
    };
    reader.finish();
    Some(BackendConfig { url: url?, weight, sessions_max })
}

fn read_health(path: String, node: Node, mistakes: &mut Mistakes) -> Option<HealthCheck> {
    let origin = node.origin.clone();
    let mut reader = Reader::open(path, &keys::HEALTH, node, mistakes)?;
    let interval = reader.read("interval", reader::duration_from(HEALTH_INTERVAL_MIN));
    let given = reader.take("path");
    if given.is_none() {
        reader.complain(&origin, "path", "is missing; write for example \"/healthz\"");
    }
    let path = given.and_then(|node| match reader::path(&node) {
        Ok(path) => Some(path),
        Err(what) => {
            reader.refuse("path", &node, &what);
            None
        }
    });
    reader.finish();
    Some(HealthCheck { path: path?, interval: interval.unwrap_or(HEALTH_INTERVAL) })
}

fn url(node: &Node) -> Result<BackendUrl, String> {
    let text = reader::string(node).map_err(|what| format!("{} {what}", node.describe()))?;
    BackendUrl::from_str(&text).map_err(|error| error.to_string())
}

fn no_affinity(node: &Node) -> Result<(), String> {
    match reader::string(node)?.as_str() {
        "none" => Ok(()),
        _ => Err("is not available yet; only \"none\" is".to_owned()),
    }
}

/// Pool names are labels of metrics and parts of URLs.
pub(super) fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=64).contains(&name.len()) && name.bytes().all(plain)
}

const HEALTH_INTERVAL: Duration = Duration::from_secs(1);

/// More often than this would be load, not a check.
const HEALTH_INTERVAL_MIN: Duration = Duration::from_millis(100);
