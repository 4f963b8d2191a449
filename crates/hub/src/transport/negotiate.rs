//! Negotiation: a new connection is named, and opened by a later request.

use everwire_proto::signalr::negotiate::{
    NegotiateRequest, NegotiateResponse, NegotiateVersion, Negotiated, Secret, StatefulReconnect,
};
use http::{Method, Response, StatusCode};

use super::{attach::Detached, body::HubBody, reply};
use crate::{
    clock,
    directory::Pending,
    hub::Hub,
    id::{ConnectionId, Token},
    request::ClientRequest,
};

/// Answers a negotiation.
pub(super) fn answer(hub: &Hub, method: &Method, client: &ClientRequest) -> Response<HubBody> {
    if method != Method::POST {
        return reply::empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    if hub.refuses_new_clients() {
        return Detached::Stopping.answer();
    }
    let query = client.query().unwrap_or_default();
    let answer = match NegotiateRequest::parse(query, NegotiateVersion::Zero) {
        Err(error) => NegotiateResponse::Error(error.to_string().into()),
        Ok(asked) => match expect(hub, &asked) {
            Some(negotiated) => NegotiateResponse::Connect(negotiated),
            None => {
                let why = "Too many connections are being opened.";
                return reply::text(StatusCode::SERVICE_UNAVAILABLE, why);
            }
        },
    };
    reply::whole(StatusCode::OK, "application/json", answer.to_json().into())
}

/// Expects a connection; `None` if too many are expected.
fn expect(hub: &Hub, asked: &NegotiateRequest) -> Option<Negotiated> {
    let config = hub.config();
    let secret = match asked.version {
        NegotiateVersion::Zero => None,
        NegotiateVersion::One => Some(rand::random()),
    };
    let token = Token { id: ConnectionId::random(), secret };
    let stateful_reconnect = match (asked.stateful_reconnect, config.stateful_reconnect) {
        (StatefulReconnect::On, StatefulReconnect::On) => StatefulReconnect::On,
        _ => StatefulReconnect::Off,
    };
    let pending = Pending { token, stateful_reconnect, since: clock::now() };
    hub.directory().expect(pending, config.pending_max).ok()?;
    Some(Negotiated {
        connection_id: token.id.to_string().into(),
        connection_token: secret.map(|_| Secret(token.to_string().into())),
        transports: config.transports.clone(),
        stateful_reconnect,
    })
}
