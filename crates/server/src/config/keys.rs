//! Every key there is: its name, what it takes, its default, what it means.
//!
//! The reference (`config doc`), the example file and the answer to an unknown key all come from
//! this table. A test loads the example and finds the built-in defaults.

/// One table of the configuration.
pub(super) struct Section {
    /// The heading in an example file, without brackets; empty for the top.
    pub(super) heading: &'static str,
    /// The heading with its brackets, as the example writes it.
    pub(super) example: &'static str,
    pub(super) doc: &'static str,
    pub(super) keys: &'static [Key],
}

/// One key of a section.
pub(super) struct Key {
    pub(super) name: &'static str,
    /// What may be written.
    pub(super) takes: &'static str,
    /// The default as TOML; empty where there is none.
    pub(super) default: &'static str,
    pub(super) doc: &'static str,
    pub(super) state: State,
}

/// Whether a key does something in this version.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It does.
    Ready,
    /// It is reserved: using it is a mistake that says so.
    Later,
}

const fn key(
    name: &'static str,
    takes: &'static str,
    default: &'static str,
    doc: &'static str,
) -> Key {
    Key { name, takes, default, doc, state: State::Ready }
}

const fn later(name: &'static str) -> Key {
    Key { name, takes: "", default: "", doc: "", state: State::Later }
}

/// All sections in the order in which the reference lists them.
pub(super) const SECTIONS: [&Section; 11] =
    [&TOP, &ADMIN, &POOL, &BACKEND, &HEALTH, &ROUTE, &HUB, &PRESENCE, &METHOD, &LIMITS, &STOP];

pub(super) const TOP: Section = Section {
    heading: "",
    example: "",
    doc: "The node itself.",
    keys: &[
        key(
            "listen",
            "address, or list of addresses",
            "\"127.0.0.1:8080\"",
            "Where WebSocket clients connect. Port 0 takes a free one.",
        ),
        key("log", "text, json", "\"text\"", "The form of the log on standard error."),
        key(
            "shards",
            "number",
            "0",
            "Threads that serve clients, each with its own listener; 0 means one per processor.",
        ),
        later("tls"),
        later("backplane"),
        later("cluster"),
        later("fleet"),
        later("bridges"),
    ],
};

pub(super) const ADMIN: Section = Section {
    heading: "admin",
    example: "[admin]",
    doc: "The admin listener: API, metrics, probes.",
    keys: &[
        key("listen", "address", "\"127.0.0.1:8404\"", "Where the admin API listens."),
        key(
            "token",
            "string",
            "",
            "What `Authorization: Bearer …` must carry. Required as soon as the address is not \
             loopback; /livez and /readyz never ask for it.",
        ),
    ],
};

pub(super) const POOL: Section = Section {
    heading: "pools.NAME",
    example: "[pools.chat]",
    doc: "A pool of interchangeable backends.",
    keys: &[
        key(
            "backends",
            "list of URLs or tables",
            "[\"ws://127.0.0.1:9001\", \"ws://127.0.0.1:9002\"]",
            "The backends; [] if they are added over the admin API. A URL without a path gets the client's path and query; one with a \
             path is dialled at exactly that path, the client's query added.",
        ),
        key(
            "balance",
            "least-sessions, round-robin, hash",
            "\"least-sessions\"",
            "Which backend a new session gets.",
        ),
        key(
            "affinity",
            "none",
            "\"none\"",
            "Which backend a returning client gets; only `none` exists yet.",
        ),
        key(
            "health",
            "table",
            "",
            "Ask each backend whether it is well, with keys path and interval. Health decides \
             only new dials; if no backend is healthy, all are tried.",
        ),
        later("affinity_cookie"),
    ],
};

pub(super) const BACKEND: Section = Section {
    heading: "pools.NAME.backends[]",
    example: "",
    doc: "A backend written as a table: { url = \"ws://127.0.0.1:9001\", weight = 2 }.",
    keys: &[
        key("url", "ws:// URL", "", "Where it listens."),
        key("weight", "1 to 1000", "1", "Its share of new sessions beside the others'."),
        key("sessions_max", "number", "", "How many sessions it may have; no limit if absent."),
    ],
};

pub(super) const HEALTH: Section = Section {
    heading: "pools.NAME.health",
    example: "",
    doc: "An active check: { path = \"/healthz\", interval = \"1s\" }.",
    keys: &[
        key("path", "path", "", "What is asked for with GET; an answer of 2xx means well."),
        key("interval", "duration", "\"1s\"", "How often; at least 100ms."),
    ],
};

