//! A hub on its way: its methods, what it does for whom, and its limits.

use std::{
    fmt,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize},
    },
    thread::available_parallelism,
};

use everwire_backplane::{Bus, Channel, Gap, Log, NodeId};
use rand::random;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{Hub, Inner, Running};
use crate::{
    cluster::{Cluster, Mesh},
    config::HubConfig,
    declared::{MEMBERSHIPS_MAX, Presence, attendance::Attendance},
    directory::Directory,
    end::End,
    error::{ErrorDetail, HubError},
    estate::Estate,
    events::{Events, Lost, LostClient},
    fanout::Fanout,
    history::{Histories, History, recover},
    identity::{Authenticate, Denied, Identity},
    keepers::Keepers,
    method::{Context, Handler, MethodsBuilder, MethodsError, StreamHandler},
    moving::Moving,
    raw::{RawHandler, RawSocket},
    redirect::{Redirect, Redirects},
    request::ClientRequest,
    seal::Seal,
    shard::ShardHandle,
    standing::Standing,
    ticket::Office,
};

/// A hub on its way.
#[derive(Default)]
pub struct HubBuilder {
    config: HubConfig,
    shards: Option<NonZeroUsize>,
    methods: MethodsBuilder,
    authenticate: Option<Authenticate>,
    events: Events,
    raw: Option<RawHandler>,
    redirects: Option<Redirects>,
    fanout: Option<Fanout>,
    attendance: Option<Arc<Attendance>>,
    estates: Option<Arc<dyn Log>>,
    mesh: Option<Mesh>,
    history: Option<History>,
    has_own_ids: bool,
}

impl HubBuilder {
    /// Sets limits and timeouts.
    #[must_use]
    pub fn config(mut self, config: HubConfig) -> Self {
        self.config = config;
        self
    }

    /// How many shards there are. Default: one per processor.
    #[must_use]
    pub const fn shards(mut self, shards: NonZeroUsize) -> Self {
        self.shards = Some(shards);
        self
    }

