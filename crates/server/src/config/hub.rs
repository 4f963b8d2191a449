//! `[hubs.NAME]`: reads one hub.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use everwire_hub::{
    HubConfig,
    config::{Expiry, Origins, SlowPolicy},
};
use everwire_proto::signalr::negotiate::{StatefulReconnect, Transport};

use super::{
    Hub, keys,
    mistake::{Mistakes, Origin},
    pool,
    reader::{self, Reader},
    route,
    tree::Node,
};

mod access;
mod declaration;
mod history;

pub(crate) use self::access::Access;
pub(super) use self::declaration::print as print_declaration;
pub(crate) use self::history::History;
pub(super) use self::history::print as print_history;

/// The names of what happens to slow clients.
pub(super) const SLOW: [(&str, SlowPolicy); 3] = [
    ("close", SlowPolicy::Close),
    ("drop-oldest", SlowPolicy::DropOldest),
    ("conflate", SlowPolicy::Conflate),
];

/// The names of the transports.
pub(super) const TRANSPORTS: [(&str, Transport); 3] = [
    ("websocket", Transport::WebSockets),
    ("sse", Transport::ServerSentEvents),
    ("long-polling", Transport::LongPolling),
];

/// The names of what happens to clients whose token expires.
pub(super) const EXPIRIES: [(&str, Expiry); 2] =
    [("ignore", Expiry::Ignored), ("close", Expiry::Closes)];

/// What stands for every origin.
pub(super) const ANY_ORIGIN: &str = "*";

/// A hub and where its path was written, for the mistakes that only all hubs together show.
pub(super) struct Written {
    pub(super) hub: Hub,
    pub(super) origin: Origin,
}

/// Reads all hubs.
pub(super) fn read_all(node: Node, mistakes: &mut Mistakes) -> BTreeMap<String, Written> {
    let origin = node.origin.clone();
    let Ok(table) = node.into_table() else {
        mistakes.add(origin, "hubs", "is not a table; write [hubs.NAME]");
        return BTreeMap::new();
    };
    let mut hubs = BTreeMap::new();
    for (name, node) in table.entries {
        if !pool::is_name(&name) {
            let what = "a hub's name has letters, digits, - and _, at most 64 of them";
            mistakes.add(node.origin.clone(), format!("hubs.{name}"), what);
        }
        if let Some(hub) = read(format!("hubs.{name}"), node, mistakes) {
            hubs.insert(name, hub);
        }
    }
    hubs
}

fn read(path: String, node: Node, mistakes: &mut Mistakes) -> Option<Written> {
    let whole = node.origin.clone();
    let mut reader = Reader::open(path, &keys::HUB, node, mistakes)?;
    let given = reader.take("path");
    if given.is_none() {
        reader.complain(&whole, "path", "is missing; write for example \"/statusHub\"");
    }
    let origin = given.as_ref().map_or(whole, |node| node.origin.clone());
    let path = given
        .and_then(|node| hub_path(&node).map_err(|what| reader.refuse("path", &node, &what)).ok());
    let config = read_config(&mut reader);
    let access = access::read(&mut reader);
    if config.expiry == Expiry::Closes && access.is_none() {
        let what = "without access_key clients bring no token, and nothing expires";
        reader.contradict(&["expiry"], what);
    }
    let declaration = declaration::read(&mut reader);
    let history = history::read(&mut reader, &declaration);
    reader.finish();
    Some(Written { hub: Hub { path: path?, access, config, declaration, history }, origin })
}