pub(super) const ROUTE: Section = Section {
    heading: "routes",
    example: "[[routes]]",
    doc: "Which clients go to which pool, and what they are promised.",
    keys: &[
        key("path", "path", "\"/\"", "Prefix of the client's path; the longest match wins."),
        key("host", "host name", "", "Only clients that ask for this host; any if absent."),
        key("pool", "name of a pool", "\"chat\"", "The pool the clients go to."),
        key(
            "delivery",
            "at-most-once, at-least-once, exactly-once",
            "\"at-least-once\"",
            "What a client's message is promised when its backend is lost. `exactly-once` needs \
             a backend that answers the Everwire-* headers.",
        ),
        key(
            "restore",
            "none, signalr, graphql-transport-ws, or a table",
            "\"none\"",
            "How an unmodified backend gets its session back: { first = 1, answers = 1 } sends \
             the client's first message again and swallows the first answer.",
        ),
        key(
            "buffer_max",
            "size",
            "\"5MiB\"",
            "What one session may hold back in each direction while the other side is away or slow; \
             at least 64KiB. Reading stops there: the last read may take it 64KiB beyond, 256KiB \
             with messages of a few bytes. A client that writes more than this without reading \
             what it is answered is stopped until it reads: set it above what your clients write \
             ahead.",
        ),
        key("message_max", "size", "\"64MiB\"", "Larger messages close with 1009; less than 4GiB."),
        key(
            "outage_max",
            "duration",
            "\"1m\"",
            "How long a client is held without a backend; 0s closes at once with 1012.",
        ),
        key(
            "drain_quiet",
            "duration",
            "\"500ms\"",
            "When moving on purpose: how long the old backend must have been silent.",
        ),
        key(
            "drain_max",
            "duration",
            "\"10s\"",
            "… and when the move stops waiting for that; at least 100ms, and no less than drain_quiet.",
        ),
        key(
            "replays_max",
            "1 to 100",
            "3",
            "How many backends one message may bring down before its session closes with 1011.",
        ),
        key(
            "ping",
            "table",
            "{ interval = \"20s\", timeout = \"10s\" }",
            "The heartbeat, on both sides: whoever is silent for interval is asked, and is hung when \
             it then neither sends nor takes a byte for timeout. Kernels buffer megabytes: a slow \
             reader that needs longer than timeout to get through those looks hung. A backend is \
             then replaced and its messages are doubled, none lost; a client is cut off. Keep \
             timeout at several seconds where readers are slow.",
        ),
        key(
            "on_full",
            "close, pause",
            "\"close\"",
            "When the buffer is full and no backend is there: close with 1013, or stop reading.",
        ),
        key(
            "confirm_linger",
            "duration",
            "\"0s\"",
            "Keep confirmed messages this much longer, for backends whose stack queues.",
        ),
        key(
            "restart_codes",
            "list of close codes",
            "[1001, 1006, 1011, 1012, 1013, 1014]",
            "Backend closes that mean \"restarted\"; all others are a goodbye and pass through.",
        ),
        key(
            "origins",
            "list of origins",
            "[]",
            "Browser origins that may connect, https://app.example.com; others get 403. An empty \
             list checks nothing.",
        ),
    ],
};

pub(super) const HUB: Section = Section {
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
             `everwire token mint` makes such tokens.",
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
            "pending_max",
            "number",
            "65536",
            "Negotiated connections that nobody has opened yet; beyond that negotiation answers 503.",
        ),
        key(
            "inbox_max",
            "size",
            "\"64MiB\"",
            "What is published and not delivered yet, on each shard; beyond that publishing fails, and \
             whoever publishes is told.",
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

pub(super) const PRESENCE: Section = Section {
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

pub(super) const METHOD: Section = Section {
    heading: "hubs.NAME.methods.METHOD",
    example: "[hubs.status.methods.SendPing]",
    doc: "What one method does, in the order of these keys. {0} to {9} stand for the arguments of the \
          call, {user} and {connection} for who calls. In one line: [hubs.status.methods] and \
          Broadcast = { send = \"all\", target = \"Receive\" }.",
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

pub(super) const LIMITS: Section = Section {
    heading: "limits",
    example: "[limits]",
    doc: "Limits of the whole process.",
    keys: &[
        key(
            "connections_max",
            "number",
            "18000",
            "Clients at the same time; the next one is answered 503. Each needs two file \
             descriptors.",
        ),
        key("buffered_max", "size", "\"1GiB\"", "All buffers of the process together."),
    ],
};

pub(super) const STOP: Section = Section {
    heading: "stop",
    example: "[stop]",
    doc: "What happens on SIGTERM.",
    keys: &[
        key(
            "announce",
            "duration",
            "\"1s\"",
            "How long /readyz says 503 while clients are still accepted, so that a load balancer \
             turns away first.",
        ),
        key(
            "window",
            "duration",
            "\"5s\"",
            "The clients are closed with 1001 spread over this time, so that they do not all \
             come back in the same instant.",
        ),
    ],
};

pub(super) const PING: Section = Section {
    heading: "routes.ping",
    example: "",
    doc: "The heartbeat.",
    keys: &[
        key(
            "interval",
            "duration",
            "\"20s\"",
            "Silence after which a peer is asked; at least 100ms.",
        ),
        key("timeout", "duration", "\"10s\"", "How long it may then give no sign; at least 100ms."),
    ],
};

pub(super) const RESTORE: Section = Section {
    heading: "routes.restore",
    example: "",
    doc: "Restoring a session by hand.",
    keys: &[
        key("first", "0 to 16", "0", "How many of the client's first messages are kept."),
        key("answers", "0 to 16", "0", "How many of the first answers are swallowed."),
    ],
};

pub(super) const BACKPLANE: Section = Section {
    heading: "backplane",
    example: "",
    doc: "How nodes talk.",
    keys: &[key("url", "memory:", "\"memory:\"", "Only one node yet.")],
};
