//! How long things may take, and how much there may be of them.

use std::time::Duration;

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Silence after which the server is given up; it should be twice the server's keep-alive
    /// interval. Default: 30 s, as in the official clients.
    pub server_timeout: Duration,
    /// Silence of ours after which a ping is sent; servers wait for twice as long. Default: 15 s.
    pub keep_alive: Duration,
    /// How long it may take to dial a connection, access token and negotiation included, and as
    /// long again to shake hands. A transport gets a third of it to open while others are left to
    /// try. Default: 15 s, what the official server waits for a handshake.
    pub connect_timeout: Duration,
    /// How long a server may take to answer a request of the transports that live by them. A poll
    /// is repeated then, and the third such in a row is a loss of the connection; saying something
    /// is a loss at once. Should be longer than the server holds a poll, which by default is 90 s.
    /// Default: 100 s, as in the official clients.
    pub answer_timeout: Duration,
}

/// How much of everything there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest message from the server in bytes; a larger one is a loss of the connection.
    /// Default: 1 MiB, because servers may say more to a client than it to them.
    pub message_max: usize,
    /// Calls in flight, and also uploads; one more is refused. Default: 1024.
    pub calls_max: usize,
    /// Calls of the server that wait for handlers. Nothing is read while there are so many; if no
    /// handler finishes in the server timeout, the connection is closed. Default: 64, so that they
    /// hold at most 64 times `message_max` bytes.
    pub handler_queue_max: usize,
    /// Items of one stream that wait for whoever takes them. Nothing is read while there are so
    /// many; if none is taken in the server timeout, the stream is cancelled. Default: 64.
    pub stream_buffer_max: usize,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            server_timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(15),
            answer_timeout: Duration::from_secs(100),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { message_max: 1 << 20, calls_max: 1024, handler_queue_max: 64, stream_buffer_max: 64 }
    }
}
