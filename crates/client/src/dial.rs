//! From an address to a WebSocket: negotiate, follow redirects, open, and open again.

use std::{fmt::Write, sync::Arc};

use everwire_proto::signalr::negotiate::{
    NegotiateRequest, NegotiateResponse, NegotiateVersion, Negotiated, REDIRECTS_MAX, Secret,
    StatefulReconnect, Transport,
};
use everwire_socket::{
    handshake,
    message::{MessageSocket, SocketConfig},
};
use http::{HeaderMap, HeaderValue, header};
use tokio::net::TcpStream;

use crate::{
    address::Address,
    error::ConnectError,
    http::{connect, post},
    session::Linked,
    state::ConnectionId,
    token::AccessToken,
};

/// Dials the connections of one client.
#[derive(Debug)]
pub(crate) struct Dialer {
    pub(crate) address: Address,
    pub(crate) headers: HeaderMap,
    pub(crate) token: AccessToken,
    /// Whether to negotiate, and what for.
    pub(crate) negotiation: Negotiation,
    pub(crate) socket: SocketConfig,
}

/// What is asked for before a connection is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Negotiation {
    /// Nothing: the server is known to have WebSockets.
    Skipped,
    /// Transports, and whether the server keeps sessions.
    Asked(StatefulReconnect),
}

/// A WebSocket of the client.
pub(crate) type Socket = MessageSocket<TcpStream>;

/// A connection that is open and has no handshake yet.
#[derive(Debug)]
pub(crate) struct Dialled {
    pub(crate) socket: Socket,
    pub(crate) linked: Linked,
    pub(crate) route: Route,
}

/// How to attach another socket to a session.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    address: Address,
    id: Option<Secret>,
    token: AccessToken,
}

impl Dialer {
    /// Dials a new connection, from the beginning.
    pub(crate) async fn dial(&self) -> Result<Dialled, ConnectError> {
        let (address, token) = (self.address.clone(), self.token.clone());
        let Negotiation::Asked(stateful_reconnect) = self.negotiation else {
            let route = Route { address, id: None, token };
            let linked = Linked { connection_id: None, is_stateful: false };
            return Ok(Dialled { socket: self.attach(&route).await?, linked, route });
        };
        let asked = NegotiateRequest { version: NegotiateVersion::One, stateful_reconnect };
        let (negotiated, mut route) = self.negotiate(&asked, address, token).await?;
        if !negotiated.transports.contains(&Transport::WebSockets) {
            return Err(ConnectError::NoWebSockets);
        }
        route.id = Some(Secret(negotiated.id().into()));
        let linked = Linked {
            connection_id: Some(ConnectionId::new(&negotiated.connection_id)),
            is_stateful: negotiated.stateful_reconnect == StatefulReconnect::On,
        };
        Ok(Dialled { socket: self.attach(&route).await?, linked, route })
    }

    /// Opens a WebSocket for a connection that is negotiated, for the first time or again.
    pub(crate) async fn attach(&self, route: &Route) -> Result<Socket, ConnectError> {
        let Route { address, id, token } = route;
        let stream = connect(address).await?;
        let target = address.connection(id.as_ref().map(|id| &*id.0));
        let headers = lines(&self.headers(token).await?);
        handshake::connect(stream, &address.authority(), &target, &headers, self.socket)
            .await
            .map_err(|why| ConnectError::WebSocket(Arc::new(why)))
    }

    async fn negotiate(
        &self,
        asked: &NegotiateRequest,
        mut address: Address,
        mut token: AccessToken,
    ) -> Result<(Negotiated, Route), ConnectError> {
        for _ in 0..=REDIRECTS_MAX {
            let body = post(&address.negotiation(asked), self.headers(&token).await?).await?;
            let answer = NegotiateResponse::parse(&body, asked)
                .map_err(|why| ConnectError::Negotiation(Arc::new(why)))?;
            match answer {
                NegotiateResponse::Connect(negotiated) => {
                    return Ok((negotiated, Route { address, id: None, token }));
                }
                NegotiateResponse::Redirect { url, access_token } => {
                    address = Address::parse(&url)?;
                    token = access_token.map_or(token, AccessToken::Value);
                }
                NegotiateResponse::Error(error) => return Err(ConnectError::Refused(error)),
            }
        }
        Err(ConnectError::Redirects)
    }

    async fn headers(&self, token: &AccessToken) -> Result<HeaderMap, ConnectError> {
        let mut headers = self.headers.clone();
        headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(USER_AGENT));
        if let Some(authorization) = token.authorization().await? {
            headers.insert(header::AUTHORIZATION, authorization);
        }
        Ok(headers)
    }
}

/// Header lines as an opening handshake has them. Values that are not text were refused before.
fn lines(headers: &HeaderMap) -> String {
    headers.iter().fold(String::new(), |mut lines, (name, value)| {
        // Text takes whatever is written to it.
        let _ = write!(lines, "{name}: {}\r\n", value.to_str().unwrap_or_default());
        lines
    })
}

const USER_AGENT: &str = concat!("everwire-client/", env!("CARGO_PKG_VERSION"));
