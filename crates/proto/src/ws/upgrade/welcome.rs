//! A backend's answer to the request that opens a leg.
//!
//! A 101 counts only if everything about it is right. Half a 101 is the classic hole of proxies:
//! the proxy believes in a tunnel, the backend goes on speaking HTTP, and what the client sends
//! next is a request that nobody checked.

use std::mem::MaybeUninit;

use super::{
    Agreed, BodyFraming, HEADERS_MAX, HeaderLines, LegKey, LegOffer, RESPONSE_HEAD_MAX,
    head::is_whole,
    headers::{belongs_to_hop, list},
};
use crate::ws::extension::{Deflate, DeflateOffer, ExtensionError, Params, read_answer};

/// A valid 101.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegWelcome {
    /// The subprotocol and compression of the leg.
    pub agreed: Agreed,
    /// How many client messages a backend that cooperates has stored: `Everwire-Client-Received`.
    pub client_received: Option<u64>,
    /// What the first leg's client is told beside the handshake, such as `Set-Cookie`.
    pub headers: HeaderLines,
}

/// Any other answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LegRefusal {
    /// An interim answer (100, 103): the real one follows.
    Interim,
    /// An HTTP response other than 101, whose body comes next.
    Http {
        /// The status, 200 to 999.
        status: u16,
        /// The reason phrase.
        reason: String,
        /// The end-to-end fields.
        headers: HeaderLines,
        /// How long the body is.
        body: BodyFraming,
    },
    /// Bytes that are not an HTTP head.
    NotHttp,
    /// A 101 that does not open a WebSocket: which part of it is wrong.
    NotWebSocket(&'static str),
    /// A good 101 whose subprotocol, compression or `Everwire-Client-Received` does not fit.
    Mismatch(&'static str),
}

impl LegWelcome {
    /// Judges a whole head, of at most [`RESPONSE_HEAD_MAX`] bytes, as the answer to the request
    /// that had this `key` and `offer`.
    pub fn parse(head: &[u8], key: &LegKey, offer: &LegOffer<'_>) -> Result<Self, LegRefusal> {
        if !matches!(is_whole(head, RESPONSE_HEAD_MAX), Ok(true)) {
            return Err(LegRefusal::NotHttp);
        }
        let mut fields = [const { MaybeUninit::uninit() }; HEADERS_MAX];
        let mut parsed = httparse::Response::new(&mut []);
        let status = httparse::ParserConfig::default().parse_response_with_uninit_headers(
            &mut parsed,
            head,
            &mut fields,
        );
        if status != Ok(httparse::Status::Complete(head.len())) {
            return Err(LegRefusal::NotHttp);
        }
        match parsed.code {
            Some(101) => Self::judge(&parsed, key, offer),
            Some(100..200) => Err(LegRefusal::Interim),
            Some(200..) => Err(refused(&parsed)),
            _ => Err(LegRefusal::NotHttp),
        }
    }

    fn judge(
        parsed: &httparse::Response<'_, '_>,
        key: &LegKey,
        offer: &LegOffer<'_>,
    ) -> Result<Self, LegRefusal> {
        check_switch(parsed, key)?;
        let agreed = Agreed {
            protocol: agreed_protocol(parsed.headers, offer)?,
            deflate: agreed_deflate(parsed.headers, offer)?,
        };
        let client_received = client_received(parsed.headers)?;
        Ok(Self { agreed, client_received, headers: end_to_end(parsed.headers) })
    }
}

/// Status, `Upgrade`, `Connection` and `Accept` together: a leg is open only if all are right.
fn check_switch(parsed: &httparse::Response<'_, '_>, key: &LegKey) -> Result<(), LegRefusal> {
    let wrong = |why| Err(LegRefusal::NotWebSocket(why));
    if parsed.version != Some(1) {
        return wrong("the 101 is not HTTP/1.1");
    }
    let mut upgrades = values(parsed.headers, "upgrade").flat_map(list);
    if !upgrades.next().is_some_and(|to| to.eq_ignore_ascii_case(b"websocket"))
        || upgrades.next().is_some()
    {
        return wrong("the 101 does not upgrade to websocket");
    }
    let mut options = values(parsed.headers, "connection").flat_map(list);
    if !options.any(|option| option.eq_ignore_ascii_case(b"upgrade")) {
        return wrong("the 101's Connection does not name upgrade");
    }
    let mut accepts = values(parsed.headers, "sec-websocket-accept");
    if accepts.next() != Some(&key.accept()[..]) || accepts.next().is_some() {
        return wrong("the 101's Sec-WebSocket-Accept is not the right one");
    }
    Ok(())
}

fn agreed_protocol(
    fields: &[httparse::Header<'_>],
    offer: &LegOffer<'_>,
) -> Result<Option<Box<str>>, LegRefusal> {
    let mut named = values(fields, "sec-websocket-protocol");
    let protocol = named.next();
    if named.next().is_some() {
        return Err(LegRefusal::Mismatch("the backend named more than one subprotocol"));
    }
    let protocol = match protocol.map(std::str::from_utf8) {
        None => None,
        Some(Ok(protocol)) => Some(protocol),
        Some(Err(_)) => return Err(LegRefusal::Mismatch(NOT_OFFERED)),
    };
    let fits = match (offer, protocol) {
        (LegOffer::First(_), None) => true,
        (LegOffer::First(request), Some(chosen)) => request.protocols().any(|one| one == chosen),
        (LegOffer::Again(agreed), chosen) => agreed.protocol.as_deref() == chosen,
    };
    if fits { Ok(protocol.map(Box::from)) } else { Err(LegRefusal::Mismatch(NOT_OFFERED)) }
}

fn agreed_deflate(
    fields: &[httparse::Header<'_>],
    offer: &LegOffer<'_>,
) -> Result<Option<Deflate>, LegRefusal> {
    let mut named = values(fields, "sec-websocket-extensions");
    let answer = named.next().map(read_answer).transpose().map_err(misfit)?;
    if named.next().is_some() {
        return Err(misfit(ExtensionError::NotOffered));
    }
    match offer {
        LegOffer::First(request) => {
            answer.map(|answer| first_deflate(request.deflate_offers(), &answer)).transpose()
        }
        LegOffer::Again(agreed) => same_deflate(agreed.deflate, answer),
    }
}

/// The first of the client's offers that the answer can be to.
fn first_deflate(offers: &[DeflateOffer], answer: &Params) -> Result<Deflate, LegRefusal> {
    let mut closest = ExtensionError::NotOffered;
    for offered in offers {
        match offered.agree(answer) {
            Ok(deflate) => return Ok(deflate),
            Err(error) => closest = error,
        }
    }
    Err(misfit(closest))
}

/// The compression of the pipe, if a later leg's answer can carry it.
fn same_deflate(
    agreed: Option<Deflate>,
    answer: Option<Params>,
) -> Result<Option<Deflate>, LegRefusal> {
    match (agreed, answer) {
        (None, None) => Ok(None),
        (Some(deflate), Some(answer)) => {
            deflate.accepts(&answer).map_err(misfit)?;
            Ok(agreed)
        }
        (Some(_), None) => Err(LegRefusal::Mismatch("the backend declined the compression")),
        (None, Some(_)) => Err(misfit(ExtensionError::NotOffered)),
    }
}

fn misfit(error: ExtensionError) -> LegRefusal {
    LegRefusal::Mismatch(match error {
        ExtensionError::Malformed => "the 101's Sec-WebSocket-Extensions breaks its grammar",
        ExtensionError::TooMany | ExtensionError::NotOffered => {
            "the backend agreed to an extension that was not offered"
        }
        ExtensionError::ContextTakeover => "the backend keeps compression history",
        ExtensionError::Window => "the compression windows do not fit the client's",
    })
}

fn client_received(fields: &[httparse::Header<'_>]) -> Result<Option<u64>, LegRefusal> {
    let mut stated = values(fields, "everwire-client-received");
    let Some(value) = stated.next() else { return Ok(None) };
    let digits = value.iter().all(u8::is_ascii_digit) && stated.next().is_none();
    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    match number.filter(|_| digits) {
        Some(number) => Ok(Some(number)),
        None => Err(LegRefusal::Mismatch("Everwire-Client-Received is not one number")),
    }
}

fn refused(parsed: &httparse::Response<'_, '_>) -> LegRefusal {
    let status = parsed.code.unwrap_or_default();
    LegRefusal::Http {
        status,
        reason: parsed.reason.unwrap_or_default().to_owned(),
        headers: end_to_end(parsed.headers),
        body: BodyFraming::of(status, parsed.headers),
    }
}

/// The fields that pass on to the client: not those of this hop, nor those that it names so.
fn end_to_end(fields: &[httparse::Header<'_>]) -> HeaderLines {
    let passes = |name: &str| {
        !belongs_to_hop(name)
            && !values(fields, "connection")
                .flat_map(list)
                .any(|option| option.eq_ignore_ascii_case(name.as_bytes()))
    };
    let mut passed = HeaderLines::default();
    for field in fields.iter().filter(|field| passes(field.name)) {
        passed.push(field.name, field.value);
    }
    passed
}

/// Every value of the fields of this name.
pub(super) fn values<'a>(
    fields: &[httparse::Header<'a>],
    name: &'static str,
) -> impl Iterator<Item = &'a [u8]> {
    fields
        .iter()
        .filter(move |field| field.name.eq_ignore_ascii_case(name))
        .map(|field| field.value)
}

const NOT_OFFERED: &str = "the backend chose a subprotocol that was not offered";
