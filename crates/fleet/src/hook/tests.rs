//! Hooks: who is believed, what becomes of a push, and that nothing else does anything.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::access::TOKEN_MIN;

type Headers = BTreeMap<&'static str, Vec<u8>>;

const SECRET: &str = "It's a Secret to Everybody";

fn hook(host: Host<'_>) -> Hook {
    let target = Target::new("shop:**".parse().unwrap());
    Hook::new("config", host, target, "refresh").unwrap()
}

fn github() -> Hook {
    hook(Host::GitHub { secret: SECRET })
}

fn gitlab() -> Hook {
    hook(Host::GitLab { token: SECRET })
}

fn signature(body: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    format!("sha256={}", hex(hmac::sign(&key, body).as_ref())).into_bytes()
}

/// The headers of a delivery that is as it should be.
fn from_github(event: &str, body: &[u8]) -> Headers {
    BTreeMap::from([
        ("content-type", b"application/json".to_vec()),
        ("x-github-event", event.into()),
        ("x-github-delivery", b"72d3162e-cc78-11e3-81ab-4c9367dc0958".to_vec()),
        (SIGNATURE, signature(body)),
    ])
}

fn from_gitlab(event: &str) -> Headers {
    BTreeMap::from([
        ("x-gitlab-event", event.into()),
        ("x-gitlab-event-uuid", b"13792a34-cac6-4fda-95a8-c58e00a3954e".to_vec()),
        (TOKEN, SECRET.into()),
    ])
}

fn call(hook: &Hook, headers: &Headers, body: &[u8]) -> Result<Called, NotCalled> {
    hook.call(|name| headers.get(name).map(Vec::as_slice), body)
}

fn push() -> Vec<u8> {
    let body = json!({
        "ref": "refs/heads/main",
        "before": "1111111111111111111111111111111111111111",
        "after": "2222222222222222222222222222222222222222",
        "repository": {"id": 1, "full_name": "shop/config"},
        "commits": [
            {"id": "a", "added": ["new.yml"], "modified": ["shop.yml"], "removed": []},
            {"id": "b", "added": [], "modified": ["shop.yml"], "removed": ["old.yml"]},
        ],
        "pusher": {"name": "ann"},
    });
    body.to_string().into_bytes()
}

#[test]
fn the_signature_is_the_one_that_github_documents() {
    // "Testing the webhook payload validation" of GitHub's documentation.
    let headers = BTreeMap::from([(
        SIGNATURE,
        b"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17".to_vec(),
    )]);
    let called = call(&github(), &headers, b"Hello, World!");
    assert_eq!(called, Err(NotCalled::Malformed("the event's name is missing")), "it is believed");
}

#[test]
fn a_push_becomes_a_command_that_is_the_same_when_it_is_delivered_again() {
    let body = push();
    let Ok(Called::Push(commanded)) = call(&github(), &from_github("push", &body), &body) else {
        panic!("a push")
    };
    assert_eq!(&*commanded.name, "refresh");
    assert_eq!(commanded.target, Target::new("shop:**".parse().unwrap()));
    assert_eq!(&*commanded.key, "hook:config:72d3162e-cc78-11e3-81ab-4c9367dc0958");
    assert_eq!(&*commanded.by, "hook:config");
    let args = json!({
        "ref": "refs/heads/main",
        "repository": "shop/config",
        "commit": "2222222222222222222222222222222222222222",
        "paths": ["new.yml", "old.yml", "shop.yml"],
    });
    assert_eq!(commanded.args, args);
    let again = call(&github(), &from_github("push", &body), &body);
    assert_eq!(again, Ok(Called::Push(commanded)));
}

