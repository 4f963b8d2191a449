//! The hub: what publishers hold, and what every connection belongs to.

use std::{
    fmt,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread::available_parallelism,
};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    audience::{Audience, Whom},
    config::HubConfig,
    connection::Connection,
    directory::Directory,
    end::End,
    error::ErrorDetail,
    frames::Frames,
    id::{ConnectionId, GroupName, UserId},
    identity::{Authenticate, Denied, Identity},
    method::{Handler, Methods, MethodsBuilder, MethodsError, StreamHandler},
    recipients::{Groups, Recipients},
    request::ClientRequest,
    service::HubService,
    shard::{Overloaded, Post, Shard, ShardHandle},
};

/// A hub. Cheap to clone; every clone is the same hub.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

/// A hub on its way.
#[derive(Default)]
pub struct HubBuilder {
    config: HubConfig,
    shards: Option<NonZeroUsize>,
    methods: MethodsBuilder,
    authenticate: Option<Authenticate>,
    disconnected: Option<Box<Disconnected>>,
}

struct Inner {
    config: Arc<HubConfig>,
    shards: Box<[Arc<ShardHandle>]>,
    directory: Arc<Directory>,
    methods: Methods,
    authenticate: Option<Authenticate>,
    disconnected: Option<Box<Disconnected>>,
    stop: CancellationToken,
    running: Mutex<Running>,
    next_shard: AtomicUsize,
}

/// What is told that a connection has ended.
type Disconnected = dyn Fn(&Hub, ConnectionId, End) + Send + Sync;

/// Who runs the shards.
enum Running {
    /// Nobody has taken them.
    NotYet,
    /// They were given away.
    Given,
    /// The hub does, and they end with it.
    Own { _tasks: JoinSet<()> },
}

impl Hub {
    /// A hub with all defaults and no methods.
    pub fn builder() -> HubBuilder {
        HubBuilder::default()
    }

    /// All clients.
    pub fn all(&self) -> Recipients {
        self.to(Whom::All)
    }

    /// The members of a group.
    pub fn group(&self, group: impl Into<GroupName>) -> Recipients {
        self.to(Whom::Groups(vec![group.into()]))
    }

    /// The members of any of these groups, each once.
    pub fn members<G: Into<GroupName>>(&self, groups: impl IntoIterator<Item = G>) -> Recipients {
        self.to(Whom::Groups(groups.into_iter().map(Into::into).collect()))
    }

    /// The connections of a user.
    pub fn user(&self, user: impl Into<UserId>) -> Recipients {
        self.to(Whom::Users(vec![user.into()]))
    }

    /// The connections of any of these users.
    pub fn users<U: Into<UserId>>(&self, users: impl IntoIterator<Item = U>) -> Recipients {
        self.to(Whom::Users(users.into_iter().map(Into::into).collect()))
    }

    /// One connection.
    pub fn connection(&self, connection: ConnectionId) -> Recipients {
        self.connections([connection])
    }

    /// These connections.
    pub fn connections(&self, connections: impl IntoIterator<Item = ConnectionId>) -> Recipients {
        self.to(Whom::Connections(connections.into_iter().collect()))
    }

    /// Who is in which group.
    pub fn groups(&self) -> Groups {
        Groups { hub: self.clone() }
    }

    /// Ends a connection. Its client does not reconnect by itself.
    pub fn abort(&self, connection: ConnectionId) {
        if let Some(connection) = self.find(connection) {
            let shard = Arc::clone(&connection.shard);
            shard.post(Post::End(connection, End::Aborted));
        }
    }

    /// How many connections are open.
    pub fn connected(&self) -> usize {
        self.0.shards.iter().map(|shard| shard.members()).sum()
    }

