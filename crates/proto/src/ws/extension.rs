//! permessage-deflate (RFC 7692), negotiated so that any leg's compressed messages can be read by
//! a client that agreed with another leg. The gateway itself never inflates or deflates.
//!
//! The story. Compression history that spans messages dies with its backend, so every offer that
//! goes to a backend asks for `no_context_takeover` both ways, and every answer to a client demands
//! it. Then only the two window sizes are left: the client must be able to read what a backend
//! writes (`server_max_window_bits`), and the backend what the client writes
//! (`client_max_window_bits`). The first leg's answer fixes both for the pipe's life; a later
//! leg's answer must not have a wider server window nor a narrower client window.
//!
//! Other extensions are declined by not being offered on.

use std::io::Write;

use serde::{Deserialize, Serialize};

use super::upgrade::{is_token, list, trim};

/// Most extensions that one client may offer; more are refused with 431. Browsers offer one,
/// libraries with fallbacks two or three.
pub const OFFERS_MAX: usize = 16;

/// The largest window, and the one in force where none is named.
const WINDOW_BITS_MAX: u8 = 15;

/// The compression of a pipe, as its first leg's answer named it; none of it ever changes. No
/// message depends on another, in either direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deflate {
    server_bits: Option<u8>,
    client_bits: Option<u8>,
}

/// One permessage-deflate of a client's offer, its parameters understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeflateOffer {
    server_bits: Option<u8>,
    client_bits: ClientBits,
}

/// What a client says of the window that it compresses with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientBits {
    /// It cannot be told to use a smaller one.
    Fixed,
    /// It can, and will not need more than this.
    AtMost(u8),
}

/// Why a header field with extensions cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtensionError {
    /// The peer broke the grammar of RFC 6455 section 9.1.
    #[error("Sec-WebSocket-Extensions breaks its grammar")]
    Malformed,
    /// The client offered more than [`OFFERS_MAX`] extensions.
    #[error("Sec-WebSocket-Extensions offers too many extensions")]
    TooMany,
    /// The backend answered with an extension, or parameters, that were not offered.
    #[error("the extensions agreed to are not those offered")]
    NotOffered,
    /// The backend keeps compression history between messages, although told not to.
    #[error("the backend did not agree to server_no_context_takeover")]
    ContextTakeover,
    /// The backend writes with a window that the client cannot read, or cannot read the client's.
    #[error("the compression windows do not fit the client's")]
    Window,
}

impl Deflate {
    /// The window, in bits, that the client must be able to inflate with.
    pub fn server_window(&self) -> u8 {
        self.server_bits.unwrap_or(WINDOW_BITS_MAX)
    }

    /// The widest window, in bits, that the client may deflate with.
    pub fn client_window(&self) -> u8 {
        self.client_bits.unwrap_or(WINDOW_BITS_MAX)
    }

    /// Writes the value of `Sec-WebSocket-Extensions` for the client.
    pub fn write_answer(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(NO_TAKEOVER);
        write_bits(out, "server_max_window_bits", self.server_bits);
        write_bits(out, "client_max_window_bits", self.client_bits);
    }

    /// Writes the offer to a later leg: exactly what was agreed. A client window of 15 bits is not
    /// named, because naming it would allow the backend to ask for a smaller one.
    pub(super) fn write_offer(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(NO_TAKEOVER);
        write_bits(out, "server_max_window_bits", self.server_bits);
        let narrower = self.client_bits.filter(|bits| *bits < WINDOW_BITS_MAX);
        write_bits(out, "client_max_window_bits", narrower);
    }

    /// Whether a later leg's answer can carry what this pipe's client writes and reads.
    pub(super) fn accepts(&self, answer: &Params) -> Result<(), ExtensionError> {
        answer.check_takeover()?;
        let client = answer.client_answer()?.unwrap_or(WINDOW_BITS_MAX);
        let server = answer.server_bits.unwrap_or(WINDOW_BITS_MAX);
        let fits = server <= self.server_window() && client >= self.client_window();
        if fits { Ok(()) } else { Err(ExtensionError::Window) }
    }
}

impl DeflateOffer {
    /// Writes this offer for the first leg, with `no_context_takeover` asked of both sides.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(NO_TAKEOVER);
        write_bits(out, "server_max_window_bits", self.server_bits);
        match self.client_bits {
            ClientBits::Fixed => {}
            ClientBits::AtMost(WINDOW_BITS_MAX) => {
                out.extend_from_slice(b"; client_max_window_bits");
            }
            ClientBits::AtMost(bits) => write_bits(out, "client_max_window_bits", Some(bits)),
        }
    }

    /// What is agreed if a backend's `answer` is to this offer (RFC 7692 section 7.1).
    pub(super) fn agree(&self, answer: &Params) -> Result<Deflate, ExtensionError> {
        answer.check_takeover()?;
        let client_bits = answer.client_answer()?;
        let client_fits = match (client_bits, self.client_bits) {
            (None, _) => true,
            (Some(_), ClientBits::Fixed) => false,
            (Some(bits), ClientBits::AtMost(most)) => bits <= most,
        };
        let server_fits = match (answer.server_bits, self.server_bits) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(bits), Some(most)) => bits <= most,
        };
        if client_fits && server_fits {
            Ok(Deflate { server_bits: answer.server_bits, client_bits })
        } else {
            Err(ExtensionError::Window)
        }
    }
}

