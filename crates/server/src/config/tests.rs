//! The configuration as its users meet it: what is read, and how mistakes are told.

use everwire_gateway::config::HttpConfig;
use everwire_hub::declared::Presence;

use super::{
    flags::{FLAG_HUB, FLAG_POOL},
    *,
};

fn sources(file: &str) -> Sources {
    Sources { file: Some(("everwire.toml".to_owned(), file.to_owned())), ..Sources::default() }
}

fn mistakes(sources: &Sources) -> String {
    load(sources).expect_err("has mistakes").to_string()
}

fn backend_flag(url: &str) -> Sources {
    let flags = Flags { backends: vec![url.to_owned()], ..Flags::default() };
    Sources { flags, ..Sources::default() }
}

const SMALL: &str =
    "[pools.chat]\nbackends = [\"ws://127.0.0.1:9001\"]\n[[routes]]\npool = \"chat\"\n";

#[test]
fn the_example_has_every_key_at_its_default() {
    let config = load(&sources(&example())).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let default = Config::default();
    assert_eq!(config.listen, default.listen);
    assert_eq!(config.log, default.log);
    assert_eq!(config.shards, default.shards);
    assert_eq!(config.admin, default.admin);
    assert_eq!(config.limits, default.limits);
    assert_eq!(config.stop, default.stop);
    assert_eq!(config.routes[0].config, RouteConfig::default());
    assert_eq!(config.pools["chat"].balance, PoolConfig::default().balance);
    assert_eq!(config.hubs["status"].config, HubConfig::default());
    let (declared, default) = (&config.hubs["status"].declaration, Declaration::default());
    assert_eq!(declared.memberships_max, default.memberships_max);
    let presence = declared.presence.as_ref().expect("it is in the example");
    assert_eq!(presence.names_max, Presence::default().names_max);
    assert_eq!(config.hubs["status"].history, Some(History::default()));
    assert_eq!(config.fleet, Some(Fleet::default()));
}

#[test]
fn the_example_file_is_the_one_in_the_repository() {
    assert_eq!(example(), include_str!("../../example.toml"), "run `everwire config example`");
}

#[test]
fn a_backplane_is_read_and_its_password_is_never_shown() {
    let with = |lines: &str| sources(&format!("{SMALL}[backplane]\n{lines}"));
    let read = |lines: &str| load(&with(lines)).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert_eq!(read("url = \"memory:\"\n").backplane, Backplane::Memory);
    let config = read("url = \"rediss://ann:secret@redis:6380/1\"\nprefix = \"chat\"\n");
    let redis = config.backplane.redis().expect("a Redis");
    assert_eq!((&*redis.url, &*redis.prefix), ("rediss://ann:secret@redis:6380/1", "chat"));
    assert!(!print(&config).contains("secret") && !format!("{config:?}").contains("secret"));
    let open = read("url = \"redis://127.0.0.1:6379\"\n");
    assert_eq!(load(&sources(&print(&open))).ok(), Some(open));
    for (lines, mistake) in [
        ("url = \"http://x\"\n", "everwire.toml:6: backplane.url: \"http://x\" is none of"),
        ("url = \"redis://\"\n", "everwire.toml:6: backplane.url: \"redis://\" is none of"),
        ("prefix = \"x\"\n", "everwire.toml:6: backplane.prefix: is for a Redis"),
        (
            "url = \"redis://x\"\nprefix = \"a b\"\n",
            "everwire.toml:7: backplane.prefix: \"a b\" is no prefix",
        ),
    ] {
        let told = mistakes(&with(lines));
        assert!(told.contains(mistake), "{told}");
    }
}

