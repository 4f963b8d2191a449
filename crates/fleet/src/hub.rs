//! The fleet as a hub: how instances come, what they may call.
//!
//! An instance is a SignalR client that says who it is in the URL of its connection, so that it is
//! back when that is, or by `Join`. The hub calls:
//!
//! | method | arguments | answer |
//! |---|---|---|
//! | `Welcome` | `{cluster, instance, epoch}`: it has its name | none |
//! | `Command` | `{id, name, args, deadline, cluster}`, the deadline in milliseconds since 1970 | see `answer` |
//!
//! and is called by:
//!
//! | method | arguments | result |
//! |---|---|---|
//! | `Join` | `{app, index, id, labels, version}` | `{instance}` |
//! | `Report` | the command's id, an outcome, a detail or null | none |
//! | `Notify` | a name, anything | none |
//!
//! What it says of sets, and what is said to it, is in `follow`.

use std::sync::Arc;

use everwire_backplane::Channel;
use everwire_hub::{Context, Denied, Hub, HubBuilder, HubError, Identity};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    access::Right,
    answer::{detail, named},
    command::CommandId,
    entry::{Event, json_bytes},
    events::FleetEvent,
    follow,
    introduction::{Introduction, Joining},
    lobby,
    name::{InstanceName, SetName},
    node::Node,
};

/// What `Join` answers.
#[derive(Debug, Serialize)]
struct Seated {
    instance: InstanceName,
}

/// What a `Notify` tells all nodes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Notice {
    pub(crate) instance: InstanceName,
    pub(crate) name: Box<str>,
    #[serde(default)]
    pub(crate) data: Value,
    pub(crate) at: u64,
}

/// What the change of a set tells all nodes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SetNotice {
    pub(crate) set: SetName,
    pub(crate) version: u64,
    pub(crate) by: Box<str>,
    pub(crate) at: u64,
}

/// The hub of a fleet, to be added to.
pub(crate) fn builder(node: &Arc<Node>) -> HubBuilder {
    let [came, gone, joins, reports, notifies] = std::array::from_fn(|_| Arc::clone(node));
    let judges = Arc::clone(node);
    let hub = Hub::builder()
        .own_ids()
        .authenticate(move |request| {
            let is_known = judges.shelf.gate().admits(follow::pass_of(&request));
            let identity = is_known.then(Identity::default).ok_or(Denied::Unauthorized);
            std::future::ready(identity)
        })
        .connected(move |cx| {
            let node = Arc::clone(&came);
            async move { come(&node, &cx).await }
        })
        .disconnected(move |cx, end| {
            let node = Arc::clone(&gone);
            async move {
                node.go(cx.connection_id(), &end);
                node.shelf.lobby().leave(cx.connection_id());
                follow::unfollow_all(&node.shelf, &cx).await;
            }
        });
    follow::methods(hub, &node.shelf)
        .method("Join", move |cx: Context, joining: Joining| {
            std::future::ready(join(&joins, &cx, joining))
        })
        .method("Report", move |cx: Context, id: String, outcome: String, detail: Option<Value>| {
            std::future::ready(report(&reports, &cx, &id, &outcome, detail))
        })
        .method("Notify", move |cx: Context, name: String, data: Option<Value>| {
            std::future::ready(notify(&notifies, &cx, name, data.unwrap_or_default()))
        })
}

/// A connection that says who it is begins as an instance, one that names sets watches them; another one
/// may `Join` and `Watch`.
async fn come(node: &Node, cx: &Context) -> Result<(), HubError> {
    let id = cx.connection_id();
    let pass = follow::pass_of(cx.request());
    if let Some(oldest) = node.shelf.lobby().enter(id, pass) {
        // If it cannot be told, it ends with its silence.
        let _ = cx.hub().connections([oldest]).end(Some(lobby::CROWDED));
    }
    let introduction = Introduction::from_query(cx.request().own_parameters()).map_err(told)?;
    let mut is_known = false;
    if let Some(introduction) = introduction {
        let name = introduction.instance.clone();
        is_known = node.ledger.read(|ledger| ledger.roster().get(&name).is_some());
        sit(node, cx, &introduction)?;
    }
    follow::follow_requested(&node.shelf, cx, is_known).await.map_err(told)
}

