//! Sessions come to this node; the story is in [`super`].

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use everwire_proto::signalr::negotiate::{StatefulReconnect, Transport};
use futures_util::future::join_all;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use super::session::{Attending, Ended, SESSION_MAX, Session};
use crate::{
    clock,
    cluster::ADDRESS_MAX,
    config::Expiry,
    connection::{
        Begun, Connection, Wire, groups::NAME_MAX, kept::Kept, recovers_first, task::Task,
    },
    fanout::{
        envelope::Envelope,
        fields::{Reader, Writer},
        ledger::{Said, Tap},
    },
    frames::{Framing, Speech},
    history::{Histories, follow::Followed, travel::Arrivals},
    hub::Hub,
    id::ConnectionId,
    presence::Scope,
    request::ClientRequest,
    shard::ShardHandle,
    ticket::Home,
    transport::{body::HubBody, reply},
};

/// Answers another node whose sessions are to move here, or that has a word about where they are.
pub(crate) async fn answer<B>(
    hub: &Hub,
    shard: Arc<ShardHandle>,
    request: Request<B>,
) -> Response<HubBody>
where
    B: Body<Data = Bytes> + Send,
    B::Error: Send,
{
    let asked = ClientRequest::new(&request);
    let body = Limited::new(request.into_body().map_err(|_| "cut"), BODY_MAX).collect();
    let Ok(Ok(body)) = timeout(BODY_WITHIN, body).await else {
        return reply::empty(StatusCode::BAD_REQUEST);
    };
    let body = body.to_bytes();
    // The letter is for the request's target, and this for its body.
    if asked.parameter("digest").as_deref() != Some(&digest(&body)) {
        return reply::empty(StatusCode::BAD_REQUEST);
    }
    let wave = asked.parameter("wave").and_then(|wave| u64::from_str_radix(&wave, 16).ok());
    let node = asked.parameter("node").filter(|node| node.len() <= ADDRESS_MAX);
    let answered = match (asked.path(), wave, node) {
        ("/move/begin", Some(wave), _) => hub.begin_wave(wave),
        ("/move/take", Some(wave), Some(from)) => hub.take(&shard, wave, &from, body).await,
        ("/move/end", Some(wave), _) => hub.end_wave(wave).map(|ended| ended.write()),
        ("/move/tell", _, Some(node)) => hub.relocate(&node, &body),
        _ => None,
    };
    match answered {
        Some(answer) => reply::whole(StatusCode::OK, "application/octet-stream", answer),
        None => reply::empty(StatusCode::CONFLICT),
    }
}

/// What says that a body is the one that was meant.
pub(crate) fn digest(body: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(body))
}

impl Hub {
    /// Begins to keep what is said; gives how far this node has come.
    fn begin_wave(&self, wave: u64) -> Option<Bytes> {
        self.offer()?;
        let fanout = self.fanout()?;
        let has_room = {
            let _standstill = fanout.standstill();
            fanout.ledger().open(wave)
        };
        if !has_room {
            return None;
        }
        if fanout.say(&Envelope::Mark).is_err() {
            fanout.ledger().close(wave);
            return None;
        }
        self.moving().waves().begin(wave, clock::now());
        Some(fanout.ledger().progress.write(Writer::default()).finish())
    }

