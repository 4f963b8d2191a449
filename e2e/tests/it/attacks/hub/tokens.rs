//! S14: tokens that are forged, broken or too large. The fixture's key is its own, so what can be
//! forged is what needs no key; tokens that are signed and wrong its own tests make.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use everwire_testkit::{
    http::{self, Answer},
    signalr::Fixture,
};
use serde_json::{Value, json};

/// The parts of a good token.
struct Parts {
    header: Value,
    claims: Value,
    signature: String,
}

impl Parts {
    fn of(token: &str) -> Self {
        let mut parts = token.split('.');
        let mut next = || parts.next().expect("a token has three parts");
        let decoded = |part: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64");
            serde_json::from_slice(&bytes).expect("JSON")
        };
        Self { header: decoded(next()), claims: decoded(next()), signature: next().to_owned() }
    }

    fn with_header(&self, header: &Value) -> String {
        forged(header, &self.claims, &self.signature)
    }

    fn with_claim(&self, name: &str, value: Value) -> String {
        let mut claims = self.claims.clone();
        claims[name] = value;
        forged(&self.header, &claims, &self.signature)
    }
}

fn forged(header: &Value, claims: &Value, signature: &str) -> String {
    let encoded = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    format!("{}.{}.{signature}", encoded(header), encoded(claims))
}

async fn negotiate(fixture: &Fixture, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str())];
    let path = "/authorizedHub/negotiate?negotiateVersion=1";
    http::request_with(fixture.address(), "POST", path, &headers, b"").await
}

async fn good(fixture: &Fixture) -> String {
    fixture.request("GET", "/generateJwtToken").await.body
}

#[tokio::test]
async fn attack_s14_forged_and_broken_tokens_are_401_and_a_good_one_is_let_in() {
    let fixture = Fixture::start().await;
    let token = good(&fixture).await;
    let parts = Parts::of(&token);
    let alg = |alg: &str| parts.with_header(&json!({ "alg": alg, "typ": "JWT" }));
    let forgeries = [
        alg("none"),
        alg("None"),
        forged(&json!({ "alg": "none" }), &parts.claims, ""),
        alg("HS384"),
        alg("RS256"),
        alg("ES256"),
        alg("EdDSA"),
        alg("nonsense"),
        parts.with_header(&json!({})),
        parts.with_header(&json!({ "alg": "HS256", "kid": "../../dev/null" })),
        parts.with_header(&json!({ "alg": "HS256", "jwk": { "kty": "oct", "k": "AA" } })),
        parts.with_claim("sub", json!("admin")),
        parts.with_claim("exp", json!(u64::MAX)),
        token[..token.len() - 1].to_owned(),
        token.replace('.', ""),
        format!("{token}.{token}"),
        "..".into(),
        "\u{e4}.\u{e4}.\u{e4}".into(),
        "x".repeat(20_000),
    ];
    for forgery in forgeries {
        let answer = negotiate(&fixture, &forgery).await;
        let shown: String = forgery.chars().take(60).collect();
        assert_eq!(answer.status, 401, "{shown}: {answer:?}");
        assert!(!answer.body.contains("signature"), "it tells nothing: {answer:?}");
    }
    assert_eq!(negotiate(&fixture, &good(&fixture).await).await.status, 200);
}

#[tokio::test]
async fn attack_s14_a_token_of_a_megabyte_is_refused_wherever_it_stands() {
    let fixture = Fixture::start().await;
    let huge = "x".repeat(1 << 20);
    let answer = negotiate(&fixture, &huge).await;
    assert!([400, 401, 431].contains(&answer.status), "{}", answer.status);
    let path = format!("/authorizedHub/negotiate?access_token={huge}");
    let answer = fixture.request("POST", &path).await;
    assert!([400, 401, 414, 431].contains(&answer.status), "{}", answer.status);
    assert_eq!(negotiate(&fixture, &good(&fixture).await).await.status, 200);
}
