//! The view of those who look at frames: bytes in through a shared buffer, bytes out from slices.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

thread_local! {
    /// The buffer that all sockets of a thread read into, so that an idle socket holds none.
    static SHARED: RefCell<Box<[u8]>> = RefCell::new(vec![0; SHARED_SIZE].into_boxed_slice());
}

/// One end of a connection.
#[derive(Debug)]
pub struct ByteSocket<S> {
    stream: S,
    finished: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> ByteSocket<S> {
    /// A socket over an open stream.
    pub const fn new(stream: S) -> Self {
        Self { stream, finished: false }
    }

    /// The stream beneath.
    pub const fn stream(&self) -> &S {
        &self.stream
    }

    /// Reads once into the thread's buffer and hands what came to `handle`; gives how many bytes
    /// there were, 0 at the end of the stream. `handle` must not read from another socket.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        handle: impl FnOnce(&[u8]),
    ) -> Poll<io::Result<usize>> {
        poll_read(&mut self.stream, cx, |bytes| handle(bytes))
    }

    /// Writes the first [`SLICES_MAX`] slices at once; gives how many bytes were accepted.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[&[u8]],
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.stream);
        if let [slice] = slices {
            return stream.poll_write(cx, slice);
        }
        let mut vectored = [IoSlice::new(&[]); SLICES_MAX];
        let count = slices.len().min(SLICES_MAX);
        for (place, slice) in vectored.iter_mut().zip(slices) {
            *place = IoSlice::new(slice);
        }
        stream.poll_write_vectored(cx, &vectored[..count])
    }

    /// Ends our half of the connection, once; an error shows when the other half is read.
    pub fn poll_finish(&mut self, cx: &mut Context<'_>) {
        if !self.finished {
            self.finished = Pin::new(&mut self.stream).poll_shutdown(cx).is_ready();
        }
    }
}

/// Reads once from a stream, as [`ByteSocket::poll_read`] does, for who keeps its halves apart and
/// unmasks in place.
///
/// # Errors
/// Those of the stream.
pub fn poll_read(
    stream: &mut (impl AsyncRead + Unpin + ?Sized),
    cx: &mut Context<'_>,
    handle: impl FnOnce(&mut [u8]),
) -> Poll<io::Result<usize>> {
    SHARED.with_borrow_mut(|buffer| {
        let mut read = ReadBuf::new(buffer);
        ready!(Pin::new(stream).poll_read(cx, &mut read))?;
        let count = read.filled().len();
        if count > 0 {
            handle(read.filled_mut());
        }
        Poll::Ready(Ok(count))
    })
}

/// Slices of one write: some messages, a control frame, more messages.
pub const SLICES_MAX: usize = 8;
/// Larger than a usual burst: a read that leaves room tells the runtime that the socket is empty,
/// which saves the read that would find that out.
const SHARED_SIZE: usize = 64 * 1024;
