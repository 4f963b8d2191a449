//! Who is let into a hub with an access key, and `everwire token`.

use serde_json::json;

use super::{client::Client, with_hub};
use crate::process::{Ended, Node, everwire, file, http, json as body_of, run, status};

const KEY: &str = "an-access-key-of-32-bytes-or-more";
const OTHER: &str = "another-access-key-of-32-bytes-or-more";
const METHODS: &str = "[hubs.status.methods]\nWho = { send = \"caller\", arguments = [\"{user}\"] }\n\
                       Tell = { send = \"user:{0}\" }\n";

/// A command with a key in its environment.
fn with_key(key: &str, args: &[&str]) -> Ended {
    let mut command = everwire(args);
    command.env("EVERWIRE_ACCESS_KEY", key);
    Ended::of(&command.output().expect("the binary runs"))
}

fn mint(key: &str, args: &[&str]) -> String {
    let ended = with_key(key, &[&["token", "mint"], args].concat());
    assert_eq!(ended.code, 0, "{}", ended.err);
    ended.out.trim().to_owned()
}

fn guarded(name: &str) -> Node {
    Node::with_file(&with_hub(name, &format!("access_key = \"{KEY}\"\n{METHODS}")))
}

fn negotiate(node: &Node, query: &str, headers: &[&str]) -> u16 {
    let line = format!("POST /statusHub/negotiate?negotiateVersion=1{query}");
    status(&http(node.gateway, &line, headers, ""))
}

#[tokio::test]
async fn whoever_stays_longer_than_its_token_is_ended_if_that_is_wanted() {
    for (name, expiry, ends) in [("closes.toml", "close", true), ("stays.toml", "ignore", false)] {
        let lines = format!("access_key = \"{KEY}\"\nexpiry = \"{expiry}\"\n{METHODS}");
        let node = Node::with_file(&with_hub(name, &lines));
        let token = mint(KEY, &["--user", "anna", "--expires", "2s"]);
        let path = format!("/statusHub?access_token={token}");
        let mut anna = Client::connect(node.gateway, &path).await;
        if ends {
            let close = json!({ "type": 7, "allowReconnect": true });
            assert_eq!(anna.next().await, Some(close));
            assert_eq!(anna.next().await, None);
        } else {
            // Later than it would have been ended.
            tokio::time::sleep(std::time::Duration::from_secs(4)).await;
            anna.invoke("Who", json!([])).await;
            anna.is_called("Who", json!(["anna"])).await;
        }
    }
}

#[tokio::test]
async fn only_who_brings_a_good_token_comes_in() {
    let node = guarded("guarded.toml");
    let good = mint(KEY, &["--user", "anna"]);
    let bearer = |token: &str| format!("Authorization: Bearer {token}");
    assert_eq!(negotiate(&node, "", &[&bearer(&good)]), 200);
    assert_eq!(negotiate(&node, &format!("&access_token={good}"), &[]), 200);
    assert_eq!(negotiate(&node, "", &[]), 401);
    let foreign = mint(OTHER, &["--user", "anna"]);
    let wrong = [foreign.as_str(), "", "x", &good[..good.len() - 1], &good.replace('.', "")];
    for token in wrong {
        assert_eq!(negotiate(&node, "", &[&bearer(token)]), 401, "{token}");
        let path = format!("/statusHub?access_token={token}");
        assert!(Client::try_connect(node.gateway, &path).await.is_err(), "{token}");
    }
    assert!(Client::try_connect(node.gateway, "/statusHub").await.is_err());

    let path = format!("/statusHub?access_token={good}");
    let mut anna = Client::connect(node.gateway, &path).await;
    anna.invoke("Who", json!([])).await;
    anna.is_called("Who", json!(["anna"])).await;
    let listed = node.command(&["hub", "ls", "status", "--json"]);
    assert!(listed.out.contains("\"anna\""), "{}", listed.out);
    assert!(!listed.out.contains(&good), "a token is nothing to look at");
}

#[tokio::test]
async fn what_is_sent_to_a_user_reaches_that_user_alone() {
    let node = guarded("users.toml");
    let client = async |user: &str| {
        let token = mint(KEY, &["--user", user]);
        Client::connect(node.gateway, &format!("/statusHub?access_token={token}")).await
    };
    let (mut anna, mut bob, mut bobs) =
        (client("anna").await, client("-bob").await, client("-bob").await);
    anna.invoke("Tell", json!(["-bob", 1])).await;
    for each in [&mut bob, &mut bobs] {
        each.is_called("Tell", json!([1])).await;
    }
    let sent = node.command(&["hub", "send", "status", "Tell", "2", "--user", "-bob"]);
    assert_eq!(sent.code, 0, "{}", sent.err);
    bob.is_called("Tell", json!([2])).await;
    // Nothing came to anna before this.
    anna.invoke("Who", json!([])).await;
    anna.is_called("Who", json!(["anna"])).await;
}

#[test]
fn keys_can_be_replaced_while_tokens_of_the_old_one_are_about() {
    let keys = format!("access_keys = [\"{OTHER}\", \"{KEY}\"]\naudiences = [\"us\"]\n{METHODS}");
    let path = with_hub("replaced.toml", &keys);
    let node = Node::with_file(&path);
    let path = path.to_str().expect("the path is text");
    let fits =
        |token: String| negotiate(&node, "", &[&format!("Authorization: Bearer {token}")]) == 200;
    for key in [KEY, OTHER] {
        assert!(fits(mint(key, &["--audience", "us"])));
        assert!(!fits(mint(key, &["--audience", "them"])));
        assert!(!fits(mint(key, &[])));
    }
    let minted = run(&["token", "mint", "-c", path]);
    assert!(fits(minted.out.trim().to_owned()), "{}", minted.err);
    let of_first = with_key(OTHER, &["token", "check", minted.out.trim()]);
    assert_eq!(of_first.code, 0, "the first key signs: {}", of_first.err);
}

