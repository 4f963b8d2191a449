//! Messages for the same receivers, laid out for one write.

use std::{
    io::{self, IoSlice},
    sync::Arc,
};

use everwire_proto::signalr::Protocol;
use tokio::net::tcp::OwnedWriteHalf;

use crate::frames::{Frames, Framing, Speech};

/// Messages in a row for the same receivers.
pub(crate) struct Batch<'a> {
    messages: &'a [Arc<Frames>],
    /// By protocol, each laid out for the first receiver who speaks it.
    runs: [Option<Run<'a>>; 2],
}

/// The frames of a batch as WebSockets carry them.
pub(crate) struct Run<'a> {
    slices: Vec<IoSlice<'a>>,
    pub(crate) length: usize,
}

impl<'a> Batch<'a> {
    pub(crate) const fn new(messages: &'a [Arc<Frames>]) -> Self {
        Self { messages, runs: [None, None] }
    }

    pub(crate) const fn messages(&self) -> &'a [Arc<Frames>] {
        self.messages
    }

    pub(crate) fn run(&mut self, protocol: Protocol) -> &Run<'a> {
        let messages = self.messages;
        self.runs[protocol as usize].get_or_insert_with(|| Run::new(messages, protocol))
    }
}

impl<'a> Run<'a> {
    fn new(messages: &'a [Arc<Frames>], protocol: Protocol) -> Self {
        let speech = Speech { protocol, framing: Framing::WebSocket };
        let frames = messages.iter().filter_map(|message| message.bytes(speech));
        let slices: Vec<_> = frames.map(|frame| IoSlice::new(frame)).collect();
        let length = slices.iter().map(|slice| slice.len()).sum();
        Self { slices, length }
    }

    /// Writes as much as the socket takes at once.
    pub(crate) fn write(&self, socket: &OwnedWriteHalf) -> io::Result<usize> {
        let written = match &*self.slices {
            [] => return Ok(0),
            [slice] => socket.try_write(slice),
            slices => socket.try_write_vectored(slices),
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            written => written,
        }
    }
}
