//! Who may ask the admin API, and how it answers.

use std::io::{Read, Write};

use crate::process::{Node, file, http, json, status};

fn node_with_token(name: &str) -> Node {
    let text = "listen = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
        token = \"open-sesame\"\n[pools.chat]\nbackends = [\"ws://127.0.0.1:9\"]\n\
        [[routes]]\npool = \"chat\"\n";
    Node::with_file(&file(name, text))
}

#[test]
fn the_token_opens_and_nothing_else_does() {
    let node = node_with_token("token-opens.toml");
    let ask = |headers: &[&str]| status(&http(node.admin, "GET /api/v1/status", headers, ""));
    assert_eq!(ask(&["Authorization: Bearer open-sesame"]), 200);
    assert_eq!(ask(&["Authorization: bearer open-sesame"]), 200);
    for wrong in ["Bearer open-sesam", "Bearer open-sesame1", "Bearer", "Bearer ", "Basic b3Blbg=="]
    {
        assert_eq!(ask(&[&format!("Authorization: {wrong}")]), 401, "{wrong}");
    }
    assert_eq!(ask(&[]), 401);
    assert_eq!(status(&http(node.admin, "GET /metrics", &[], "")), 401);
}

#[test]
fn probes_need_no_token() {
    let node = node_with_token("probes.toml");
    assert_eq!(status(&http(node.admin, "GET /livez", &["Host: probe.example"], "")), 200);
    assert_eq!(status(&http(node.admin, "GET /readyz", &[], "")), 200);
}

#[test]
fn the_command_line_passes_the_token() {
    let node = node_with_token("cli-token.toml");
    assert_eq!(node.command(&["status", "--token", "open-sesame"]).code, 0);
    let refused = node.command(&["status"]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("--token"), "{}", refused.err);
}

#[test]
fn a_rebound_name_and_a_foreign_page_are_refused() {
    let node = Node::with_backends(&["ws://127.0.0.1:9"]);
    let ask = |headers: &[&str]| status(&http(node.admin, "GET /api/v1/status", headers, ""));
    assert_eq!(ask(&[]), 200);
    assert_eq!(ask(&["Host: localhost"]), 200);
    assert_eq!(ask(&["Host: evil.example"]), 403);
    assert_eq!(ask(&["Origin: http://evil.example"]), 403);
    assert_eq!(ask(&["Origin: null"]), 403);
    assert_eq!(ask(&["Sec-Fetch-Site: cross-site"]), 403);
    assert_eq!(ask(&[&format!("Origin: http://{}", node.admin)]), 200);
}

#[test]
fn backends_come_and_go_while_running() {
    let node = Node::with_backends(&["ws://127.0.0.1:9"]);
    let path = "/api/v1/pools/default/backends";
    let as_json = ["Content-Type: application/json"];
    let post = |body: &str| http(node.admin, &format!("POST {path}"), &as_json, body);
    let added = post(r#"{"url": "ws://127.0.0.1:10"}"#);
    assert_eq!(status(&added), 201, "{added}");
    let id = json(&added)["id"].to_string();
    assert!(added.to_lowercase().contains(&format!("location: {path}/{id}")), "{added}");
    assert_eq!(status(&post(r#"{"url": "ws://127.0.0.1:10"}"#)), 409);
    for (verb, method) in [("/drain", "POST"), ("/ready", "POST"), ("", "DELETE")] {
        let answer = http(node.admin, &format!("{method} {path}/{id}{verb}"), &[], "");
        assert_eq!(status(&answer), 200, "{answer}");
    }
    let left = json(&http(node.admin, &format!("GET {path}"), &[], ""));
    assert_eq!(left["items"].as_array().unwrap().len(), 1, "{left}");
}

#[test]
fn a_health_check_shows_who_is_well() {
    let well = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = well.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in well.incoming().flatten() {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let text = format!(
        "listen = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[pools.chat]\n\
         backends = [\"ws://{address}\", \"ws://127.0.0.1:9\"]\n\
         health = {{ path = \"/healthz\", interval = \"100ms\" }}\n[[routes]]\npool = \"chat\"\n"
    );
    let node = Node::with_file(&file("health.toml", &text));
    let list = || json(&http(node.admin, "GET /api/v1/pools/chat/backends", &[], ""));
    let health = |index: usize| list()["items"][index]["health"].clone();
    assert!((0..10_000).any(|_| health(0) == "up" && health(1) == "down"), "{}", list());
}

#[test]
fn errors_are_problem_documents() {
    let node = Node::with_backends(&["ws://127.0.0.1:9"]);
    let as_json = ["Content-Type: application/json"];
    let backends = "/api/v1/pools/default/backends";
    for (line, headers, body, expected) in [
        ("GET /nothing", &[][..], "", 404),
        ("GET /api/v1/pools/nope/backends", &[], "", 404),
        ("PUT /api/v1/status", &[], "", 405),
        (&format!("GET {backends}/1/drain"), &[], "", 405),
        (&format!("POST {backends}"), &["Content-Type: text/plain"], r#"{"url":"ws://x:1"}"#, 415),
        (&format!("POST {backends}"), &as_json, r#"{"url":"http://x:1"}"#, 400),
        (&format!("POST {backends}"), &as_json, r#"{"url":"ws://x:1","weight":0}"#, 400),
        (&format!("POST {backends}"), &as_json, r#"{"url":"ws://x:1","wait":0}"#, 422),
        (&format!("POST {backends}"), &as_json, "{", 400),
        (&format!("POST {backends}"), &as_json, &"x".repeat(20_000), 413),
        (&format!("DELETE {backends}/99"), &[], "", 404),
        ("DELETE /api/v1/pipes/nothing", &[], "", 404),
    ] {
        let answer = http(node.admin, line, headers, body);
        assert_eq!(status(&answer), expected, "{line}: {answer}");
        assert!(answer.contains("content-type: application/problem+json"), "{line}: {answer}");
        assert_eq!(json(&answer)["status"], expected, "{line}");
        assert!(json(&answer)["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
    }
}

#[test]
fn metrics_carry_the_prefix_and_the_build() {
    let node = Node::with_backends(&["ws://127.0.0.1:9"]);
    let page = http(node.admin, "GET /metrics", &[], "");
    assert!(page.contains("everwire_build_info{version="), "{page}");
    let body = page.split_once("\r\n\r\n").unwrap().1;
    for line in body.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.starts_with("everwire_"), "{line}");
    }
    assert!(body.ends_with("# EOF\n"));
}