fn read_config(reader: &mut Reader<'_>) -> HubConfig {
    let mut config = HubConfig::default();
    let duration = || reader::duration_from(DURATION_MIN);
    reader.set("handshake_timeout", &mut config.handshake_timeout, duration());
    reader.set("send_timeout", &mut config.send_timeout, duration());
    reader.set("close_timeout", &mut config.close_timeout, duration());
    reader.set("disconnect_timeout", &mut config.disconnect_timeout, duration());
    reader.set("poll_timeout", &mut config.poll_timeout, duration());
    reader.set("message_max", &mut config.message_max, bytes);
    reader.set("queue_max", &mut config.queue_max, bytes);
    reader.set("stateful_max", &mut config.stateful_max, bytes);
    reader.set("stateful_total_max", &mut config.stateful_total_max, bytes);
    reader.set("inbox_max", &mut config.inbox_max, bytes);
    reader.set("spent_max", &mut config.spent_max, reader::number(1, SPENT_MAX));
    reader.set("asked_max", &mut config.asked_max, reader::number(1, ASKED_MAX));
    reader.set("rate_max", &mut config.rate_max, rate);
    reader.set("expiry", &mut config.expiry, reader::one_of(&EXPIRIES));
    reader.set("slow_consumer", &mut config.slow, reader::one_of(&SLOW));
    reader.set("stateful_reconnect", &mut config.stateful_reconnect, stateful);
    reader.set("detailed_errors", &mut config.detailed_errors, reader::flag);
    let before = reader.mistakes().count();
    if let Some(transports) = reader.read_list("transports", reader::one_of(&TRANSPORTS)) {
        if transports.is_empty() && reader.mistakes().count() == before {
            reader.contradict(&["transports"], "is empty: nobody could connect");
        }
        config.transports = transports;
    }
    read_origins(reader, &mut config);
    read_pings(reader, &mut config);
    config
}

/// How often a silent client is asked, and when it is given up.
pub(super) fn read_pings(reader: &mut Reader<'_>, config: &mut HubConfig) {
    let duration = || reader::duration_from(DURATION_MIN);
    reader.set("keep_alive", &mut config.keep_alive, duration());
    reader.set("client_timeout", &mut config.client_timeout, duration());
    if config.keep_alive >= config.client_timeout {
        let what = "keep_alive is not shorter than client_timeout: a client that pings as often \
                    as the hub would be given up between two pings";
        reader.contradict(&["client_timeout", "keep_alive"], what);
    }
}

/// Which web pages may connect.
pub(super) fn read_origins(reader: &mut Reader<'_>, config: &mut HubConfig) {
    let Some(origins) = reader.read_list("origins", web_origin) else { return };
    let has_any = origins.iter().any(|origin| origin == ANY_ORIGIN);
    if has_any && origins.len() > 1 {
        reader.contradict(&["origins"], "\"*\" is every origin; leave out the others, or it");
    }
    config.origins = match (has_any, origins.is_empty()) {
        (true, _) => Origins::Any,
        (_, true) => Origins::Same,
        _ => Origins::Listed(origins),
    };
}

/// A path that is more than `/`: below that a hub would take every request of the node.
pub(super) fn hub_path(node: &Node) -> Result<String, String> {
    let path = reader::path(node)?;
    let is_plain = path.len() > 1 && !path.ends_with('/') && !path.ends_with("/negotiate");
    if is_plain { Ok(path) } else { Err("is not a hub's path; write for example \"/chat\"".into()) }
}

pub(super) fn bytes(node: &Node) -> Result<usize, String> {
    let bytes = reader::size_within(BYTES_MIN, BYTES_MAX)(node)?;
    usize::try_from(bytes).map_err(|_| "is more than this machine can address".to_owned())
}

/// Messages a second, or 0 for any number.
pub(super) fn rate(node: &Node) -> Result<Option<NonZeroU32>, String> {
    reader::number(0, RATE_MAX)(node).map(NonZeroU32::new)
}

fn stateful(node: &Node) -> Result<StatefulReconnect, String> {
    Ok(if reader::flag(node)? { StatefulReconnect::On } else { StatefulReconnect::Off })
}

fn web_origin(node: &Node) -> Result<String, String> {
    match reader::string(node)?.as_str() {
        ANY_ORIGIN => Ok(ANY_ORIGIN.to_owned()),
        _ => route::web_origin(node),
    }
}

/// A shard looks after its connections once a second: what is shorter could not be kept.
const DURATION_MIN: Duration = Duration::from_secs(1);

/// By how much the clocks of two machines differ that are set by NTP, and some: a token that has just
/// been minted elsewhere must not come too early.
const LEEWAY: Duration = Duration::from_secs(30);

/// Every client's handshake fits.
const BYTES_MIN: u64 = 1 << 10;

/// A message's length is written in 31 bits.
const BYTES_MAX: u64 = (1 << 31) - 1;

/// More messages a second than one client can be heard.
const RATE_MAX: u32 = 10_000_000;

/// What one process can have in clients.
const SPENT_MAX: usize = 4_000_000;

/// As many answers: some gigabytes.
const ASKED_MAX: usize = 4_000_000;