#[test]
fn what_is_printed_is_read_back() {
    let file = "listen = [\"127.0.0.1:1\", \"[::1]:2\"]\nlog = \"json\"\n[pools.chat]\n\
        backends = [\"ws://127.0.0.1:9001\", { url = \"ws://b:9/x\", weight = 3, sessions_max = 7 }]\n\
        health = { path = \"/healthz\", interval = \"2s\" }\n[[routes]]\npath = \"/a\"\n\
        host = \"App.example.com\"\npool = \"chat\"\nrestore = \"signalr\"\nbuffer_max = 70000\n\
        origins = [\"https://app.example.com\"]\non_full = \"pause\"\n\
        http = { requests_max = 7, idle_timeout = \"1h\" }\n[[routes]]\npath = \"/b\"\n\
        pool = \"chat\"\nhttp = \"off\"\n";
    let config = load(&sources(file)).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let again = load(&sources(&print(&config))).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(config, again);
    assert_eq!(again.routes[0].host.as_deref(), Some("app.example.com"));
    assert_eq!(again.routes[0].config.restore.first, 1);
    let http = again.routes[0].config.http.expect("it is on");
    assert_eq!((http.requests_max, http.idle_timeout.as_secs()), (7, 3600));
    assert_eq!(http.response_timeout, HttpConfig::default().response_timeout);
    assert_eq!(again.routes[1].config.http, None);
}

#[test]
fn a_hub_that_is_printed_is_read_back() {
    let file = "[hubs.status]\npath = \"/statusHub\"\nkeep_alive = \"5s\"\norigins = [\"*\"]\n\
        slow_consumer = \"conflate\"\ntransports = [\"sse\", \"websocket\"]\n\
        stateful_reconnect = false\nasked_max = 7\n[hubs.status.presence]\nroster = \"all \\\"here\\\"\"\n\
        [hubs.status.methods]\nBroadcast = { send = \"all\" }\n\"with space\" = { leave = \"{0}\" }\n\
        Enter = { join = \"room-{0}\", present = \"{user}\", send = \"group:{0}\", target = \"x\", \
        arguments = [\"{0}\", \"{0}\"], absent = \"a\", leave = \"b\" }\n\
        [hubs.status.history]\nhub = false\ngroups = [\"room-*\"]\ncount_max = 5\nage_max = \"9s\"\n\
        [hubs.other]\npath = \"/other\"\norigins = [\"https://app.example.com\"]\n";
    let config = load(&sources(file)).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let again = load(&sources(&print(&config))).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(config, again);
    assert_eq!(again.hubs["status"].declaration.methods.len(), 3);
}

