//! From an address to a transport: negotiate, follow redirects, choose, open, and open again.

use std::{
    fmt::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use everwire_proto::signalr::{
    TransferFormat,
    negotiate::{
        NegotiateRequest, NegotiateResponse, NegotiateVersion, Negotiated, REDIRECTS_MAX,
        RESPONSE_MAX, Secret, StatefulReconnect, Transport,
    },
};
use everwire_socket::{handshake, message::SocketConfig};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use tokio::time::timeout;

use crate::{
    address::Address,
    carrier::{Carrier, RequestLimits, Requests, Socket},
    choice::Choice,
    error::ConnectError,
    http::{Ask, Lane, Reach, body, checked},
    net::connect,
    session::{Linked, Upkeep},
    site::Site,
    state::ConnectionId,
    token::{AccessToken, TokenPlace, bearer},
};

/// Dials the connections of one client.
#[derive(Debug)]
pub(crate) struct Dialer {
    pub(crate) address: Address,
    pub(crate) headers: HeaderMap,
    pub(crate) token: AccessToken,
    pub(crate) token_place: TokenPlace,
    pub(crate) reach: Arc<Reach>,
    /// Whether to negotiate, and what for.
    pub(crate) negotiation: Negotiation,
    /// The transports that the application wants.
    pub(crate) transports: Vec<Transport>,
    /// What a transport must carry.
    pub(crate) format: TransferFormat,
    /// How long a transport may take to open while there are others to try.
    pub(crate) attempt_max: Duration,
    pub(crate) socket: SocketConfig,
    pub(crate) requests: RequestLimits,
}

/// What is asked for before a connection is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Negotiation {
    /// Nothing: the server is known to have WebSockets.
    Skipped,
    /// Transports, and whether the server keeps sessions.
    Asked(StatefulReconnect),
}

/// A connection that is open and has no handshake yet.
#[derive(Debug)]
pub(crate) struct Dialled {
    pub(crate) carrier: Carrier,
    pub(crate) linked: Linked,
    pub(crate) route: Route,
}

/// How to attach to a session, for the first time or with another socket.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    address: Address,
    token: AccessToken,
    /// The token that the negotiation was made with.
    bearer: Option<HeaderValue>,
    id: Option<Secret>,
}

impl Dialer {
    /// Dials a new connection, from the beginning.
    pub(crate) async fn dial(&self) -> Result<Dialled, ConnectError> {
        match self.negotiation {
            Negotiation::Skipped => self.dial_unasked().await,
            Negotiation::Asked(stateful_reconnect) => {
                let version = NegotiateVersion::One;
                self.dial_as_agreed(&NegotiateRequest { version, stateful_reconnect }).await
            }
        }
    }

    /// Opens a WebSocket for a connection that is negotiated, for the first time or again.
    pub(crate) async fn attach(&self, route: &Route) -> Result<Socket, ConnectError> {
        let mut address = route.address();
        let mut headers = self.headers();
        match (route.token.provide().await?, self.token_place) {
            (None, _) => {}
            (Some(token), TokenPlace::Query) => address = address.with("access_token", &token.0),
            (Some(token), TokenPlace::Header) => {
                headers.insert(header::AUTHORIZATION, bearer(&token)?);
            }
        }
        self.reach.cookies().give(&address, &mut headers);
        let stream = connect(&address, &self.reach.trust).await?;
        let (host, target) = (address.authority(), address.target());
        handshake::connect(stream, &host, &target, &lines(&headers), self.socket)
            .await
            .map_err(|why| ConnectError::WebSocket(Arc::new(why)))
    }

    async fn dial_unasked(&self) -> Result<Dialled, ConnectError> {
        if !self.transports.contains(&Transport::WebSockets) {
            return Err(ConnectError::NegotiationNeeded);
        }
        let (address, token) = (self.address.clone(), self.token.clone());
        let route = Route { address, token, bearer: None, id: None };
        let carrier = Carrier::WebSocket(Box::new(self.attach(&route).await?));
        let linked = Linked { connection_id: None, upkeep: Upkeep::Pinged };
        Ok(Dialled { carrier, linked, route })
    }

