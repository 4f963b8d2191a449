//! Who comes in with which token.

use serde_json::json;

use super::*;

const NOW: Duration = Duration::from_secs(1_800_000_000);
const MINUTE: Duration = Duration::from_secs(60);

fn keys() -> AccessKeys {
    AccessKeys::new(&key('a'))
}

fn key(letter: char) -> AccessKey {
    AccessKey::new(&letter.to_string().repeat(32)).unwrap()
}

/// A token for a minute that says this, signed with this key.
fn signed(letter: char, claims: &Value) -> String {
    let mut claims = claims.as_object().unwrap().clone();
    claims.entry("exp").or_insert_with(|| (NOW + MINUTE).as_secs().into());
    claims.retain(|_, value| !value.is_null());
    let key = EncodingKey::from_secret(key(letter).bytes());
    encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap()
}

fn read(claims: &Value) -> Result<Token, TokenError> {
    keys().read(&signed('a', claims), NOW)
}

#[test]
fn what_is_signed_is_read_again() {
    let mut claims = crate::method::Claims::default();
    claims.add("role", "reader");
    claims.add("role", "writer");
    let token = Token {
        user: Some("anna".into()),
        audiences: vec!["one".into(), "two".into()],
        expires: NOW + MINUTE,
        begins: Some(NOW),
        claims,
    };
    let mut read = keys().read(&keys().sign(&token).unwrap(), NOW).unwrap();
    assert_eq!(Identity::from(read.clone()).user, Some("anna".into()));
    assert_eq!(Identity::from(read.clone()).expires, Some(std::time::UNIX_EPOCH + NOW + MINUTE));
    assert!(read.claims.has("sub", "anna"), "methods see the claim of the user, too");
    assert!(read.claims.has("role", "reader") && read.claims.has("role", "writer"));
    read.claims = token.claims.clone();
    assert_eq!(read, token);
}

#[test]
fn the_user_is_named_as_azure_signalr_names_it() {
    let long = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier";
    let all = json!({ "asrs.s.uid": "1", "nameid": "2", long: "3", "sub": "4" });
    let mut all = all.as_object().unwrap().clone();
    for (name, user) in [("asrs.s.uid", "1"), ("nameid", "2"), (long, "3"), ("sub", "4")] {
        assert_eq!(read(&Value::Object(all.clone())).unwrap().user.as_deref(), Some(user));
        all.remove(name);
    }
    assert_eq!(read(&Value::Object(all)).unwrap().user, None);
    assert_eq!(read(&json!({ "sub": "" })).unwrap().user, None, "nobody is not a user");
}

#[test]
fn a_token_is_good_from_its_beginning_to_its_end() {
    let at = |claim: &str, seconds: u64| json!({ claim: NOW.as_secs() + seconds });
    assert!(read(&at("exp", 1)).is_ok());
    assert_eq!(read(&at("exp", 0)), Err(TokenError::Expired(Duration::ZERO)));
    assert!(matches!(read(&json!({ "exp": 1 })), Err(TokenError::Expired(_))));
    assert!(read(&at("nbf", 0)).is_ok());
    assert_eq!(read(&at("nbf", 60)), Err(TokenError::TooEarly(MINUTE)));
    assert_eq!(read(&json!({ "exp": null })), Err(TokenError::Endless));
    for wrong in [json!("1900000000"), json!(-1), json!({})] {
        assert_eq!(read(&json!({ "exp": wrong })), Err(TokenError::Endless));
    }

    let generous = keys().leeway(MINUTE);
    let read = |claims: &Value| generous.read(&signed('a', claims), NOW);
    assert!(read(&at("nbf", 60)).is_ok());
    let ended = |ago: u64| json!({ "exp": NOW.as_secs() - ago });
    assert!(read(&ended(59)).is_ok());
    assert_eq!(read(&ended(60)), Err(TokenError::Expired(Duration::ZERO)));
}

#[test]
fn only_the_keys_that_are_known_open() {
    assert_eq!(keys().read(&signed('b', &json!({})), NOW), Err(TokenError::Signature));
    let both = keys().or(&key('b'));
    for letter in ['a', 'b'] {
        assert!(both.read(&signed(letter, &json!({})), NOW).is_ok());
    }
    let own = both.sign(&Token { expires: NOW + MINUTE, ..Token::default() }).unwrap();
    assert!(keys().read(&own, NOW).is_ok(), "the first key signs");
}

#[test]
fn a_changed_token_opens_nothing() {
    let token = signed('a', &json!({ "sub": "anna" }));
    for at in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'Q' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(keys().read(&changed, NOW).is_err(), "{at}");
    }
}

/// A token must not choose how it is judged.
#[test]
fn no_other_algorithm_is_taken() {
    let claims = json!({ "sub": "anna", "exp": (NOW + MINUTE).as_secs() });
    let key = EncodingKey::from_secret(key('a').bytes());
    let longer = encode(&Header::new(Algorithm::HS512), &claims, &key).unwrap();
    assert_eq!(keys().read(&longer, NOW), Err(TokenError::Malformed));
    // {"alg":"none"}, with and without a signature.
    let signed = signed('a', &json!({ "sub": "anna" }));
    let parts: Vec<_> = signed.split('.').collect();
    for signature in ["", parts[2]] {
        let unsigned = format!("eyJhbGciOiJub25lIn0.{}.{signature}", parts[1]);
        assert_eq!(keys().read(&unsigned, NOW), Err(TokenError::Malformed));
    }
    for nothing in ["", "a.b.c", "ä", "...."] {
        assert_eq!(keys().read(nothing, NOW), Err(TokenError::Malformed));
    }
}

#[test]
fn a_token_is_for_its_audience() {
    let fits = |audiences: &[&str], claims: Value| {
        let audiences = audiences.iter().map(|one| (*one).to_owned()).collect();
        keys().audiences(audiences).read(&signed('a', &claims), NOW).map(|_| ())
    };
    assert_eq!(fits(&["one"], json!({ "aud": "one" })), Ok(()));
    assert_eq!(fits(&["one", "two"], json!({ "aud": ["two", "three"] })), Ok(()));
    assert_eq!(fits(&["one"], json!({ "aud": "two" })), Err(TokenError::Audience));
    assert_eq!(fits(&["one"], json!({})), Err(TokenError::Audience));
    assert_eq!(fits(&[], json!({ "aud": "two" })), Ok(()));
}

#[test]
fn a_token_is_as_long_as_a_query_can_carry_and_no_longer() {
    let long = |length: usize| Token {
        user: Some("x".repeat(length)),
        expires: NOW + MINUTE,
        ..Token::default()
    };
    assert!(keys().sign(&long(2900)).is_ok());
    assert_eq!(keys().sign(&long(4000)), Err(TokenError::TooLong));
    let token = signed('a', &json!({ "sub": "x".repeat(4000) }));
    assert_eq!(keys().read(&token, NOW), Err(TokenError::TooLong));
}

#[test]
fn a_key_is_long_enough_and_shown_nowhere() {
    assert_eq!(AccessKey::new(&"x".repeat(31)), Err(BadKey));
    assert_eq!(AccessKey::new(&"x".repeat(1025)), Err(BadKey));
    assert_ne!(AccessKey::random(), AccessKey::random());
    let shown = format!("{:?} {:?}", key('a'), keys());
    assert!(!shown.contains("aaaa"), "{shown}");
    assert!(!shown.contains("97, 97"), "{shown}");
}
