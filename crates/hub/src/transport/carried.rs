//! A stream that is not a plain socket, such as one with TLS: its task alone reads and writes it.

use std::{
    io::IoSlice,
    pin::Pin,
    task::{Context, Poll},
};

use everwire_proto::time::Time;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{connection::Wire, end::End};

/// Any stream of bytes.
pub(crate) trait Carried: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Carried for S {}

/// Writes what waits, and flushes it.
pub(crate) fn poll_write(
    stream: &mut (impl Carried + ?Sized),
    wire: &mut Wire,
    cx: &mut Context<'_>,
    now: Time,
) {
    while !wire.outgoing.is_empty() {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let count = wire.outgoing.slices(&mut slices);
        match Pin::new(&mut *stream).poll_write_vectored(cx, &slices[..count]) {
            Poll::Pending => return,
            Poll::Ready(Ok(count)) if count > 0 => {
                wire.outgoing.wrote(count);
                wire.pulse.sent(now, !wire.outgoing.is_empty());
            }
            Poll::Ready(_) => return wire.ask(End::Vanished),
        }
    }
    if let Poll::Ready(Err(_)) = Pin::new(stream).poll_flush(cx) {
        wire.ask(End::Vanished);
    }
}

/// Slices of one write.
const SLICES_MAX: usize = 16;