#[test]
fn mistakes_in_a_hub_are_told_with_line_and_key() {
    const HUB: &str = "[hubs.a]\npath = \"/a\"\n";
    for (lines, wanted) in [
        ("keep_alive = \"0s\"", ":3: hubs.a.keep_alive: \"0s\" is too short; at least 1s"),
        ("keepalive = \"9s\"", ":3: hubs.a.keepalive: unknown key; did you mean keep_alive?"),
        ("keep_alive = \"30s\"", ":3: hubs.a.keep_alive: keep_alive is not shorter than"),
        ("rate_max = -1", ":3: hubs.a.rate_max: "),
        ("asked_max = 0", ":3: hubs.a.asked_max: "),
        ("asked_max = 4000001", ":3: hubs.a.asked_max: "),
        ("expiry = \"closes\"", ":3: hubs.a.expiry: \"closes\" is not one of ignore, close"),
        ("expiry = \"close\"", ":3: hubs.a.expiry: without access_key clients bring no token"),
        ("stateful_total_max = \"1KB\"", ":3: hubs.a.stateful_total_max: \"1KB\" is too small"),
        ("message_max = \"8GiB\"", ":3: hubs.a.message_max: \"8GiB\" is too large"),
        ("slow_consumer = \"wait\"", ":3: hubs.a.slow_consumer: \"wait\" is not one of close, "),
        ("stateful_reconnect = \"yes\"", ":3: hubs.a.stateful_reconnect: \"yes\" is neither true"),
        ("transports = []", ":3: hubs.a.transports: is empty"),
        ("transports = [\"udp\"]", ":3: hubs.a.transports[0]: \"udp\" is not one of websocket, "),
        ("origins = [\"app\"]", ":3: hubs.a.origins[0]: \"app\" is not an origin"),
        ("origins = [\"*\", \"https://a\"]", ":3: hubs.a.origins: \"*\" is every origin"),
        ("methods = 1", ":3: hubs.a.methods: is not a table"),
        ("methods.Go = {}", ":3: hubs.a.methods.Go: does nothing; write one of join, "),
        ("methods.Go = { sent = \"all\" }", ":3: hubs.a.methods.Go.sent: unknown key; did you"),
        ("methods.Go = { send = \"many\" }", ":3: hubs.a.methods.Go.send: \"many\" is not one of"),
        ("methods.Go = { send = \"group:\" }", ":3: hubs.a.methods.Go.send: \"group:\" is empty"),
        ("methods.Go = { join = \"{0\" }", ":3: hubs.a.methods.Go.join: \"{0\" has a brace"),
        ("methods.Go = { join = \"{x}\" }", ":3: hubs.a.methods.Go.join: \"{x}\" has {x}, which"),
        ("methods.Go = { target = \"x\" }", ":3: hubs.a.methods.Go.target: does nothing without"),
        ("methods.Go = { present = \"x\" }", ":3: hubs.a.methods.Go.present: tells nobody without"),
        ("presence = {}", ":3: hubs.a.presence: tells nobody anything"),
        ("presence = { left = \"\" }", ":3: hubs.a.presence.left: \"\" is empty"),
        (
            "methods.Go = { send = \"all\", arguments = [\"{a}\"] }",
            ":3: hubs.a.methods.Go.arguments[0]: \"{a}\" has {a}",
        ),
        (
            "methods.Go = { send = \"all\" }\nmethods.GO = { send = \"all\" }",
            "methods.Go: exists already: clients call methods in any case",
        ),
        ("history = 1", ":3: hubs.a.history: 1 is not a table of keys"),
        (
            "history = { cout_max = 9 }",
            ":3: hubs.a.history.cout_max: unknown key; did you mean count_max?",
        ),
        ("history = { count_max = 0 }", ":3: hubs.a.history.count_max: "),
        ("history = { age_max = \"1ms\" }", ":3: hubs.a.history.age_max: \"1ms\" is too short"),
        ("history = { bytes_max = \"1B\" }", ":3: hubs.a.history.bytes_max: \"1B\" is too small"),
        ("history = { groups = [\"a*b\"] }", ":3: hubs.a.history.groups[0]: \"a*b\" has a * that"),
        ("history = { hub = false, groups = [] }", ":3: hubs.a.history.hub: keeps nothing"),
        (
            "history = {}\nmethods.recover = { send = \"all\" }",
            ":3: hubs.a.history: has a method Recover for itself",
        ),
        ("[hubs.b]", ":3: hubs.b.path: is missing; write for example"),
        ("[hubs.b]\npath = \"/\"", ":4: hubs.b.path: \"/\" is not a hub's path"),
        ("[hubs.b]\npath = \"/b/negotiate\"", ":4: hubs.b.path: \"/b/negotiate\" is not a hub's"),
        ("[hubs.b]\npath = \"/A/x\"", ":4: hubs.b.path: /A/x belongs to [hubs.a], which is at /a"),
        ("[hubs.\"b c\"]\npath = \"/b\"", ":3: hubs.b c: a hub's name has letters, digits"),
        (
            "[pools.c]\nbackends = []\n[[routes]]\npath = \"/a\"\npool = \"c\"",
            ":5: routes[0].path: /a belongs to [hubs.a]: no client comes to this route",
        ),
    ] {
        let told = mistakes(&sources(&format!("{HUB}{lines}\n")));
        assert!(told.contains(wanted) && told.ends_with("\n1 mistake"), "{told}\nis not\n{wanted}");
    }
    let same = mistakes(&sources(&format!("{HUB}[hubs.b]\npath = \"/A\"\n")));
    assert!(same.contains("hubs.a.path: /a belongs to [hubs.b]"), "{same}");
}

