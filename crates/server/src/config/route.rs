//! `[[routes]]`: reads one route.

use std::time::Duration;

use everwire_gateway::config::{Delivery, HttpConfig, OnFull, Ping, Restore, RouteConfig};

use super::{
    Route, keys,
    mistake::{Mistakes, Origin},
    reader::{self, Reader},
    tree::{Node, Value},
};

/// The names of the promises.
pub(super) const DELIVERIES: [(&str, Delivery); 3] = [
    ("at-most-once", Delivery::AtMostOnce),
    ("at-least-once", Delivery::AtLeastOnce),
    ("exactly-once", Delivery::ExactlyOnce),
];

/// The names of what happens when a buffer is full.
pub(super) const ON_FULL: [(&str, OnFull); 2] =
    [("close", OnFull::Close), ("pause", OnFull::Pause)];

/// Protocols whose session is restored by sending the first message again.
const RESTORES: [(&str, Restore); 3] = [
    ("none", Restore::NONE),
    ("signalr", Restore::HANDSHAKE),
    ("graphql-transport-ws", Restore::HANDSHAKE),
];

/// A route and where it was written, for the mistakes that only all routes together show.
pub(super) struct Written {
    pub(super) route: Route,
    pub(super) origin: Origin,
}

/// Reads all routes.
pub(super) fn read_all(node: Node, mistakes: &mut Mistakes) -> Vec<Written> {
    let origin = node.origin.clone();
    let Ok(items) = node.into_list() else {
        mistakes.add(origin, "routes", "is not a list of tables; write [[routes]]");
        return Vec::new();
    };
    let read = |(index, node): (usize, Node)| {
        let origin = node.origin.clone();
        let route = read(format!("routes[{index}]"), node, mistakes)?;
        Some(Written { route, origin })
    };
    items.into_iter().enumerate().filter_map(read).collect()
}

fn read(path: String, node: Node, mistakes: &mut Mistakes) -> Option<Route> {
    let origin = node.origin.clone();
    let mut reader = Reader::open(path, &keys::ROUTE, node, mistakes)?;
    let path = reader.read("path", reader::path).unwrap_or_else(|| "/".to_owned());
    let host = reader.read("host", host);
    let pool = reader.read("pool", reader::string);
    if pool.is_none() {
        reader.complain(&origin, "pool", "is missing; name one of [pools.NAME]");
    }
    let config = read_config(&mut reader);
    reader.finish();
    Some(Route { path, host, pool: pool?, config })
}

fn read_config(reader: &mut Reader<'_>) -> RouteConfig {
    let mut config = RouteConfig::default();
    reader.set("delivery", &mut config.delivery, reader::one_of(&DELIVERIES));
    reader.set("buffer_max", &mut config.buffer_max, buffer_size);
    let message_size = reader::size_within(1, MESSAGE_MAX);
    reader.set("message_max", &mut config.message_max, message_size);
    reader.set("outage_max", &mut config.outage_max, reader::duration);
    reader.set("drain_quiet", &mut config.drain_quiet, reader::duration);
    reader.set("drain_max", &mut config.drain_max, reader::duration_from(DRAIN_MIN));
    reader.set("replays_max", &mut config.replays_max, reader::number(1, 100));
    reader.set("on_full", &mut config.on_full, reader::one_of(&ON_FULL));
    reader.set("confirm_linger", &mut config.confirm_linger, reader::duration);
    if let Some(codes) = reader.read_list("restart_codes", close_code) {
        config.restart_codes = codes;
    }
    if let Some(origins) = reader.read_list("origins", web_origin) {
        config.origins = origins;
    }
    if let Some(node) = reader.take("ping") {
        config.ping = read_ping(reader, node, config.ping);
    }
    if let Some(node) = reader.take("restore") {
        config.restore = read_restore(reader, node);
    }
    if let Some(node) = reader.take("http") {
        config.http = read_http(reader, node);
    }
    check_together(reader, &config);
    config
}

/// Keys that are fine alone and mean nothing together.
fn check_together(reader: &mut Reader<'_>, config: &RouteConfig) {
    if config.drain_quiet > config.drain_max {
        let what = "drain_quiet is longer than drain_max: no backend could be quiet for so long \
                    before the move stops waiting; write drain_max above drain_quiet";
        reader.contradict(&["drain_max", "drain_quiet"], what);
    }
    if config.delivery == Delivery::AtMostOnce && !config.confirm_linger.is_zero() {
        let what = "does nothing with delivery = \"at-most-once\": nothing is sent again; leave one \
                    of them out";
        reader.contradict(&["confirm_linger"], what);
    }
    if config.delivery == Delivery::ExactlyOnce && config.restore != Restore::NONE {
        let what = "does nothing with delivery = \"exactly-once\": the backends keep their \
                    sessions themselves; leave one of them out";
        reader.contradict(&["restore"], what);
    }
}

