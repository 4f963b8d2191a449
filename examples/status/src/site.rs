//! What a node serves: the page, which node it is, the hub.
//!
//! `everwire demo status` serves the same with a hub that is declared instead of written, from this
//! file. The page asks nobody but the node that it came from.

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderName, header},
    response::IntoResponse,
    routing::get,
};
use everwire_hub::Hub;
use serde_json::{Value, json};

/// The site of one node.
pub(crate) fn router(hub: &Hub) -> Router {
    let page = |kind, text: &'static str| get(async move || (headers(kind), text));
    Router::new()
        .route("/", page("text/html; charset=utf-8", include_str!("page/index.html")))
        .route("/status.css", page("text/css", include_str!("page/status.css")))
        .route("/status.js", page("text/javascript", include_str!("page/status.js")))
        .route("/api", get(who_answers).with_state(hub.clone()))
        .nest_service("/statusHub", hub.service())
}

/// Which node answers, and what it knows.
async fn who_answers(State(hub): State<Hub>) -> impl IntoResponse {
    let answer: Value = json!({
        "node": hub.node().to_string(),
        "connections": hub.connected(),
        "nodes": hub.nodes().len() + 1,
        "present": hub.present().len(),
    });
    ([(header::CACHE_CONTROL, "no-store")], Json(answer))
}

fn headers(kind: &'static str) -> [(HeaderName, &'static str); 4] {
    [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ]
}

/// The page's own script and style, and the node; nothing else, whatever gets into the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
