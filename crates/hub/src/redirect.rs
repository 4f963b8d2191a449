//! Negotiations that are answered with another address: where clients connect is decided anew each
//! time that they do.

use std::{fmt, pin::Pin, sync::Arc};

use everwire_proto::signalr::negotiate::{NegotiateResponse, Secret};

use crate::{identity::Identity, request::ClientRequest};

/// Where a client is to negotiate instead; see [`HubBuilder::redirect`](crate::HubBuilder::redirect).
///
/// ```
/// use everwire_hub::Redirect;
///
/// let redirect = Redirect::to("https://eu.example.com/chat?tenant=7").with_token("a token");
/// assert!(!format!("{redirect:?}").contains("a token"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    url: Box<str>,
    access_token: Option<Secret>,
}

/// Who decides where clients connect.
#[derive(Clone)]
pub(crate) struct Redirects(Arc<Asks>);

type Asks = dyn Fn(Arc<ClientRequest>, Identity) -> Asking + Send + Sync;
type Asking = Pin<Box<dyn Future<Output = Option<Redirect>> + Send>>;

impl Redirect {
    /// To the hub at this absolute URL, which is given without `/negotiate` and keeps its query.
    pub fn to(url: impl Into<Box<str>>) -> Self {
        Self { url: url.into(), access_token: None }
    }

    /// With what authenticates the client there, in place of its own token.
    #[must_use]
    pub fn with_token(self, token: impl Into<Box<str>>) -> Self {
        Self { access_token: Some(Secret(token.into())), ..self }
    }
}

impl Redirects {
    /// Asks the application.
    pub(crate) fn by<F>(
        ask: impl Fn(Arc<ClientRequest>, Identity) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Option<Redirect>> + Send + 'static,
    {
        Self(Arc::new(move |request, identity| Box::pin(ask(request, identity))))
    }

    pub(crate) async fn ask(
        &self,
        request: Arc<ClientRequest>,
        identity: Identity,
    ) -> Option<Redirect> {
        (self.0)(request, identity).await
    }
}

impl From<Redirect> for NegotiateResponse {
    fn from(Redirect { url, access_token }: Redirect) -> Self {
        Self::Redirect { url, access_token }
    }
}

impl fmt::Debug for Redirects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redirects").finish_non_exhaustive()
    }
}
