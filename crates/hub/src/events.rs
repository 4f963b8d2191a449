//! What an application does when a client comes, and when it has gone; and when other nodes, or what
//! they say, are lost.

use std::{fmt, pin::Pin};

use everwire_backplane::{Gap, NodeId};

use crate::{
    end::End,
    error::HubError,
    hub::Hub,
    id::GroupName,
    method::Context,
    presence::{Place, Scope},
};

/// What an application does when something happens.
#[derive(Default)]
pub(crate) struct Events {
    connected: Option<Box<Connected>>,
    disconnected: Option<Box<Disconnected>>,
    gap: Option<Box<OnGap>>,
    lost: Option<Box<OnLost>>,
}

/// A node that has ended without taking its leave, and what has gone with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// Which node.
    pub node: NodeId,
    /// The names that were present there, and in which groups; those without a group were in the hub.
    /// Some may still be present elsewhere.
    pub names: Vec<(Option<GroupName>, Box<str>)>,
}

/// A client is being greeted.
pub(crate) type Greeting = Pin<Box<dyn Future<Output = Result<(), HubError>> + Send>>;

/// A client is being taken leave of, or something of this kind is told.
pub(crate) type Leaving = Pin<Box<dyn Future<Output = ()> + Send>>;

type Connected = dyn Fn(Context) -> Greeting + Send + Sync;
type Disconnected = dyn Fn(Context, End) -> Leaving + Send + Sync;
type OnGap = dyn Fn(Hub, Gap) -> Leaving + Send + Sync;
type OnLost = dyn Fn(Hub, Lost) -> Leaving + Send + Sync;

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

    pub(crate) fn on_gap<F>(&mut self, tell: impl Fn(Hub, Gap) -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.gap = Some(Box::new(move |hub, gap| Box::pin(tell(hub, gap))));
    }

    pub(crate) fn on_lost<F>(&mut self, tell: impl Fn(Hub, Lost) -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.lost = Some(Box::new(move |hub, lost| Box::pin(tell(hub, lost))));
    }

    /// Tells that messages are lost, if the application wants to know.
    pub(crate) fn gap(&self, hub: &Hub, gap: Gap) -> Option<Leaving> {
        self.gap.as_ref().map(|tell| tell(hub.clone(), gap))
    }

    /// Tells that a node is lost, if the application wants to know.
    pub(crate) fn lost(&self, hub: &Hub, node: NodeId, names: Vec<Place>) -> Option<Leaving> {
        let named = |(scope, name): Place| match scope {
            Scope::Hub => (None, Box::from(&*name)),
            Scope::Group(group) => (Some(group), Box::from(&*name)),
        };
        let tell = self.lost.as_ref()?;
        let names = names.into_iter().map(named).collect();
        Some(tell(hub.clone(), Lost { node, names }))
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
