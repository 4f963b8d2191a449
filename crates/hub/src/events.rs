//! What an application does when a client comes, and when it has gone.

use std::{fmt, pin::Pin};

use crate::{end::End, error::HubError, method::Context};

/// What an application does when a client comes, and when it has gone.
#[derive(Default)]
pub(crate) struct Events {
    connected: Option<Box<Connected>>,
    disconnected: Option<Box<Disconnected>>,
}

/// A client is being greeted.
pub(crate) type Greeting = Pin<Box<dyn Future<Output = Result<(), HubError>> + Send>>;

/// A client is being taken leave of.
pub(crate) type Leaving = Pin<Box<dyn Future<Output = ()> + Send>>;

type Connected = dyn Fn(Context) -> Greeting + Send + Sync;
type Disconnected = dyn Fn(Context, End) -> Leaving + Send + Sync;

impl Events {
    pub(crate) fn on_connected<F>(&mut self, greet: impl Fn(Context) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<(), HubError>> + Send + 'static,
    {
        self.connected = Some(Box::new(move |cx| Box::pin(greet(cx))));
    }

    pub(crate) fn on_disconnected<F>(
        &mut self,
        leave: impl Fn(Context, End) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        self.disconnected = Some(Box::new(move |cx, end| Box::pin(leave(cx, end))));
    }

    /// Greets a client, if the application does that.
    pub(crate) fn connected(&self, cx: impl FnOnce() -> Context) -> Option<Greeting> {
        self.connected.as_ref().map(|greet| greet(cx()))
    }

    /// Takes leave of a client, if the application does that.
    pub(crate) fn disconnected(&self, cx: impl FnOnce() -> Context, end: End) -> Option<Leaving> {
        self.disconnected.as_ref().map(|leave| leave(cx(), end))
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("connected", &self.connected.is_some())
            .field("disconnected", &self.disconnected.is_some())
            .finish()
    }
}
