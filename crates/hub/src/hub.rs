//! The hub: what publishers hold, and what every connection belongs to.

mod across;
mod builder;

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use everwire_backplane::NodeId;
use everwire_proto::signalr::message::InvocationId;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

pub use self::builder::HubBuilder;
use crate::{
    audience::{Audience, Whom},
    client::Client,
    cluster::Mesh,
    config::HubConfig,
    connection::{Connection, Delivered},
    declared::attendance::Attendance,
    directory::Directory,
    end::End,
    estate::{Estate, keeper::Keeper},
    events::Events,
    fanout::{Fanout, exchange::Exchange},
    frames::Frames,
    history::Histories,
    id::{ConnectionId, GroupName, UserId},
    identity::{Authenticate, Denied, Identity},
    keepers::Keepers,
    member::Member,
    method::Methods,
    moving::Moving,
    raw::RawHandler,
    recipients::{Groups, Recipients},
    redirect::Redirects,
    replies::{Awaited, Survey},
    request::ClientRequest,
    roster::Roll,
    service::HubService,
    shard::{Overloaded, Post, Shard, ShardHandle, Tidies},
    standing::Standing,
    ticket::Office,
    treatment::Treatment,
};

/// A hub. Cheap to clone; every clone is the same hub.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

/// What a hub has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Connections that are open.
    pub connected: usize,
    /// Messages of clients, pings included.
    pub received: u64,
    /// Messages that were published, counted once for each client that was sent them.
    pub delivered: u64,
    /// Those that had to wait, because their client did not take them at once.
    pub queued: u64,
    /// Messages that were dropped for slow clients, by the policy for those.
    pub dropped: u64,
    /// Connections that have ended because their clients took less than they were sent.
    pub slow: u64,
    /// Connections that have ended because their clients said more than they may.
    pub floods: u64,
    /// Bytes that are kept for sessions that may be resumed.
    pub kept: usize,
    /// Sessions that can no longer be resumed, because as much was kept as may be.
    pub given_up: u64,
    /// Sessions that have moved to other nodes.
    pub moved_out: u64,
    /// Sessions that have come from other nodes.
    pub moved_in: u64,
    /// Attempts to move a session that have failed.
    pub moves_failed: u64,
    /// Messages of this node that went to a [history](crate::History).
    pub recorded: u64,
    /// Messages that were read from a history for a client, counted once for each: it recovered, or
    /// its session came from another node.
    pub replayed: u64,
    /// Times that a client that follows a channel was told of a gap.
    pub gaps: u64,
}

