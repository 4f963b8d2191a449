//! The keys of the fleet, of who may use it, and of what comes into it from elsewhere.

use super::{Section, key};

pub(in crate::config) const FLEET: Section = Section {
    heading: "fleet",
    example: "[fleet]",
    doc: "Configuration and commands for every instance of an application. Instances are SignalR \
          clients that connect to the path.",
    keys: &[
        key(
            "path",
            "path",
            "\"/fleet\"",
            "Where instances connect and sets are watched, in any case of letters; everything below \
             belongs to the fleet too.",
        ),
        key(
            "journal",
            "file",
            "\"fleet.journal\"",
            "Where everything is written down that the fleet must not forget, each entry before it \
             counts as accepted. With backplane.url = \"memory:\" only; a Redis remembers by itself. \
             One process at a time has it.",
        ),
        key(
            "durability",
            "fsync, volatile",
            "\"fsync\"",
            "What accepted means: on disk, so that a Redis without appendonly is refused, or only \
             remembered, by a Redis that may forget, or by this process with memory:.",
        ),
        key(
            "instances_kept",
            "duration",
            "\"24h\"",
            "How long an instance that is away is expected back, and gets the commands of that time.",
        ),
        key("commands_kept", "number", "1000", "Finished commands that are remembered."),
        key(
            "origins",
            "list of origins, or [\"*\"]",
            "[]",
            "Web pages that browsers may connect from; [] takes those of the fleet's own origin.",
        ),
        key(
            "keep_alive",
            "duration",
            "\"15s\"",
            "Silence after which an instance is sent a ping; at least 1s.",
        ),
        key(
            "client_timeout",
            "duration",
            "\"30s\"",
            "Silence of an instance that has pinged once, after which it counts as away.",
        ),
        key(
            "message_max",
            "size",
            "\"32KiB\"",
            "The largest message that is taken from an instance; what it reports of a command must \
             fit.",
        ),
        key(
            "queue_max",
            "size",
            "\"12MiB\"",
            "What may wait for one instance to take it; a snapshot of the largest set has to fit.",
        ),
        key(
            "rate_max",
            "number",
            "10000",
            "Messages a second of one instance, beyond which its connection ends; 0 means any number.",
        ),
        key(
            "tokens",
            "table",
            "",
            "Who may do what, by the token that is brought. Required as soon as clients can come from \
             another machine; on loopback without tokens everybody may do everything.",
        ),
        key("hooks", "table", "", "Repositories whose pushes become commands."),
    ],
};

pub(in crate::config) const FLEET_TOKEN: Section = Section {
    heading: "fleet.tokens[]",
    example: "",
    doc: "What one token allows: [fleet.tokens] and \"…\" = { app = \"shop\", sets = [\"shop/**\"], \
          rights = [\"join\", \"read\"] }. Tokens come as Authorization: Bearer … or ?access_token=…; a \
          reload (SIGHUP) that takes one away ends what it has opened.",
    keys: &[
        key("app", "name", "", "The application whose instances may join; any if absent."),
        key(
            "sets",
            "list of patterns",
            "[]",
            "Sets that may be read or written: \"shop/prod\", \"shop/*\" (one level), \"shop/**\".",
        ),
        key(
            "rights",
            "list of join, read, write, command",
            "[\"join\", \"read\"]",
            "Join as an instance, read sets, change sets, send commands.",
        ),
    ],
};

pub(in crate::config) const FLEET_HOOK: Section = Section {
    heading: "fleet.hooks.NAME",
    example: "",
    doc: "POST {fleet}/hooks/NAME by GitHub or GitLab sends a command to instances, once for each \
          delivery.",
    keys: &[
        key("kind", "github, gitlab", "", "Who calls."),
        key(
            "secret",
            "string",
            "",
            "What the calls are signed with, or carry; at least 16 characters.",
        ),
        key("target", "pattern of instances", "\"**\"", "Who is sent the command: \"shop:**\"."),
        key("command", "name", "\"refresh\"", "Which command."),
    ],
};

pub(in crate::config) const BRIDGE: Section = Section {
    heading: "bridges",
    example: "",
    doc: "[[bridges]]: changes that somebody else publishes on a channel of a Redis become versions of a \
          set. One node at a time reads each.",
    keys: &[
        key("channel", "string", "", "The channel: \"configuration-updates\"."),
        key(
            "set",
            "name of a set",
            "",
            "The set, with fields of the message in braces: \"{environmentId}\", \"keyshade/{environmentId}\".",
        ),
        key("url", "redis://…, rediss://…", "", "The Redis; if absent, that of the backplane."),
    ],
};
