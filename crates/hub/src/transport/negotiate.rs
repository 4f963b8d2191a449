//! Negotiation: a new connection is named, and opened by a later request, which may be another
//! node's.

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
use crate::{clock, id::ConnectionId, redirect::Redirect};

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
    told(&NegotiateResponse::Connect(named(&visitor, &asked)))
}

/// Where the application wants the client to negotiate instead.
async fn redirected(visitor: &Visitor) -> Option<Redirect> {
    let redirects = visitor.hub.redirects()?;
    redirects.ask(Arc::new(visitor.request.clone()), visitor.identity.clone()).await
}

fn told(answer: &NegotiateResponse) -> Response<HubBody> {
    reply::whole(StatusCode::OK, "application/json", answer.to_json().into())
}

/// Names a connection. Nothing is kept: the token says all.
///
/// In version 0 the one name that there is has to attach, so it is the token there too; what
/// everybody may know, the id, such a client is not told.
fn named(visitor: &Visitor, asked: &NegotiateRequest) -> Negotiated {
    let (hub, user) = (&visitor.hub, visitor.identity.user.as_ref());
    let stateful_reconnect = match (asked.stateful_reconnect, hub.config().stateful_reconnect) {
        (StatefulReconnect::On, StatefulReconnect::On) => StatefulReconnect::On,
        _ => StatefulReconnect::Off,
    };
    let id = ConnectionId::random();
    let token = hub.office().issue(id, stateful_reconnect, clock::now(), user);
    let (connection_id, connection_token) = match asked.version {
        NegotiateVersion::Zero => (token, None),
        NegotiateVersion::One => (id.to_string(), Some(Secret(token.into()))),
    };
    Negotiated {
        connection_id: connection_id.into(),
        connection_token,
        transports: hub.config().transports.clone(),
        stateful_reconnect,
    }
}
