//! Secret values: sealed before they reach a log, opened for whoever may read them. Pure but for the
//! random numbers of its nonces.
//!
//! AES-256-GCM (NIST SP 800-38D) with keys that HKDF-SHA256 (RFC 5869) derives from the cluster's secrets.
//! The first secret seals and all open, so that secrets are replaced as everywhere in a cluster: the new
//! one behind the old one on all nodes, then before it, then without it. What is sealed belongs to one key
//! of one set: moved elsewhere in a log it does not open.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    hkdf::{HKDF_SHA256, KeyType, Prk, Salt},
};

use crate::{
    name::SetName,
    set::{Key, Sealed, Value},
};

/// What seals and opens; by default nothing. `Debug` shows no secret.
#[derive(Default)]
pub struct Sealer {
    /// The first seals.
    keys: Box<[Opener]>,
}

struct Opener {
    /// Which key it is, without saying anything about it.
    id: [u8; ID],
    key: RandomizedNonceKey,
}

/// Secrets that no key can be made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretsError {
    /// There are more than a change of secrets needs.
    #[error(
        "there are more than {SECRETS_MAX} secrets; drop those that no node seals with any more"
    )]
    TooMany,
    /// One could be guessed.
    #[error("a secret is shorter than {SECRET_MIN} bytes; use 32 random ones")]
    TooShort,
    /// The cryptography refused.
    #[error("no key can be derived from a secret")]
    Refused,
}

/// Why a value is not sealed or not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// There is no secret to seal with.
    #[error(
        "secret values need a key: set `cluster.secrets` to at least one text of {SECRET_MIN} bytes or \
         more, the same on all nodes, and start again"
    )]
    NoSecret,
    /// It was sealed with a secret that is not known here.
    #[error(
        "a secret value was sealed with a secret that this node does not have; add the former secret \
         behind the present one in `cluster.secrets`, or set the value anew"
    )]
    OtherSecret,
    /// It is damaged, or was moved to another key or another set.
    #[error("a secret value does not belong to this key, or is damaged; set the value anew")]
    Damaged,
}

impl Sealer {
    /// Seals with the first of these and opens with all. Without any it can do neither, and says what to do
    /// about that whenever it is asked to.
    ///
    /// # Errors
    /// See [`SecretsError`].
    pub fn new<S: AsRef<[u8]>>(secrets: impl IntoIterator<Item = S>) -> Result<Self, SecretsError> {
        let mut keys = Vec::new();
        for secret in secrets {
            if secret.as_ref().len() < SECRET_MIN {
                return Err(SecretsError::TooShort);
            }
            if keys.len() == SECRETS_MAX {
                return Err(SecretsError::TooMany);
            }
            keys.push(Opener::derive(secret.as_ref()).ok_or(SecretsError::Refused)?);
        }
        Ok(Self { keys: keys.into() })
    }

    /// Seals the value of a key of a set.
    ///
    /// # Errors
    /// [`SealError::NoSecret`].
    pub fn seal(&self, set: &SetName, key: &Key, value: &Value) -> Result<Sealed, SealError> {
        let with = self.keys.first().ok_or(SealError::NoSecret)?;
        let mut text = value.as_str().as_bytes().to_vec();
        let place = Aad::from(place(set, key));
        let nonce = with.key.seal_in_place_append_tag(place, &mut text);
        let nonce = nonce.map_err(|_| SealError::Damaged)?;
        let mut sealed = with.id.to_vec();
        sealed.extend_from_slice(nonce.as_ref());
        sealed.append(&mut text);
        Ok(Sealed::new(sealed))
    }

    /// Opens what was sealed for this key of this set.
    ///
    /// # Errors
    /// If it was not, or with a secret that is not known here.
    pub fn open(&self, set: &SetName, key: &Key, sealed: &Sealed) -> Result<Value, SealError> {
        let (id, rest) = sealed.bytes().split_at_checked(ID).ok_or(SealError::Damaged)?;
        let (nonce, text) = rest.split_at_checked(NONCE_LEN).ok_or(SealError::Damaged)?;
        let mut openers = self.keys.iter().filter(|opener| opener.id == id).peekable();
        openers.peek().ok_or(SealError::OtherSecret)?;
        openers.find_map(|opener| opener.open(set, key, nonce, text)).ok_or(SealError::Damaged)
    }
}

impl Opener {
    fn derive(secret: &[u8]) -> Option<Self> {
        let root = Salt::new(HKDF_SHA256, SALT).extract(secret);
        let mut key = [0; 32];
        fill(&root, b"everwire fleet value key", &mut key)?;
        let mut id = [0; ID];
        fill(&root, b"everwire fleet value key id", &mut id)?;
        Some(Self { id, key: RandomizedNonceKey::new(&AES_256_GCM, &key).ok()? })
    }

