//! Tokens that say who a client is: signed here, and by nobody else.

use std::time::{Duration, UNIX_EPOCH};

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
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        validation.validate_aud = false;
        let read = decode::<Claims>(&token, &self.reading, &validation);
        let claims = read.map_err(|_| Denied::Unauthorized)?.claims;
        let expires = Some(UNIX_EPOCH + Duration::from_secs(claims.exp));
        let user = Some(UserId::from(claims.sub));
        Ok(Identity { user, expires, ..Identity::default() })
    }
}

/// Long enough to connect with, short enough that a client must ask for another when it comes back.
const LIFE_SECONDS: u64 = 5;