#[test]
fn gitlabs_push_is_known_by_its_idempotency_key_or_event_or_body() {
    let body = json!({
        "object_kind": "push",
        "ref": "refs/heads/main",
        "after": "da15",
        "project": {"path_with_namespace": "mike/diaspora"},
        "repository": {"name": "Diaspora", "url": "git@example.com:mike/diaspora.git"},
        "commits": [{"id": "b", "added": ["CHANGELOG"], "modified": ["app/a.rb"], "removed": []}],
    });
    let body = body.to_string().into_bytes();
    let key = |headers: &Headers| match call(&gitlab(), headers, &body) {
        Ok(Called::Push(commanded)) => {
            assert_eq!(commanded.args["repository"], "mike/diaspora");
            assert_eq!(commanded.args["paths"], json!(["CHANGELOG", "app/a.rb"]));
            commanded.key
        }
        other => panic!("{other:?}"),
    };
    let mut headers = from_gitlab("Push Hook");
    assert_eq!(&*key(&headers), "hook:config:13792a34-cac6-4fda-95a8-c58e00a3954e");
    headers.insert("idempotency-key", b"f5e57f36".to_vec());
    assert_eq!(&*key(&headers), "hook:config:f5e57f36");
    headers.remove("idempotency-key");
    headers.remove("x-gitlab-event-uuid");
    assert_eq!(*key(&headers), *format!("hook:config:{}", hex(&sha256(&body))));
}

#[test]
fn a_ping_is_answered_and_what_is_no_push_is_passed_over() {
    let body = br#"{"zen":"Keep it logically awesome."}"#;
    assert_eq!(call(&github(), &from_github("ping", body), body), Ok(Called::Ping));
    let Ok(Called::Ignored { why }) = call(&github(), &from_github("issues", body), body) else {
        panic!("issues are no push")
    };
    assert!(why.contains("issues"), "{why}");
    let ignored = call(&gitlab(), &from_gitlab("Tag Push Hook"), b"{}");
    assert!(matches!(ignored, Ok(Called::Ignored { .. })), "{ignored:?}");
    let gone = json!({"ref": "refs/heads/old", "after": "0".repeat(40), "commits": []}).to_string();
    let gone = call(&gitlab(), &from_gitlab("Push Hook"), gone.as_bytes());
    assert!(matches!(gone, Ok(Called::Ignored { .. })), "{gone:?}");
}

#[test]
fn attack_who_has_no_proof_is_refused_before_anything_is_read() {
    let body = b"{{{ no JSON";
    let mut headers = from_github("push", body);
    headers.insert(SIGNATURE, signature(b"another body"));
    assert_eq!(call(&github(), &headers, body), Err(NotCalled::Wrong));
    for wrong in [&b"sha256="[..], b"sha1=00", b"", b"sha256=zz", &signature(body)[7..]] {
        headers.insert(SIGNATURE, wrong.to_vec());
        assert_eq!(call(&github(), &headers, body), Err(NotCalled::Wrong), "{wrong:?}");
    }
    headers.remove(SIGNATURE);
    headers.insert("x-hub-signature", b"sha1=00".to_vec());
    headers.insert(TOKEN, SECRET.into());
    let unproven = call(&github(), &headers, body).unwrap_err();
    assert_eq!((unproven, unproven.status()), (NotCalled::Unproven(SIGNATURE), 401));
    let mut headers = from_gitlab("Push Hook");
    headers.insert(TOKEN, b"It's a Secret to Everybod".to_vec());
    let wrong = call(&gitlab(), &headers, body).unwrap_err();
    assert_eq!((wrong, wrong.status()), (NotCalled::Wrong, 403));
    headers.remove(TOKEN);
    assert_eq!(call(&gitlab(), &headers, body), Err(NotCalled::Unproven(TOKEN)));
}

#[test]
fn what_makes_no_sense_is_told_so() {
    let refused = |headers: &Headers, body: &[u8]| call(&github(), headers, body).unwrap_err();
    for body in [&b""[..], b"[]", b"{}", b"{\"ref\":1}", b"{\"ref\":\"x\",\"commits\":{}}"] {
        let refused = refused(&from_github("push", body), body);
        assert_eq!((refused, refused.status()), (NotCalled::Malformed("this is no push"), 400));
    }
    let body = push();
    for id in ["", "a b", "a\n", &"a".repeat(DELIVERY_MAX + 1)] {
        let mut headers = from_github("push", &body);
        headers.insert("x-github-delivery", id.into());
        assert_eq!(refused(&headers, &body), NotCalled::Malformed("the delivery's id is none"));
    }
    let mut form = from_github("push", &body);
    form.insert("content-type", b"application/x-www-form-urlencoded".to_vec());
    assert_eq!(refused(&form, &body).status(), 415);
    let long = vec![b' '; BODY_MAX + 1];
    assert_eq!(refused(&from_github("push", &long), &long).status(), 413);
}

