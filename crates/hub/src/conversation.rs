//! What a client says, from its first byte: the handshake, then hub messages. Pure.

use everwire_proto::signalr::{
    Protocol, ReadError, Reader,
    handshake::{HandshakeError, HandshakeReader, Spoken},
    message::HubMessage,
    negotiate::Transport,
};

/// What has been understood so far of what a client says.
#[derive(Debug)]
pub(crate) enum Conversation {
    /// The client has not said what it speaks.
    Handshake(HandshakeReader),
    /// It speaks.
    Open(Reader),
}

/// What a client has said.
#[derive(Debug)]
pub(crate) enum Said {
    /// How it speaks.
    Hello(Spoken),
    /// A message.
    Message(HubMessage),
}

/// Why nothing more can be understood: the client's fault.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Misunderstood {
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error("InvalidDataException: {0}")]
    Message(#[from] ReadError),
}

impl Conversation {
    pub(crate) fn new() -> Self {
        Self::Handshake(HandshakeReader::default())
    }

    /// The conversation of a client whose handshake another node has had.
    pub(crate) fn open(protocol: Protocol, message_max: usize) -> Self {
        Self::Open(Reader::new(protocol, message_max))
    }

    /// The client says everything anew that was not whole, on another socket.
    pub(crate) fn begin_again(&mut self, message_max: usize) {
        if let Self::Open(reader) = self {
            *reader = Reader::new(reader.protocol(), message_max);
        }
    }

    /// Reads on from `input`, which is advanced; `None` once all of it is used.
    pub(crate) fn next(
        &mut self,
        input: &mut &[u8],
        transport: Transport,
        message_max: usize,
    ) -> Result<Option<Said>, Misunderstood> {
        match self {
            Self::Handshake(reader) => {
                let Some(request) = reader.request(input)? else { return Ok(None) };
                let spoken = request.agree(transport.transfer_formats())?;
                *self = Self::Open(Reader::new(spoken.protocol, message_max));
                Ok(Some(Said::Hello(spoken)))
            }
            Self::Open(reader) => Ok(reader.next(input)?.map(Said::Message)),
        }
    }
}
