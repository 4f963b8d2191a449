use crate::config::{Config, Flags, Sources, load, print};

use everwire_fleet::access::{Pass, Right};

use super::{hook::HookKind, *};

fn sources(lines: &str) -> Sources {
    let file = Some(("f".to_owned(), lines.to_owned()));
    Sources { file, variables: Vec::new(), flags: Flags::default() }
}

fn read(lines: &str) -> Result<Config, String> {
    load(&sources(lines)).map_err(|mistakes| mistakes.to_string())
}

fn fleet(lines: &str) -> Fleet {
    read(lines).unwrap_or_else(|wrong| panic!("{wrong}")).fleet.expect("there is one")
}

const SECRET: &str = "squeamish-ossifrage";

#[test]
fn a_fleet_is_a_heading_or_a_flag() {
    assert_eq!(fleet("[fleet]\n"), Fleet::default());
    let flags = Flags { fleet: true, ..Flags::default() };
    let by_flag = load(&Sources { flags, ..Sources::default() }).unwrap();
    assert_eq!(by_flag.fleet, Some(Fleet::default()));
}

#[test]
fn a_flag_adds_nothing_to_what_the_file_says() {
    let flags = Flags { fleet: true, ..Flags::default() };
    let config = load(&Sources { flags, ..sources("[fleet]\npath = \"/f\"\n") }).unwrap();
    assert_eq!(config.fleet.unwrap().path, "/f");
}

#[test]
fn what_a_fleet_prints_is_read_back() {
    let lines = "[fleet]\npath = \"/f\"\ndurability = \"volatile\"\ninstances_kept = \"2h\"\n\
        commands_kept = 7\norigins = [\"*\"]\nkeep_alive = \"2s\"\nrate_max = 0\n\
        client_timeout = \"5s\"\nmessage_max = \"1MiB\"\nqueue_max = \"19MiB\"\n\
        [[bridges]]\nchannel = \"c\"\nset = \"{environmentId}\"\nurl = \"redis://r\"\n";
    let config = read(lines).unwrap();
    assert_eq!(read(&print(&config)), Ok(config));
    let journal = read("[fleet]\njournal = \"/var/lib/j\"\n").unwrap();
    assert_eq!(journal.fleet.as_ref().unwrap().memory, Memory::Journal("/var/lib/j".into()));
    assert_eq!(read(&print(&journal)), Ok(journal));
}

#[test]
fn tokens_hooks_and_addresses_are_read_and_never_shown() {
    let config = read(&format!(
        "listen = \"0.0.0.0:8080\"\n[fleet.tokens]\n\
         \"{SECRET}\" = {{ app = \"shop\", sets = [\"shop/**\", \"*\"], rights = [\"read\", \"write\"] }}\n\
         \"{SECRET}-2\" = {{}}\n\
         [fleet.hooks.site]\nkind = \"gitlab\"\nsecret = \"{SECRET}\"\ntarget = \"shop\"\n\
         [[bridges]]\nchannel = \"c\"\nset = \"a/{{environmentId}}\"\nurl = \"redis://u:{SECRET}@r\"\n"
    ))
    .unwrap();
    let fleet = config.fleet.as_ref().unwrap();
    let (first, second) = (Pass::new(Some(SECRET)), Pass::new(Some(&format!("{SECRET}-2"))));
    let set = "shop/a/b".parse().unwrap();
    assert!(fleet.tokens.allows_set(first, Right::Write, &set));
    assert!(!fleet.tokens.allows_app(first, Right::Join, "shop"), "it may not join");
    assert!(fleet.tokens.allows_app(second, Right::Join, "any"), "that is what tokens are for");
    assert!(!fleet.tokens.allows_set(second, Right::Read, &set), "no set was named");
    let hook = &fleet.hooks["site"];
    assert_eq!((hook.kind, hook.secret.as_str()), (HookKind::Gitlab, SECRET));
    assert_eq!((hook.target.as_str(), hook.command.as_str()), ("shop:**", "refresh"));
    for shown in [print(&config), format!("{config:?}")] {
        assert!(!shown.contains("squeamish"), "{shown}");
    }
}

#[test]
fn a_bridge_reads_the_backplane_unless_told_otherwise() {
    let lines =
        "[backplane]\nurl = \"redis://r\"\n[fleet]\n[[bridges]]\nchannel = \"c\"\nset = \"s\"\n";
    let fleet = fleet(lines);
    assert_eq!(fleet.memory, Memory::Redis);
    assert_eq!(fleet.bridges[0].url, "redis://r");
}