    /// Takes sessions in.
    async fn take(
        &self,
        shard: &Arc<ShardHandle>,
        wave: u64,
        from: &str,
        body: Bytes,
    ) -> Option<Bytes> {
        let sessions = Reader::new(body).list(Reader::bytes)?;
        // One that this node cannot read stays where it is.
        let sessions: Vec<_> = sessions.into_iter().filter_map(Session::read).collect();
        // What comes after a session is told to it: that must be nothing which it has.
        let fanout = self.fanout()?;
        let own = fanout.node();
        let come_as_far = fanout
            .until(|here| sessions.iter().all(|one| here.covers(&one.progress, own, one.node)));
        timeout(CATCH_UP_MAX, come_as_far).await.ok()?;
        let adopted = {
            let steady = join_all(self.histories().map(Histories::steady));
            let _steady = timeout(CATCH_UP_MAX, steady).await.ok()?;
            self.adopt_all(shard, wave, sessions)?
        };
        let own = self.mesh()?.cluster.advertise();
        let mut homes: HashMap<String, Vec<u8>> = HashMap::new();
        for (connection, attending) in adopted {
            if let Some(attendance) = self.attendance() {
                attendance.arrived(self, connection.id(), attending);
            }
            let home = self.home_of(&connection.request);
            if let Some(home) = home.filter(|home| home != own && home != from) {
                homes.entry(home).or_default().extend_from_slice(connection.id().as_bytes());
            }
        }
        self.tell_homes(homes).await;
        Some(Bytes::new())
    }

    fn adopt_all(
        &self,
        shard: &Arc<ShardHandle>,
        wave: u64,
        sessions: Vec<Session>,
    ) -> Option<Vec<(Arc<Connection>, Attending)>> {
        let fanout = self.fanout()?;
        let _standstill = fanout.standstill();
        let ledger = fanout.ledger();
        let tap = ledger.tap(wave)?;
        let mut waves = self.moving().waves();
        if !waves.is_open(wave) {
            return None;
        }
        let (mut adopted, mut arrivals) = (Vec::new(), Arrivals::default());
        for session in sessions {
            let (id, attending) = (session.id, session.attending.clone());
            if waves.has(wave, id) || self.find(id).is_some() {
                continue;
            }
            if let Some(connection) = self.adopt(shard, session, tap, &mut arrivals) {
                waves.adopt(wave, id);
                self.moving().moved_in.fetch_add(1, Relaxed);
                adopted.push((connection, attending));
            }
        }
        arrivals.start(self, shard);
        Some(adopted)
    }

    /// Goes on with a session; at a standstill, so that what it is told from now on comes behind.
    fn adopt(
        &self,
        shard: &Arc<ShardHandle>,
        mut session: Session,
        tap: &Tap,
        arrivals: &mut Arrivals,
    ) -> Option<Arc<Connection>> {
        let config = self.config();
        if self.raw().is_some() || config.stateful_reconnect == StatefulReconnect::Off {
            return None;
        }
        let speech = Speech { protocol: session.protocol, framing: Framing::WebSocket };
        let bytes_max = config.stateful_max + config.queue_max;
        let kept = std::mem::take(&mut session.kept);
        let mut kept = Kept::restored(kept, bytes_max, Arc::clone(self.keepers()));
        for said in tap.beyond(&session.progress)? {
            match said {
                Said::Call(audience, frames) => {
                    let user = session.identity.user.as_ref();
                    if audience.has(session.id, user, &session.groups) {
                        frames.bytes(speech).into_iter().for_each(|frame| kept.keep(frame.clone()));
                    }
                }
                Said::Membership { connection, group, joins } if *connection == session.id => {
                    match joins {
                        true => session.groups.insert(group.clone()),
                        false => session.groups.remove(group),
                    };
                    // Where it is in one that it joins, if that has a history, nobody knows here.
                    let scope = Scope::Group(group.clone());
                    session.follows.retain(|followed| followed.scope != scope);
                }
                // It stays where it is, to end there.
                Said::Dismissal(audience)
                    if audience.has(
                        session.id,
                        session.identity.user.as_ref(),
                        &session.groups,
                    ) =>
                {
                    return None;
                }
                Said::Membership { .. } | Said::Dismissal(_) => {}
            }
        }
        if kept.is_over() || !self.can_follow(&session) {
            return None;
        }
        let now = clock::now();
        let begun = Begun {
            id: session.id,
            transport: Transport::WebSockets,
            stateful_reconnect: StatefulReconnect::On,
        };
        let mut wire = Wire::restored(speech, kept, now);
        if config.expiry == Expiry::Closes {
            let expires = session.identity.expires;
            wire.pulse.expire(expires.map(|moment| now + clock::until(moment)));
        }
        let follows = std::mem::take(&mut session.follows);
        let missing = wire.arrive(follows, |followed| self.is_next(followed));
        let Session { identity, request, groups, protocol, .. } = session;
        let connection = Connection::new(begun, identity, request, Arc::clone(shard), wire);
        let connection = Arc::new(connection);
        connection.await_client();
        self.directory().insert(Arc::clone(&connection));
        let task = Task::restored(self.clone(), Arc::clone(&connection), protocol);
        for group in groups.into_iter().filter(|group| group.as_str().len() <= NAME_MAX) {
            if let Err(error) = connection.join(group, config.groups_max) {
                tracing::warn!(connection = %connection.id(), %error, "is not in all of its groups");
                break;
            }
        }
        missing.into_iter().for_each(|followed| arrivals.add(followed, &connection));
        connection.come();
        connection.shard.tasks.spawn(task);
        tracing::debug!(connection = %connection.id(), "has come");
        Some(connection)
    }

