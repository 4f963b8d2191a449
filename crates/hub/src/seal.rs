//! Secrets that the nodes of a hub share, and what is signed with them.
//!
//! The first secret signs and all verify, so that secrets are replaced without a break: the new one
//! is added behind the old one on every node, then put before it, then the old one is dropped.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac, digest::common::Key};
use rand::random;
use sha2::{Digest, Sha256};

/// What signs and what verifies. `Debug` shows no secret.
#[derive(Clone)]
pub(crate) struct Seal {
    /// The first signs.
    keys: Box<[Hmac<Sha256>]>,
}

/// A signature: 128 bits, of which nobody guesses one.
pub(crate) type Tag = [u8; TAG];

/// Secrets that sign nothing well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretsError {
    /// There is none.
    #[error("there is no secret")]
    Missing,
    /// There are more than a change of secrets needs; each is tried for each token.
    #[error("there are more than {SECRETS_MAX} secrets")]
    TooMany,
    /// One could be guessed.
    #[error("a secret is shorter than {SECRET_MIN} bytes")]
    TooShort,
}

impl Seal {
    /// Signs with a secret of this process', which no other knows.
    pub(crate) fn random() -> Self {
        Self { keys: [key(&random::<[u8; 32]>())].into() }
    }

    /// Signs with the first of these.
    pub(crate) fn new<S: AsRef<[u8]>>(
        secrets: impl IntoIterator<Item = S>,
    ) -> Result<Self, SecretsError> {
        let mut keys = Vec::new();
        for secret in secrets {
            let secret = secret.as_ref();
            if secret.len() < SECRET_MIN {
                return Err(SecretsError::TooShort);
            }
            if keys.len() == SECRETS_MAX {
                return Err(SecretsError::TooMany);
            }
            keys.push(key(secret));
        }
        if keys.is_empty() { Err(SecretsError::Missing) } else { Ok(Self { keys: keys.into() }) }
    }

    /// Signs what is said for `purpose`. The parts are told apart, however they are cut.
    pub(crate) fn sign(&self, purpose: &str, parts: &[&[u8]]) -> Tag {
        let mut tag = [0; TAG];
        if let Some(key) = self.keys.first() {
            tag.copy_from_slice(&said(key, purpose, parts).finalize().into_bytes()[..TAG]);
        }
        tag
    }

    /// Whether one of the secrets signed this. Takes the same time wherever a wrong tag differs.
    pub(crate) fn verify(&self, purpose: &str, parts: &[&[u8]], tag: &Tag) -> bool {
        self.keys.iter().any(|key| said(key, purpose, parts).verify_truncated_left(tag).is_ok())
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seal").field("secrets", &self.keys.len()).finish_non_exhaustive()
    }
}

/// Secrets of any length are keys of one.
fn key(secret: &[u8]) -> Hmac<Sha256> {
    let mut key = Key::<Hmac<Sha256>>::default();
    key[..32].copy_from_slice(&Sha256::digest(secret));
    Hmac::new(&key)
}

fn said(key: &Hmac<Sha256>, purpose: &str, parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = key.clone();
    for part in [purpose.as_bytes()].iter().chain(parts) {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac
}

/// Bytes of a signature.
pub(crate) const TAG: usize = 16;

/// One that signs, one that is to, and some that are on their way out.
pub(crate) const SECRETS_MAX: usize = 8;

/// 128 bits, if each byte is as likely as another.
pub(crate) const SECRET_MIN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "the secret of last year";
    const NEW: &str = "the secret of this year";

    #[test]
    fn what_is_signed_with_any_of_the_secrets_is_verified() {
        let (old, new) = (Seal::new([OLD]).unwrap(), Seal::new([NEW]).unwrap());
        let both = Seal::new([NEW, OLD]).unwrap();
        let tag = old.sign("p", &[b"a"]);
        assert!(old.verify("p", &[b"a"], &tag) && both.verify("p", &[b"a"], &tag));
        assert!(!new.verify("p", &[b"a"], &tag));
        assert_eq!(both.sign("p", &[b"a"]), new.sign("p", &[b"a"]), "the first signs");
    }

    #[test]
    fn a_tag_is_for_one_purpose_and_one_text() {
        let seal = Seal::random();
        let tag = seal.sign("p", &[b"ab", b"c"]);
        let cut_elsewhere: [&[u8]; 2] = [b"a", b"bc"];
        assert!(!seal.verify("p", &cut_elsewhere, &tag));
        assert!(!seal.verify("q", &[b"ab", b"c"], &tag));
        assert!(!seal.verify("p", &[b"ab", b"c", b""], &tag));
        for at in 0..TAG * 8 {
            let mut forged = tag;
            forged[at / 8] ^= 1 << (at % 8);
            assert!(!seal.verify("p", &[b"ab", b"c"], &forged), "bit {at}");
        }
    }

    #[test]
    fn secrets_are_neither_few_nor_short_nor_shown() {
        assert_eq!(Seal::new([""; 0]).unwrap_err(), SecretsError::Missing);
        assert_eq!(Seal::new([OLD, "short"]).unwrap_err(), SecretsError::TooShort);
        assert_eq!(Seal::new([OLD; SECRETS_MAX + 1]).unwrap_err(), SecretsError::TooMany);
        assert!(!format!("{:?}", Seal::new([OLD]).unwrap()).contains("year"));
    }
}