/// An instance is here, if it may be.
fn sit(node: &Node, cx: &Context, introduction: &Introduction) -> Result<(), HubError> {
    let app = introduction.instance.app().to_owned();
    if !node.shelf.gate().allows_app(follow::pass_of(cx.request()), Right::Join, &app) {
        return Err(HubError::new(format!(
            "This token may not join as {app}; use one with the right 'join' for that application."
        )));
    }
    node.come(cx.connection_id(), introduction);
    node.shelf.lobby().settle(cx.connection_id(), Some(&app));
    Ok(())
}

fn join(node: &Node, cx: &Context, joining: Joining) -> Result<Seated, HubError> {
    let introduction = Introduction::try_from(joining).map_err(told)?;
    let instance = introduction.instance.clone();
    let there = node.seats().get(cx.connection_id()).map(|seat| seat.introduction.instance.clone());
    match there {
        None => sit(node, cx, &introduction)?,
        Some(there) if there == instance => {}
        Some(there) => {
            return Err(HubError::new(format!(
                "This connection is {there}; another instance needs a connection of its own."
            )));
        }
    }
    Ok(Seated { instance })
}

fn report(
    node: &Node,
    cx: &Context,
    id: &str,
    outcome: &str,
    said: Option<Value>,
) -> Result<(), HubError> {
    let instance = instance(node, cx)?;
    let command: CommandId = id.parse().map_err(told)?;
    let outcome = named(outcome).ok_or_else(|| {
        HubError::new("An instance reports done, failed, refused or interrupted.")
    })?;
    let detail = said.and_then(detail);
    let is_known = node.ledger.read(|ledger| {
        let command = ledger.commands().find(command);
        command.is_some_and(|command| command.place(&instance).is_some())
    });
    // What is said of anything else would count for nothing.
    if is_known {
        let at = node.clock.now();
        node.facts.add(&Event::Outcome { command, instance, outcome, detail, at });
    }
    Ok(())
}

fn notify(node: &Node, cx: &Context, name: String, data: Value) -> Result<(), HubError> {
    let instance = instance(node, cx)?;
    if name.is_empty() || name.len() > NOTICE_NAME_MAX || json_bytes(&data) > NOTICE_MAX {
        return Err(HubError::new(format!(
            "A name has 1 to {NOTICE_NAME_MAX} bytes, what it is about at most {NOTICE_MAX}."
        )));
    }
    let notice = Notice { instance, name: name.into(), data, at: node.clock.now() };
    let payload = serde_json::to_vec(&notice)?;
    // Who does not hear of it has missed an event; nothing is folded from it.
    drop(node.books.bus().publish(&notices()?, payload.into()));
    Ok(())
}

fn instance(node: &Node, cx: &Context) -> Result<InstanceName, HubError> {
    let seats = node.seats();
    let seat = seats.get(cx.connection_id());
    let name = seat.map(|seat| seat.introduction.instance.clone());
    name.ok_or_else(|| {
        HubError::new(
            "This connection is no instance: give ?app=…&id=… in its URL, or call Join first.",
        )
    })
}

/// The channel of notices.
pub(crate) fn notices() -> Result<Channel, everwire_backplane::InvalidName> {
    Channel::new(NOTICES)
}

/// What a notice tells who follows events.
impl From<Notice> for FleetEvent {
    fn from(Notice { instance, name, data, at }: Notice) -> Self {
        Self::Notified { instance, name, data, at }
    }
}

/// The same of a set.
impl From<SetNotice> for FleetEvent {
    fn from(SetNotice { set, version, by, at }: SetNotice) -> Self {
        let by = Some(by).filter(|by| !by.is_empty());
        Self::SetChanged { set, version, by, at }
    }
}

/// An error that is meant for the client.
fn told(error: impl std::error::Error) -> HubError {
    HubError::new(error.to_string())
}

const NOTICES: &str = "fleet/notices";

/// Bytes of a notice's name.
const NOTICE_NAME_MAX: usize = 200;

/// Bytes of what a notice is about, as JSON.
const NOTICE_MAX: usize = 16 * 1024;
