//! The request that opens one leg.

use std::{io::Write, net::IpAddr};

use serde::{Deserialize, Serialize};

use super::{Forwarded, LegKey, UpgradeRequest, headers::push_line};
use crate::ws::extension::Deflate;

/// What client and first backend agreed on; every later leg must agree to the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreed {
    /// The subprotocol, if any.
    pub protocol: Option<Box<str>>,
    /// The compression, if any.
    pub deflate: Option<Deflate>,
}

/// What a leg is offered: on the first whatever the client offers, later only what was agreed.
#[derive(Clone, Copy, Debug)]
pub enum LegOffer<'a> {
    /// The first leg of a pipe, whose client waits for its own answer.
    First(&'a UpgradeRequest),
    /// Any other leg.
    Again(&'a Agreed),
}

/// Where a pipe stands when it dials, told to backends that cooperate for exactly-once.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The opaque name of the session: printable ASCII without spaces.
    pub session: &'a str,
    /// The number of this leg, from 1.
    pub leg: u64,
    /// The number of the first client message that will be sent on it.
    pub client_next: u64,
    /// How many backend messages the client has been or will be given.
    pub server_count: u64,
}

/// The head of one leg's request, ready to be written.
#[derive(Clone, Copy, Debug)]
pub struct LegRequest<'a> {
    /// What the client sent.
    pub forwarded: &'a Forwarded,
    /// Where it came from.
    pub client: IpAddr,
    /// The path of the backend's URL, which takes the place of the client's.
    pub fixed_path: Option<&'a str>,
    /// The key of this leg.
    pub key: LegKey,
    /// Subprotocols and compression.
    pub offer: LegOffer<'a>,
    /// Where the pipe stands.
    pub progress: Progress<'a>,
}

impl LegRequest<'_> {
    /// The whole head.
    pub fn to_bytes(&self) -> Vec<u8> {
        let forwarded = self.forwarded.heap_bytes();
        let mut out = Vec::with_capacity(forwarded + OWN_LINES_GUESS);
        self.write_request_line(&mut out);
        self.forwarded.write_lines(self.client, &mut out);
        out.extend_from_slice(b"Upgrade: websocket\r\nConnection: Upgrade\r\n");
        push_line(&mut out, "Sec-WebSocket-Version", b"13");
        push_line(&mut out, "Sec-WebSocket-Key", self.key.as_bytes());
        self.offer.write(&mut out);
        self.progress.write(&mut out);
        out.extend_from_slice(b"\r\n");
        out
    }

    fn write_request_line(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"GET ");
        match self.fixed_path {
            None => out.extend_from_slice(self.forwarded.target().as_bytes()),
            Some(path) => {
                out.extend_from_slice(path.as_bytes());
                if let Some(query) = self.forwarded.query() {
                    out.push(b'?');
                    out.extend_from_slice(query.as_bytes());
                }
            }
        }
        out.extend_from_slice(b" HTTP/1.1\r\n");
    }
}

impl LegOffer<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::First(request) => write_client_offer(request, out),
            Self::Again(agreed) => agreed.write_offer(out),
        }
    }
}

impl Agreed {
    fn write_offer(&self, out: &mut Vec<u8>) {
        if let Some(protocol) = &self.protocol {
            push_line(out, "Sec-WebSocket-Protocol", protocol.as_bytes());
        }
        if let Some(deflate) = &self.deflate {
            out.extend_from_slice(b"Sec-WebSocket-Extensions: ");
            deflate.write_offer(out);
            out.extend_from_slice(b"\r\n");
        }
    }
}

fn write_client_offer(request: &UpgradeRequest, out: &mut Vec<u8>) {
    for (name, value) in request.headers() {
        if name.eq_ignore_ascii_case("sec-websocket-protocol") {
            push_line(out, "Sec-WebSocket-Protocol", value);
        }
    }
    let mut separator: &[u8] = b"Sec-WebSocket-Extensions: ";
    for offer in request.deflate_offers() {
        out.extend_from_slice(separator);
        offer.write(out);
        separator = b", ";
    }
    if !request.deflate_offers().is_empty() {
        out.extend_from_slice(b"\r\n");
    }
}

impl Progress<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { session, leg, client_next, server_count } = self;
        push_line(out, "Everwire-Session", session.as_bytes());
        // Writing to a Vec cannot fail.
        let _ = write!(
            out,
            "Everwire-Leg: {leg}\r\nEverwire-Client-Next: {client_next}\r\n\
             Everwire-Server-Count: {server_count}\r\n"
        );
    }
}

/// The lines that the gateway adds, compression and session names included.
const OWN_LINES_GUESS: usize = 512;
