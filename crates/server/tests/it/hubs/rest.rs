//! The data plane on the admin listener: each of its addresses, and what each refuses.

use serde_json::{Value, json};

use super::{client::Client, with_hub};
use crate::process::{Node, http, json as body_of, status};

const KEY: &str = "an-access-key-of-32-bytes-or-more";
const JSON: [&str; 1] = ["Content-Type: application/json"];
const TOLD: &str = r#"{"target":"Told","arguments":[1]}"#;

/// A hub with an access key, and clients of it.
struct Site {
    node: Node,
}

impl Site {
    fn new(name: &str) -> Self {
        let lines = format!(
            "access_key = \"{KEY}\"\n[hubs.status.methods]\nPing = {{ send = \"caller\" }}\n"
        );
        Self { node: Node::with_file(&with_hub(name, &lines)) }
    }

    /// Asks for something of the hub.
    fn ask(&self, line: &str, body: &str) -> String {
        let (method, path) = line.split_once(' ').expect("a line has a method");
        http(self.node.admin, &format!("{method} /api/hubs/status{path}"), &JSON, body)
    }

    /// Asks for what has to end like this.
    fn does(&self, line: &str, expected: u16) {
        let answer = self.ask(line, "");
        assert_eq!(status(&answer), expected, "{line}: {answer}");
    }

    /// Publishes.
    fn tells(&self, path: &str) {
        assert_eq!(status(&self.ask(&format!("POST {path}"), TOLD)), 202, "{path}");
    }

    /// A client of this user, let in by a token that the data plane gives out; and its id.
    async fn client(&self, user: &str) -> (Client, String) {
        let before = self.ids();
        let path = format!("POST /:generateToken?userId={user}&minutesToExpire=5");
        let granted = body_of(&self.ask(&path, ""));
        let token = granted["token"].as_str().expect("there is a token");
        let path = format!("/statusHub?access_token={token}");
        let client = Client::connect(self.node.gateway, &path).await;
        let new = self.ids().into_iter().find(|id| !before.contains(id));
        (client, new.expect("it is listed"))
    }

    fn ids(&self) -> Vec<String> {
        let list = body_of(&http(self.node.admin, "GET /api/v1/hubs/status/connections", &[], ""));
        let items = list["items"].as_array().expect("a list");
        items.iter().map(|item| item["id"].as_str().expect("an id").to_owned()).collect()
    }
}

/// Nothing was sent to this client before this.
async fn hears_nothing(client: &mut Client) {
    client.invoke("Ping", json!([])).await;
    client.is_called("Ping", json!([])).await;
}

fn code_of(answer: &str) -> &str {
    let head = answer.split_once("\r\n\r\n").map_or(answer, |(head, _)| head);
    let code = head.lines().find_map(|line| line.strip_prefix("x-ms-error-code: "));
    code.unwrap_or_default()
}

#[tokio::test]
async fn messages_reach_whom_they_are_for_and_nobody_else() {
    let site = Site::new("rest-send.toml");
    let ((mut ann, ann_id), (mut bob, bob_id)) =
        (site.client("ann").await, site.client("bob%2F1").await);
    site.does(&format!("PUT /groups/a%2Fb/connections/{bob_id}"), 200);
    for (path, receives) in [
        ("/:send".to_owned(), [1, 1]),
        (format!("/:send?excluded={ann_id}"), [0, 1]),
        (format!("/:send?excluded={ann_id}&excluded={bob_id}"), [0, 0]),
        (format!("/connections/{ann_id}/:send?api-version=2022-06-01"), [1, 0]),
        ("/users/bob%2F1/:send".to_owned(), [0, 1]),
        ("/users/nobody/:send".to_owned(), [0, 0]),
        ("/groups/a%2Fb/:send".to_owned(), [0, 1]),
        (format!("/groups/a%2Fb/:send?excluded={bob_id}"), [0, 0]),
    ] {
        site.tells(&path);
        for (client, count) in [&mut ann, &mut bob].into_iter().zip(receives) {
            for _ in 0..count {
                client.is_called("Told", json!([1])).await;
            }
            hears_nothing(client).await;
        }
    }
}

#[tokio::test]
async fn names_of_hubs_and_keys_are_taken_in_any_case() {
    let site = Site::new("rest-case.toml");
    let (mut ann, _) = site.client("ann").await;
    let body = r#"{"Target":"Told","Arguments":null}"#;
    for path in ["/api/hubs/STATUS/:send", "/api/hubs/status/:send?Api-Version=2024-12-01"] {
        assert_eq!(status(&http(site.node.admin, &format!("POST {path}"), &JSON, body)), 202);
        ann.is_called("Told", json!([])).await;
    }
    let other = http(site.node.admin, "POST /api/hubs/status/:send?application=app", &JSON, body);
    assert_eq!((status(&other), code_of(&other)), (404, "Hub.NotExisted"));
    assert!(other.contains("app_status"), "{other}");
}

