//! The keys of a hub and of what its methods do.

use super::{Section, key};

pub(in crate::config) const HUB: Section = Section {
    heading: "hubs.NAME",
    example: "[hubs.status]",
    doc: "A hub for SignalR clients. What its methods do is declared; no program is needed.",
    keys: &[
        key(
            "path",
            "path",
            "\"/statusHub\"",
            "Where clients connect, in any case of letters; everything below belongs to the hub too, \
             and no route can lead there.",
        ),
        key(
            "access_key",
            "string",
            "",
            "Lets only clients in whose token (a JSON Web Token, HS256) is signed with this key, 32 bytes \
             or more; the others get 401. The user is the token's nameid or sub, and exp is required. \
             `everwire token mint` makes such tokens. Who has the key may also publish from outside, below \
             /api/hubs/NAME.",
        ),
        key(
            "access_keys",
            "list of strings",
            "",
            "Several such keys, to replace one by another: `everwire token` signs with the first, clients \
             may come with tokens of all.",
        ),
        key(
            "audiences",
            "list of strings",
            "[]",
            "Whom tokens have to be for (aud), one of these; [] takes tokens for anybody.",
        ),
        key(
            "expiry",
            "ignore, close",
            "\"ignore\"",
            "What happens to a client whose token expires (exp) while it is connected: nothing, or its \
             connection ends within a second and it may come back with a new token. A poll that brings a \
             newer token counts.",
        ),
        key(
            "keep_alive",
            "duration",
            "\"15s\"",
            "Silence of the hub after which a client is sent a ping: half of what clients wait by \
             default. At least 1s, as all durations here.",
        ),
        key(
            "client_timeout",
            "duration",
            "\"30s\"",
            "Silence of a client that has pinged once, after which it is given up: twice the interval \
             at which clients ping by default.",
        ),
        key(
            "handshake_timeout",
            "duration",
            "\"15s\"",
            "How long a client may take to say which protocol it speaks.",
        ),
        key(
            "message_max",
            "size",
            "\"32KiB\"",
            "The largest message that is taken from a client; a larger one ends its connection.",
        ),
        key(
            "queue_max",
            "size",
            "\"1MiB\"",
            "What may wait for one client to take it; what happens then is slow_consumer.",
        ),
        key(
            "slow_consumer",
            "close, drop-oldest, conflate",
            "\"close\"",
            "What happens to a client that takes less than it is sent: its connection ends, or the \
             oldest broadcasts that wait are dropped, or each is replaced by the next for the same \
             target. Answers to its own calls are never dropped.",
        ),
        key(
            "send_timeout",
            "duration",
            "\"10s\"",
            "How long a client may take nothing of what waits for it.",
        ),
        key(
            "close_timeout",
            "duration",
            "\"5s\"",
            "How long a client may take to answer that its connection closes.",
        ),
        key(
            "disconnect_timeout",
            "duration",
            "\"15s\"",
            "How long a session is kept without a connection: before the first, between two polls, \
             and for a stateful reconnect.",
        ),
        key(
            "poll_timeout",
            "duration",
            "\"90s\"",
            "How long a long poll waits for something to answer with.",
        ),
        key(
            "stateful_reconnect",
            "true, false",
            "true",
            "Whether a client that asks for it may resume its session.",
        ),
        key(
            "stateful_max",
            "size",
            "100000",
            "Unacknowledged bytes of one client at which its own answers wait, with stateful \
             reconnect.",
        ),
        key(
            "stateful_total_max",
            "size",
            "\"256MiB\"",
            "Unacknowledged bytes of all clients together, with stateful reconnect. Beyond that the \
             sessions that have waited longest for their client to come back are given up.",
        ),
        key(
            "transports",
            "list of websocket, sse, long-polling",
            "[\"websocket\", \"sse\", \"long-polling\"]",
            "The transports that clients may choose, the best first.",
        ),
        key(
            "origins",
            "list of origins, or [\"*\"]",
            "[]",
            "Browser origins whose pages may connect, https://app.example.com, beside the hub's own; \
             others get 403. \"*\" lets all in.",
        ),
        key(
            "spent_max",
            "number",
            "65536",
            "Connection tokens that are remembered because they have begun a connection and, within \
             disconnect_timeout after negotiation, could again; beyond that the oldest begin nothing \
             any more, used or not.",
        ),
        key(
            "inbox_max",
            "size",
            "\"64MiB\"",
            "What is published and not delivered yet, on each shard; beyond that publishing fails, and \
             whoever publishes is told.",
        ),
        key(
            "asked_max",
            "number",
            "262144",
            "Answers of clients that are awaited at once, where an application on another node of the \
             hub asks them; beyond that no more are asked, and it is told.",
        ),
        key(
            "rate_max",
            "number",
            "10000",
            "Messages that one client may say a second, pings included, over ten seconds: so often \
             this at once. Who says more is told so, and closed with 1008. 0 for any number.",
        ),
        key(
            "memberships_max",
            "number",
            "100",
            "Groups and names that one connection may have; beyond that its calls fail.",
        ),
        key(
            "detailed_errors",
            "true, false",
            "false",
            "Whether clients are told what an error inside the hub says.",
        ),
        key(
            "history",
            "table",
            "",
            "What is kept of what the hub sent, for clients that were away; see [hubs.NAME.history].",
        ),
        key(
            "methods",
            "table",
            "",
            "What clients may call, by name and in any case of letters; see [hubs.NAME.methods.METHOD].",
        ),
        key(
            "presence",
            "table",
            "",
            "Whom the hub tells who is present; see [hubs.NAME.presence].",
        ),
    ],
};