fn read_ping(outer: &mut Reader<'_>, node: Node, mut ping: Ping) -> Ping {
    let path = outer.path_of("ping");
    if let Some(mut reader) = Reader::open(path, &keys::PING, node, outer.mistakes()) {
        let at_least = || reader::duration_from(PING_MIN);
        reader.set("interval", &mut ping.interval, at_least());
        reader.set("timeout", &mut ping.timeout, at_least());
        reader.finish();
    }
    ping
}

fn read_http(outer: &mut Reader<'_>, node: Node) -> Option<HttpConfig> {
    let mut http = HttpConfig::default();
    if !is_table(&node) {
        let named = reader::one_of(&[("off", ())])(&node);
        let what = "; or write { response_timeout = \"2m\" }";
        let wrong = named.map_err(|wrong| outer.refuse("http", &node, &(wrong + what))).is_err();
        return wrong.then_some(http);
    }
    let path = outer.path_of("http");
    if let Some(mut reader) = Reader::open(path, &keys::HTTP, node, outer.mistakes()) {
        let at_least = || reader::duration_from(TIMEOUT_MIN);
        reader.set("requests_max", &mut http.requests_max, reader::number(1, u32::MAX));
        reader.set("response_timeout", &mut http.response_timeout, at_least());
        reader.set("idle_timeout", &mut http.idle_timeout, at_least());
        reader.finish();
    }
    Some(http)
}

/// Whether a key that takes a name or a table has a table.
fn is_table(node: &Node) -> bool {
    match &node.value {
        Value::Table(_) => true,
        Value::Text(text) => text.trim_start().starts_with('{'),
        _ => false,
    }
}

fn read_restore(outer: &mut Reader<'_>, node: Node) -> Restore {
    let mut restore = Restore::NONE;
    if !is_table(&node) {
        let named = reader::one_of(&RESTORES)(&node);
        let what = "; or write { first = 1, answers = 1 }";
        return named
            .map_err(|wrong| outer.refuse("restore", &node, &(wrong + what)))
            .unwrap_or(restore);
    }
    let path = outer.path_of("restore");
    let before = outer.mistakes().count();
    if let Some(mut reader) = Reader::open(path, &keys::RESTORE, node, outer.mistakes()) {
        reader.set("first", &mut restore.first, reader::number(0, RESTORE_MESSAGES_MAX));
        reader.set("answers", &mut restore.answers, reader::number(0, RESTORE_MESSAGES_MAX));
        reader.finish();
        if restore == Restore::NONE && outer.mistakes().count() == before {
            outer.contradict(&["restore"], "restores nothing; write first or answers, or \"none\"");
        }
    }
    restore
}

fn buffer_size(node: &Node) -> Result<usize, String> {
    let bytes = reader::size_from(BUFFER_MIN)(node)?;
    usize::try_from(bytes).map_err(|_| "is more than this machine can address".to_owned())
}

fn close_code(node: &Node) -> Result<u16, String> {
    let code = reader::number(1000_u16, 4999)(node)?;
    match code {
        1004 | 1005 | 1015..=2999 => Err("is not a close code that a backend can send".to_owned()),
        _ => Ok(code),
    }
}

fn host(node: &Node) -> Result<String, String> {
    let text = reader::string(node)?.to_ascii_lowercase();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-.:[]_".contains(c);
    if text.chars().all(plain) && !text.contains("://") {
        return Ok(text);
    }
    Err("is not a host name; write for example \"app.example.com\"".to_owned())
}

/// What a browser calls the place that a page comes from.
pub(super) fn web_origin(node: &Node) -> Result<String, String> {
    let text = reader::string(node)?.to_ascii_lowercase();
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match rest {
        Some(rest) if !rest.is_empty() && !rest.contains(['/', '*', '?', '#', ' ']) => Ok(text),
        _ => Err("is not an origin; write for example \"https://app.example.com\"".to_owned()),
    }
}

/// Smaller than a read of the socket cannot be held.
const BUFFER_MIN: u64 = 64 << 10;

/// The protocol engine counts a message's bytes in 32 bits.
const MESSAGE_MAX: u64 = u32::MAX as u64;

/// A backend that is moved from needs a moment to confirm what it has just been sent.
const DRAIN_MIN: Duration = Duration::from_millis(100);

/// A heartbeat more often than this is load.
const PING_MIN: Duration = Duration::from_millis(100);

/// Shorter than this, a busy machine alone would end a request.
const TIMEOUT_MIN: Duration = Duration::from_millis(100);

/// The messages restored on every leg; they are kept for the session's whole life.
const RESTORE_MESSAGES_MAX: u32 = 16;