    /// A method with one result: a function of a [`Context`] and of up to eight
    /// [parameters](crate::method::Parameter). Clients call it by `name` in any case.
    #[must_use]
    pub fn method<P: 'static>(
        mut self,
        name: impl Into<Box<str>>,
        handler: impl Handler<P>,
    ) -> Self {
        self.methods = self.methods.method(name, handler);
        self
    }

    /// A method with a stream of results. Clients call it by `name` in any case.
    #[must_use]
    pub fn stream<P: 'static>(
        mut self,
        name: impl Into<Box<str>>,
        handler: impl StreamHandler<P>,
    ) -> Self {
        self.methods = self.methods.stream(name, handler);
        self
    }

    /// Another name for a method.
    #[must_use]
    pub fn alias(mut self, method: impl Into<Box<str>>, alias: impl Into<Box<str>>) -> Self {
        self.methods = self.methods.alias(method, alias);
        self
    }

    /// Lets only those clients call a method whom `policy` allows; with several, all must.
    #[must_use]
    pub fn authorize(
        mut self,
        method: impl Into<Box<str>>,
        policy: impl Fn(&Identity) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.methods = self.methods.authorize(method, policy);
        self
    }

    /// Lets only those clients in whom `policy` allows; with several, all must.
    #[must_use]
    pub fn authorize_hub(
        mut self,
        policy: impl Fn(&Identity) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.methods = self.methods.authorize_hub(policy);
        self
    }

    /// Asks for each request who the client is. Without this nobody is anybody in particular.
    #[must_use]
    pub fn authenticate<F>(
        mut self,
        ask: impl Fn(Arc<ClientRequest>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Identity, Denied>> + Send + 'static,
    {
        self.authenticate = Some(Authenticate::by(ask));
        self
    }

    /// The URLs that the application gives its clients may have a parameter `id` of its own, such as
    /// `?app=shop&id=7f`. Clients that negotiate put that of their connection, which has the same name,
    /// behind it; what does not look like one names no connection then, where otherwise the client
    /// would be told that there is no such connection.
    #[must_use]
    pub const fn own_ids(mut self) -> Self {
        self.has_own_ids = true;
        self
    }

    /// Asks for each negotiation, once the client may come in, whether it is to negotiate elsewhere.
    /// Clients begin here again whenever they reconnect, so this can balance load and empty a
    /// node; a hub that [takes no more clients](Hub::refuse_new) is asked too. Who opens a
    /// WebSocket without negotiation is not redirected.
    #[must_use]
    pub fn redirect<F>(
        mut self,
        ask: impl Fn(Arc<ClientRequest>, Identity) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Option<Redirect>> + Send + 'static,
    {
        self.redirects = Some(Redirects::by(ask));
        self
    }

    /// Gives connections to a handler as they are, without a hub protocol: no methods, no groups, no
    /// broadcasts. The connection ends with the handler, with an error if that has one; a handler
    /// whose client has gone hears no more and ends by itself.
    #[must_use]
    pub fn raw<F>(mut self, handler: impl Fn(RawSocket) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), HubError>> + Send + 'static,
    {
        self.raw = Some(RawHandler::by(handler));
        self
    }

    /// Serves the hub together with the other nodes of a cluster, which know it by the same name:
    /// whichever node a request of a client comes to, it reaches the client's connection. Everything
    /// else that is said of the hub has to be the same at all nodes.
    #[must_use]
    pub fn cluster(mut self, cluster: &Cluster, name: impl Into<Box<str>>) -> Self {
        self.mesh = Some(Mesh { cluster: cluster.clone(), hub: name.into() });
        self
    }

    /// What is done when a client has come, before any of its calls. An error turns it away.
    #[must_use]
    pub fn connected<F>(mut self, greet: impl Fn(Context) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), HubError>> + Send + 'static,
    {
        self.events.on_connected(greet);
        self
    }

    /// What is done when a client has gone that had come: once for each, however it went, as long
    /// as its runtime lives. Of those that go together with their node
    /// [`client_lost`](Self::client_lost) tells.
    #[must_use]
    pub fn disconnected<F>(
        mut self,
        leave: impl Fn(Context, End) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.events.on_disconnected(leave);
        self
    }

    /// Joins the hubs of this channel on other nodes: they are one hub to its clients and its
    /// publishers. The channel is the hub's name on the bus, its own and the same on every node. Call
    /// [`Hub::start`] to hear the others before the first client comes.
    #[must_use]
    pub fn backplane(mut self, bus: Arc<dyn Bus>, channel: Channel) -> Self {
        self.fanout = Some(Fanout::new(bus, channel));
        self
    }

    /// Keeps what is sent to some channels for a while, for clients that were away: they call `Recover`
    /// with the channel and a cursor, and are sent what they missed. With a
    /// [backplane](Self::backplane) the history is there, and all nodes have the same; without one it
    /// ends with the process. An application that has a method `Recover` of its own cannot have this.
    #[must_use]
    pub fn history(mut self, history: History) -> Self {
        self.history = Some(history);
        self
    }

    /// What is done when messages of other nodes are lost on the way to this one, after it was
    /// counted and logged: an application whose clients follow a state tells them to read it anew.
    #[must_use]
    pub fn gap<F>(mut self, tell: impl Fn(Hub, Gap) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.events.on_gap(tell);
        self
    }

    /// What is done when another node has ended without taking its leave: on exactly one of those
    /// that are left, or on another if that one ends before it is done.
    #[must_use]
    pub fn node_lost<F>(mut self, tell: impl Fn(Hub, Lost) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.events.on_lost(tell);
        self
    }

    /// Tells clients who is [present](Context::present), on all nodes: a newcomer who is there,
    /// everybody who has come and who has gone, however they went.
    #[must_use]
    pub fn presence(self, presence: Presence) -> Self {
        self.attendance(Arc::new(Attendance::new(Some(presence), MEMBERSHIPS_MAX)))
    }

    /// What is done when a client has gone because its node has ended without taking its leave: on one
    /// of the nodes that are left, with what was known of the client. Needs a
    /// [backplane](Self::backplane), and a log of the same: each node writes down there, in the
    /// background, who comes, joins, leaves and goes.
    ///
    /// Of each client that had come, and for longer than it takes to write that down, either this is
    /// told or [`disconnected`](Self::disconnected), and once. For that `disconnected` waits until the
    /// client's end is written down, while the backplane is away up to its return; and a node that was
    /// given up by mistake ends the connections of which another one has begun to tell
    /// ([`End::GivenUp`]). If the node that tells ends meanwhile, too, another one goes on, and may
    /// tell of up to 64 clients again. While the backplane is away nobody is given up.
    ///
    /// All nodes of the hub have to ask for this.
    #[must_use]
    pub fn client_lost<F>(
        mut self,
        log: Arc<dyn Log>,
        tell: impl Fn(Hub, LostClient) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.events.on_client_lost(tell);
        self.estates = Some(log);
        self
    }

    /// Whose presence the hub tells other nodes.
    pub(crate) fn attendance(mut self, attendance: Arc<Attendance>) -> Self {
        self.attendance = Some(attendance);
        self
    }

    /// The hub.
    ///
    /// # Errors
    /// If two methods go by one name, or something is said of a method that there is not.
    pub fn build(self) -> Result<Hub, MethodsError> {
        let Self { config, shards, methods, authenticate, events, raw, redirects, mesh, .. } = self;
        let (mut fanout, attendance) = (self.fanout, self.attendance);
        let methods = match &self.history {
            Some(_) => methods.method(recover::METHOD, recover::recover),
            None => methods,
        };
        let histories = self.history.and_then(|history| {
            if fanout.is_none() {
                fanout = Channel::new("hub").ok().map(Fanout::alone);
            }
            let channel = fanout.as_ref()?.channel().clone();
            Some(Histories::new(history, channel))
        });
        let detail = if config.detailed_errors { ErrorDetail::Shown } else { ErrorDetail::Hidden };
        let methods = methods.error_detail(detail).build()?;
        let asks = config.asked_max.min(Semaphore::MAX_PERMITS);
        let processors = || available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let shards = shards.unwrap_or_else(processors).get();
        let bytes_max = config.stateful_total_max;
        let estate = self.estates.zip(fanout.as_ref());
        let estate = estate.map(|(log, fanout)| Arc::new(Estate::new(log, fanout.channel())));
        let shard = || Arc::new(ShardHandle::new(fanout.is_some(), estate.clone()));
        let shards: Box<[Arc<ShardHandle>]> = (0..shards).map(|_| shard()).collect();
        let standing = Arc::new(Standing::new(shards.clone(), &config));
        let directory = Directory::new(config.disconnect_timeout, config.spent_max);
        Ok(Hub(Arc::new(Inner {
            config: Arc::new(config),
            shards,
            directory: Arc::new(directory),
            office: office(mesh.as_ref()),
            has_own_ids: self.has_own_ids,
            mesh: mesh.map(Arc::new),
            standing,
            methods,
            authenticate,
            events,
            raw,
            redirects,
            keepers: Arc::new(Keepers::new(bytes_max)),
            node: fanout.as_ref().map_or_else(NodeId::random, Fanout::node),
            fanout,
            histories,
            attendance,
            estate,
            moving: Moving::default(),
            // An answer to a question of another node must not pass for one to a question of this one.
            questions: AtomicU64::new(random::<u64>() >> 16),
            asks: Arc::new(Semaphore::new(asks)),
            refuses_new: AtomicBool::new(false),
            stop: CancellationToken::new(),
            running: Mutex::new(Running::NotYet),
            next_shard: AtomicUsize::new(0),
        })))
    }
}

/// Who issues connection tokens: this process alone, or with others.
fn office(mesh: Option<&Mesh>) -> Office {
    match mesh {
        Some(Mesh { cluster, hub }) => {
            Office::new(cluster.seal().clone(), hub, cluster.advertise(), cluster.run())
        }
        None => Office::new(Seal::random(), "", "", random()),
    }
}

impl fmt::Debug for HubBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}