pub(in crate::config) const HISTORY: Section = Section {
    heading: "hubs.NAME.history",
    example: "[hubs.status.history]",
    doc: "What is kept of what was sent to everybody, and to each group. A client that was away calls \
          Recover(channel, cursor) and is sent what it missed. With [backplane] the histories are in \
          Redis, otherwise they end with the process.",
    keys: &[
        key("hub", "true, false", "true", "Whether what is sent to all is kept."),
        key(
            "groups",
            "list of strings",
            "[\"*\"]",
            "The groups of which it is kept what is sent to them: names, or beginnings of names with \
             a * behind them.",
        ),
        key("count_max", "number", "1000", "Messages that are kept of each channel."),
        key("age_max", "duration", "\"1h\"", "How long a message is kept. At least 1s."),
        key("bytes_max", "size", "\"1MiB\"", "Bytes that are kept of each channel."),
        key(
            "replay_max",
            "number",
            "1000",
            "Messages that a client is sent at once; one that missed more is told to load its state.",
        ),
        key(
            "follows_max",
            "number",
            "100",
            "Channels that one connection may follow; beyond that its calls fail.",
        ),
    ],
};

pub(in crate::config) const PRESENCE: Section = Section {
    heading: "hubs.NAME.presence",
    example: "[hubs.status.presence]",
    doc: "What clients are told of who is present. Within a group its name follows as the last \
          argument. A connection that ends takes its names with it, however it ends.",
    keys: &[
        key(
            "joined",
            "string",
            "\"online\"",
            "The clients' method that is called with a name when that is present.",
        ),
        key(
            "left",
            "string",
            "\"offline\"",
            "The clients' method that is called with a name when that is no longer present: no \
             connection has it any more.",
        ),
        key(
            "roster",
            "string",
            "",
            "The clients' method that is called with a list of all names, for who comes into the hub \
             or into a group. Without it a newcomer is told `joined` of each.",
        ),
        key(
            "names_max",
            "number",
            "4096",
            "Names that may be present in the hub, and in each group; beyond that calls fail.",
        ),
    ],
};

pub(in crate::config) const METHOD: Section = Section {
    heading: "hubs.NAME.methods.METHOD",
    example: "[hubs.status.methods.SendPing]",
    doc: "What one method does, in the order of these keys. {0} to {9} stand for the arguments of the \
          call, {user} and {connection} for who calls, {node} for the node that is called. In one \
          line: [hubs.status.methods] and Broadcast = { send = \"all\", target = \"Receive\" }.",
    keys: &[
        key("join", "string", "", "The caller joins this group: \"{0}\", \"room-{0}\", \"lobby\"."),
        key(
            "present",
            "string",
            "\"{0}\"",
            "The caller is present under this name: in the group that the method joins, or in the \
             hub. Several connections may have one name.",
        ),
        key(
            "send",
            "all, others, caller, group:NAME, user:NAME",
            "",
            "Who is sent something: \"group:{0}\".",
        ),
        key(
            "target",
            "string",
            "",
            "The receivers' method that is called; if absent, the method's own name.",
        ),
        key(
            "arguments",
            "list of strings",
            "",
            "What it is called with: [\"{user}\", \"{1}\"]. An argument that stands alone keeps its \
             type. If absent: the arguments of the call that do not name the receivers.",
        ),
        key("absent", "string", "", "The caller is no longer present in the hub under this name."),
        key("leave", "string", "", "The caller leaves this group, and is no longer present there."),
    ],
};
