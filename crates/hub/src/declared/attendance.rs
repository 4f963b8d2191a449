//! Who is present, and who is told of it: on this node as its connections say, on the others as their
//! hubs announce.
//!
//! Each node tells its own clients, and only what has changed for the whole hub. So a client hears of
//! each coming and going once, in the order in which its node learns of them, and whichever node goes
//! nobody else has to tell of it.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use everwire_backplane::Member;
use serde::Serialize;

use super::Presence;
use crate::{
    error::HubError,
    fanout::envelope::Envelope,
    hub::Hub,
    id::{ConnectionId, GroupName},
    method::Context,
    moving::session::Attending,
    presence::{
        Place, Scope,
        peers::{Changes, Page, Peers},
        roster::{Change, Full, Limits, Roster},
    },
    recipients::Recipients,
};

/// Who is present in one hub.
#[derive(Debug)]
pub(crate) struct Attendance {
    presence: Option<Presence>,
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    roster: Roster,
    peers: Peers,
    /// How many changes of this node were announced.
    version: u64,
}

impl Attendance {
    pub(crate) fn new(presence: Option<Presence>, memberships_max: usize) -> Self {
        let names = presence.as_ref().map_or(0, |presence| presence.names_max);
        let limits = Limits { memberships: memberships_max, names };
        Self { presence, limits, state: Mutex::default() }
    }

    /// A client has come, and is told who is there.
    pub(crate) fn come(&self, cx: &Context) {
        let state = self.state();
        self.tell_newcomer(cx, &Scope::Hub, &state.roster.names(&Scope::Hub));
    }

    /// A client has gone, and with it what it was present under.
    pub(crate) fn gone(&self, hub: &Hub, id: ConnectionId) {
        let mut state = self.state();
        let changes = state.roster.gone(id);
        self.follow(&mut state, hub, changes);
    }

    /// Who is present in the hub, on all nodes.
    pub(crate) fn names(&self) -> Vec<Arc<str>> {
        self.state().roster.names(&Scope::Hub)
    }

    pub(super) fn join(&self, cx: &Context, group: &GroupName) -> Result<(), HubError> {
        let joined = self.state().roster.join(cx.connection_id(), group, self.limits.memberships);
        joined.map_err(in_words)?;
        let added = cx.hub().groups().add(cx.connection_id(), group.clone());
        added.map_err(|full| HubError::new(full.to_string()))
    }

    pub(super) fn leave(&self, cx: &Context, group: &GroupName) {
        let mut state = self.state();
        let gone = state.roster.leave(cx.connection_id(), group);
        cx.hub().groups().remove_here(cx.connection_id(), group.clone());
        self.follow(&mut state, cx.hub(), gone);
    }

    /// What is told is told before anybody else changes who is present, so that all hear of it in
    /// the order in which it happens.
    pub(crate) fn enter(&self, cx: &Context, place: Place) -> Result<(), HubError> {
        let mut state = self.state();
        let scope = place.0.clone();
        // A newcomer to the hub was told when it connected.
        let before = (scope != Scope::Hub).then(|| state.roster.names(&scope));
        let entered = state.roster.enter(cx.connection_id(), place, self.limits);
        let change = entered.map_err(in_words)?;
        if let Some(names) = before {
            self.tell_newcomer(cx, &scope, &names);
        }
        self.follow(&mut state, cx.hub(), change);
        Ok(())
    }

    pub(crate) fn exit(&self, cx: &Context, name: Arc<str>) {
        let mut state = self.state();
        let change = state.roster.exit(cx.connection_id(), (Scope::Hub, name));
        self.follow(&mut state, cx.hub(), change);
    }

    /// What a connection has.
    pub(crate) fn of(&self, id: ConnectionId) -> Attending {
        self.state().roster.of(id)
    }

    /// A connection comes from another node, with what it has.
    pub(crate) fn arrived(&self, hub: &Hub, id: ConnectionId, attending: Attending) {
        let mut state = self.state();
        for group in &attending.groups {
            if let Err(full) = state.roster.join(id, group, self.limits.memberships) {
                tracing::warn!(connection = %id, %full, "does not have all of its groups");
            }
        }
        for place in attending.places {
            match state.roster.enter(id, place, self.limits) {
                Ok(change) => self.follow(&mut state, hub, change),
                Err(full) => {
                    tracing::warn!(connection = %id, %full, "is not present under all of its names");
                }
            }
        }
    }

    /// A hub on another node announces a change.
    pub(crate) fn change_elsewhere(
        &self,
        hub: &Hub,
        member: Member,
        version: u64,
        place: Place,
        is_there: bool,
    ) {
        self.with_peers(hub, |peers| peers.handle_change(member, version, place, is_there));
    }

    /// A hub on another node says how many changes it has announced.
    pub(crate) fn standing_elsewhere(&self, member: Member, version: u64) {
        self.state().peers.handle_standing(member, version);
    }