#[tokio::test]
async fn what_is_asked_for_is_there_or_not() {
    let site = Site::new("rest-exists.toml");
    let (_ann, id) = site.client("ann").await;
    site.does(&format!("PUT /groups/go/connections/{id}"), 200);
    for path in [format!("/connections/{id}"), "/groups/go".into(), "/users/ann".into()] {
        site.does(&format!("HEAD {path}"), 200);
        site.does(&format!("GET {path}"), 200);
    }
    site.does("HEAD /users/ann/groups/go", 200);
    for (path, code) in [
        ("/connections/AAAAAAAAAAAAAAAAAAAAAA", "Warning.Connection.NotExisted"),
        ("/connections/nope", "Warning.Connection.NotExisted"),
        ("/groups/chess", "Warning.Group.NotExisted"),
        ("/users/bob", "Warning.User.NotExisted"),
        ("/users/bob/groups/go", "Info.User.NotInGroup"),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = site.ask(&format!("{method} {path}"), "");
            assert_eq!((status(&answer), code_of(&answer)), (404, code), "{answer}");
            let (_, body) = answer.split_once("\r\n\r\n").expect("a head ends");
            assert_eq!(body.is_empty(), method == "HEAD", "{answer}");
        }
    }
    for method in ["GET", "HEAD"] {
        let health = http(site.node.admin, &format!("{method} /api/health"), &[], "");
        assert_eq!(status(&health), 200);
    }
}

#[tokio::test]
async fn connections_come_into_groups_and_leave_them() {
    let site = Site::new("rest-members.toml");
    let (mut ann, id) = site.client("ann").await;
    for group in ["go", "chess", "poker"] {
        site.does(&format!("PUT /groups/{group}/connections/{id}"), 200);
    }
    site.does(&format!("DELETE /groups/go/connections/{id}"), 200);
    site.does("HEAD /groups/go", 404);
    site.tells("/groups/go/:send");
    hears_nothing(&mut ann).await;
    site.does("HEAD /groups/chess", 200);
    site.does(&format!("DELETE /connections/{id}/groups"), 200);
    site.does("HEAD /groups/chess", 404);
    site.does("HEAD /groups/poker", 404);
    let nobody = "AAAAAAAAAAAAAAAAAAAAAA";
    for (line, expected) in [
        (format!("PUT /groups/go/connections/{nobody}"), 404),
        (format!("DELETE /groups/go/connections/{nobody}"), 200),
        (format!("DELETE /connections/{nobody}/groups"), 200),
    ] {
        let answer = site.ask(&line, "");
        assert_eq!((status(&answer), code_of(&answer)), (expected, "Error.Connection.NotExisted"));
    }
}

#[tokio::test]
async fn a_user_is_in_its_groups_whenever_it_comes() {
    let site = Site::new("rest-users.toml");
    let (mut first, _) = site.client("ann").await;
    site.does("PUT /users/ann/groups/now?ttl=0", 200);
    site.does("PUT /users/ann/groups/always", 200);
    site.does("PUT /users/ann/groups/hour?ttl=3600", 200);
    site.does("PUT /users/later/groups/always", 200);
    site.does("HEAD /users/later/groups/always", 200);
    let (mut second, _) = site.client("ann").await;
    for (group, receives) in [("now", [1, 0]), ("always", [1, 1]), ("hour", [1, 1])] {
        site.tells(&format!("/groups/{group}/:send"));
        for (client, count) in [&mut first, &mut second].into_iter().zip(receives) {
            for _ in 0..count {
                client.is_called("Told", json!([1])).await;
            }
            hears_nothing(client).await;
        }
    }
    site.does("DELETE /users/ann/groups/always", 204);
    site.does("HEAD /users/ann/groups/always", 404);
    site.does("DELETE /users/ann/groups", 204);
    for group in ["now", "always", "hour"] {
        site.does(&format!("HEAD /groups/{group}"), 404);
        site.does(&format!("HEAD /users/ann/groups/{group}"), 404);
    }
    site.does("HEAD /users/later/groups/always", 200);
}

#[tokio::test]
async fn a_user_leaves_a_group_when_its_time_is_over() {
    let site = Site::new("rest-ttl.toml");
    let (_ann, _) = site.client("ann").await;
    site.does("PUT /users/ann/groups/go?ttl=1", 200);
    let left = || status(&site.ask("HEAD /groups/go", "")) == 404;
    assert!((0..10_000).any(|_| left()), "nobody leaves");
}