#[test]
fn a_hub_is_made_of_variables_too() {
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let variables = vec![
        variable("EVERWIRE_HUBS__STATUS__PATH", "/statusHub"),
        variable("EVERWIRE_HUBS__STATUS__STATEFUL_RECONNECT", "false"),
        variable("EVERWIRE_HUBS__STATUS__TRANSPORTS", "websocket,sse"),
        variable("EVERWIRE_HUBS__STATUS__PRESENCE__JOINED", "online"),
        variable("EVERWIRE_HUBS__STATUS__METHODS__SENDPING__PRESENT", "{0}"),
        variable("EVERWIRE_HUBS__STATUS__METHODS__TELL", "{ send = \"others\" }"),
    ];
    let sources = Sources { variables, ..Sources::default() };
    let config = load(&sources).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let hub = &config.hubs["status"];
    assert_eq!((&*hub.path, hub.config.transports.len()), ("/statusHub", 2));
    let methods: Vec<_> = hub.declaration.methods.keys().map(|name| &**name).collect();
    assert_eq!(methods, ["sendping", "tell"]);
}

#[test]
fn a_hub_flag_is_a_hub_of_one_method() {
    let flags = Flags { hub: Some("/chat".to_owned()), ..Flags::default() };
    let sources = Sources { flags, ..Sources::default() };
    let config = load(&sources).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let method = &config.hubs[FLAG_HUB].declaration.methods["Broadcast"];
    assert_eq!(method.send.as_ref().map(|send| &*send.target), Some("Receive"));
    let file = Some(("a.toml".to_owned(), "[hubs.a]\npath = \"/a\"\n".to_owned()));
    let both = Sources { file, ..sources };
    assert!(mistakes(&both).contains("--hub: the file has hubs already"));
}

#[test]
fn a_printed_configuration_does_not_tell_the_token() {
    let file = format!("[admin]\ntoken = \"open-sesame\"\n{SMALL}");
    let config = load(&sources(&file)).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert!(!print(&config).contains("open-sesame"));
    assert!(!format!("{config:?}").contains("open-sesame"));
}

#[test]
fn ten_different_mistakes_are_told_at_once_with_line_and_key() {
    let told = mistakes(&sources(include_str!("../../tests/ten-mistakes.toml")));
    for part in [
        "everwire.toml:1: listen: \"everywhere\" is not an address",
        "everwire.toml:2: log: \"xml\" is not one of text, json",
        "everwire.toml:3: lissen: unknown key; did you mean listen?",
        "everwire.toml:5: admin.token: is required because 0.0.0.0:8404 is not loopback",
        "everwire.toml:7: pools.chat.backends[0]: ",
        "everwire.toml:8: pools.chat.affinity: \"cookie\" is not available yet",
        "everwire.toml:9: routes[0].pool: there is no [pools.chatt]",
        "everwire.toml:11: routes[0].delivery: \"twice\" is not one of at-most-once, ",
        "everwire.toml:12: routes[0].buffer_max: \"5 bananas\" is not a size",
        "everwire.toml:14: fleet.path: \"fleet\" is not a path",
        "10 mistakes",
    ] {
        assert!(told.contains(part), "{part}\nis missing in\n{told}");
    }
}

/// The only mistake of a file that is fine but for some lines at its end.
fn told_of(lines: &str) -> String {
    let told = mistakes(&sources(&format!("{SMALL}{lines}\n")));
    let (mistake, count) = told.split_once('\n').expect("a mistake and a count");
    assert_eq!(count, "1 mistake", "{told}");
    mistake.to_owned()
}

