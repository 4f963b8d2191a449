//! The keys of the node itself: its listeners, its limits, its end.

use super::{Section, key, later};

pub(in crate::config) const TOP: Section = Section {
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
    ],
};

pub(in crate::config) const ADMIN: Section = Section {
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

pub(in crate::config) const CLUSTER: Section = Section {
    heading: "cluster",
    example: "[cluster]",
    doc: "Nodes that serve the same hubs: each request of a client may come to any of them. All need \
          the same hubs and secrets; nobody lists the nodes.",
    keys: &[
        key(
            "listen",
            "address",
            "\"127.0.0.1:8405\"",
            "Where this node listens to the others, if it has secrets. What they say is signed and \
             not encrypted: let nobody else reach it.",
        ),
        key(
            "advertise",
            "HOST:PORT",
            "",
            "Where the others reach this node; if absent, where it listens.",
        ),
        key(
            "secrets",
            "list of strings",
            "",
            "What the nodes share: the first signs connection tokens and what nodes say, all \
             verify. To replace one, add the new one behind it on all nodes, put it first, then \
             drop the old one. If absent the node is alone.",
        ),
    ],
};

pub(in crate::config) const LIMITS: Section = Section {
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

pub(in crate::config) const STOP: Section = Section {
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
             come back in the same instant; in a cluster sessions of hubs move to other nodes.",
        ),
    ],
};

pub(in crate::config) const BACKPLANE: Section = Section {
    heading: "backplane",
    example: "[backplane]",
    doc: "How nodes talk. Hubs of one name are one hub on all nodes of one backplane.",
    keys: &[
        key(
            "url",
            "memory:, redis://…, rediss://…",
            "\"memory:\"",
            "One node by itself, or a Redis 7 or Valkey that nodes share. User, password and \
             database may be in the address.",
        ),
        key("prefix", "name", "", "What keys in Redis begin with; everwire if it is not given."),
    ],
};
