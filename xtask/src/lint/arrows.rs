//! Which package may depend on which.
//!
//! The table is ARCHITECTURE.md's "Arrows". A package that the table does not know fails, so a new
//! crate enters the picture before it enters the build.

use anyhow::Result;
use serde_json::Value;

/// Package, and the packages of ours that it may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    ("everwire-proto", &[]),
    ("everwire-socket", &["everwire-proto"]),
    ("everwire-backplane", &["everwire-proto"]),
    ("everwire-gateway", &["everwire-socket", "everwire-proto"]),
    ("everwire-hub", &["everwire-backplane", "everwire-socket", "everwire-proto"]),
    ("everwire-client", &["everwire-socket", "everwire-proto"]),
    ("everwire-fleet", &["everwire-hub", "everwire-backplane", "everwire-proto"]),
    ("everwire-agent", &["everwire-client", "everwire-proto"]),
    (
        "everwire-server",
        &[
            "everwire-fleet",
            "everwire-agent",
            "everwire-gateway",
            "everwire-hub",
            "everwire-backplane",
            "everwire-client",
            "everwire-socket",
            "everwire-proto",
        ],
    ),
    ("everwire-conformance", &["everwire-hub", "everwire-backplane", "everwire-proto"]),
    ("everwire-status-example", &["everwire-hub", "everwire-backplane"]),
    ("everwire-testkit", &["everwire-socket", "everwire-proto"]),
    (
        "everwire-e2e",
        &["everwire-testkit", "everwire-gateway", "everwire-socket", "everwire-proto"],
    ),
    (
        "everwire-bench",
        &[
            "everwire-testkit",
            "everwire-backplane",
            "everwire-hub",
            "everwire-socket",
            "everwire-proto",
        ],
    ),
    ("xtask", &[]),
];

/// Helpers for tests: any package may use them in its tests.
const FOR_TESTS: &[&str] = &["everwire-testkit"];

/// Package, and a package of ours that its tests may meet though its code may not: the other end.
const MET_IN_TESTS: &[(&str, &str)] = &[
    ("everwire-client", "everwire-hub"),
    ("everwire-fleet", "everwire-client"),
    ("everwire-fleet", "everwire-agent"),
    ("everwire-agent", "everwire-hub"),
    ("everwire-e2e", "everwire-hub"),
    ("everwire-e2e", "everwire-client"),
];

/// Crates that may not appear below pure code, whatever they are used for there.
const IMPURE: &[&str] = &["tokio", "tokio-util", "futures", "futures-util", "mio", "async-std"];

/// One sentence for each dependency that the picture does not have.
pub(super) fn broken() -> Result<Vec<String>> {
    Ok(judge(&super::metadata()?))
}

fn judge(metadata: &Value) -> Vec<String> {
    let packages = list(&metadata["packages"]);
    let ours: Vec<&str> = packages.iter().map(|package| text(&package["name"])).collect();
    let mut mistakes = Vec::new();
    for package in packages {
        let name = text(&package["name"]);
        let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == name) else {
            mistakes.push(format!("{name} is in no picture: add it to ARCHITECTURE.md and here"));
            continue;
        };
        for dependency in list(&package["dependencies"]) {
            mistakes.extend(judge_arrow(name, allowed, &ours, dependency));
        }
    }
    mistakes
}

fn judge_arrow(from: &str, allowed: &[&str], ours: &[&str], dependency: &Value) -> Option<String> {
    let to = text(&dependency["name"]);
    if from == "everwire-proto" && IMPURE.contains(&to) {
        return Some(format!("{from} is pure and may not depend on {to}"));
    }
    let in_tests = dependency["kind"] == "dev";
    // A package may want a feature of its own for its tests.
    let met =
        in_tests && (from == to || FOR_TESTS.contains(&to) || MET_IN_TESTS.contains(&(from, to)));
    let fine = !ours.contains(&to) || allowed.contains(&to) || met;
    (!fine).then(|| format!("{from} may not depend on {to}"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A workspace of some of our packages, with one dependency more.
    fn with(from: &str, to: &str, kind: Option<&str>) -> Vec<String> {
        let names = [
            "everwire-proto",
            "everwire-gateway",
            "everwire-hub",
            "everwire-client",
            "everwire-server",
            "everwire-testkit",
        ];
        let packages: Vec<Value> = names
            .iter()
            .map(|name| {
                let added = json!({ "name": to, "kind": kind });
                let added = if *name == from { vec![added] } else { Vec::new() };
                json!({ "name": name, "dependencies": added })
            })
            .collect();
        judge(&json!({ "packages": packages }))
    }

    #[test]
    fn arrows_of_the_picture_pass() {
        assert!(with("everwire-gateway", "everwire-proto", None).is_empty());
        assert!(with("everwire-gateway", "tokio", None).is_empty());
        assert!(with("everwire-gateway", "everwire-testkit", Some("dev")).is_empty());
    }

    #[test]
    fn an_arrow_against_the_picture_fails() {
        assert_eq!(
            with("everwire-proto", "everwire-gateway", None),
            ["everwire-proto may not depend on everwire-gateway"]
        );
        assert_eq!(with("everwire-gateway", "everwire-server", None).len(), 1);
        assert_eq!(with("everwire-gateway", "everwire-server", Some("dev")).len(), 1);
        assert_eq!(with("everwire-server", "everwire-testkit", None).len(), 1);
    }

    #[test]
    fn a_client_meets_the_hub_in_its_tests_alone() {
        assert!(with("everwire-client", "everwire-hub", Some("dev")).is_empty());
        assert_eq!(with("everwire-client", "everwire-hub", None).len(), 1);
        assert_eq!(with("everwire-hub", "everwire-client", Some("dev")).len(), 1);
    }

    #[test]
    fn tests_may_want_a_feature_of_their_own_package() {
        assert!(with("everwire-hub", "everwire-hub", Some("dev")).is_empty());
        assert_eq!(with("everwire-hub", "everwire-hub", None).len(), 1);
    }

    #[test]
    fn pure_code_may_not_reach_for_a_runtime() {
        assert_eq!(
            with("everwire-proto", "tokio", Some("dev")),
            ["everwire-proto is pure and may not depend on tokio"]
        );
    }

    #[test]
    fn an_unknown_package_fails() {
        let metadata = json!({ "packages": [{ "name": "everwire-new", "dependencies": [] }] });
        assert_eq!(judge(&metadata).len(), 1);
    }
}