    /// Whether what a session is to be sent of channels with a history can go on here.
    fn can_follow(&self, Session { follows, groups, request, .. }: &Session) -> bool {
        let Some(histories) = self.histories() else { return follows.is_empty() };
        histories.know(follows) && (recovers_first(request) || histories.are_all(follows, groups))
    }

    fn is_next(&self, followed: &Followed) -> bool {
        self.histories().is_some_and(|histories| histories.is_next(followed))
    }

    /// Keeps nothing more for a wave; gives what has come with it.
    fn end_wave(&self, wave: u64) -> Option<Ended> {
        let fanout = self.fanout()?;
        fanout.ledger().close(wave);
        let adopted = self.moving().waves().end(wave);
        Some(Ended { adopted, progress: fanout.ledger().progress.clone() })
    }

    /// Gives up waves whose old node is silent.
    pub(crate) fn expire_waves(&self) {
        let Some(fanout) = self.fanout() else { return };
        for wave in self.moving().waves().expire(clock::now()) {
            fanout.ledger().close(wave);
            tracing::warn!("a node began to move sessions here and did not go on");
        }
    }

    /// Where the token of a connection was issued.
    fn home_of(&self, request: &ClientRequest) -> Option<String> {
        let ticket = self.office().read(&self.token_of(request)?)?;
        match self.office().home(&ticket) {
            Home::At(node) => Some(node.to_owned()),
            Home::Here | Home::Gone => None,
        }
    }

    /// Tells nodes that have issued tokens where their connections are now. One that does not hear it
    /// asks when it has to know.
    async fn tell_homes(&self, homes: HashMap<String, Vec<u8>>) {
        let Some(mesh) = self.mesh() else { return };
        let told = homes.into_iter().map(|(home, ids)| async move {
            mesh.tell_moved(&home, ids.into()).await;
        });
        let _ = timeout(TELL_MAX, join_all(told)).await;
    }

    /// Connections whose tokens were issued here are at this node from now on.
    fn relocate(&self, node: &str, ids: &Bytes) -> Option<Bytes> {
        let (ids, []) = ids.as_chunks() else { return None };
        let now = clock::now();
        for id in ids.iter().copied().map(ConnectionId::from_bytes) {
            self.directory().relocate(id, node, now);
        }
        Some(Bytes::new())
    }
}

/// How long this node has to hear what the sessions' old node had said and heard. Short of the time
/// that a request between nodes has.
const CATCH_UP_MAX: Duration = Duration::from_secs(2);

/// Bytes of one request: a session, or a few.
const BODY_MAX: usize = 2 * SESSION_MAX;

/// How long they may take to come.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// How long nodes have to hear where a connection is now.
const TELL_MAX: Duration = Duration::from_secs(1);
