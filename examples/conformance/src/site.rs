//! What is where.

use std::path::PathBuf;

use axum::{
    Router,
    extract::{Path, Query, Request, State},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{any, get},
};
use everwire_hub::ConnectionId;
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;

use crate::{
    edge::{self, Scheme},
    hubs::Hubs,
};

/// The site as one listener serves it. Paths are in lower case: [`edge`] makes them so.
pub(crate) fn router(hubs: &Hubs, scheme: Scheme, webworker: Option<PathBuf>) -> Router {
    let site = Router::new()
        .nest_service("/testhub", hubs.test.service())
        .nest_service("/testhub-nowebsockets", hubs.without_websockets.service())
        .nest_service("/authorizedhub", hubs.authorized.service())
        .nest_service("/uncreatable", hubs.uncreatable.service())
        .nest_service("/echo", hubs.echo.service())
        .nest_service("/roomhub", hubs.rooms.service())
        .nest_service("/redirect", hubs.elsewhere.service())
        .route("/generatejwttoken", get(token).with_state(hubs.clone()))
        .route("/clientresult/{connection}", get(result_of_client).with_state(hubs.clone()))
        .route("/nodes", get(nodes).with_state(hubs.clone()))
        .route("/lib/signalr-webworker/signalr.js", get(script).with_state(webworker))
        .merge(everywhere_below("/bad-negotiate", any(refuse)))
        .merge(everywhere_below("/echoredirect", any(move |request| to_echo(scheme, request))));
    // What is done at the edge decides where a request goes, so the routes lie behind it.
    Router::new().fallback_service(site).layer(from_fn_with_state(scheme, edge::handle))
}

fn everywhere_below(path: &str, route: axum::routing::MethodRouter) -> Router {
    Router::new().route(path, route.clone()).route(&format!("{path}/{{*rest}}"), route)
}

#[derive(Debug, Deserialize)]
struct TokenFor {
    #[serde(default = "TokenFor::test_user")]
    user: String,
}

impl TokenFor {
    fn test_user() -> String {
        "testuser".into()
    }
}

/// A token for a user.
async fn token(State(hubs): State<Hubs>, Query(wanted): Query<TokenFor>) -> Response {
    match hubs.tokens.issue(&wanted.user) {
        Ok(token) => token.into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// What a client answers when it is asked for its `Result`, or why it does not.
async fn result_of_client(State(hubs): State<Hubs>, Path(connection): Path<String>) -> String {
    let Ok(id) = connection.parse::<ConnectionId>() else {
        return format!("Connection '{connection}' does not exist.");
    };
    let answer = hubs.test.connection(id).invoke::<i32>("Result", &()).await;
    answer.map_or_else(|error| error.to_string(), |result| result.to_string())
}

/// How many nodes serve the hubs together.
async fn nodes(State(hubs): State<Hubs>) -> String {
    hubs.nodes().await.to_string()
}

/// The script that a page gives to its web worker.
async fn script(State(path): State<Option<PathBuf>>) -> Response {
    let Some(path) = path else { return StatusCode::NOT_FOUND.into_response() };
    match tokio::fs::read(path).await {
        Ok(script) => ([(header::CONTENT_TYPE, "text/javascript")], script).into_response(),
        Err(error) => (StatusCode::NOT_FOUND, error.to_string()).into_response(),
    }
}

/// What is no negotiation's answer.
async fn refuse() -> impl IntoResponse {
    (StatusCode::BAD_REQUEST, "Some response from server")
}

/// Sends a client to the same path below `/echo`. The location is absolute, since not every client
/// takes another.
async fn to_echo(scheme: Scheme, request: Request) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let target = target.replacen("/echoredirect", "/echo", 1);
    let location = format!("{}://{}{target}", scheme.name(), host.unwrap_or("localhost"));
    match HeaderValue::try_from(location) {
        Ok(location) => {
            (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location)]).into_response()
        }
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}
