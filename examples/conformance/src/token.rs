//! Tokens that say who a client is: signed here, and by nobody else.

use anyhow::Result;
use everwire_hub::{ClientRequest, Denied, Identity, UserId};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};

use crate::clock;

/// Signs and reads tokens with a key that lives as long as the process.
pub(crate) struct Tokens {
    signing: EncodingKey,
    reading: DecodingKey,
}

/// What a token says.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    exp: u64,
}

impl Tokens {
    pub(crate) fn random() -> Self {
        let secret: [u8; 32] = rand::random();
        Self {
            signing: EncodingKey::from_secret(&secret),
            reading: DecodingKey::from_secret(&secret),
        }
    }

    /// A token for this user, good for [`LIFE_SECONDS`].
    pub(crate) fn issue(&self, user: &str) -> Result<String> {
        let claims = Claims {
            iss: "everwire-conformance".into(),
            aud: "SignalR clients".into(),
            sub: user.into(),
            exp: clock::since_epoch().as_secs() + LIFE_SECONDS,
        };
        Ok(encode(&Header::new(Algorithm::HS256), &claims, &self.signing)?)
    }

    /// Who a request is from: nobody, where it has no token.
    pub(crate) fn identify(&self, request: &ClientRequest) -> Result<Identity, Denied> {
        let Some(token) = request.token() else { return Ok(Identity::default()) };
        let user = self.user_of(&token)?;
        Ok(Identity { user: Some(user), ..Identity::default() })
    }

    /// Who has this token.
    fn user_of(&self, token: &str) -> Result<UserId, Denied> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        validation.validate_aud = false;
        let read = decode::<Claims>(token, &self.reading, &validation);
        read.map(|read| UserId::from(read.claims.sub)).map_err(|_| Denied::Unauthorized)
    }
}

/// Long enough to connect with, short enough that a client must ask for another when it comes back.
const LIFE_SECONDS: u64 = 5;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn signed(tokens: &Tokens, alg: Algorithm, claims: &Value) -> String {
        encode(&Header::new(alg), claims, &tokens.signing).expect("claims can be signed")
    }

    #[test]
    fn attack_s14_what_is_signed_with_the_right_key_can_be_wrong_nevertheless() {
        let tokens = Tokens::random();
        let now = clock::since_epoch().as_secs();
        let claims = |exp: Value| json!({ "iss": "i", "aud": "a", "sub": "ann", "exp": exp });
        let good = signed(&tokens, Algorithm::HS256, &claims(json!(now + 60)));
        assert_eq!(tokens.user_of(&good), Ok(UserId::from("ann")));
        let missing = json!({ "iss": "i", "aud": "a", "sub": "ann" });
        let nobody = json!({ "iss": "i", "aud": "a", "exp": now + 60 });
        for (why, token) in [
            ("no end", signed(&tokens, Algorithm::HS256, &missing)),
            ("nobody", signed(&tokens, Algorithm::HS256, &nobody)),
            ("over", signed(&tokens, Algorithm::HS256, &claims(json!(now - 1)))),
            ("an end in words", signed(&tokens, Algorithm::HS256, &claims(json!("never")))),
            ("another algorithm", signed(&tokens, Algorithm::HS512, &claims(json!(now + 60)))),
            ("another key", signed(&Tokens::random(), Algorithm::HS256, &claims(json!(now + 60)))),
        ] {
            assert_eq!(tokens.user_of(&token), Err(Denied::Unauthorized), "{why}");
        }
    }
}