/// The parameters of one permessage-deflate, in an offer or an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Params {
    server_no_takeover: bool,
    client_no_takeover: bool,
    server_bits: Option<u8>,
    /// Named, and with which value.
    client_bits: Option<Option<u8>>,
}

impl Params {
    /// Reads `; name=value` pairs; `None` if one is unknown, doubled or out of range, for which
    /// RFC 7692 section 7 has the offer declined and the answer refused.
    fn understand(params: &[Param<'_>]) -> Option<Self> {
        let mut understood = Self::default();
        for Param { name, value } in params {
            let fresh = match (*name, *value) {
                (b"server_no_context_takeover", None) => {
                    !std::mem::replace(&mut understood.server_no_takeover, true)
                }
                (b"client_no_context_takeover", None) => {
                    !std::mem::replace(&mut understood.client_no_takeover, true)
                }
                (b"server_max_window_bits", Some(bits)) => {
                    understood.server_bits.replace(window_bits(bits)?).is_none()
                }
                (b"client_max_window_bits", None) => understood.client_bits.replace(None).is_none(),
                (b"client_max_window_bits", Some(bits)) => {
                    understood.client_bits.replace(Some(window_bits(bits)?)).is_none()
                }
                _ => return None,
            };
            if !fresh {
                return None;
            }
        }
        Some(understood)
    }

    fn check_takeover(&self) -> Result<(), ExtensionError> {
        if self.server_no_takeover { Ok(()) } else { Err(ExtensionError::ContextTakeover) }
    }

    /// The client window that an answer names; in an answer a name without value is an error.
    fn client_answer(&self) -> Result<Option<u8>, ExtensionError> {
        match self.client_bits {
            None => Ok(None),
            Some(None) => Err(ExtensionError::NotOffered),
            Some(bits) => Ok(bits),
        }
    }
}

/// Adds the offers that one `Sec-WebSocket-Extensions` field of a client holds. An extension that
/// is unknown, or whose parameters are, is left out: that declines it.
pub(super) fn read_offers(
    field: &[u8],
    offers: &mut Vec<DeflateOffer>,
) -> Result<(), ExtensionError> {
    for (seen, extension) in extensions(field).enumerate() {
        if seen == OFFERS_MAX || offers.len() == OFFERS_MAX {
            return Err(ExtensionError::TooMany);
        }
        let params = extension?.permessage_deflate().and_then(|params| Params::understand(&params));
        let Some(params) = params else { continue };
        let client_bits = match params.client_bits {
            None => ClientBits::Fixed,
            Some(bits) => ClientBits::AtMost(bits.unwrap_or(WINDOW_BITS_MAX)),
        };
        offers.push(DeflateOffer { server_bits: params.server_bits, client_bits });
    }
    Ok(())
}

/// What one `Sec-WebSocket-Extensions` field of a backend agrees to: one permessage-deflate.
pub(super) fn read_answer(field: &[u8]) -> Result<Params, ExtensionError> {
    let mut answered = extensions(field);
    let only = answered.next().ok_or(ExtensionError::Malformed)??;
    if answered.next().is_some() {
        return Err(ExtensionError::NotOffered);
    }
    let params = only.permessage_deflate().ok_or(ExtensionError::NotOffered)?;
    Params::understand(&params).ok_or(ExtensionError::NotOffered)
}

/// One member of the list: its name, and its parameters still as text.
struct Extension<'a> {
    name: &'a [u8],
    params: Vec<Param<'a>>,
}

struct Param<'a> {
    name: &'a [u8],
    value: Option<&'a [u8]>,
}

impl<'a> Extension<'a> {
    fn permessage_deflate(self) -> Option<Vec<Param<'a>>> {
        (self.name == b"permessage-deflate").then_some(self.params)
    }

    fn parse(text: &'a [u8]) -> Result<Self, ExtensionError> {
        let mut parts = text.split(|byte| *byte == b';').map(trim);
        let name = parts.next().unwrap_or_default();
        let params = parts.map(Param::parse).collect::<Result<Vec<_>, _>>()?;
        if is_token(name) { Ok(Self { name, params }) } else { Err(ExtensionError::Malformed) }
    }
}

impl<'a> Param<'a> {
    fn parse(text: &'a [u8]) -> Result<Self, ExtensionError> {
        let (name, value) = match text.iter().position(|byte| *byte == b'=') {
            None => (text, None),
            Some(equals) => (trim(&text[..equals]), Some(unquote(trim(&text[equals + 1..])))),
        };
        if is_token(name) && value.is_none_or(is_token) {
            Ok(Self { name, value })
        } else {
            Err(ExtensionError::Malformed)
        }
    }
}

/// The members of the list. Quoted values must hold tokens (RFC 6455 section 9.1), which have
/// neither commas nor semicolons, so splitting at those is safe.
fn extensions(field: &[u8]) -> impl Iterator<Item = Result<Extension<'_>, ExtensionError>> {
    list(field).map(Extension::parse)
}

fn unquote(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value)
}

/// A window of RFC 7692 section 7.1.2.1: 8 to 15, without leading zeros.
fn window_bits(value: &[u8]) -> Option<u8> {
    match value {
        [digit @ b'8'..=b'9'] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}

fn write_bits(out: &mut Vec<u8>, name: &str, bits: Option<u8>) {
    if let Some(bits) = bits {
        // Writing to a Vec cannot fail.
        let _ = write!(out, "; {name}={bits}");
    }
}

const NO_TAKEOVER: &[u8] =
    b"permessage-deflate; server_no_context_takeover; client_no_context_takeover";

#[cfg(test)]
mod tests;
