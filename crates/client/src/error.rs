//! What can go wrong, one small enum for each thing that is done. Each variant says whose fault it
//! is: the server's (the peer), the application's, or the network's.

use std::{error::Error, io, sync::Arc, time::Duration};

use everwire_proto::signalr::{
    ReadError, TransferFormat, handshake,
    negotiate::{self, REDIRECTS_MAX, Transport},
    payload::{DecodeError, EncodeError},
    reconnect::SequenceError,
};

/// Why an address is no hub's: the application's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is no absolute address, or names a user.
    #[error("not the address of a hub: it must be like http://host:port/path")]
    Malformed,
    /// It begins with something else than `http`, `https`, `ws` or `wss`.
    #[error("a hub is reached by http, https, ws or wss, not by {0}")]
    Scheme(Box<str>),
}

/// Why there is no connection.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectError {
    /// The application's, or the server's where it redirects: the address is no hub's.
    #[error("{0}")]
    Address(#[from] AddressError),
    /// The application's: a header or an access token has characters that no header may have.
    #[error("{0} is not fit for an HTTP header")]
    Header(Box<str>),
    /// The application's: its source of access tokens failed.
    #[error("no access token: {0}")]
    Token(#[source] Arc<dyn Error + Send + Sync>),
    /// The network's: nobody answers at this address, or the connection broke.
    #[error("no connection to {address}: {source}")]
    Unreachable {
        /// Host and port.
        address: Box<str>,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// The application's or the system's: the certificates that are to vouch for servers are of no
    /// use, or there are none.
    #[error("no certificates to trust: {0}")]
    Certificates(Box<str>),
    /// The server's or the network's: no TLS with this server, because nobody trusted vouches for its
    /// certificate, it is another's, or there is no version in common.
    #[error("no TLS with {address}: {source}")]
    Tls {
        /// Host and port.
        address: Box<str>,
        /// What is wrong.
        source: Arc<io::Error>,
    },
    /// The network's or the server's: this step took longer than allowed.
    #[error("{step} took longer than {limit:?}")]
    Timeout {
        /// What was waited for.
        step: &'static str,
        /// How long.
        limit: Duration,
    },
    /// The server's: it does not speak HTTP, or its answer is cut short or too long.
    #[error("no answer to a request: {0}")]
    Http(#[source] Arc<dyn Error + Send + Sync>),
    /// The server's: it answers a request with this status.
    #[error("the server answered with status {0}")]
    Status(u16),
    /// The server's: its answer to the negotiation is not one.
    #[error("{0}")]
    Negotiation(#[source] Arc<negotiate::ResponseError>),
    /// The server's: it answers the negotiation with this error.
    #[error("the server refused the negotiation: {0}")]
    Refused(Box<str>),
    /// The server's: it sends the client round in circles.
    #[error("a request was redirected more than {REDIRECTS_MAX} times")]
    Redirects,
    /// The server's or the application's: none of the transports that the server offers works; an
    /// entry for each of them.
    #[error("{}", no_transport(.0))]
    Transports(Arc<[TransportError]>),
    /// The application's: only a WebSocket needs no negotiation, and it wants none.
    #[error("Negotiation can only be skipped when using the WebSocket transport directly.")]
    NegotiationNeeded,
    /// The server's: it does not open the WebSocket.
    #[error("no WebSocket: {0}")]
    WebSocket(#[source] Arc<everwire_socket::handshake::HandshakeError>),
    /// The server's: what it answers is no stream of events.
    #[error("the answer is not of type text/event-stream")]
    NoEvents,
    /// The server's: it refuses the SignalR handshake.
    #[error("Server returned handshake error: {0}")]
    Handshake(Box<str>),
    /// The server's: its answer to the handshake is none.
    #[error("{0}")]
    HandshakeAnswer(#[from] handshake::ResponseError),
    /// The network's or the server's: the connection ended before the handshake was answered.
    #[error("connection lost before the handshake was answered: {0}")]
    Lost(Loss),
    /// The application's: it stopped the connection meanwhile.
    #[error("the connection was stopped")]
    Stopped,
}

/// Why a transport that the server offers was not used. The texts are the official clients'.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TransportError {
    /// The application's choice: it does not want this transport.
    #[error("'{}' is disabled by the client.", .0.name())]
    Disabled(Transport),
    /// The application's choice: its protocol is nothing that this transport carries.
    #[error("'{}' does not support {}.", .0.name(), .1.name())]
    Format(Transport, TransferFormat),
    /// It could not be opened.
    #[error("{} failed: {error}", .transport.name())]
    Failed {
        /// The transport.
        transport: Transport,
        /// Why not.
        error: ConnectError,
    },
}

/// How a connection that was open was lost. Another may take its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// The network's: the socket, the events or the polls ended or broke.
    #[error("{0}")]
    Socket(Arc<str>),
    /// The server's or the network's: nothing came for the server timeout.
    #[error("Server timeout elapsed without receiving a message from the server.")]
    ServerTimeout,
    /// The server's: it asks its clients to connect again.
    #[error("{}", closed_by_server(.error.as_deref()))]
    Server {
        /// Why, if it is for an error.
        error: Option<Box<str>>,
    },
    /// The server's: it said something that is no message.
    #[error("{0}")]
    Read(ReadError),
    /// The server's: it left messages of the session out.
    #[error("{0}")]
    Sequence(SequenceError),
    /// The server's: it acknowledged a message that was never sent.
    #[error("the server acknowledged a message that was never sent")]
    NeverSent,
}

/// Why a connection is closed for good.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CloseReason {
    /// The application stopped it, or dropped it.
    #[error("the connection was stopped")]
    Stopped,
    /// The server closed it.
    #[error("{}", closed_by_server(.error.as_deref()))]
    Server {
        /// Why, if it is for an error.
        error: Option<Box<str>>,
    },
    /// It was lost, and the policy is not to reconnect.
    #[error("connection lost: {0}")]
    Lost(Loss),
    /// It was lost, and no attempt to replace it succeeded.
    #[error("connection lost: {loss}; gave up after {attempts} attempts, the last: {last}")]
    GaveUp {
        /// How it was lost.
        loss: Loss,
        /// How many attempts were made.
        attempts: u32,
        /// What became of the last.
        last: ConnectError,
    },
    /// The application's fault: the queue of its handlers was full and none of them finished in the
    /// server timeout.
    #[error("handlers took longer than {0:?} while their queue was full")]
    HandlersStalled(Duration),
    /// The application's fault: a handler panicked.
    #[error("a handler panicked")]
    HandlerPanicked,
    /// There never was a connection.
    #[error("{0}")]
    NeverConnected(ConnectError),
}

/// Why something was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The application's: an argument cannot be encoded.
    #[error("{0}")]
    Encode(#[from] EncodeError),
    /// The application's: the method has no name.
    #[error("the name of a method is empty")]
    NoTarget,
    /// The application's: more upload streams than a call may have.
    #[error("a call has more than {0} upload streams")]
    TooManyStreams(usize),
    /// The application's: so many calls are unanswered, or so many uploads unfinished.
    #[error("{0} calls or uploads are in flight")]
    TooManyCalls(usize),
    /// The network's: there is no connection at the moment.
    #[error("Cannot send data if the connection is not in the 'Connected' State.")]
    NotConnected,
    /// The connection is closed for good.
    #[error("the connection is closed")]
    Closed,
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// It was not sent.
    #[error("{0}")]
    Send(#[from] SendError),
    /// The server's: the method failed, in its words.
    #[error("{0}")]
    Server(Box<str>),
    /// The server's or the application's: the result is of another type.
    #[error("the result is not of the type that was asked for: {}", shown(.0))]
    Decode(#[from] DecodeError),
    /// The network's: the connection was lost before the answer came. The server may have done what
    /// it was asked.
    #[error("Invocation canceled due to the underlying connection being closed.")]
    Lost,
    /// The application's: it took no item of a stream for this long while the stream's buffer was
    /// full, and the stream was cancelled.
    #[error("no item of the stream was taken for {0:?}")]
    Overrun(Duration),
}

fn no_transport(tried: &[TransportError]) -> String {
    if tried.is_empty() {
        let none = "None of the transports supported by the client are supported by the server.";
        return none.to_owned();
    }
    let tried: Vec<String> = tried.iter().map(ToString::to_string).collect();
    let any = "Unable to connect to the server with any of the available transports.";
    format!("{any} {}", tried.join(" "))
}

fn closed_by_server(error: Option<&str>) -> String {
    match error {
        Some(error) => format!("Server returned an error on close: {error}"),
        None => "the server closed the connection".to_owned(),
    }
}

/// What a decoder says of a value, without the text that is meant for hubs.
fn shown(error: &DecodeError) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}