    /// The shards, for who runs each on a runtime of its own; empty if they run already. A hub whose
    /// shards nobody takes runs them on the runtime of its first request.
    pub fn take_shards(&self) -> Vec<Shard> {
        let mut running = self.0.running.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*running, Running::NotYet) {
            return Vec::new();
        }
        *running = Running::Given;
        self.all_shards().collect()
    }

    /// Answers requests below the path that the hub is mounted at.
    pub fn service(&self) -> HubService {
        HubService::new(self.clone(), None)
    }

    /// Tells all clients that the hub stops, and takes no more of them.
    pub fn stop(&self) {
        self.0.stop.cancel();
    }

    pub(crate) fn config(&self) -> &HubConfig {
        &self.0.config
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.0.directory
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.0.stop.is_cancelled()
    }

    pub(crate) fn methods(&self) -> &Methods {
        &self.0.methods
    }

    pub(crate) async fn identify(&self, request: Arc<ClientRequest>) -> Result<Identity, Denied> {
        let identity = match &self.0.authenticate {
            Some(authenticate) => authenticate.ask(request).await?,
            None => Identity::default(),
        };
        match (self.0.methods.admits(&identity), &identity.user) {
            (true, _) => Ok(identity),
            (false, None) => Err(Denied::Unauthorized),
            (false, Some(_)) => Err(Denied::Forbidden),
        }
    }

    /// A shard for one more connection; runs the shards if nobody does.
    pub(crate) fn pick_shard(&self) -> Arc<ShardHandle> {
        let mut running = self.0.running.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*running, Running::NotYet) {
            *running = Running::Own { _tasks: self.all_shards().map(Shard::run).collect() };
        }
        drop(running);
        let next = self.0.next_shard.fetch_add(1, Relaxed) % self.0.shards.len();
        Arc::clone(&self.0.shards[next])
    }

    pub(crate) fn find(&self, connection: ConnectionId) -> Option<Arc<Connection>> {
        self.0.directory.find(connection)
    }

    pub(crate) fn publish(
        &self,
        audience: &Arc<Audience>,
        frames: &Arc<Frames>,
    ) -> Result<(), Overloaded> {
        let bytes_max = self.config().inbox_max;
        let send = |shard: &ShardHandle| {
            shard.publish(Arc::clone(audience), Arc::clone(frames), bytes_max)
        };
        if let Whom::Connections(ids) = &audience.whom
            && let [id] = ids[..]
        {
            return self.find(id).map_or(Ok(()), |connection| send(&connection.shard));
        }
        let mut all = Ok(());
        for shard in self.0.shards.iter().filter(|shard| shard.members() > 0) {
            all = all.and(send(shard));
        }
        all
    }

    /// A connection has ended.
    pub(crate) fn forget(&self, connection: &Connection, end: End) {
        self.0.directory.remove(connection.id());
        tracing::debug!(connection = %connection.id(), ?end, "disconnected");
        if let Some(disconnected) = &self.0.disconnected {
            disconnected(self, connection.id(), end);
        }
    }

    fn to(&self, whom: Whom) -> Recipients {
        Recipients::new(self.clone(), whom)
    }

    fn all_shards(&self) -> impl Iterator<Item = Shard> {
        self.0.shards.iter().enumerate().map(|(index, handle)| Shard {
            handle: Arc::clone(handle),
            config: Arc::clone(&self.0.config),
            stop: self.0.stop.clone(),
            tidies: (index == 0).then(|| Arc::clone(&self.0.directory)),
        })
    }
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

    /// A method with one result: a function of a [`Context`](crate::Context) and of up to eight
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

    /// Is told of each connection that it has ended, once.
    #[must_use]
    pub fn disconnected(
        mut self,
        told: impl Fn(&Hub, ConnectionId, End) + Send + Sync + 'static,
    ) -> Self {
        self.disconnected = Some(Box::new(told));
        self
    }

    /// The hub.
    ///
    /// # Errors
    /// If two methods go by one name, or something is said of a method that there is not.
    pub fn build(self) -> Result<Hub, MethodsError> {
        let Self { config, shards, methods, authenticate, disconnected } = self;
        let detail = if config.detailed_errors { ErrorDetail::Shown } else { ErrorDetail::Hidden };
        let methods = methods.error_detail(detail).build()?;
        let processors = || available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let shards = shards.unwrap_or_else(processors).get();
        Ok(Hub(Arc::new(Inner {
            config: Arc::new(config),
            shards: (0..shards).map(|_| Arc::default()).collect(),
            directory: Arc::default(),
            methods,
            authenticate,
            disconnected,
            stop: CancellationToken::new(),
            running: Mutex::new(Running::NotYet),
            next_shard: AtomicUsize::new(0),
        })))
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("connected", &self.connected()).finish_non_exhaustive()
    }
}

impl fmt::Debug for HubBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}
