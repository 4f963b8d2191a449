//! The keys of a route.

use super::{Section, key};

pub(in crate::config) const ROUTE: Section = Section {
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
        key(
            "http",
            "off, or a table",
            "{ requests_max = 10000, response_timeout = \"2m\", idle_timeout = \"10m\" }",
            "Requests that open no WebSocket, such as a negotiation, a poll, events or a page, are \
             passed to the pool's backends, their bodies streamed; \"off\" answers them 426. Each \
             counts as a session of its backend while it is served, and against \
             limits.connections_max.",
        ),
    ],
};

pub(in crate::config) const PING: Section = Section {
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

pub(in crate::config) const HTTP: Section = Section {
    heading: "routes.http",
    example: "",
    doc: "Requests that open no WebSocket.",
    keys: &[
        key(
            "requests_max",
            "number",
            "10000",
            "How many are served at once; more are answered 503.",
        ),
        key(
            "response_timeout",
            "duration",
            "\"2m\"",
            "How long a backend may take to begin its answer, 504 after that, and a client for the \
             next piece of its body, 408; at least 100ms. A poll may be answered after 100s.",
        ),
        key(
            "idle_timeout",
            "duration",
            "\"10m\"",
            "How long nothing may move once the answer has begun: events may be rare; at least 100ms.",
        ),
    ],
};

pub(in crate::config) const RESTORE: Section = Section {
    heading: "routes.restore",
    example: "",
    doc: "Restoring a session by hand.",
    keys: &[
        key("first", "0 to 16", "0", "How many of the client's first messages are kept."),
        key("answers", "0 to 16", "0", "How many of the first answers are swallowed."),
    ],
};
