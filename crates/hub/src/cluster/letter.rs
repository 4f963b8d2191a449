//! What shows that a request is a node's: signed, for one node and one request, and numbered. Pure.

use std::fmt::Write;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderName, HeaderValue};

use crate::seal::{Seal, TAG};

/// The header that carries a letter.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("everwire-node");

/// What a node wants of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To pass a client's request.
    Pass,
    /// To open a WebSocket for a token.
    Claim,
    /// To know which connections are still there.
    Review,
    /// To move sessions.
    Move,
    /// To know what time it is there.
    Hello,
}

/// What a node writes on a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) purpose: Purpose,
    /// The hub that it is about.
    pub(crate) hub: Box<str>,
    /// The run of the node that writes.
    pub(crate) sender: u64,
    /// How many it has written before.
    pub(crate) number: u64,
    /// When it was written, in milliseconds by the clock of the node that reads it; of a hello nothing.
    pub(crate) at: u64,
}

/// What a letter is written for; signed, and not repeated in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Address<'a> {
    /// The address that the reader advertises.
    pub(crate) to: &'a str,
    pub(crate) method: &'a str,
    /// Path and query.
    pub(crate) target: &'a str,
}

impl Letter {
    /// The value of the header.
    pub(crate) fn write(&self, seal: &Seal, address: &Address<'_>) -> HeaderValue {
        let mut text = self.facts();
        let tag = sign(seal, &text, address);
        let _ = write!(text, ".{}", URL_SAFE_NO_PAD.encode(tag));
        // Letters, digits and dots.
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    /// What the header says, if one who knows a secret wrote it for this request.
    pub(crate) fn read(text: &str, seal: &Seal, address: &Address<'_>) -> Option<Self> {
        if text.len() > TEXT_MAX {
            return None;
        }
        let (facts, tag) = text.rsplit_once('.')?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        let Address { to, method, target } = address;
        let parts = [facts.as_bytes(), to.as_bytes(), method.as_bytes(), target.as_bytes()];
        if !seal.verify(PURPOSE, &parts, tag.first_chunk::<TAG>().filter(|_| tag.len() == TAG)?) {
            return None;
        }
        let mut parts = facts.split('.');
        let purpose = Purpose::of(parts.next()?)?;
        let hub = String::from_utf8(URL_SAFE_NO_PAD.decode(parts.next()?).ok()?).ok()?.into();
        let mut number = || u64::from_str_radix(parts.next()?, 16).ok();
        Some(Self { purpose, hub, sender: number()?, number: number()?, at: number()? })
    }

    fn facts(&self) -> String {
        let Self { purpose, hub, sender, number, at } = self;
        let (purpose, hub) = (purpose.letter(), URL_SAFE_NO_PAD.encode(hub.as_bytes()));
        format!("{purpose}.{hub}.{sender:x}.{number:x}.{at:x}")
    }
}

impl Purpose {
    const fn letter(self) -> &'static str {
        match self {
            Self::Pass => "p",
            Self::Claim => "c",
            Self::Review => "r",
            Self::Move => "m",
            Self::Hello => "h",
        }
    }

    fn of(letter: &str) -> Option<Self> {
        let all = [Self::Pass, Self::Claim, Self::Review, Self::Move, Self::Hello];
        all.into_iter().find(|one| one.letter() == letter)
    }
}

fn sign(seal: &Seal, facts: &str, address: &Address<'_>) -> [u8; TAG] {
    let Address { to, method, target } = address;
    let parts = [facts.as_bytes(), to.as_bytes(), method.as_bytes(), target.as_bytes()];
    seal.sign(PURPOSE, &parts)
}

const PURPOSE: &str = "everwire node to node";

/// A hub's name of a kilobyte, and all else.
const TEXT_MAX: usize = 1500;

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: Address<'_> = Address { to: "a:1", method: "POST", target: "/claim?id=x" };

    fn letter() -> Letter {
        Letter { purpose: Purpose::Claim, hub: "chät".into(), sender: u64::MAX, number: 3, at: 77 }
    }

    #[test]
    fn a_node_reads_what_another_wrote() {
        let seal = Seal::random();
        let text = letter().write(&seal, &ADDRESS);
        assert_eq!(Letter::read(text.to_str().unwrap(), &seal, &ADDRESS), Some(letter()));
    }

    #[test]
    fn attack_s8_a_letter_is_good_for_its_request_only_and_from_a_node_only() {
        let seal = Seal::random();
        let text = letter().write(&seal, &ADDRESS);
        let text = text.to_str().unwrap();
        for other in [
            Address { to: "b:1", ..ADDRESS },
            Address { method: "GET", ..ADDRESS },
            Address { target: "/claim?id=y", ..ADDRESS },
        ] {
            assert_eq!(Letter::read(text, &seal, &other), None, "{other:?}");
        }
        assert_eq!(Letter::read(text, &Seal::random(), &ADDRESS), None);
        for length in 0..text.len() {
            assert_eq!(Letter::read(&text[..length], &seal, &ADDRESS), None);
        }
        for at in 0..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
            let forged = String::from_utf8(bytes).unwrap();
            assert_eq!(Letter::read(&forged, &seal, &ADDRESS), None, "{at}");
        }
        assert_eq!(Letter::read(&"a.".repeat(1 << 19), &seal, &ADDRESS), None);
    }
}
