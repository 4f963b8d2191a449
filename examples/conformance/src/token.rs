//! Tokens that say who a client is: signed here, and by nobody else.

use std::time::Duration;

use everwire_hub::{
    ClientRequest, Denied, Identity,
    token::{AccessKey, AccessKeys, Token, TokenError},
};

use crate::clock;

/// Signs and reads tokens with a key that lives as long as the process.
pub(crate) struct Tokens(AccessKeys);

impl Tokens {
    pub(crate) fn random() -> Self {
        Self(AccessKeys::new(&AccessKey::random()))
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

/// Long enough to connect with, short enough that a client must ask for another when it comes back.
const LIFE: Duration = Duration::from_secs(5);