#[test]
fn a_token_tells_what_is_in_it_to_who_has_the_key() {
    let token = mint(
        KEY,
        &["--user", "-anna", "--claim", "role=a=b", "--claim", "role=c", "--expires", "2h"],
    );
    let checked = with_key(KEY, &["token", "check", "--json", &token]);
    assert_eq!(checked.code, 0, "{}", checked.err);
    let told: serde_json::Value = serde_json::from_str(&checked.out).expect("it is JSON");
    assert_eq!(told["user"], "-anna");
    let role = |value: &str| json!({ "name": "role", "value": value });
    assert!(told["claims"].as_array().expect("a list").starts_with(&[role("a=b"), role("c")]));
    let left = told["expires_in_seconds"].as_u64().expect("a number");
    assert!((7000..=7200).contains(&left), "{left}");
    let checked = with_key(KEY, &["token", "check", &token]);
    assert!(checked.out.contains("good for \"-anna\""), "{}", checked.out);

    let checked = with_key(OTHER, &["token", "check", &token]);
    assert_eq!((checked.code, &*checked.out), (1, ""));
    assert!(checked.err.contains("not signed with this key"), "{}", checked.err);
}

#[test]
fn what_cannot_be_minted_is_said() {
    let long = "x".repeat(4000);
    let wrong: [(&[&str], i32, &str); 5] = [
        (&["--user", &long], 1, "longer than 4096 bytes"),
        (&["--expires", "0s"], 2, "write for example 30s"),
        (&["--claim", "exp=1"], 2, "has an option of its own"),
        (&["--claim", "role"], 2, "role=admin"),
        (&["--key", "short"], 2, "32 to 1024 bytes"),
    ];
    for (args, code, said) in wrong {
        let ended = with_key(KEY, &[&["token", "mint"], args].concat());
        assert_eq!(ended.code, code, "{args:?}: {}", ended.err);
        assert!(ended.err.contains(said), "{args:?}: {}", ended.err);
    }
    let open = with_hub("open.toml", METHODS);
    let open = open.to_str().expect("the path is text");
    for (args, said) in [(&[][..], "no hub has an access_key"), (&["--hub", "x"], "no [hubs.x]")] {
        let ended = run(&[&["token", "mint", "-c", open], args].concat());
        assert_eq!(ended.code, 2, "{}", ended.err);
        assert!(ended.err.contains(said), "{}", ended.err);
    }
}

#[test]
fn mistakes_in_keys_are_told_and_keys_are_not() {
    let text = "[hubs.one]\npath = \"/one\"\naccess_key = \"secret-1\"\n\
                [hubs.two]\npath = \"/two\"\naccess_keys = \"secret-2\"\n\
                [hubs.three]\npath = \"/three\"\naccess_keys = []\n\
                [hubs.four]\npath = \"/four\"\naudiences = [\"us\"]\n\
                [hubs.five]\npath = \"/five\"\naccess_keys = [\"secret-of-thirty-two-bytes-or-more\", \
                7, \"secret-of-thirty-two-bytes-or-more\"]\n\
                [hubs.six]\npath = \"/six\"\naccess_key = \"secret-of-thirty-two-bytes-or-more\"\n\
                access_keys = []\n";
    let path = file("bad-keys.toml", text);
    let ended = run(&["check", "-c", path.to_str().expect("the path is text")]);
    assert_eq!(ended.code, 2);
    let wanted = [
        "3: hubs.one.access_key: is not 32 to 1024 bytes long",
        "6: hubs.two.access_keys: is not a list",
        "9: hubs.three.access_keys: is empty",
        "12: hubs.four.audiences: means nothing without access_key",
        "15: hubs.five.access_keys[1]: is not a string",
        "15: hubs.five.access_keys[2]: is listed twice",
        "18: hubs.six.access_key: is written beside access_keys",
    ];
    for wanted in wanted {
        assert!(ended.err.contains(wanted), "{wanted} in:\n{}", ended.err);
    }
    assert!(!ended.err.contains("secret"), "{}", ended.err);
    assert_eq!(ended.err.matches("hubs.").count(), wanted.len(), "{}", ended.err);
}

#[test]
fn the_printed_configuration_keeps_keys_to_itself() {
    let path = with_hub("printed.toml", &format!("access_key = \"{KEY}\"\naudiences = [\"us\"]"));
    let ended = run(&["config", "print", "-c", path.to_str().expect("the path is text")]);
    assert!(
        ended.out.contains("# access_key is set") && ended.out.contains("audiences = [\"us\"]")
    );
    assert!(!ended.out.contains(KEY), "{}", ended.out);
}

#[test]
fn a_refused_token_is_counted_and_not_logged() {
    let node = guarded("logged.toml");
    let token = mint(OTHER, &[]);
    assert_eq!(negotiate(&node, &format!("&access_token={token}"), &[]), 401);
    let hubs = body_of(&http(node.admin, "GET /api/v1/hubs", &[], ""));
    assert_eq!(hubs["items"][0]["refused"], 1);
    node.signal("INT");
    let ended = node.ended();
    assert!(!ended.err.contains(&token) && !ended.err.contains(KEY), "{}", ended.err);
}
