//! The opening handshake, RFC 6455 section 4, as the gateway speaks it on both sides.
//!
//! The story. A client sends a head. [`HeadScan`] finds its end in work linear in its bytes, and
//! [`UpgradeRequest::parse`] decides whether it is a WebSocket request that no two parsers could
//! read differently; everything else is a [`Refusal`], answered without a backend seeing a byte.
//! What of the head may reach a backend is kept as a [`Forwarded`] for the pipe's life, because
//! every later leg repeats the handshake. [`LegRequest`] writes the head for one leg, and
//! [`LegWelcome::parse`] reads the answer: status, `Upgrade`, `Connection` and `Accept` must all be
//! right, the subprotocol and the compression must be what was offered. Only then is the client's
//! own 101 written, by [`client_response`].
//!
//! A connection may also carry requests that open no WebSocket: [`RequestScan`] judges those as
//! strictly, one head after the other, and follows their bodies to where the next one begins.
//!
//! Owned here: HTTP syntax, header lists, which headers cross which hop. Not here: sockets,
//! deadlines, which backend, and whether an `Origin` is welcome on a route.

mod answer;
mod body;
mod forwarded;
mod head;
mod headers;
mod key;
mod leg;
mod refusal;
mod request;
mod welcome;

pub use answer::client_response;
pub use body::{Body, BodyFraming};
pub use forwarded::{Forwarded, Scheme};
pub use head::{HeadError, HeadScan};
pub use headers::{HeaderLines, removable};
pub(super) use headers::{is_token, list, trim};
pub use key::LegKey;
pub use leg::{Agreed, LegOffer, LegRequest, Progress};
pub use refusal::Refusal;
pub use request::{
    RequestScan, UpgradeRequest, passes_to_backend, passes_to_client, speaks_of_websocket,
    wants_websocket,
};
pub use welcome::{LegRefusal, LegWelcome};

/// Longest request head that is read, in bytes: what nginx allows (4 buffers of 8 KiB), twice what
/// Node and HAProxy do. A longer one is answered 431.
pub const REQUEST_HEAD_MAX: usize = 32 * 1024;

/// Longest answer head that is read from a backend, in bytes. Twice the request's: a backend is
/// the operator's own, and may set many cookies.
pub const RESPONSE_HEAD_MAX: usize = 64 * 1024;

/// Most header fields in one head, as in Apache and HAProxy. More are answered 431.
pub const HEADERS_MAX: usize = 100;

/// Most subprotocols in one offer; more are answered 431.
pub const PROTOCOLS_MAX: usize = 64;

#[cfg(test)]
mod tests;
