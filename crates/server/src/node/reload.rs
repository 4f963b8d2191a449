//! SIGHUP: takes over what of a new configuration can change while running.
//!
//! Pools, routes and the fleet's tokens can; hubs hold their clients, and stay. New sessions follow the new routes, live ones stay as they were opened.
//! Backends that are gone from the file are left, which moves their sessions to the others; those
//! that were added at run time are in no file and stay. A pool that is gone is not listed any
//! more; its sessions have nowhere to move to and live on where they are.

use std::{collections::BTreeMap, sync::Arc};

use everwire_gateway::{
    BackendId, Pool,
    config::{BackendConfig, PoolConfig},
};

use super::{Node, Routes, Wired, Wiring};
use crate::config::{Config, Fleet};

/// A backend that is no longer configured; its sessions are to be moved.
pub(crate) struct Leaving {
    pub(crate) pool: Pool,
    pub(crate) backend: BackendId,
}

impl Node {
    /// Takes over pools and routes, and says in the log what needs a restart. What is given back
    /// is the caller's to remove.
    pub(crate) fn reload(&self, config: Config) -> Vec<Leaving> {
        if let (Some(fleet), Some(new)) = (&self.fleet, &config.fleet) {
            fleet.reload(new);
        }
        let mut leaving = Vec::new();
        let mut wiring = self.wiring();
        warn_of_restart(&wiring.config, &config);
        let mut pools = BTreeMap::new();
        for (name, new) in &config.pools {
            pools.insert(name.clone(), wiring.take_over(name, new, &mut leaving));
        }
        for name in wiring.pools.keys() {
            tracing::info!(pool = %name, "pool is gone from the configuration");
        }
        wiring.routes = Arc::new(Routes::new(&config.routes, &pools, &self.gateway));
        wiring.pools = pools;
        wiring.config = config;
        tracing::info!(leaving = leaving.len(), "configuration reloaded");
        leaving
    }
}

impl Wiring {
    /// The pool under this name with the backends of the new configuration.
    fn take_over(&mut self, name: &str, new: &PoolConfig, leaving: &mut Vec<Leaving>) -> Wired {
        let (Some(wired), Some(old)) = (self.pools.remove(name), self.config.pools.get(name))
        else {
            return Wired::new(Pool::new(name, new.clone()));
        };
        if old.balance != new.balance || old.health != new.health {
            tracing::warn!(pool = name, "balance and health of a pool change with a restart only");
        }
        for backend in &new.backends {
            add(&wired.pool, backend, old);
        }
        let gone = |old: &&BackendConfig| new.backends.iter().all(|new| new.url != old.url);
        let gone = old.backends.iter().filter(gone);
        leaving.extend(gone.filter_map(|backend| {
            let found = wired.pool.find(&backend.url.to_string());
            found.map(|backend| Leaving { pool: wired.pool.clone(), backend })
        }));
        wired
    }
}

fn add(pool: &Pool, new: &BackendConfig, old: &PoolConfig) {
    let (name, backend) = (pool.name(), &new.url);
    if pool.find(&backend.to_string()).is_some() {
        let same = old.backends.iter().find(|old| old.url == new.url);
        if same.is_some_and(|old| old != new) {
            tracing::warn!(pool = name, %backend, "a backend's keys change with a restart only");
        }
        return;
    }
    match pool.add_backend(new.clone()) {
        Ok(_) => tracing::info!(pool = name, %backend, "backend added"),
        Err(error) => tracing::warn!(pool = name, %backend, %error, "backend not added"),
    }
}

fn warn_of_restart(old: &Config, new: &Config) {
    let changed = [
        ("listen", old.listen != new.listen),
        ("log", old.log != new.log),
        ("shards", old.shards != new.shards),
        ("[admin]", old.admin != new.admin),
        ("[hubs]", old.hubs != new.hubs),
        ("[fleet]", is_other_fleet(old.fleet.as_ref(), new.fleet.as_ref())),
        ("[cluster]", old.cluster != new.cluster),
        ("[limits]", old.limits != new.limits),
        ("[stop]", old.stop != new.stop),
        ("[backplane]", old.backplane != new.backplane),
    ];
    for (key, _) in changed.iter().filter(|(_, changed)| *changed) {
        tracing::warn!(key, "changed in the configuration; takes effect with a restart only");
    }
}

/// Whether more than the tokens is different.
fn is_other_fleet(old: Option<&Fleet>, new: Option<&Fleet>) -> bool {
    match (old, new) {
        (Some(old), Some(new)) => Fleet { tokens: new.tokens.clone(), ..old.clone() } != *new,
        (old, new) => old.is_some() != new.is_some(),
    }
}