    /// What others have announced may be missing.
    pub(crate) fn gap(&self, of: Option<Member>) {
        self.state().peers.handle_gap(of);
    }

    /// A node is gone; gives what was present there.
    pub(crate) fn node_gone(&self, hub: &Hub, member: Member) -> Vec<Place> {
        let names = self.state().peers.names(member).cloned().collect();
        self.with_peers(hub, |peers| peers.handle_gone(member));
        names
    }

    /// What has to be looked after from time to time.
    pub(crate) fn tick(&self, hub: &Hub, living: Option<&BTreeSet<Member>>) {
        self.with_peers(hub, |peers| peers.handle_tick(living));
    }

    /// Which node is to be asked for its page behind which place.
    pub(crate) fn poll_ask(&self) -> Option<(Member, Option<Place>)> {
        self.state().peers.poll_ask()
    }

    /// A node's page, if it has answered.
    pub(crate) fn page_elsewhere(
        &self,
        hub: &Hub,
        member: Member,
        after: Option<&Place>,
        page: Option<Page>,
    ) {
        self.with_peers(hub, |peers| peers.handle_page(member, after, page));
    }

    /// This node's page behind a place.
    pub(crate) fn page_here(&self, after: Option<&Place>) -> Page {
        let state = self.state();
        let mut here = state.roster.here_after(after);
        let places = here.by_ref().take(PAGE_MAX).collect();
        Page { version: state.version, places, has_more: here.next().is_some() }
    }

    /// How many changes this node has announced.
    pub(crate) fn version(&self) -> u64 {
        self.state().version
    }

    /// Has something happen to what is known of other nodes, and tells this node's clients.
    fn with_peers(&self, hub: &Hub, what: impl FnOnce(&mut Peers) -> Changes) {
        let mut state = self.state();
        for (place, is_there) in what(&mut state.peers) {
            if state.roster.change_elsewhere(&place, is_there) {
                self.tell(hub, &place, is_there);
            }
        }
    }

    /// Announces changes of this node to the others and tells this node's clients.
    fn follow(&self, state: &mut State, hub: &Hub, changes: impl IntoIterator<Item = Change>) {
        for Change { place, is_there, here, altogether } in changes {
            if altogether {
                self.tell(hub, &place, is_there);
            }
            if here && let Some(fanout) = hub.fanout() {
                state.version += 1;
                let version = state.version;
                // What is refused is counted, and found missing by its number.
                let _ = fanout.say(&Envelope::Presence { version, place, is_there });
            }
        }
    }

    fn tell(&self, hub: &Hub, (scope, name): &Place, is_there: bool) {
        let Some(presence) = &self.presence else { return };
        let target = if is_there { &presence.joined } else { &presence.left };
        let to = match scope {
            Scope::Hub => hub.all(),
            Scope::Group(group) => hub.group(group.clone()),
        };
        target.iter().for_each(|target| tell(&to.clone().here(), target, scope, &**name));
    }

    fn tell_newcomer(&self, cx: &Context, scope: &Scope, names: &[Arc<str>]) {
        let Some(presence) = &self.presence else { return };
        let newcomer = cx.hub().connections([cx.connection_id()]).here();
        match &presence.roster {
            Some(target) => {
                let names: Vec<&str> = names.iter().map(|name| &**name).collect();
                tell(&newcomer, target, scope, &names);
            }
            None => {
                let joined = presence.joined.iter();
                joined.for_each(|target| {
                    names.iter().for_each(|name| tell(&newcomer, target, scope, &**name));
                });
            }
        }
    }

    /// Held while something is published, which takes a moment, and never across an await.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A name of something, which is neither empty nor long.
pub(crate) fn checked(name: &str) -> Result<Arc<str>, HubError> {
    match name.len() {
        0 => Err(HubError::new("A name is empty.")),
        1..=NAME_MAX => Ok(name.into()),
        _ => Err(HubError::new(format!("A name is longer than {NAME_MAX} bytes."))),
    }
}

fn in_words(full: Full) -> HubError {
    HubError::new(full.to_string())
}

/// Tells of a name or names, and in which group those are.
fn tell(to: &Recipients, target: &str, scope: &Scope, what: &(impl Serialize + ?Sized)) {
    let told = match scope {
        Scope::Hub => to.send(target, &(what,)),
        Scope::Group(group) => to.send(target, &(what, group.as_str())),
    };
    if let Err(error) = told {
        tracing::warn!(target, %error, "clients are not told who is present");
    }
}

/// The longest name of a group, a user, or somebody who is present: as long as a DNS name. Names
/// are kept, and told to everybody.
const NAME_MAX: usize = 255;

/// Names of one page: with the longest some 2 MiB.
const PAGE_MAX: usize = 4096;
