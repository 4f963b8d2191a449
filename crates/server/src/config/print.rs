//! Writes a configuration as TOML, every key with its effective value.

use std::{fmt::Write, num::NonZeroU32};

use everwire_gateway::config::{BackendConfig, HttpConfig, PoolConfig, Restore, RouteConfig};
use everwire_hub::{HubConfig, config::Origins};
use everwire_proto::signalr::negotiate::StatefulReconnect;

use super::{
    Backplane, Cluster, Config, Hub, LogFormat, Route, fleet, hub, pool, route,
    units::{format_duration, format_size},
};

/// The whole configuration. The admin token, the cluster's secrets, the hubs' access keys and the
/// fleet's tokens stay out.
pub(super) fn config(config: &Config) -> String {
    let mut out = Toml::default();
    out.key("listen", &list(config.listen.iter().map(|address| quoted(address.to_string()))));
    let log = match config.log {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    out.key("log", &quoted(log));
    out.key("shards", &config.shards);
    out.heading("[admin]");
    out.key("listen", &quoted(config.admin.listen.to_string()));
    if config.admin.token.is_some() {
        out.line("# token is set; it is not shown");
    }
    if let Backplane::Redis { url, prefix } = &config.backplane {
        out.heading("[backplane]");
        // There may be a password in front of the host.
        match url.contains('@') {
            true => out.line("# url is set; it is not shown, as it has a password"),
            false => out.key("url", &quoted(url)),
        }
        out.key("prefix", &quoted(prefix));
    }
    for (name, pool) in &config.pools {
        out.pool(name, pool);
    }
    for route in &config.routes {
        out.route(route);
    }
    for (name, hub) in &config.hubs {
        out.hub(name, hub);
    }
    if let Some(fleet) = &config.fleet {
        fleet::print(fleet).into_iter().for_each(|line| out.line(&line));
    }
    if let Some(cluster) = &config.cluster {
        out.cluster(cluster);
    }
    out.heading("[limits]");
    out.key("connections_max", &config.limits.connections_max);
    out.key("buffered_max", &quoted(format_size(config.limits.buffered_max)));
    out.heading("[stop]");
    out.key("announce", &quoted(format_duration(config.stop.announce)));
    out.key("window", &quoted(format_duration(config.stop.window)));
    out.text
}

#[derive(Default)]
struct Toml {
    text: String,
}

impl Toml {
    fn cluster(&mut self, cluster: &Cluster) {
        self.heading("[cluster]");
        self.key("listen", &quoted(cluster.listen.to_string()));
        if let Some(advertise) = &cluster.advertise {
            self.key("advertise", &quoted(advertise));
        }
        self.line("# secrets are set; they are not shown");
    }

    fn pool(&mut self, name: &str, pool: &PoolConfig) {
        self.heading(&format!("[pools.{name}]"));
        self.key("backends", &list(pool.backends.iter().map(backend)));
        self.key("balance", &quoted(name_of(&pool::BALANCES, pool.balance)));
        self.key("affinity", &quoted("none"));
        if let Some(health) = &pool.health {
            let path = quoted(&health.path);
            let interval = format_duration(health.interval);
            self.key("health", &format!("{{ path = {path}, interval = \"{interval}\" }}"));
        }
    }

    fn route(&mut self, route: &Route) {
        self.heading("[[routes]]");
        self.key("path", &quoted(&route.path));
        if let Some(host) = &route.host {
            self.key("host", &quoted(host));
        }
        self.key("pool", &quoted(&route.pool));
        self.promises(&route.config);
    }

    fn promises(&mut self, config: &RouteConfig) {
        let duration = |value| quoted(format_duration(value));
        self.key("delivery", &quoted(name_of(&route::DELIVERIES, config.delivery)));
        self.key("restore", &restore(config.restore));
        let buffer_max = u64::try_from(config.buffer_max).unwrap_or(u64::MAX);
        self.key("buffer_max", &quoted(format_size(buffer_max)));
        self.key("message_max", &quoted(format_size(config.message_max)));
        self.key("outage_max", &duration(config.outage_max));
        self.key("drain_quiet", &duration(config.drain_quiet));
        self.key("drain_max", &duration(config.drain_max));
        self.key("replays_max", &config.replays_max);
        let ping = (duration(config.ping.interval), duration(config.ping.timeout));
        self.key("ping", &format!("{{ interval = {}, timeout = {} }}", ping.0, ping.1));
        self.key("on_full", &quoted(name_of(&route::ON_FULL, config.on_full)));
        self.key("confirm_linger", &duration(config.confirm_linger));
        self.key("restart_codes", &list(config.restart_codes.iter().map(u16::to_string)));
        self.key("origins", &list(config.origins.iter().map(quoted)));
        self.key("http", &config.http.map_or_else(|| quoted("off"), http));
    }

    fn hub(&mut self, name: &str, hub: &Hub) {
        self.heading(&format!("[hubs.{name}]"));
        self.key("path", &quoted(&hub.path));
        if let Some(access) = &hub.access {
            self.line("# access_key is set; it is not shown");
            self.key("audiences", &list(access.audiences.iter().map(quoted)));
        }
        self.allowances(&hub.config);
        self.key("memberships_max", &hub.declaration.memberships_max);
        let history = hub.history.iter().flat_map(|history| hub::print_history(name, history));
        history.for_each(|line| self.line(&line));
        for line in hub::print_declaration(name, &hub.declaration) {
            self.line(&line);
        }
    }

    fn allowances(&mut self, config: &HubConfig) {
        let duration = |value| quoted(format_duration(value));
        let size = |bytes| quoted(format_size(u64::try_from(bytes).unwrap_or(u64::MAX)));
        self.key("keep_alive", &duration(config.keep_alive));
        self.key("client_timeout", &duration(config.client_timeout));
        self.key("handshake_timeout", &duration(config.handshake_timeout));
        self.key("message_max", &size(config.message_max));
        self.key("queue_max", &size(config.queue_max));
        self.key("slow_consumer", &quoted(name_of(&hub::SLOW, config.slow)));
        self.key("send_timeout", &duration(config.send_timeout));
        self.key("close_timeout", &duration(config.close_timeout));
        self.key("disconnect_timeout", &duration(config.disconnect_timeout));
        self.key("poll_timeout", &duration(config.poll_timeout));
        let is_stateful = config.stateful_reconnect == StatefulReconnect::On;
        self.key("stateful_reconnect", &is_stateful);
        self.key("stateful_max", &size(config.stateful_max));
        self.key("stateful_total_max", &size(config.stateful_total_max));
        let transports = config.transports.iter();
        let transport = |transport: &_| quoted(name_of(&hub::TRANSPORTS, *transport));
        self.key("transports", &list(transports.map(transport)));
        self.key("origins", &origins(&config.origins));
        self.key("spent_max", &config.spent_max);
        self.key("inbox_max", &size(config.inbox_max));
        self.key("asked_max", &config.asked_max);
        self.key("expiry", &quoted(name_of(&hub::EXPIRIES, config.expiry)));
        self.key("rate_max", &config.rate_max.map_or(0, NonZeroU32::get));
        self.key("detailed_errors", &config.detailed_errors);
    }

    fn heading(&mut self, heading: &str) {
        self.line("");
        self.line(heading);
    }

    fn key(&mut self, key: &str, value: &dyn std::fmt::Display) {
        self.line(&format!("{key} = {value}"));
    }

    fn line(&mut self, line: &str) {
        let written = writeln!(self.text, "{line}");
        debug_assert!(written.is_ok(), "a String takes every line");
    }
}

fn backend(backend: &BackendConfig) -> String {
    let url = quoted(backend.url.to_string());
    if backend.weight == 1 && backend.sessions_max.is_none() {
        return url;
    }
    let most = backend.sessions_max.map(|most| format!(", sessions_max = {most}"));
    format!("{{ url = {url}, weight = {}{} }}", backend.weight, most.unwrap_or_default())
}

fn restore(restore: Restore) -> String {
    if restore == Restore::NONE {
        return quoted("none");
    }
    format!("{{ first = {}, answers = {} }}", restore.first, restore.answers)
}

fn http(config: HttpConfig) -> String {
    let HttpConfig { requests_max, response_timeout, idle_timeout } = config;
    let (response, idle) = (format_duration(response_timeout), format_duration(idle_timeout));
    format!(
        "{{ requests_max = {requests_max}, response_timeout = \"{response}\", idle_timeout = \"{idle}\" }}"
    )
}

/// Which web pages may connect, as TOML.
pub(super) fn origins(origins: &Origins) -> String {
    match origins {
        Origins::Same => list(std::iter::empty()),
        Origins::Listed(listed) => list(listed.iter().map(quoted)),
        Origins::Any => list(std::iter::once(quoted(hub::ANY_ORIGIN))),
    }
}

/// The name of one of a closed set.
pub(super) fn name_of<T: PartialEq + Copy>(names: &[(&'static str, T)], value: T) -> &'static str {
    names.iter().find(|(_, named)| *named == value).map_or("", |(name, _)| name)
}

/// A list as TOML.
pub(super) fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

/// A string as TOML.
pub(super) fn quoted(text: impl AsRef<str>) -> String {
    toml::Value::from(text.as_ref()).to_string()
}
