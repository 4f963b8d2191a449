//! The environment lands where its name says, and says so where it cannot.

use super::*;
use crate::config::tree;

fn check(file: &str, variables: &[(&str, &str)]) -> (BTreeMap<String, Node>, String) {
    let mut mistakes = Mistakes::new("test.toml");
    let mut tree = tree::from_file(file, &mut mistakes);
    let variables: Vec<_> =
        variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    overlay(&mut tree, &variables, &mut mistakes);
    let text = if mistakes.is_empty() { String::new() } else { mistakes.to_string() };
    (tree, text)
}

fn at<'a>(tree: &'a BTreeMap<String, Node>, path: &[&str]) -> &'a Node {
    let mut node = &tree[path[0]];
    for step in &path[1..] {
        node = match &node.value {
            Value::Table(inner) => &inner[*step],
            Value::Array(items) => &items[step.parse::<usize>().unwrap()],
            _ => panic!("no way to {step}"),
        };
    }
    node
}

#[test]
fn a_variable_replaces_what_the_file_says() {
    let (tree, mistakes) =
        check("[pools.my-chat]\nbalance = \"hash\"", &[("EVERWIRE_POOLS__MY_CHAT__BALANCE", "x")]);
    assert_eq!(mistakes, "");
    assert_eq!(at(&tree, &["pools", "my-chat", "balance"]).describe(), "\"x\"");
}

#[test]
fn tables_and_lists_that_are_not_there_are_made() {
    let (tree, mistakes) =
        check("", &[("EVERWIRE_ROUTES__0__PATH", "/a"), ("EVERWIRE_ROUTES__1__PATH", "/b")]);
    assert_eq!(mistakes, "");
    assert_eq!(at(&tree, &["routes", "1", "path"]).describe(), "\"/b\"");
}

#[test]
fn a_step_into_nowhere_is_a_mistake() {
    let (_, mistakes) = check(
        "log = \"json\"",
        &[
            ("EVERWIRE_LOG__X", "1"),
            ("EVERWIRE_ROUTES__5__PATH", "/"),
            ("EVERWIRE_ADMIN____X", "1"),
        ],
    );
    assert!(
        mistakes.contains("environment EVERWIRE_LOG__X: log.x: there is no table"),
        "{mistakes}"
    );
    assert!(mistakes.contains("\"5\" is not a number from 0 to 0"), "{mistakes}");
    assert!(mistakes.contains("an empty name"), "{mistakes}");
}

#[test]
fn what_kubernetes_announces_is_not_configuration() {
    let announced = [
        ("EVERWIRE_SERVICE_HOST", "10.0.0.1"),
        ("EVERWIRE_PORT", "tcp://10.0.0.1:8080"),
        ("EVERWIRE_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("EVERWIRE_TOKEN", "secret"),
    ];
    let (tree, mistakes) = check("", &announced);
    assert!(tree.is_empty());
    assert_eq!(mistakes, "");
}
