//! Tokens that let clients into a hub.

use std::time::Duration;

use axum::{Json, response::IntoResponse};
use everwire_hub::token::Token;
use serde_json::json;

use super::{Answer, query::Query};
use crate::{clock, node::NodeHub, problem::Problem};

/// A token for a client, who is this user if one is named.
pub(super) fn token(hub: &NodeHub, query: &Query) -> Result<Answer, Problem> {
    let Some(tokens) = &hub.tokens else {
        let what = "the hub has no access_key: its clients need no token";
        return Err(Problem::bad_request(what).coded("Hub.NoAccessKey"));
    };
    let minutes = query.minutes.unwrap_or(MINUTES);
    let expires = clock::since_epoch() + Duration::from_secs(60 * minutes);
    let token = Token { user: query.user.clone(), expires, ..Token::default() };
    Ok(Json(json!({ "token": tokens.for_client(token)? })).into_response())
}

/// How long a token is good if nobody says, as with Azure's.
const MINUTES: u64 = 60;
