//! Which connection a request belongs to.

use std::sync::Arc;

use everwire_proto::{
    signalr::negotiate::{StatefulReconnect, Transport},
    time::Time,
};
use http::{Response, StatusCode};

use super::{body::HubBody, reply};
use crate::{
    clock,
    config::Expiry,
    connection::{Begun, Connection, Link, Wire, stream::Input, task::Task},
    directory::{Found, Pending},
    hub::Hub,
    id::{ConnectionId, Token},
    identity::Identity,
    outgoing::Outgoing,
    request::ClientRequest,
    shard::ShardHandle,
};

/// A client, as one of its requests shows it.
#[derive(Debug)]
pub(crate) struct Visitor {
    pub(crate) hub: Hub,
    pub(crate) shard: Arc<ShardHandle>,
    pub(crate) request: ClientRequest,
    pub(crate) identity: Identity,
}

/// What a request attaches to.
#[derive(Debug)]
pub(crate) enum Attached {
    /// A connection that begins with it.
    New(Begun),
    /// One that is there.
    There(Arc<Connection>),
}

/// Why a request attaches to nothing: the client's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detached {
    /// The hub does not offer this transport.
    Disabled(Transport),
    /// The request names no connection.
    NoId,
    /// There is no such connection.
    Unknown,
    /// The connection has another transport.
    OtherTransport,
    /// The connection is somebody else's.
    OtherUser,
    /// The connection has what it needs.
    Active,
    /// The hub takes no more clients.
    Stopping,
    /// The rest of the request does not come.
    Late,
}

impl Visitor {
    /// What a request that may begin a connection attaches to.
    pub(crate) fn attach(&self, transport: Transport) -> Result<Attached, Detached> {
        if !self.hub.config().transports.contains(&transport) {
            return Err(Detached::Disabled(transport));
        }
        let Some(id) = self.request.parameter("id") else {
            // A WebSocket needs no second request, and so no name that was agreed on before.
            return match transport {
                Transport::WebSockets if self.hub.refuses_new_clients() => Err(Detached::Stopping),
                Transport::WebSockets => {
                    let secret = Some(rand::random());
                    let token = Token { id: ConnectionId::random(), secret };
                    let stateful_reconnect = StatefulReconnect::Off;
                    Ok(Attached::New(Begun { token, transport, stateful_reconnect }))
                }
                _ => Err(Detached::NoId),
            };
        };
        let token = Token::parse(&id).ok_or(Detached::Unknown)?;
        match self.hub.directory().claim(&token) {
            Found::Nothing => Err(Detached::Unknown),
            Found::Pending(_) if self.hub.refuses_new_clients() => Err(Detached::Stopping),
            Found::Pending(Pending { token, stateful_reconnect, .. }) => {
                Ok(Attached::New(Begun { token, transport, stateful_reconnect }))
            }
            Found::Live(there) if there.transport != transport => Err(Detached::OtherTransport),
            Found::Live(there) => self.admitted(there).map(Attached::There),
        }
    }

    /// The connection that a request for one that is there names.
    pub(crate) fn find(&self) -> Result<Arc<Connection>, Detached> {
        let id = self.request.parameter("id").ok_or(Detached::NoId)?;
        let token = Token::parse(&id).ok_or(Detached::Unknown)?;
        match self.hub.directory().look(&token) {
            Found::Live(there) => self.admitted(there),
            Found::Pending(_) | Found::Nothing => Err(Detached::Unknown),
        }
    }

    /// The connection that a request brings something for. Who speaks before it listens is about to
    /// poll: with the other transports a client hears first that they are open.
    pub(crate) fn find_or_begin(self) -> Result<Arc<Connection>, Detached> {
        match self.find() {
            Err(Detached::Unknown) => {}
            found => return found,
        }
        match self.attach(Transport::LongPolling).map_err(|_| Detached::Unknown)? {
            Attached::There(there) => Ok(there),
            Attached::New(begun) => {
                let connection = self.begin(begun);
                connection.wire().pulse.left_alone(clock::now());
                Ok(connection)
            }
        }
    }

    /// Begins a connection that is made of requests.
    pub(crate) fn begin(self, begun: Begun) -> Arc<Connection> {
        let mut wire = Wire::new(Link::Carried, Outgoing::default(), clock::now());
        wire.pulse.expire(self.expires());
        let Self { hub, shard, request, identity } = self;
        let connection = Connection::new(begun, identity, request, shard, wire);
        let connection = Arc::new(connection);
        hub.directory().insert(Arc::clone(&connection));
        let task = Task::new(hub, Arc::clone(&connection), Input::Mail, None);
        connection.shard.tasks.spawn(task);
        connection
    }

    /// When a connection of this client's is to end because of who it is.
    pub(crate) fn expires(&self) -> Option<Time> {
        let expires = self.identity.expires.filter(|_| self.hub.config().expiry == Expiry::Closes);
        expires.map(|moment| clock::now() + clock::until(moment))
    }

    fn admitted(&self, there: Arc<Connection>) -> Result<Arc<Connection>, Detached> {
        if there.identity.user != self.identity.user {
            return Err(Detached::OtherUser);
        }
        there.wire().pulse.expire(self.expires());
        Ok(there)
    }
}

impl Detached {
    pub(crate) fn answer(self) -> Response<HubBody> {
        let (status, why) = match self {
            Self::Disabled(transport) => (StatusCode::NOT_FOUND, disabled(transport)),
            Self::NoId => (StatusCode::BAD_REQUEST, "Connection ID required"),
            Self::Unknown => (StatusCode::NOT_FOUND, "No Connection with that ID"),
            Self::OtherTransport => {
                (StatusCode::BAD_REQUEST, "Cannot change transports mid-connection")
            }
            Self::OtherUser => (StatusCode::FORBIDDEN, ""),
            Self::Active => (StatusCode::CONFLICT, ""),
            Self::Late => (StatusCode::REQUEST_TIMEOUT, "The rest of the request did not come."),
            Self::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "The hub stops."),
        };
        reply::text(status, why)
    }
}

const fn disabled(transport: Transport) -> &'static str {
    match transport {
        Transport::WebSockets => "WebSockets transport not supported by this end point type",
        Transport::ServerSentEvents => {
            "ServerSentEvents transport not supported by this end point type"
        }
        Transport::LongPolling => "LongPolling transport not supported by this end point type",
    }
}