#[tokio::test]
async fn connections_are_ended_with_a_reason() {
    let site = Site::new("rest-close.toml");
    let mut crowd = Vec::new();
    for user in ["ann", "bob", "eve", "dan", "kim"] {
        crowd.push(site.client(user).await);
    }
    let ids: Vec<_> = crowd.iter().map(|(_, id)| id.clone()).collect();
    let [(ann, _), (bob, _), (eve, _), (dan, _), (kim, _)] = &mut crowd[..] else {
        panic!("there are five")
    };
    for id in [&ids[1], &ids[2]] {
        site.does(&format!("PUT /groups/go/connections/{id}"), 200);
    }
    site.does(&format!("DELETE /connections/{}?reason=you%20asked", ids[0]), 200);
    assert_eq!(ann.next().await, Some(json!({ "type": 7, "error": "you asked" })));
    site.does(&format!("POST /groups/go/:closeConnections?excluded={}", ids[2]), 204);
    assert_eq!(bob.next().await, Some(json!({ "type": 7 })));
    hears_nothing(eve).await;
    site.does("POST /users/eve/:closeConnections?reason=bye", 204);
    assert_eq!(eve.next().await, Some(json!({ "type": 7, "error": "bye" })));
    site.does(&format!("POST /:closeConnections?excluded={}&reason=all", ids[4]), 204);
    assert_eq!(dan.next().await, Some(json!({ "type": 7, "error": "all" })));
    hears_nothing(kim).await;
    let gone = site.ask("DELETE /connections/AAAAAAAAAAAAAAAAAAAAAA", "");
    assert_eq!((status(&gone), code_of(&gone)), (200, "Warning.Connection.NotExisted"));
}

#[tokio::test]
async fn members_of_a_group_are_listed_page_by_page() {
    let site = Site::new("rest-pages.toml");
    let mut crowd = Vec::new();
    for user in ["a", "b", "c", "d", "e"] {
        crowd.push(site.client(user).await);
        site.does(&format!("PUT /users/{user}/groups/go"), 200);
    }
    let whole = body_of(&site.ask("GET /groups/go/connections", ""));
    let all = whole["value"].as_array().expect("a list");
    assert_eq!((all.len(), &whole["nextLink"]), (5, &Value::Null));
    for ((_, id), user) in crowd.iter().zip(["a", "b", "c", "d", "e"]) {
        assert!(all.contains(&json!({ "connectionId": id, "userId": user })), "{whole}");
    }
    for (query, sizes) in [
        ("maxpagesize=2", &[2, 2, 1][..]),
        ("maxpagesize=2&top=3", &[2, 1]),
        ("maxpagesize=2&top=4&api-version=2024-12-01", &[2, 2]),
        ("top=5", &[5]),
    ] {
        let mut line = format!("GET /api/hubs/status/groups/go/connections?{query}");
        let mut listed = Vec::new();
        for (index, size) in sizes.iter().enumerate() {
            let page = body_of(&http(site.node.admin, &line, &[], ""));
            let value = page["value"].as_array().expect("a list");
            assert_eq!(value.len(), *size, "{line}");
            listed.extend(value.clone());
            let here = format!("http://{}", site.node.admin);
            let next = page["nextLink"].as_str().and_then(|link| link.strip_prefix(&here));
            assert_eq!(next.is_some(), index + 1 < sizes.len(), "{page}");
            line = format!("GET {}", next.unwrap_or_default());
        }
        assert_eq!(listed, all[..listed.len()], "{query}");
    }
    assert_eq!(body_of(&site.ask("GET /groups/none/connections", "")), json!({ "value": [] }));
}

#[test]
fn what_is_wrong_is_said_with_a_code() {
    let site = Site::new("rest-problems.toml");
    let long = "x".repeat(1025);
    let large = format!(r#"{{"target":"x","arguments":["{}"]}}"#, "x".repeat(1 << 20));
    for (line, body, expected, code) in [
        ("POST /:send", "", 400, "BadRequest"),
        ("POST /:send", r#"{"target":"x","arguments":{}}"#, 400, "BadRequest"),
        ("POST /:send?api-version=2019-01-01", TOLD, 400, "ApiVersion.NotSupported"),
        ("POST /:send", &large, 413, "PayloadTooLarge"),
        ("GET /:send", "", 405, "MethodNotAllowed"),
        ("POST /groups/go", "", 405, "MethodNotAllowed"),
        ("PUT /users/ann/groups/go?ttl=x", "", 400, "BadRequest"),
        ("POST /:generateToken?minutesToExpire=0", "", 400, "BadRequest"),
        ("GET /groups/go/connections?maxpagesize=201", "", 400, "BadRequest"),
        ("GET /groups/go/connections?continuationToken=x", "", 400, "BadRequest"),
        ("POST /connections/nope/:send", TOLD, 400, "BadRequest"),
        (&format!("HEAD /groups/{long}"), "", 400, "BadRequest"),
        (&format!("POST /users/{long}/:send"), TOLD, 400, "BadRequest"),
        ("POST /nothing", "", 404, "NotFound"),
    ] {
        let answer = site.ask(line, body);
        assert_eq!((status(&answer), code_of(&answer)), (expected, code), "{line}: {answer}");
        if !line.starts_with("HEAD") {
            let said = body_of(&answer);
            assert_eq!((&said["code"], &said["message"]), (&json!(code), &said["detail"]));
        }
    }
    let refused = site.ask("PUT /users/ann", "");
    assert!(refused.contains("allow: GET, HEAD\r\n"), "{refused}");
    let form = ["Content-Type: application/x-www-form-urlencoded"];
    for headers in [&form[..], &[]] {
        let answer = http(site.node.admin, "POST /api/hubs/status/:send", headers, TOLD);
        assert_eq!((status(&answer), code_of(&answer)), (415, "UnsupportedMediaType"));
    }
}