#[test]
fn a_push_of_very_many_files_names_some_and_says_so() {
    let many: Vec<_> = (0..PATHS_MAX + 1).map(|number| format!("{number}.yml")).collect();
    let long: Vec<_> = (0..20).map(|number| number.to_string().repeat(1000)).collect();
    for (paths, is_cut) in [(&many[1..], false), (&many[..], true), (&long[..], true)] {
        let body = json!({"ref": "x", "commits": [{"added": paths}]}).to_string().into_bytes();
        let Ok(Called::Push(commanded)) = call(&github(), &from_github("push", &body), &body)
        else {
            panic!("a push")
        };
        assert_eq!(commanded.args.get("paths_cut").is_some(), is_cut);
        let named: Vec<String> = serde_json::from_value(commanded.args["paths"].clone()).unwrap();
        assert!(!named.is_empty() && named.len() <= PATHS_MAX);
        assert!(named.iter().map(String::len).sum::<usize>() <= PATHS_BYTES_MAX);
    }
}

#[test]
fn a_hook_is_configured_with_a_name_and_a_secret_that_nobody_guesses() {
    let new = |name, secret, command| {
        Hook::new(name, Host::GitLab { token: secret }, Target::default(), command).map(drop)
    };
    assert_eq!(new("config", SECRET, "refresh"), Ok(()));
    assert_eq!(new("config", &SECRET[..TOKEN_MIN - 1], "refresh"), Err(BadHook::SecretTooShort));
    assert_eq!(new("config", SECRET, ""), Err(BadHook::NoCommand));
    for name in ["", "a/b", "a b", ".."] {
        assert_eq!(new(name, SECRET, "refresh"), Err(BadHook::Name(name.into())));
    }
    let shown = format!("{:?} {:?}", github(), Host::GitHub { secret: SECRET });
    assert!(!shown.contains("Secret"), "{shown}");
}

proptest! {
    #[test]
    fn attack_a_body_or_a_signature_that_was_touched_is_not_believed(
        at in any::<prop::sample::Index>(), bit in 0..8_u32
    ) {
        let body = push();
        let mut touched = body.clone();
        touched[at.index(body.len())] ^= 1 << bit;
        prop_assert_eq!(call(&github(), &from_github("push", &body), &touched), Err(NotCalled::Wrong));
        let mut headers = from_github("push", &body);
        let signed = headers.get_mut(SIGNATURE).unwrap();
        let at = at.index(signed.len());
        // A letter's case means nothing in hexadecimal digits.
        if bit != 5 {
            signed[at] ^= 1 << bit;
            prop_assert_eq!(call(&github(), &headers, &body), Err(NotCalled::Wrong));
        }
    }

    #[test]
    fn attack_no_body_and_no_header_breaks_anything(
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            "\\{\"ref\":\"[a-z\\\\\"]{0,9}\",\"after\":\"0*[0-9a-f]{0,9}\",\"commits\":[\\[\\]{}\":,a-z0-9]{0,60}\\}"
                .prop_map(String::into_bytes),
        ],
        event in prop::collection::vec(any::<u8>(), 0..80),
        delivery in prop::collection::vec(any::<u8>(), 0..150),
    ) {
        for event in [&event[..], b"push", b"ping"] {
            let mut headers = from_github("push", &body);
            headers.insert("x-github-event", event.to_vec());
            headers.insert("x-github-delivery", delivery.clone());
            if let Ok(Called::Push(commanded)) = call(&github(), &headers, &body) {
                prop_assert!(commanded.key.len() <= DELIVERY_MAX + 20);
                prop_assert!(commanded.key.bytes().all(|byte| byte.is_ascii_graphic()));
                prop_assert!(commanded.args.to_string().len() < 2 * PATHS_BYTES_MAX + 8 * 1024);
            }
        }
        let called = call(&gitlab(), &from_gitlab("Push Hook"), &body);
        let is_fine = match &called {
            Ok(called) => *called != Called::Ping,
            Err(error) => *error == NotCalled::Malformed("this is no push"),
        };
        prop_assert!(is_fine, "{:?}", called);
    }
}
