//! Tokens that say who a client is: JSON Web Tokens, signed (HS256) with a key that whoever issues
//! them and the hub both know.
//!
//! What is read is what Azure SignalR's clients bring, so that its access keys and what mints tokens
//! with them can stay: the user is in `asrs.s.uid`, `nameid`, the long name of that claim, or `sub`.

mod claims;
mod key;

use std::time::Duration;

use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode, errors::ErrorKind,
};
use serde_json::{Map, Value};

pub use self::{
    claims::Token,
    key::{AccessKey, BadKey},
};
use crate::{
    clock,
    identity::{Denied, Identity},
    request::ClientRequest,
};

/// The keys of a hub: the first signs, all verify, so that a key can be replaced while tokens of the
/// old one are about.
#[derive(Clone)]
pub struct AccessKeys {
    signing: EncodingKey,
    verifying: Vec<DecodingKey>,
    audiences: Vec<String>,
    leeway: Duration,
}

/// What is wrong with a token. All of it is the client's fault, or of whoever gave it the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is longer than [`AccessKeys::TOKEN_MAX`] bytes.
    #[error("the token is longer than {} bytes", AccessKeys::TOKEN_MAX)]
    TooLong,
    /// It is no JSON Web Token, or not one signed with HS256.
    #[error("this is no JSON Web Token signed with HS256")]
    Malformed,
    /// None of the keys has signed it.
    #[error("the token is not signed with this key")]
    Signature,
    /// It does not say when it expires, and would be good for ever.
    #[error("the token does not say when it expires (exp)")]
    Endless,
    /// It was good until some time ago.
    #[error("the token expired {} s ago", .0.as_secs())]
    Expired(Duration),
    /// It will be good after some time.
    #[error("the token is not valid yet: its nbf is {} s ahead", .0.as_secs())]
    TooEarly(Duration),
    /// It is for somebody else.
    #[error("the token is for another audience (aud)")]
    Audience,
}

impl AccessKeys {
    /// The longest token that is looked at, in bytes: Azure SignalR's limit, and what a header or a
    /// query can carry anywhere.
    pub const TOKEN_MAX: usize = 4096;

    /// With one key. Tokens may be for any audience, and the clocks are taken to agree.
    pub fn new(key: &AccessKey) -> Self {
        Self {
            signing: EncodingKey::from_secret(key.bytes()),
            verifying: vec![DecodingKey::from_secret(key.bytes())],
            audiences: Vec::new(),
            leeway: Duration::ZERO,
        }
    }

    /// Takes what was signed with another key, too.
    #[must_use]
    pub fn or(mut self, key: &AccessKey) -> Self {
        self.verifying.push(DecodingKey::from_secret(key.bytes()));
        self
    }

    /// Takes only tokens for one of these audiences; for any if there are none.
    #[must_use]
    pub fn audiences(mut self, audiences: Vec<String>) -> Self {
        self.audiences = audiences;
        self
    }

    /// By how much the clock of whoever issues tokens may differ from the hub's.
    #[must_use]
    pub const fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Signs a token.
    ///
    /// # Errors
    /// [`TokenError::TooLong`] if it says more than clients can bring.
    pub fn sign(&self, token: &Token) -> Result<String, TokenError> {
        let signed = encode(&Header::new(Algorithm::HS256), &token.to_json(), &self.signing);
        match signed.map_err(|_| TokenError::Malformed)? {
            signed if signed.len() <= Self::TOKEN_MAX => Ok(signed),
            _ => Err(TokenError::TooLong),
        }
    }

    /// What a token says, if it is good `now`, a time since 1970.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(&self, token: &str, now: Duration) -> Result<Token, TokenError> {
        let token = Token::from_json(self.verify(token)?).ok_or(TokenError::Endless)?;
        let ago = now.saturating_sub(token.expires.saturating_add(self.leeway));
        if token.expires.saturating_add(self.leeway) <= now {
            return Err(TokenError::Expired(ago));
        }
        let begins = token.begins.unwrap_or_default().saturating_sub(self.leeway);
        if begins > now {
            return Err(TokenError::TooEarly(begins.saturating_sub(now)));
        }
        let is_meant = |audience: &String| token.audiences.contains(audience);
        if !self.audiences.is_empty() && !self.audiences.iter().any(is_meant) {
            return Err(TokenError::Audience);
        }
        Ok(token)
    }

    /// Who a request is from; `None` if it brings no token.
    ///
    /// # Errors
    /// [`Denied::Unauthorized`] if it brings one that is not good.
    pub fn identify(&self, request: &ClientRequest) -> Result<Option<Identity>, Denied> {
        let Some(token) = request.token() else { return Ok(None) };
        match self.read(&token, clock::since_epoch()) {
            Ok(token) => Ok(Some(token.into())),
            Err(error) => {
                // The token itself is a secret, as long as it is good anywhere.
                tracing::debug!(%error, "a client is not let in");
                Err(Denied::Unauthorized)
            }
        }
    }

    /// What one of the keys has signed.
    fn verify(&self, token: &str) -> Result<Map<String, Value>, TokenError> {
        if token.len() > Self::TOKEN_MAX {
            return Err(TokenError::TooLong);
        }
        // Times and audiences are judged here, by the clock that is given.
        let mut validation = Validation::new(Algorithm::HS256);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        for key in &self.verifying {
            match decode(token, key, &validation) {
                Ok(read) => return Ok(read.claims),
                Err(error) if *error.kind() == ErrorKind::InvalidSignature => {}
                Err(_) => return Err(TokenError::Malformed),
            }
        }
        Err(TokenError::Signature)
    }
}

impl std::fmt::Debug for AccessKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { verifying, audiences, leeway, .. } = self;
        f.debug_struct("AccessKeys")
            .field("keys", &verifying.len())
            .field("audiences", audiences)
            .field("leeway", leeway)
            .finish()
    }
}

#[cfg(test)]
mod tests;
