//! What a pipe wants done with its sockets.

/// What to do with a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketWish {
    /// There is none, or it is to be dropped.
    Drop,
    /// Reset it: nothing sent to it, and nothing in it, counts any more.
    Reset,
    /// Keep it, and read from it if asked to.
    Keep {
        /// Whether to read.
        read: bool,
    },
    /// End our half once everything is written, and read on.
    Finish,
}

impl SocketWish {
    /// Whether the socket is read from.
    pub const fn reads(self) -> bool {
        matches!(self, Self::Keep { read: true } | Self::Finish)
    }
}

/// How to dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DialWish {
    /// The pipe's oldest message is suspected of ending backends: one such pipe at a time.
    pub alone: bool,
}