    fn open(&self, set: &SetName, key: &Key, nonce: &[u8], text: &[u8]) -> Option<Value> {
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        let opened = self.key.open_in_place(nonce, Aad::from(place(set, key)), &mut text).ok()?;
        Value::new(str::from_utf8(opened).ok()?).ok()
    }
}

/// Derives so many bytes for one purpose.
fn fill(root: &Prk, purpose: &[u8], into: &mut [u8]) -> Option<()> {
    root.expand(&[purpose], Length(into.len())).ok()?.fill(into).ok()
}

/// Where a value lies: what it is sealed for. The set's length keeps the two apart.
fn place(set: &SetName, key: &Key) -> Vec<u8> {
    let set = set.as_str().as_bytes();
    let mut place = (set.len() as u32).to_be_bytes().to_vec();
    place.extend_from_slice(set);
    place.extend_from_slice(key.as_str().as_bytes());
    place
}

/// How many bytes are wanted of a key derivation.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("secrets", &self.keys.len()).finish_non_exhaustive()
    }
}

/// Bytes that tell keys apart.
const ID: usize = 4;

/// Makes these keys others than whatever else is derived from the same secrets.
const SALT: &[u8] = b"everwire fleet";

/// One that seals, one that is to, and some that are on their way out.
pub const SECRETS_MAX: usize = 8;

/// 128 bits, if each byte is as likely as another.
pub const SECRET_MIN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "the secret of last year";
    const NEW: &str = "the secret of this year";

    fn place() -> (SetName, Key) {
        ("shop/prod".parse().unwrap(), "PASSWORD".parse().unwrap())
    }

    fn value() -> Value {
        Value::new("hunter2").unwrap()
    }

    #[test]
    fn the_first_secret_seals_and_all_open() {
        let (set, key) = place();
        let [old, new] = [OLD, NEW].map(|secret| Sealer::new([secret]).unwrap());
        let both = Sealer::new([NEW, OLD]).unwrap();
        let sealed = old.seal(&set, &key, &value()).unwrap();
        assert_eq!(old.open(&set, &key, &sealed), Ok(value()));
        assert_eq!(both.open(&set, &key, &sealed), Ok(value()));
        assert_eq!(new.open(&set, &key, &sealed), Err(SealError::OtherSecret));
        let sealed = both.seal(&set, &key, &value()).unwrap();
        assert_eq!(new.open(&set, &key, &sealed), Ok(value()), "the first seals");
    }

    #[test]
    fn pred_k16_what_is_sealed_is_not_the_text_and_never_twice_the_same() {
        let (set, key) = place();
        let sealer = Sealer::new([OLD]).unwrap();
        let [one, other] = [(); 2].map(|()| sealer.seal(&set, &key, &value()).unwrap());
        assert_ne!(one, other);
        assert!(!one.bytes().windows(3).any(|part| part == b"hun"));
        let shown = format!("{one:?} {sealer:?} {:?}", value());
        assert!(!shown.contains("hunter2") && !shown.contains("year"), "{shown}");
    }

    #[test]
    fn what_is_moved_or_damaged_does_not_open() {
        let (set, key) = place();
        let sealer = Sealer::new([OLD]).unwrap();
        let sealed = sealer.seal(&set, &key, &value()).unwrap();
        let (other_set, other_key) = ("shop/test".parse().unwrap(), "USER".parse().unwrap());
        assert_eq!(sealer.open(&other_set, &key, &sealed), Err(SealError::Damaged));
        assert_eq!(sealer.open(&set, &other_key, &sealed), Err(SealError::Damaged));
        for at in ID * 8..sealed.bytes().len() * 8 {
            let mut forged = sealed.bytes().to_vec();
            forged[at / 8] ^= 1 << (at % 8);
            let opened = sealer.open(&set, &key, &Sealed::new(forged));
            assert_eq!(opened, Err(SealError::Damaged), "bit {at}");
        }
        for length in 0..sealed.bytes().len() {
            let cut = Sealed::new(sealed.bytes()[..length].to_vec());
            assert!(sealer.open(&set, &key, &cut).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn without_a_good_secret_nothing_is_sealed_and_it_is_said_what_to_do() {
        let (set, key) = place();
        let none = Sealer::new([""; 0]).unwrap();
        let refused = none.seal(&set, &key, &value()).unwrap_err();
        assert!(refused.to_string().contains("set `cluster.secrets`"), "{refused}");
        assert_eq!(Sealer::new(["short"]).unwrap_err(), SecretsError::TooShort);
        assert_eq!(Sealer::new([OLD; SECRETS_MAX + 1]).unwrap_err(), SecretsError::TooMany);
        assert!(Sealer::new([OLD; SECRETS_MAX]).is_ok());
    }
}
