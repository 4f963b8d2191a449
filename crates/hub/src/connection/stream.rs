//! What a WebSocket is carried by, and how it is read and written.

use std::{any::Any, fmt, io};

use bytes::Bytes;
use tokio::net::{TcpStream, tcp::OwnedReadHalf};

use super::Link;
use crate::transport::carried::Carried;

/// An open stream.
pub(crate) enum Stream {
    /// A plain socket, which the shard writes to.
    Plain(TcpStream),
    /// A stream that only its task can use.
    Other(Box<dyn Carried>),
}

/// Where bytes come from.
pub(crate) enum Input {
    /// A socket that the shard writes to.
    Tcp(OwnedReadHalf),
    /// A stream that only the task can use.
    Carried(Box<dyn Carried>),
    /// Requests.
    Mail,
    /// Nowhere, or nowhere any more.
    Ended,
}

/// A socket with which the client of a session comes back.
pub(crate) struct Takeover {
    pub(crate) stream: Stream,
    /// The answer to its request, unless that has been given already.
    pub(crate) head: Bytes,
    pub(crate) read_ahead: Vec<u8>,
    pub(crate) guard: Option<Box<dyn Any + Send>>,
}

impl Stream {
    /// The two halves.
    pub(crate) fn split(self) -> (Input, Link) {
        match self {
            Self::Plain(stream) => {
                // A message is whole when it is written: there is nothing to wait for.
                let _ = stream.set_nodelay(true);
                let (read, write) = stream.into_split();
                (Input::Tcp(read), Link::Tcp(write))
            }
            Self::Other(stream) => (Input::Carried(stream), Link::Carried),
        }
    }

    /// The same in one piece, for who does not mind what it is.
    pub(crate) fn into_carried(self) -> Box<dyn Carried> {
        match self {
            Self::Plain(stream) => {
                let _ = stream.set_nodelay(true);
                Box::new(stream)
            }
            Self::Other(stream) => stream,
        }
    }

    /// The same on the runtime that this is called on: a client may come back on another shard than
    /// that of its session.
    pub(crate) fn moved_here(self) -> io::Result<Self> {
        match self {
            Self::Plain(stream) => Ok(Self::Plain(TcpStream::from_std(stream.into_std()?)?)),
            Self::Other(stream) => Ok(Self::Other(stream)),
        }
    }
}

impl fmt::Debug for Takeover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Takeover").finish_non_exhaustive()
    }
}
