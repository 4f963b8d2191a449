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
    cluster::{Claim, Mesh},
    config::Expiry,
    connection::{Begun, Connection, Link, Wire, stream::Input, task::Task},
    directory::Found,
    hub::Hub,
    id::ConnectionId,
    identity::Identity,
    outgoing::Outgoing,
    request::ClientRequest,
    shard::ShardHandle,
    ticket::{Home, Ticket},
};

/// A client, as one of its requests shows it.
#[derive(Debug)]
pub(crate) struct Visitor {
    pub(crate) hub: Hub,
    pub(crate) shard: Arc<ShardHandle>,
    pub(crate) request: ClientRequest,
    pub(crate) identity: Identity,
    /// What the client's token says.
    pub(crate) ticket: Result<Ticket, Detached>,
    pub(crate) way: Way,
}

/// How a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From its client.
    Direct,
    /// From another node, which is sure that it belongs here: it goes no further.
    Passed,
}

/// What a request attaches to.
#[derive(Debug)]
pub(crate) enum Attached {
    /// A connection that begins with it.
    New(Begun),
    /// One that is there.
    There(Arc<Connection>),
    /// One that lives at the node that is reached here.
    Elsewhere(Arc<str>),
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
    /// A client that may come in.
    pub(crate) fn new(
        hub: Hub,
        shard: Arc<ShardHandle>,
        request: ClientRequest,
        identity: Identity,
        way: Way,
    ) -> Self {
        let ticket = read_ticket(&hub, &request, &identity);
        Self { hub, shard, request, identity, ticket, way }
    }

    /// The node that issued the client's token, if it is another and may be asked.
    pub(crate) fn elsewhere(&self) -> Option<(&Arc<Mesh>, &str)> {
        let ticket = self.ticket.as_ref().ok()?;
        match self.hub.office().home(ticket) {
            Home::At(node) if self.way == Way::Direct => Some((self.hub.mesh()?, node)),
            _ => None,
        }
    }

    /// Another node where this client may begin, because this one drains.
    pub(crate) fn successor(&self) -> Option<(&Arc<Mesh>, Arc<str>)> {
        let node = self.hub.successor().filter(|_| self.way == Way::Direct)?;
        Some((self.hub.mesh()?, node))
    }

    /// What a request for a WebSocket attaches to, which may live at any node.
    pub(crate) async fn attach_anywhere(&self) -> Result<Attached, Detached> {
        let transport = Transport::WebSockets;
        if let Ok(ticket) = &self.ticket {
            // One that is about to move is where it is afterwards.
            self.hub.settled(ticket.id).await;
        }
        let attached = self.attach(transport);
        let (Err(Detached::Unknown), Ok(ticket)) = (&attached, &self.ticket) else {
            return match (&attached, self.successor()) {
                (Ok(Attached::New(_)) | Err(Detached::Stopping), Some((_, node)))
                    if self.ticket.is_err() =>
                {
                    Ok(Attached::Elsewhere(node))
                }
                _ => attached,
            };
        };
        let Some((mesh, home)) = self.elsewhere() else { return self.search(attached).await };
        if self.hub.is_draining() {
            // What begins, begins there.
            return Ok(Attached::Elsewhere(home.into()));
        }
        let token = self.hub.token_of(&self.request).unwrap_or_default();
        match mesh.claim(home, &token).await {
            Claim::Begin => {
                let Ticket { id, stateful_reconnect, .. } = *ticket;
                self.welcome(Begun { id, transport, stateful_reconnect })
            }
            Claim::At(node) if *node != *mesh.cluster.advertise() => Ok(Attached::Elsewhere(node)),
            Claim::At(_) | Claim::Nothing => self.search(attached).await,
        }
    }

    /// Where a session is that is not where it should be: it has moved, and the node that issued its
    /// token is gone, or does not know.
    pub(crate) async fn search(
        &self,
        attached: Result<Attached, Detached>,
    ) -> Result<Attached, Detached> {
        let Ok(ticket) = &self.ticket else { return attached };
        if self.way == Way::Passed || ticket.stateful_reconnect == StatefulReconnect::Off {
            return attached;
        }
        match self.hub.search(ticket.id).await {
            Some(node) => Ok(Attached::Elsewhere(node)),
            None => attached,
        }
    }

    /// What a request that may begin a connection attaches to.
    pub(crate) fn attach(&self, transport: Transport) -> Result<Attached, Detached> {
        if !self.hub.config().transports.contains(&transport) {
            return Err(Detached::Disabled(transport));
        }
        let ticket = match &self.ticket {
            Ok(ticket) => ticket,
            // A WebSocket needs no second request, and so no name that was agreed on before.
            Err(Detached::NoId) if transport == Transport::WebSockets => {
                let (id, stateful_reconnect) = (ConnectionId::random(), StatefulReconnect::Off);
                return self.welcome(Begun { id, transport, stateful_reconnect });
            }
            Err(detached) => return Err(*detached),
        };
        if self.hub.office().home(ticket) != Home::Here {
            // It has been here, and moved.
            if let Some(node) = self.hub.directory().away(ticket.id)
                && transport == Transport::WebSockets
            {
                return match self.way {
                    Way::Direct => Ok(Attached::Elsewhere(node)),
                    Way::Passed => Err(Detached::Unknown),
                };
            }
            return match self.find()? {
                there if there.transport != transport => Err(Detached::OtherTransport),
                there => Ok(Attached::There(there)),
            };
        }
        match self.hub.directory().attach(ticket, clock::now()) {
            Found::Nothing => Err(Detached::Unknown),
            Found::Away(_) if transport != Transport::WebSockets => Err(Detached::OtherTransport),
            // It is not where another node has just found it to be.
            Found::Away(_) if self.way == Way::Passed => Err(Detached::Unknown),
            Found::Away(node) => Ok(Attached::Elsewhere(node)),
            Found::New => {
                let Ticket { id, stateful_reconnect, .. } = *ticket;
                self.welcome(Begun { id, transport, stateful_reconnect })
            }
            Found::Live(there) if there.transport != transport => Err(Detached::OtherTransport),
            Found::Live(there) => self.admitted(there).map(Attached::There),
        }
    }

    fn welcome(&self, begun: Begun) -> Result<Attached, Detached> {
        match self.hub.refuses_new_clients() {
            true => Err(Detached::Stopping),
            false => Ok(Attached::New(begun)),
        }
    }

    /// The connection that a request for one that is there names.
    pub(crate) fn find(&self) -> Result<Arc<Connection>, Detached> {
        let ticket = self.ticket.as_ref().map_err(|detached| *detached)?;
        match self.hub.directory().find(ticket.id) {
            Some(there) => self.admitted(there),
            // Only WebSockets live elsewhere than where their token was issued.
            None if self.hub.directory().is_away(ticket.id) => Err(Detached::OtherTransport),
            None => Err(Detached::Unknown),
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
            Attached::Elsewhere(_) => Err(Detached::OtherTransport),
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
        let Self { hub, shard, request, identity, .. } = self;
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

/// What the token says that a request names, if it is of use to this client.
fn read_ticket(
    hub: &Hub,
    request: &ClientRequest,
    identity: &Identity,
) -> Result<Ticket, Detached> {
    let token = hub.token_of(request).ok_or(Detached::NoId)?;
    let ticket = hub.office().read(&token).ok_or(Detached::Unknown)?;
    if !ticket.is_of(identity.user.as_ref()) {
        return Err(Detached::OtherUser);
    }
    Ok(ticket)
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