#[test]
fn values_that_make_no_sense_in_a_route_are_refused_with_line_and_key() {
    for (line, wanted) in [
        ("replays_max = 0", "replays_max: 0 is not a whole number from 1 to 100"),
        ("buffer_max = 0", "buffer_max: 0 is too small; at least 64KiB"),
        ("message_max = 0", "message_max: 0 is too small; at least 1B"),
        ("message_max = \"8GiB\"", "message_max: \"8GiB\" is too large; at most 4294967295B"),
        ("drain_max = \"0s\"", "drain_max: \"0s\" is too short; at least 100ms"),
        ("drain_max = \"400ms\"", "drain_max: drain_quiet is longer than drain_max"),
        ("drain_quiet = \"11s\"", "drain_quiet: drain_quiet is longer than drain_max"),
        ("ping = { interval = \"0s\" }", "ping.interval: \"0s\" is too short; at least 100ms"),
        ("ping = { timeout = \"0s\" }", "ping.timeout: \"0s\" is too short; at least 100ms"),
        ("ping = { timout = \"9s\" }", "ping.timout: unknown key; did you mean timeout?"),
        ("restore = { first = 0 }", "restore: restores nothing"),
        ("restore = { first = 17 }", "restore.first: 17 is not a whole number from 0 to 16"),
        ("restart_codes = [1012, 1012]", "restart_codes[1]: 1012 is listed twice"),
        ("restart_codes = [999]", "restart_codes[0]: 999 is not a whole number from 1000 to 4999"),
        ("origins = [\"https://a\", \"https://A\"]", "origins[1]: \"https://A\" is listed twice"),
    ] {
        let (told, wanted) = (told_of(line), format!("everwire.toml:5: routes[0].{wanted}"));
        assert!(told.starts_with(&wanted), "{told}\nis not\n{wanted}");
    }
}

#[test]
fn a_line_that_is_not_toml_is_one_mistake_and_the_others_are_told_too() {
    let told = mistakes(&sources(&format!("listen =\nlissen = 1\n{SMALL}")));
    assert!(told.starts_with("everwire.toml:1: "), "{told}");
    assert!(told.contains("everwire.toml:2: lissen: unknown key"), "{told}");
    assert!(told.ends_with("2 mistakes"), "{told}");
}

#[test]
fn promises_that_have_no_effect_together_are_refused() {
    let linger = "delivery = \"at-most-once\"\nconfirm_linger = \"1s\"";
    assert!(told_of(linger).contains(":6: routes[0].confirm_linger: does nothing with delivery"));
    let restore = "restore = \"signalr\"\ndelivery = \"exactly-once\"";
    assert!(told_of(restore).contains(":5: routes[0].restore: does nothing with delivery"));
}

#[test]
fn values_that_make_no_sense_elsewhere_are_refused_with_line_and_key() {
    for (lines, wanted) in [
        ("[pools.empty]", ":5: pools.empty.backends: is missing; write [] if "),
        (
            "[pools.a]\nbackends = [{ url = \"ws://a:1\", weight = 0 }]",
            ":6: pools.a.backends[0].weight",
        ),
        (
            "[pools.a]\nbackends = [{ url = \"ws://a:1\", sessions_max = 0 }]",
            ":6: pools.a.backends[0].se",
        ),
        (
            "[pools.a]\nbackends = []\nhealth = { path = \"/\", interval = \"0s\" }",
            ":7: pools.a.health.in",
        ),
        ("[limits]\nconnections_max = 0", ":6: limits.connections_max: 0 is not a whole number"),
        ("[limits]\nbuffered_max = 0", ":6: limits.buffered_max: 0 is too small; at least 1MiB"),
        ("[admin]\nlisten = \"127.0.0.1:8080\"", ":5: admin: 127.0.0.1:8080 is the admin API's"),
    ] {
        let told = told_of(lines);
        assert!(told.contains(wanted), "{told}\nhas no\n{wanted}");
    }
    let same = mistakes(&sources(&format!("listen = \"127.0.0.1:8404\"\n{SMALL}")));
    assert!(
        same.starts_with("everwire.toml:1: listen: 127.0.0.1:8404 is the admin API's"),
        "{same}"
    );
}

