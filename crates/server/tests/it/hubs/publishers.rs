//! The data plane on the clients' listener: for hubs with an access key, and who signs with it.

use serde_json::json;

use super::{client::Client, with_hub};
use crate::{
    process::{Ended, Node, everwire, file, http, json as body_of, status},
    service::Service,
};

const KEY: &str = "an-access-key-of-32-bytes-or-more";
const OTHER: &str = "another-access-key-of-32-bytes-or-more";
const BODY: &str = r#"{"target":"Told","arguments":[1]}"#;
const SEND: &str = "/api/hubs/status/:send";

fn guarded(name: &str) -> Node {
    Node::with_file(&with_hub(name, &format!("access_key = \"{KEY}\"")))
}

fn mint(key: &str, args: &[&str]) -> String {
    let mut command = everwire(&[&["token", "mint"], args].concat());
    command.env("EVERWIRE_ACCESS_KEY", key);
    let ended = Ended::of(&command.output().expect("the binary runs"));
    assert_eq!(ended.code, 0, "{}", ended.err);
    ended.out.trim().to_owned()
}

/// Asks with a token for this URL.
fn ask(node: &Node, line: &str, token: &str, body: &str) -> String {
    let bearer = format!("Authorization: Bearer {token}");
    http(node.gateway, line, &["Content-Type: application/json", &bearer], body)
}

#[tokio::test]
async fn who_signs_with_the_key_publishes() {
    let node = guarded("publishers.toml");
    let path = format!("/statusHub?access_token={}", mint(KEY, &["--user", "ann"]));
    let mut ann = Client::connect(node.gateway, &path).await;
    let host = node.gateway;
    for url in [
        format!("http://{host}{SEND}"),
        format!("https://{}{SEND}", host.ip()),
        format!("http://{host}{SEND}?api-version=2022-06-01"),
    ] {
        let token = mint(KEY, &["--audience", &url]);
        let answer = ask(&node, &format!("POST {SEND}?api-version=2022-06-01"), &token, BODY);
        assert_eq!(status(&answer), 202, "{url}: {answer}");
        ann.is_called("Told", json!([1])).await;
    }
    let token = mint(KEY, &["--audience", &format!("http://{host}/api/hubs/status/users/ann")]);
    assert_eq!(status(&ask(&node, "HEAD /api/hubs/status/users/ann", &token, "")), 200);
    assert_eq!(status(&http(host, "HEAD /api/health?api-version=2022-06-01", &[], "")), 200);
}

#[tokio::test]
async fn nobody_else_does() {
    let node = guarded("strangers.toml");
    let url = format!("http://{}{SEND}", node.gateway);
    let path = format!("/statusHub?access_token={}", mint(KEY, &["--user", "ann"]));
    let mut ann = Client::connect(node.gateway, &path).await;
    let elsewhere = format!("http://other.example{SEND}");
    let group = format!("http://{}/api/hubs/status/groups/go/:send", node.gateway);
    let tokens = [
        mint(OTHER, &["--audience", &url]),
        // What lets a client in.
        mint(KEY, &["--user", "ann"]),
        mint(KEY, &["--audience", &elsewhere]),
        mint(KEY, &["--audience", &group]),
        "nonsense".to_owned(),
    ];
    for token in &tokens {
        let answer = ask(&node, &format!("POST {SEND}"), token, BODY);
        assert_eq!(status(&answer), 401, "{token}: {answer}");
        assert!(answer.contains("x-ms-error-code: Unauthorized\r\n"), "{answer}");
        assert!(!answer.contains(token), "{answer}");
    }
    let good = mint(KEY, &["--audience", &url]);
    let json = ["Content-Type: application/json"];
    for line in [format!("POST {SEND}"), format!("POST {SEND}?access_token={good}")] {
        assert_eq!(status(&http(node.gateway, &line, &json, BODY)), 401, "only as a header");
    }
    // Who is nobody learns nothing of what there is, or is wrong.
    for line in ["POST /api/hubs/status/nothing", "GET /api/hubs/status/:send?ttl=x"] {
        assert_eq!(status(&http(node.gateway, line, &[], "")), 401, "{line}");
    }
    let hubs = body_of(&http(node.admin, "GET /api/v1/hubs", &[], ""));
    assert_eq!(hubs["items"][0]["refused"], 9);
    assert_eq!(status(&ask(&node, &format!("POST {SEND}"), &good, BODY)), 202);
    ann.is_called("Told", json!([1])).await;
}

#[test]
fn with_a_good_token_mistakes_are_told() {
    let node = guarded("publishers-problems.toml");
    let large = format!(r#"{{"target":"x","arguments":["{}"]}}"#, "x".repeat(1 << 20));
    for (method, path, body, expected) in [
        ("POST", "/:send", "{", 400),
        ("POST", "/:send?api-version=1", BODY, 400),
        ("POST", "/:send", &large, 413),
        ("PUT", "/:send", BODY, 405),
        ("POST", "/nothing", "", 404),
        ("GET", "/users/nobody", "", 404),
    ] {
        let audience = format!("http://{}/api/hubs/status{path}", node.gateway);
        let token = mint(KEY, &["--audience", &audience]);
        let answer = ask(&node, &format!("{method} /api/hubs/status{path}"), &token, body);
        assert_eq!(status(&answer), expected, "{method} {path}: {answer}");
    }
}

#[test]
fn hubs_without_a_key_and_other_paths_are_left_to_routes() {
    let backend = Service::start("open-hub");
    let text = format!(
        "listen = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[hubs.open]\npath = \"/open\"\n\
         [pools.p]\nbackends = [\"{}\"]\n[[routes]]\npath = \"/\"\npool = \"p\"\n",
        backend.url()
    );
    let node = Node::with_file(&file("open-hub.toml", &text));
    let json = ["Content-Type: application/json"];
    let routed = status(&http(node.gateway, "POST /nothing/here", &json, BODY));
    for line in ["POST /api/hubs/open/:send", "POST /api/hubs/none/:send", "HEAD /api/health"] {
        assert_eq!(status(&http(node.gateway, line, &json, BODY)), routed, "{line}");
    }
    let sent = http(node.admin, "POST /api/hubs/open/:send", &json, BODY);
    assert_eq!(status(&sent), 202, "operators need no key");
    let token = http(node.admin, "POST /api/hubs/open/:generateToken", &json, "");
    assert_eq!(status(&token), 400, "{token}");
    assert!(token.contains("Hub.NoAccessKey"), "{token}");
}