pub(crate) struct Inner {
    config: Arc<HubConfig>,
    shards: Box<[Arc<ShardHandle>]>,
    directory: Arc<Directory>,
    office: Office,
    has_own_ids: bool,
    mesh: Option<Arc<Mesh>>,
    standing: Arc<Standing>,
    methods: Methods,
    authenticate: Option<Authenticate>,
    events: Events,
    raw: Option<RawHandler>,
    redirects: Option<Redirects>,
    keepers: Arc<Keepers>,
    fanout: Option<Fanout>,
    histories: Option<Histories>,
    attendance: Option<Arc<Attendance>>,
    node: NodeId,
    estate: Option<Arc<Estate>>,
    moving: Moving,
    questions: AtomicU64,
    /// Answers that may be awaited besides those that are.
    asks: Arc<Semaphore>,
    refuses_new: AtomicBool,
    stop: CancellationToken,
    running: Mutex<Running>,
    next_shard: AtomicUsize,
}

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
    pub fn connection(&self, connection: ConnectionId) -> Client {
        Client::new(self.clone(), connection)
    }

    /// These connections.
    pub fn connections(&self, connections: impl IntoIterator<Item = ConnectionId>) -> Recipients {
        self.to(Whom::Connections(connections.into_iter().collect()))
    }

    /// Who is in which group.
    pub fn groups(&self) -> Groups {
        Groups { hub: self.clone() }
    }

    /// How many connections are open on this node.
    pub fn connected(&self) -> usize {
        self.0.shards.iter().map(|shard| shard.members()).sum()
    }

    /// What the hub has done so far.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals { connected: self.connected(), ..Totals::default() };
        for shard in &self.0.shards {
            let Delivered { messages, queued, dropped } = shard.delivered();
            totals.delivered += messages;
            totals.queued += queued;
            totals.dropped += dropped;
            totals.received += shard.received();
            totals.slow += shard.slow();
            totals.floods += shard.floods();
            totals.replayed += shard.replayed();
            totals.gaps += shard.gaps();
        }
        totals.kept = self.0.keepers.bytes();
        totals.given_up = self.0.keepers.given_up();
        let [moved_out, moved_in, moves_failed] = self.0.moving.counts();
        let recorded = self.histories().map(Histories::recorded).unwrap_or_default();
        Totals { moved_out, moved_in, moves_failed, recorded, ..totals }
    }

    /// The shards, for who runs each on a runtime of its own; empty if they run already. A hub whose
    /// shards nobody takes runs them on the runtime of its first request.
    pub fn take_shards(&self) -> Vec<Shard> {
        let mut running = self.running();
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

    /// Takes no more clients; those that are there stay.
    pub fn refuse_new(&self) {
        self.0.refuses_new.store(true, Relaxed);
    }

    /// Tells so many clients that the hub stops; more are told with the next call. They may
    /// reconnect, to another node.
    pub fn stop_some(&self, count: usize) {
        for connection in self.0.directory.some(count) {
            let shard = Arc::clone(&connection.shard);
            shard.post(Post::End(connection, End::Stopping));
        }
    }

    /// Tells all clients that the hub stops, and takes no more of them.
    pub fn stop(&self) {
        self.refuse_new();
        self.0.stop.cancel();
    }

    /// Ready once the hub has been stopped and every connection has ended.
    pub async fn stopped(&self) {
        self.0.stop.cancelled().await;
        for shard in &self.0.shards {
            shard.tasks.close();
            shard.tasks.wait().await;
        }
    }

    /// Who is connected to this node, and in which groups, in the order of ids. A stopped hub says
    /// nobody.
    pub async fn members_now(&self) -> Vec<Member> {
        self.all().members_now().await
    }

    /// Whether there is such a connection on this node.
    pub fn has(&self, connection: ConnectionId) -> bool {
        self.find(connection).is_some()
    }

    pub(crate) fn config(&self) -> &HubConfig {
        &self.0.config
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.0.directory
    }

    /// Sessions on their way to or from other nodes.
    pub(crate) fn moving(&self) -> &Moving {
        &self.0.moving
    }

    /// Who issues and reads connection tokens.
    pub(crate) fn office(&self) -> &Office {
        &self.0.office
    }

    /// The token by which a request names its connection.
    pub(crate) fn token_of(&self, request: &ClientRequest) -> Option<String> {
        request.connection_token(self.0.has_own_ids)
    }

    /// The other nodes, if there are any.
    pub(crate) fn mesh(&self) -> Option<&Arc<Mesh>> {
        self.0.mesh.as_ref()
    }

    /// Ready once the hub has been stopped.
    pub(crate) async fn stopping(&self) {
        self.0.stop.cancelled().await;
    }

    pub(crate) fn refuses_new_clients(&self) -> bool {
        self.0.refuses_new.load(Relaxed)
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
        self.start();
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
        self.each_shard(audience, |shard| {
            let post = Post::Send(Arc::clone(audience), Arc::clone(frames));
            shard.publish(post, frames.charged(), bytes_max)
        })
    }

    /// Has the audience asked; each shard tells whom it has asked.
    pub(crate) fn survey(
        &self,
        audience: &Arc<Audience>,
        id: &InvocationId,
        frames: &Arc<Frames>,
    ) -> Result<Vec<oneshot::Receiver<Vec<Awaited>>>, Overloaded> {
        let bytes_max = self.config().inbox_max;
        let mut shards = Vec::new();
        self.each_shard(audience, |shard| {
            let (tell, asked) = oneshot::channel();
            let asks = Arc::clone(&self.0.asks);
            let survey = Survey::new(id.clone(), Arc::clone(frames), asks, tell);
            shards.push(asked);
            let post = Post::Survey(Arc::clone(audience), survey);
            shard.publish(post, frames.charged(), bytes_max)
        })?;
        Ok(shards)
    }

    /// Whether one more answer may be awaited; until what this gives is dropped.
    pub(crate) fn may_ask(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.asks).try_acquire_owned().ok()
    }

    /// Has something done with each of an audience.
    pub(crate) fn handle(
        &self,
        audience: Audience,
        treatment: &Treatment,
    ) -> Result<(), Overloaded> {
        let bytes_max = self.config().inbox_max;
        let audience = Arc::new(audience);
        self.each_shard(&audience, |shard| {
            let post = Post::Handle(Arc::clone(&audience), treatment.clone());
            shard.publish(post, Treatment::CHARGED, bytes_max)
        })
    }

    /// Who of an audience is there.
    pub(crate) async fn call(&self, roll: Roll) -> Vec<Member> {
        let mut answers = Vec::new();
        let audience = roll.audience.clone();
        // Somebody waits for each answer, so that there are no more than those who wait.
        let called = self.each_shard(&audience, |shard| {
            let (answer, answered) = oneshot::channel();
            answers.push(answered);
            shard.post(Post::Call(roll.clone(), answer));
            Ok(())
        });
        debug_assert!(called.is_ok(), "what is posted is always taken");
        let mut members = Vec::new();
        for answered in answers {
            members.extend(answered.await.unwrap_or_default());
        }
        members
    }

    /// Takes a connection in, and into the groups that its user is to be in.
    pub(crate) fn arrive(&self, connection: &Arc<Connection>) {
        match &connection.identity.user {
            Some(user) => self.0.standing.arrive(user, connection),
            None => connection.shard.arrive(Arc::clone(connection)),
        }
    }

    /// The groups that users are to be in.
    pub(crate) fn standing(&self) -> &Standing {
        &self.0.standing
    }

    /// Posts to every shard where somebody of the audience may be.
    fn each_shard(
        &self,
        audience: &Audience,
        mut post: impl FnMut(&ShardHandle) -> Result<(), Overloaded>,
    ) -> Result<(), Overloaded> {
        if let Whom::Connections(ids) = &audience.whom
            && let [id] = ids[..]
        {
            return self.find(id).map_or(Ok(()), |connection| post(&connection.shard));
        }
        let mut all = Ok(());
        for shard in self.0.shards.iter().filter(|shard| shard.members() > 0) {
            if post(shard).is_err() {
                all = Err(Overloaded);
            }
        }
        all
    }

    /// What this node would leave behind, if the application wants to know.
    pub(crate) fn estate(&self) -> Option<&Arc<Estate>> {
        self.0.estate.as_ref()
    }

    pub(crate) fn events(&self) -> &Events {
        &self.0.events
    }

    /// What is done with connections if they speak no hub protocol.
    pub(crate) fn raw(&self) -> Option<&RawHandler> {
        self.0.raw.as_ref()
    }

    /// Who decides where clients connect, if it is not always here.
    pub(crate) fn redirects(&self) -> Option<&Redirects> {
        self.0.redirects.as_ref()
    }

    /// What all sessions keep.
    pub(crate) fn keepers(&self) -> &Arc<Keepers> {
        &self.0.keepers
    }

    /// An id that no other question has.
    pub(crate) fn next_question(&self) -> InvocationId {
        self.0.questions.fetch_add(1, Relaxed).into()
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn to(&self, whom: Whom) -> Recipients {
        Recipients::new(self.clone(), whom)
    }

    fn tidies(&self) -> Tidies {
        let (directory, standing) = (Arc::clone(&self.0.directory), Arc::clone(&self.0.standing));
        let (mesh, reviews) = (self.0.mesh.clone(), JoinSet::new());
        Tidies { directory, standing, mesh, reviews }
    }

    fn all_shards(&self) -> impl Iterator<Item = Shard> {
        self.0.shards.iter().enumerate().map(|(index, handle)| Shard {
            handle: Arc::clone(handle),
            config: Arc::clone(&self.0.config),
            stop: self.0.stop.clone(),
            tidies: (index == 0).then(|| self.tidies()),
            listens: (index == 0 && self.0.fanout.is_some())
                .then(|| Exchange(Arc::downgrade(&self.0))),
            keeps: (index == 0).then(|| self.keeper()).flatten(),
        })
    }

    fn keeper(&self) -> Option<Keeper> {
        let (estate, fanout) = (self.0.estate.as_ref()?, self.0.fanout.as_ref()?);
        let (hub, stop) = (Arc::downgrade(&self.0), self.0.stop.clone());
        Some(Keeper::new(hub, Arc::clone(estate), Arc::clone(fanout.bus()), stop))
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("connected", &self.connected()).finish_non_exhaustive()
    }
}
