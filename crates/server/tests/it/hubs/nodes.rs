//! Two nodes that serve a hub together, and what they count of one another.

use crate::process::{Node, file, http, json as body_of, status};

fn node(name: &str) -> Node {
    let text = "listen = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
        [cluster]\nlisten = \"127.0.0.1:0\"\nsecrets = [\"a secret of both of these nodes\"]\n\
        [hubs.status]\npath = \"/statusHub\"\n";
    Node::with_file(&file(name, text))
}

fn counted(node: &Node, series: &str) -> u64 {
    let page = http(node.admin, "GET /metrics", &[], "");
    let start = format!("everwire_cluster_{series}_total ");
    let value = page.lines().find_map(|line| line.strip_prefix(&start));
    value.unwrap_or_else(|| panic!("no {start} in {page}")).parse().expect("it is a number")
}

#[test]
fn what_is_passed_to_other_nodes_and_what_they_do_not_answer_is_counted() {
    let (home, other) = (node("home.toml"), node("other.toml"));
    let all = ["passed", "tunneled", "unreachable", "refused", "stale"];
    assert_eq!(all.map(|series| counted(&other, series)), [0; 5]);
    let negotiation = "POST /statusHub/negotiate?negotiateVersion=1";
    let token = body_of(&http(home.gateway, negotiation, &[], ""))["connectionToken"].clone();
    let poll = format!("GET /statusHub?id={}", token.as_str().expect("there is one"));
    assert_eq!(status(&http(other.gateway, &poll, &[], "")), 200);
    assert_eq!(all.map(|series| counted(&other, series)), [1, 0, 0, 0, 0]);
    drop(home);
    assert_eq!(status(&http(other.gateway, &poll, &[], "")), 404);
    assert_eq!(all.map(|series| counted(&other, series)), [2, 0, 1, 0, 0]);
}
