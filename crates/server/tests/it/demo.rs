//! The demo proves what it says, and shows the losses without Everwire.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use crate::process::{everwire, http, run};

#[test]
fn the_demo_drops_loses_and_doubles_nothing() {
    let ended = run(&["demo", "gateway", "--once"]);
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    for name in ["dropped sockets", "lost messages", "doubled messages", "reordered, damaged"] {
        assert_eq!(count(&ended.out, name), 0, "{}", ended.out);
    }
    assert!(ended.out.contains("everwire serve --listen"), "{}", ended.out);
}

#[test]
fn the_demo_of_the_hub_loses_nothing_with_its_sockets() {
    let ended = run(&["demo", "hub", "--once"]);
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    for name in ["lost sessions", "lost messages", "doubled messages", "reordered, damaged"] {
        assert_eq!(count(&ended.out, name), 0, "{}", ended.out);
    }
    assert!(ended.out.contains("everwire serve --hub"), "{}", ended.out);
}

#[test]
fn the_hub_unprotected_shows_losses_and_ends_with_0() {
    let ended = run(&["demo", "hub", "--unprotected", "--once"]);
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    assert!(count(&ended.out, "lost messages") > 0, "{}", ended.out);
}

#[test]
fn the_demo_of_the_status_page_is_right_in_all_tabs_while_nodes_are_killed() {
    let ended = run(&["demo", "status", "--once"]);
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    assert_eq!(count(&ended.out, "wrong lines"), 0, "{}", ended.out);
    assert!(ended.out.contains("3/3") && ended.out.contains("[hubs.status]"), "{}", ended.out);
}

#[test]
fn nodes_with_nothing_between_them_are_wrong_and_the_demo_ends_with_0() {
    let ended = run(&["demo", "status", "--unprotected", "--once"]);
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    assert!(count(&ended.out, "wrong lines") > 0, "{}", ended.out);
}

#[test]
fn the_demo_of_the_fleet_loses_and_doubles_nothing_while_its_manager_is_killed() {
    let ended = run(&["demo", "fleet", "--once"]);
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    let names =
        ["lost commands", "doubled commands", "lost outcomes", "lost changes", "doubled changes"];
    for name in names {
        assert_eq!(count(&ended.out, name), 0, "{}", ended.out);
    }
    assert!(ended.out.contains("everwire serve --fleet"), "{}", ended.out);
}

#[test]
fn a_manager_that_writes_nothing_down_loses_and_the_demo_ends_with_0() {
    let ended = run(&["demo", "fleet", "--unprotected", "--once"]);
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    assert!(count(&ended.out, "lost changes") > 0, "{}", ended.out);
    assert!(count(&ended.out, "lost commands") > 0, "{}", ended.out);
}

#[test]
fn unprotected_shows_losses_and_ends_with_0() {
    let ended = run(&["demo", "gateway", "--unprotected", "--once"]);
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    assert!(count(&ended.out, "dropped sockets") > 0, "{}", ended.out);
}

#[test]
fn the_demo_shows_everything_and_stays_until_it_is_told_to_stop() {
    let mut demo = everwire(&["demo"]).stdout(Stdio::piped()).spawn().expect("the binary starts");
    let mut lines = BufReader::new(demo.stdout.take().expect("it is piped")).lines();
    let mut line = |wanted: &str| {
        let found = lines.by_ref().map_while(Result::ok).find(|line| line.contains(wanted));
        found.unwrap_or_else(|| panic!("no {wanted}"))
    };
    line("  gateway   ws://");
    let page = line("  page      http://");
    line("Still running");
    line("(a page; open it twice)");
    line("everwire fleet watch");
    line("(open it in two tabs");
    let page = page.rsplit('/').next().and_then(|address| address.parse().ok());
    let page = http(page.expect("an address"), "GET /", &[], "");
    assert!(page.contains("new WebSocket('ws://127.0.0.1:"), "{page}");
    let sent = Command::new("kill").args(["-s", "INT", &demo.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
    line("stopped");
    assert!(demo.wait().expect("it ends").success());
}

fn count(out: &str, name: &str) -> u64 {
    let line = out.lines().find_map(|line| line.trim().strip_prefix(name));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or_else(|| panic!("no {name}: {out}"))
}