    async fn dial_as_agreed(&self, asked: &NegotiateRequest) -> Result<Dialled, ConnectError> {
        let (address, token) = (self.address.clone(), self.token.clone());
        let (mut negotiated, mut route) = self.negotiate(asked, address, token).await?;
        let mut choice = Choice::new(&negotiated.transports, &self.transports, self.format);
        let mut next = choice.next();
        while let Some(transport) = next {
            match self.try_open(transport, &route, choice.has_more()).await {
                Ok(carrier) => {
                    tracing::debug!(transport = transport.name(), "opened");
                    let linked = linked(transport, &negotiated);
                    return Ok(Dialled { carrier, linked, route });
                }
                Err(error) => {
                    tracing::debug!(transport = transport.name(), %error, "cannot be opened");
                    choice.handle_failed(transport, error);
                }
            }
            next = choice.next();
            if next.is_some() {
                // An id is good for one attempt: the server may have begun a connection with it.
                let Route { address, token, .. } = route;
                (negotiated, route) = self.negotiate(asked, address, token).await?;
            }
        }
        Err(choice.into_error())
    }

    /// Opens a transport. One that only hangs leaves time for the others.
    async fn try_open(
        &self,
        transport: Transport,
        route: &Route,
        has_more: bool,
    ) -> Result<Carrier, ConnectError> {
        let opening = self.open(transport, route);
        if !has_more {
            return opening.await;
        }
        let limit = self.attempt_max;
        let late = |_| ConnectError::Timeout { step: "opening it", limit };
        timeout(limit, opening).await.map_err(late)?
    }

    async fn open(&self, transport: Transport, route: &Route) -> Result<Carrier, ConnectError> {
        if transport == Transport::WebSockets {
            return Ok(Carrier::WebSocket(Box::new(self.attach(route).await?)));
        }
        let site = Site {
            address: route.address(),
            headers: self.headers(),
            token: route.token.clone(),
            token_place: self.token_place,
            bearer: Mutex::new(route.bearer.clone()),
            reach: self.reach.clone(),
        };
        let requests = Requests::open(transport, site, self.requests).await?;
        Ok(Carrier::Requests(Box::new(requests)))
    }

    async fn negotiate(
        &self,
        asked: &NegotiateRequest,
        mut address: Address,
        mut token: AccessToken,
    ) -> Result<(Negotiated, Route), ConnectError> {
        for _ in 0..=REDIRECTS_MAX {
            let bearer = token.provide().await?.as_ref().map(bearer).transpose()?;
            let mut headers = self.headers();
            headers.extend(bearer.clone().map(|bearer| (header::AUTHORIZATION, bearer)));
            let ask = Ask { method: Method::POST, headers, body: Bytes::new() };
            let mut lane = Lane::new(self.reach.clone());
            let answer = lane.ask(&address.negotiation(asked), ask).await?;
            let body = body(checked(answer)?, RESPONSE_MAX).await?;
            let answer = NegotiateResponse::parse(&body, asked)
                .map_err(|why| ConnectError::Negotiation(Arc::new(why)))?;
            match answer {
                NegotiateResponse::Connect(negotiated) => {
                    let id = Some(Secret(negotiated.id().into()));
                    return Ok((negotiated, Route { address, token, bearer, id }));
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

    /// What every request bears but the token.
    fn headers(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        for (name, value) in [(header::USER_AGENT, USER_AGENT), (REQUESTED_WITH, REQUESTED_WITH_US)]
        {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        }
        headers
    }
}

impl Route {
    /// The address of the connection.
    fn address(&self) -> Address {
        match &self.id {
            Some(id) => self.address.with("id", &id.0),
            None => self.address.clone(),
        }
    }
}

fn linked(transport: Transport, negotiated: &Negotiated) -> Linked {
    let upkeep = match transport {
        Transport::WebSockets if negotiated.stateful_reconnect == StatefulReconnect::On => {
            Upkeep::Kept
        }
        Transport::WebSockets | Transport::ServerSentEvents => Upkeep::Pinged,
        Transport::LongPolling => Upkeep::Polled,
    };
    let connection_id = Some(ConnectionId::new(&negotiated.connection_id));
    Linked { connection_id, upkeep }
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
/// Servers that see it refuse a stranger with a status instead of a page to sign in on.
const REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");
const REQUESTED_WITH_US: &str = "XMLHttpRequest";
