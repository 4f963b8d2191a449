//! The keys of a pool and of its backends.

use super::{Section, key, later};

pub(in crate::config) const POOL: Section = Section {
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

pub(in crate::config) const BACKEND: Section = Section {
    heading: "pools.NAME.backends[]",
    example: "",
    doc: "A backend written as a table: { url = \"ws://127.0.0.1:9001\", weight = 2 }.",
    keys: &[
        key("url", "ws:// URL", "", "Where it listens."),
        key("weight", "1 to 1000", "1", "Its share of new sessions beside the others'."),
        key("sessions_max", "number", "", "How many sessions it may have; no limit if absent."),
    ],
};

pub(in crate::config) const HEALTH: Section = Section {
    heading: "pools.NAME.health",
    example: "",
    doc: "An active check: { path = \"/healthz\", interval = \"1s\" }.",
    keys: &[
        key("path", "path", "", "What is asked for with GET; an answer of 2xx means well."),
        key("interval", "duration", "\"1s\"", "How often; at least 100ms."),
    ],
};