#[test]
fn mistakes_in_a_fleet_are_told_with_line_and_key_and_no_secret() {
    for (lines, wanted) in [
        ("path = \"fleet\"", ":2: fleet.path: \"fleet\" is not a path"),
        ("path = \"/\"", ":2: fleet.path: \"/\" is not a hub's path"),
        ("pth = \"/f\"", ":2: fleet.pth: unknown key; did you mean path?"),
        ("durability = \"disk\"", ":2: fleet.durability: \"disk\" is not one of fsync, volatile"),
        ("durability = \"volatile\"\njournal = \"j\"", ":3: fleet.journal: is not written with"),
        ("instances_kept = \"5s\"", ":2: fleet.instances_kept: \"5s\" is too short; at least 1m"),
        ("commands_kept = 0", ":2: fleet.commands_kept: 0 is not a whole number"),
        ("queue_max = \"1MiB\"", ":2: fleet.queue_max: \"1MiB\" is too small; at least 12MiB"),
        ("keep_alive = \"40s\"", ":2: fleet.keep_alive: keep_alive is not shorter than"),
        ("origins = [\"x\"]", ":2: fleet.origins[0]: \"x\" is not an origin"),
        ("tokens = \"squeamish\"", ":2: fleet.tokens: is not a table"),
        ("tokens = {}", ":2: fleet.tokens: is empty"),
        ("tokens.squeam = {}", ":2: fleet.tokens.…: a token has at least 16 characters"),
        ("tokens.squeamish-ossifrage = 1", ":2: fleet.tokens.…: 1 is not a table of keys"),
        (
            "tokens.squeamish-ossifrage = { ap = \"a\" }",
            ":2: fleet.tokens.….ap: unknown key; did you mean app",
        ),
        (
            "tokens.squeamish-ossifrage = { app = \"a b\" }",
            ":2: fleet.tokens.….app: \"a b\" is not an app",
        ),
        (
            "tokens.squeamish-ossifrage = { sets = [\"/\"] }",
            ":2: fleet.tokens.….sets[0]: \"/\" is not a patt",
        ),
        ("tokens.squeamish-ossifrage = { rights = [] }", ":2: fleet.tokens.….rights: is empty"),
        (
            "tokens.squeamish-ossifrage = { rights = [\"all\"] }",
            ":2: fleet.tokens.….rights[0]: \"all\" is not one of join, read, write, command",
        ),
        ("hooks = 1", ":2: fleet.hooks: is not a table"),
        (
            "hooks.\"a b\" = { kind = \"github\", secret = \"squeamish-ossifrage\" }",
            ":2: fleet.hooks.a b: a hook",
        ),
        ("hooks.a = { secret = \"squeamish-ossifrage\" }", ":2: fleet.hooks.a.kind: is missing"),
        ("hooks.a = { kind = \"github\" }", ":2: fleet.hooks.a.secret: is missing: anybody"),
        (
            "hooks.a = { kind = \"github\", secret = \"squeam\" }",
            ":2: fleet.hooks.a.secret: is too",
        ),
        (
            "hooks.a = { kind = \"svn\", secret = \"squeamish-ossifrage\" }",
            ":2: fleet.hooks.a.kind: \"svn\" is",
        ),
    ] {
        let told = read(&format!("[fleet]\n{lines}\n")).unwrap_err();
        assert!(told.contains(wanted) && told.ends_with("\n1 mistake"), "{told}\n{wanted}");
        assert!(!told.contains("squeam"), "{told}");
    }
}

#[test]
fn mistakes_in_bridges_are_told_with_line_and_key() {
    for (lines, wanted) in [
        ("bridges = 1\n[fleet]", ":1: bridges: is not a list of tables"),
        (
            "[[bridges]]\nchannel = \"c\"\nset = \"s\"\nurl = \"redis://r\"",
            ":1: bridges: there is no [fl",
        ),
        (
            "[fleet]\n[[bridges]]\nset = \"s\"\nurl = \"redis://r\"",
            ":2: bridges[0].channel: is missing",
        ),
        (
            "[fleet]\n[[bridges]]\nchannel = \"c\"\nurl = \"redis://r\"",
            ":2: bridges[0].set: is missing",
        ),
        (
            "[fleet]\n[[bridges]]\nchannel = \"c\"\nset = \"s\"",
            ":2: bridges[0].url: is missing, and backplane.url names no Redis",
        ),
        (
            "[fleet]\n[[bridges]]\nchannel = \"c\"\nset = \"s\"\nurl = \"memory:\"",
            ":5: bridges[0].url: \"memory:\" is neither \"redis://HOST:PORT\" nor",
        ),
        (
            "[fleet]\n[[bridges]]\nchannel = \"c\"\nset = \"{name\"\nurl = \"redis://r\"",
            ":4: bridges[0].set: \"{name\" is not the name of a set",
        ),
        (
            "[fleet]\n[[bridges]]\nchannel = \"c\"\nset = \"a\"\nurl = \"redis://r\"\n\
             [[bridges]]\nchannel = \"c\"\nset = \"b\"\nurl = \"redis://r\"",
            ":6: bridges[1].channel: has a bridge already",
        ),
    ] {
        let told = read(&format!("{lines}\n")).unwrap_err();
        let lone = lines.starts_with("[[");
        assert!(told.contains(wanted), "{told}\n{wanted}");
        assert!(lone || told.ends_with("\n1 mistake"), "{told}");
    }
}

#[test]
fn a_fleet_has_its_path_for_itself_and_its_journal_without_a_redis() {
    for (lines, wanted) in [
        (
            "[backplane]\nurl = \"redis://r\"\n[fleet]\njournal = \"j\"",
            ":4: fleet.journal: is for backplane.url = \"memory:\" only",
        ),
        (
            "[hubs.a]\npath = \"/Fleet/a\"\n[fleet]",
            ":3: fleet.path: /fleet and /Fleet/a, which is that of [hubs.a], overlap",
        ),
        (
            "[hubs.a]\npath = \"/f\"\n[fleet]\npath = \"/f/x\"",
            ":4: fleet.path: /f/x and /f, which is that of [hubs.a], overlap",
        ),
        (
            "[fleet]\n[pools.p]\nbackends = []\n[[routes]]\npool = \"p\"\npath = \"/fleet/x\"",
            ":4: routes[0].path: /fleet/x belongs to [fleet]",
        ),
        (
            "listen = [\"127.0.0.1:1\", \"0.0.0.0:2\"]\n[fleet]",
            ":2: fleet.tokens: are required because 0.0.0.0:2 is not loopback",
        ),
    ] {
        let told = read(&format!("{lines}\n")).unwrap_err();
        assert!(told.contains(wanted) && told.ends_with("\n1 mistake"), "{told}\n{wanted}");
    }
    let around = "[fleet]\n[pools.p]\nbackends = []\n[[routes]]\npool = \"p\"\npath = \"/\"\n";
    assert!(read(around).is_ok(), "a route may be around it");
}
