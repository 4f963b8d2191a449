//! What an application does when a client comes, and when it has gone; and when other nodes, or what
//! they say, are lost.

use std::{fmt, pin::Pin};

use everwire_backplane::{Gap, NodeId};

use crate::{
    end::End,
    error::HubError,
    hub::Hub,
    id::{ConnectionId, GroupName, UserId},
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
    client_lost: Option<Box<OnClientLost>>,
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

/// A client that has gone with its node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostClient {
    /// Which node.
    pub node: NodeId,
    /// The connection that it had.
    pub connection: ConnectionId,
    /// Whose, if it was a user's.
    pub user: Option<UserId>,
    /// The groups that it was in, in order.
    pub groups: Vec<GroupName>,
}

/// A client is being greeted.
pub(crate) type Greeting = Pin<Box<dyn Future<Output = Result<(), HubError>> + Send>>;

/// A client is being taken leave of, or something of this kind is told.
pub(crate) type Leaving = Pin<Box<dyn Future<Output = ()> + Send>>;

type Connected = dyn Fn(Context) -> Greeting + Send + Sync;
type Disconnected = dyn Fn(Context, End) -> Leaving + Send + Sync;
type OnGap = dyn Fn(Hub, Gap) -> Leaving + Send + Sync;
type OnLost = dyn Fn(Hub, Lost) -> Leaving + Send + Sync;
type OnClientLost = dyn Fn(Hub, LostClient) -> Leaving + Send + Sync;

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

    pub(crate) fn on_client_lost<F>(
        &mut self,
        tell: impl Fn(Hub, LostClient) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        self.client_lost = Some(Box::new(move |hub, lost| Box::pin(tell(hub, lost))));
    }

    /// Tells that a client has gone with its node, if the application wants to know.
    pub(crate) fn client_lost(&self, hub: &Hub, lost: LostClient) -> Option<Leaving> {
        self.client_lost.as_ref().map(|tell| tell(hub.clone(), lost))
    }

    /// Whether leave is taken of clients.
    pub(crate) const fn takes_leave(&self) -> bool {
        self.disconnected.is_some()
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
