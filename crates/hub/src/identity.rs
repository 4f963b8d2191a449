//! Who a client is: asked once for each request, before anything else is done for it.

use std::{fmt, pin::Pin, sync::Arc, time::SystemTime};

use http::StatusCode;

use crate::{id::UserId, method::Claims, request::ClientRequest};

/// Who a client is.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// The user, if there is one.
    pub user: Option<UserId>,
    /// What else is known of the client, for policies and methods to look at.
    pub claims: Claims,
    /// When the proof of all this expires, such as a token's `exp`. What happens then is
    /// [`HubConfig::expiry`](crate::HubConfig::expiry).
    pub expires: Option<SystemTime>,
}

/// Why a client is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// It does not say who it is, or cannot prove it: 401.
    Unauthorized,
    /// It is known, and may not come in: 403.
    Forbidden,
}

/// What an application knows of its users.
#[derive(Clone)]
pub(crate) struct Authenticate(Arc<Asks>);

type Asks = dyn Fn(Arc<ClientRequest>) -> Asking + Send + Sync;
type Asking = Pin<Box<dyn Future<Output = Result<Identity, Denied>> + Send>>;

impl Authenticate {
    /// Asks the application.
    pub(crate) fn by<F>(ask: impl Fn(Arc<ClientRequest>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Identity, Denied>> + Send + 'static,
    {
        Self(Arc::new(move |request| Box::pin(ask(request))))
    }

    pub(crate) async fn ask(&self, request: Arc<ClientRequest>) -> Result<Identity, Denied> {
        (self.0)(request).await
    }
}

impl Denied {
    /// The status of the answer.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
        }
    }
}

impl fmt::Debug for Authenticate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticate").finish_non_exhaustive()
    }
}
