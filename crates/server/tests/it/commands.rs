//! Exit codes and what the commands print.

use crate::process::{Node, run};

#[test]
fn an_unreachable_node_is_exit_code_3_and_says_what_to_do() {
    for args in [&["status"][..], &["pool", "ls"], &["pipe", "ls"], &["pool", "rm", "a", "ws://b"]]
    {
        let ended = run(&[args, &["--admin", "http://127.0.0.1:1"]].concat());
        assert_eq!(ended.code, 3, "{args:?}: {}", ended.err);
        assert!(ended.err.contains("EVERWIRE_ADMIN"), "{args:?}: {}", ended.err);
    }
}

#[test]
fn wrong_usage_is_exit_code_2() {
    for args in [
        &["nonsense"][..],
        &["status", "--admin", "ftp://x"],
        &["status", "--admin", "https://127.0.0.1"],
        &["pool", "add", "chat"],
        &["pool", "ls", "../pipes", "--admin", "http://127.0.0.1:1"],
        &["serve", "--backend", "http://x"],
    ] {
        let ended = run(args);
        assert_eq!(ended.code, 2, "{args:?}: {}", ended.err);
        assert!(!ended.err.is_empty(), "{args:?}");
    }
}

#[test]
fn who_asks_where_no_admin_api_is_learns_where_it_might_be() {
    let node = Node::with_backends(&["ws://127.0.0.1:9"]);
    let ended = run(&["status", "--admin", &format!("http://{}", node.gateway)]);
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("it is not where clients connect"), "{}", ended.err);
}

#[test]
fn an_address_of_another_machine_fails_with_1_and_says_so() {
    let ended = run(&["serve", "--listen", "192.0.2.1:0", "--backend", "ws://127.0.0.1:9"]);
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("This machine has no such address"), "{}", ended.err);
}

#[test]
fn a_taken_port_fails_with_1_and_names_it() {
    let node = Node::with_backends(&["ws://127.0.0.1:9"]);
    let gateway = node.gateway.to_string();
    let admin = node.admin.to_string();
    for (listen, admin, taken) in
        [(gateway.as_str(), "127.0.0.1:0", &gateway), ("127.0.0.1:0", admin.as_str(), &admin)]
    {
        let ended =
            run(&["serve", "--listen", listen, "--admin", admin, "--backend", "ws://127.0.0.1:9"]);
        assert_eq!(ended.code, 1, "{}", ended.err);
        assert!(ended.err.contains(taken.as_str()), "{}", ended.err);
    }
}

#[test]
fn the_lists_are_tables_for_people_and_items_for_scripts() {
    let node = Node::with_backends(&["ws://127.0.0.1:9"]);
    let people = node.command(&["pool", "ls"]);
    assert!(people.out.starts_with("POOL "), "{}", people.out);
    assert!(people.out.contains("ws://127.0.0.1:9"), "{}", people.out);
    for args in [&["pool", "ls", "--json"][..], &["pipe", "ls", "--json"]] {
        let ended = node.command(args);
        let answer: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
        assert!(answer["items"].is_array(), "{args:?}: {answer}");
    }
    assert!(node.command(&["pipe", "ls"]).out.contains("0 sessions"));
    let status = node.command(&["status"]);
    assert!(status.out.contains("ready"), "{}", status.out);
    assert!(status.out.contains(&node.gateway.to_string()), "{}", status.out);
}

#[test]
fn backends_are_changed_by_url() {
    let node = Node::with_backends(&["ws://127.0.0.1:9"]);
    let added = node.command(&["pool", "add", "default", "ws://127.0.0.1:10"]);
    assert_eq!(added.code, 0, "{}", added.err);
    for verb in ["drain", "ready", "rm"] {
        let ended = node.command(&["pool", verb, "default", "ws://127.0.0.1:10"]);
        assert_eq!(ended.code, 0, "{verb}: {}", ended.err);
    }
    let mistyped = node.command(&["pool", "add", "default", "127.0.0.1:10"]);
    assert_eq!(mistyped.code, 2);
    assert!(mistyped.err.contains("ws://127.0.0.1:9001"), "an example: {}", mistyped.err);
    let missing = node.command(&["pool", "rm", "default", "ws://127.0.0.1:10"]);
    assert_eq!(missing.code, 1);
    assert!(missing.err.contains("it has ws://127.0.0.1:9"), "{}", missing.err);
}
