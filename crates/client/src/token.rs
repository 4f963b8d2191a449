//! What authenticates a client.

use std::{error::Error, fmt, pin::Pin, sync::Arc};

use everwire_proto::signalr::negotiate::Secret;
use http::HeaderValue;

use crate::error::ConnectError;

/// Where a token stands in the requests that open WebSockets and events. All others have it in the
/// header `Authorization`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TokenPlace {
    /// In the header too, as the official clients but those in browsers do.
    #[default]
    Header,
    /// In the query, as `access_token`, as in browsers, which can do no other: for servers behind
    /// something that drops the header.
    Query,
}

/// Where access tokens come from.
#[derive(Clone, Default)]
pub(crate) enum AccessToken {
    /// Nowhere.
    #[default]
    None,
    /// The same one each time.
    Value(Secret),
    /// Asked for with each negotiation and each new socket, for a token may have expired meanwhile.
    Provider(Arc<Provider>),
}

type Provider = dyn Fn() -> Provided + Send + Sync;
type Provided = Pin<Box<dyn Future<Output = Result<String, Failure>> + Send>>;
type Failure = Box<dyn Error + Send + Sync>;

impl AccessToken {
    pub(crate) fn provider<F, T>(provide: F) -> Self
    where
        F: Fn() -> T + Send + Sync + 'static,
        T: Future<Output = Result<String, Failure>> + Send + 'static,
    {
        Self::Provider(Arc::new(move || Box::pin(provide())))
    }

    /// A token, if there is to be one.
    pub(crate) async fn provide(&self) -> Result<Option<Secret>, ConnectError> {
        match self {
            Self::None => Ok(None),
            Self::Value(token) => Ok(Some(token.clone())),
            Self::Provider(provide) => {
                let provided = provide().await;
                let token = provided.map_err(|why| ConnectError::Token(why.into()))?;
                Ok(Some(Secret(token.into())))
            }
        }
    }

    /// Whether another may be given where one was refused.
    pub(crate) const fn is_renewable(&self) -> bool {
        matches!(self, Self::Provider(_))
    }
}

/// The header `Authorization` with a token.
pub(crate) fn bearer(token: &Secret) -> Result<HeaderValue, ConnectError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.0))
        .map_err(|_| ConnectError::Header("the access token".into()))?;
    value.set_sensitive(true);
    Ok(value)
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Value(_) => "Value(..)",
            Self::Provider(_) => "Provider(..)",
        })
    }
}
