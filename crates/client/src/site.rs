//! One connection's address at a server, and requests there in its name.

use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use hyper::body::Incoming;

use crate::{
    address::Address,
    error::ConnectError,
    http::{Ask, Lane, Reach},
    token::{AccessToken, TokenPlace, bearer},
};

/// Where a connection is that lives by requests, and what they all bear.
#[derive(Debug)]
pub(crate) struct Site {
    /// The id of the connection is in it.
    pub(crate) address: Address,
    pub(crate) headers: HeaderMap,
    pub(crate) token: AccessToken,
    pub(crate) token_place: TokenPlace,
    /// The token that was good last.
    pub(crate) bearer: Mutex<Option<HeaderValue>>,
    pub(crate) reach: Arc<Reach>,
}

impl Site {
    /// A way to ask here.
    pub(crate) fn lane(&self) -> Lane {
        Lane::new(self.reach.clone())
    }

    /// Asks for something. A token that is refused is renewed, once, as in the official clients.
    pub(crate) async fn ask(
        &self,
        lane: &mut Lane,
        ask: Ask,
    ) -> Result<Response<Incoming>, ConnectError> {
        let answer = lane.ask(&self.address, self.signed(&ask)).await?;
        if answer.status() != StatusCode::UNAUTHORIZED || !self.token.is_renewable() {
            return Ok(answer);
        }
        self.renew().await?;
        lane.ask(&self.address, self.signed(&ask)).await
    }

    /// Asks for what never ends: the token stands where the application wants it.
    pub(crate) async fn open(
        &self,
        lane: &mut Lane,
        mut ask: Ask,
    ) -> Result<Response<Incoming>, ConnectError> {
        if self.token_place == TokenPlace::Header {
            return self.ask(lane, ask).await;
        }
        let token = self.token.provide().await?;
        let address = match &token {
            Some(token) => self.address.with("access_token", &token.0),
            None => self.address.clone(),
        };
        ask.headers.extend(self.headers.clone());
        lane.ask(&address, ask).await
    }

    fn signed(&self, ask: &Ask) -> Ask {
        let mut headers = self.headers.clone();
        let bearer = self.bearer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(bearer) = bearer {
            headers.insert(header::AUTHORIZATION, bearer);
        }
        for (name, value) in &ask.headers {
            headers.insert(name, value.clone());
        }
        Ask { headers, ..ask.clone() }
    }

    async fn renew(&self) -> Result<(), ConnectError> {
        let token = self.token.provide().await?;
        let renewed = token.as_ref().map(bearer).transpose()?;
        *self.bearer.lock().unwrap_or_else(PoisonError::into_inner) = renewed;
        Ok(())
    }
}