#[test]
fn a_pool_that_is_filled_later_says_so() {
    let file = "[pools.chat]\nbackends = []\n[[routes]]\npool = \"chat\"\n";
    assert!(load(&sources(file)).is_ok());
}

#[test]
fn broken_toml_is_told_with_its_line_beside_other_mistakes() {
    let told = mistakes(&sources("lissen = 1\nlog = \nshards = 0\n"));
    assert!(told.contains("everwire.toml:1: lissen"), "{told}");
    assert!(told.contains("everwire.toml:2: "), "{told}");
}

#[test]
fn the_environment_wins_over_the_file_and_flags_win_over_both() {
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut sources = sources(&format!("listen = \"127.0.0.1:1\"\n{SMALL}"));
    sources.variables = vec![
        variable("EVERWIRE_LISTEN", "127.0.0.1:2"),
        variable("EVERWIRE_ROUTES__0__DELIVERY", "exactly-once"),
        variable("EVERWIRE_ROUTES__0__RESTART_CODES", "1012,1001"),
        variable("EVERWIRE_ROUTES__0__PING", "{ interval = \"1s\" }"),
        variable("EVERWIRE_LIMITS__CONNECTIONS_MAX", "10"),
    ];
    let config = load(&sources).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(config.listen[0].port(), 2);
    assert_eq!(config.routes[0].config.restart_codes, [1012, 1001]);
    assert_eq!(config.routes[0].config.ping.interval, Duration::from_secs(1));
    assert_eq!(config.limits.connections_max, 10);
    sources.flags.listen = vec!["127.0.0.1:3".to_owned()];
    let config = load(&sources).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(config.listen[0].port(), 3);
}

#[test]
fn a_wrong_variable_is_told_by_its_name() {
    let mut sources = sources(SMALL);
    sources.variables = vec![("EVERWIRE_ROUTES__0__DELIVRY".to_owned(), "x".to_owned())];
    let told = mistakes(&sources);
    assert!(
        told.contains(
            "environment EVERWIRE_ROUTES__0__DELIVRY: routes[0].delivry: unknown key; did you \
             mean delivery?"
        ),
        "{told}"
    );
}

#[test]
fn backend_flags_are_a_pool_and_a_route() {
    let mut sources = backend_flag("ws://127.0.0.1:9001");
    sources.variables =
        vec![("EVERWIRE_ROUTES__0__DELIVERY".to_owned(), "at-most-once".to_owned())];
    let config = load(&sources).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(config.routes[0].path, "/");
    assert_eq!(config.pools[FLAG_POOL].backends.len(), 1);
    assert_eq!(config.routes[0].config.delivery, everwire_gateway::config::Delivery::AtMostOnce);
}

#[test]
fn backends_by_flag_and_by_file_are_a_mistake() {
    let sources = Sources { file: sources(SMALL).file, ..backend_flag("ws://127.0.0.1:9002") };
    assert!(mistakes(&sources).contains("--backend: the file has pools or routes already"));
}

#[test]
fn nothing_to_serve_is_a_mistake_that_says_what_to_write() {
    assert!(mistakes(&sources("")).contains("give --backend"));
}

#[test]
fn doubles_are_mistakes() {
    let file = "listen = [\"127.0.0.1:1\", \"127.0.0.1:1\"]\n[pools.chat]\n\
        backends = [\"ws://a:1\", \"ws://a:1\"]\n[[routes]]\npool = \"chat\"\n[[routes]]\npool = \"chat\"\n";
    let told = mistakes(&sources(file));
    for part in ["listed twice", "in this pool twice", "a route for / exists already"] {
        assert!(told.contains(part), "{part}\nis missing in\n{told}");
    }
}
