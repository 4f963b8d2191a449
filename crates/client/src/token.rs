//! What authenticates a client.

use std::{error::Error, fmt, pin::Pin, sync::Arc};

use everwire_proto::signalr::negotiate::Secret;
use http::HeaderValue;

use crate::error::ConnectError;

/// Where access tokens come from.
#[derive(Clone, Default)]
pub(crate) enum AccessToken {
    /// Nowhere.
    #[default]
    None,
    /// The same one each time.
    Value(Secret),
    /// Asked for with each new socket, for a token may have expired meanwhile.
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

    /// The header `Authorization`, if there is to be one.
    pub(crate) async fn authorization(&self) -> Result<Option<HeaderValue>, ConnectError> {
        let token = match self {
            Self::None => return Ok(None),
            Self::Value(token) => token.clone(),
            Self::Provider(provide) => {
                let provided = provide().await;
                Secret(provided.map_err(|why| ConnectError::Token(why.into()))?.into())
            }
        };
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.0))
            .map_err(|_| ConnectError::Header("the access token".into()))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
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
