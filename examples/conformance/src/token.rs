//! Tokens that say who a client is: signed here, and by nobody else.

use std::time::Duration;

use everwire_hub::{
    ClientRequest, Denied, Identity,
    token::{AccessKey, AccessKeys, BadKey, Token, TokenError},
};

use crate::clock;

/// Signs and reads tokens with a key that lives as long as the process, or that other nodes know.
pub(crate) struct Tokens(AccessKeys);

impl Tokens {
    pub(crate) fn random() -> Self {
        Self(AccessKeys::new(&AccessKey::random()))
    }

    pub(crate) fn shared(secret: &str) -> Result<Self, BadKey> {
        Ok(Self(AccessKeys::new(&AccessKey::new(secret)?)))
    }

    /// A token for this user, good for [`LIFE`].
    pub(crate) fn issue(&self, user: &str) -> Result<String, TokenError> {
        self.0.sign(&Token {
            user: Some(user.to_owned()),
            audiences: vec!["SignalR clients".to_owned()],
            expires: clock::since_epoch() + LIFE,
            ..Token::default()
        })
    }

    /// Who a request is from: nobody, where it has no token.
    pub(crate) fn identify(&self, request: &ClientRequest) -> Result<Identity, Denied> {
        self.0.identify(request).map(Option::unwrap_or_default)
    }
}

/// Long enough for what a client of a test does on a busy machine: each of its requests brings the
/// token that it connected with.
const LIFE: Duration = Duration::from_secs(120);
