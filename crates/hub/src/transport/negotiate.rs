//! Negotiation: a new connection is named, and opened by a later request.

use std::sync::Arc;

use everwire_proto::signalr::negotiate::{
    NegotiateRequest, NegotiateResponse, NegotiateVersion, Negotiated, Secret, StatefulReconnect,
};
use http::{Method, Response, StatusCode};

use super::{
    attach::{Detached, Visitor},
    body::HubBody,
    reply,
};
use crate::{
    clock,
    directory::Pending,
    hub::Hub,
    id::{ConnectionId, Token},
    redirect::Redirect,
};

/// Answers a negotiation.
pub(super) async fn answer(visitor: Visitor, method: &Method) -> Response<HubBody> {
    if method != Method::POST {
        return reply::empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    let query = visitor.request.query().unwrap_or_default();
    let asked = match NegotiateRequest::parse(query, NegotiateVersion::Zero) {
        Ok(asked) => asked,
        Err(error) => return told(&NegotiateResponse::Error(error.to_string().into())),
    };
    // A hub that takes no more clients may know of one that does.
    if let Some(redirect) = redirected(&visitor).await {
        return told(&redirect.into());
    }
    if visitor.hub.refuses_new_clients() {
        return Detached::Stopping.answer();
    }
    match expect(&visitor.hub, &asked) {
        Some(negotiated) => told(&NegotiateResponse::Connect(negotiated)),
        None => {
            let why = "Too many connections are being opened.";
            reply::text(StatusCode::SERVICE_UNAVAILABLE, why)
        }
    }
}

/// Where the application wants the client to negotiate instead.
async fn redirected(visitor: &Visitor) -> Option<Redirect> {
    let redirects = visitor.hub.redirects()?;
    redirects.ask(Arc::new(visitor.request.clone()), visitor.identity.clone()).await
}

fn told(answer: &NegotiateResponse) -> Response<HubBody> {
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
