//! Which clients go to which pool.

use std::collections::BTreeMap;

use everwire_gateway::{Gateway, PipeManager};

use super::Wired;
use crate::config::Route;

/// The route table: host first, then the longest prefix.
pub(crate) struct Routes {
    entries: Vec<Entry>,
}

struct Entry {
    host: Option<String>,
    prefix: String,
    manager: PipeManager,
}

/// Where a client goes.
pub(crate) struct Routed<'r> {
    pub(crate) manager: &'r PipeManager,
}

impl Routes {
    pub(super) fn new(
        routes: &[Route],
        pools: &BTreeMap<String, Wired>,
        gateway: &Gateway,
    ) -> Self {
        let entry = |route: &Route| {
            let pool = pools.get(&route.pool)?.pool.clone();
            let name = name_of(route);
            let manager = PipeManager::with(gateway.clone(), pool, &name, route.config.clone());
            Some(Entry { host: route.host.clone(), prefix: route.path.clone(), manager })
        };
        let mut entries: Vec<_> = routes.iter().filter_map(entry).collect();
        entries.sort_by_key(|entry| (entry.host.is_none(), std::cmp::Reverse(entry.prefix.len())));
        Self { entries }
    }

    /// The route of a client that asks for `path` at `host`.
    pub(crate) fn find(&self, host: &str, path: &str) -> Option<Routed<'_>> {
        let path = path.split('?').next().unwrap_or(path);
        let host = without_port(host);
        self.entries
            .iter()
            .find(|entry| entry.takes_host(host) && is_prefix(&entry.prefix, path))
            .map(|entry| Routed { manager: &entry.manager })
    }
}

impl Entry {
    fn takes_host(&self, host: &str) -> bool {
        self.host.as_deref().is_none_or(|own| without_port(own).eq_ignore_ascii_case(host))
    }
}

/// The name of a route in lists and metrics: what was configured, so the set is closed.
fn name_of(route: &Route) -> String {
    format!("{}{}", route.host.as_deref().unwrap_or_default(), route.path)
}

/// A prefix ends where a path segment does: `/chat` takes `/chat/1`, not `/chatter`.
fn is_prefix(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/'))
}

/// A host without its port.
pub(crate) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_with_its_segment() {
        for (prefix, path, takes) in [
            ("/", "/anything", true),
            ("/chat", "/chat", true),
            ("/chat", "/chat/1", true),
            ("/chat", "/chatter", false),
            ("/chat/", "/chat/1", true),
            ("/chat/", "/chat", false),
        ] {
            assert_eq!(is_prefix(prefix, path), takes, "{prefix} {path}");
        }
    }

    #[test]
    fn a_port_is_not_part_of_a_host() {
        assert_eq!(without_port("app.example.com:8080"), "app.example.com");
        assert_eq!(without_port("[::1]:8080"), "[::1]");
        assert_eq!(without_port("[::1]"), "[::1]");
    }
}
