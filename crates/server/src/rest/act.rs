//! Doing what a request asks for.

use everwire_hub::{Across, ConnectionId, GroupError, Hub, Recipients, SendError, StandingError};
use everwire_proto::signalr::publication::Publication;
use http::{Method, StatusCode, request::Parts};
use http_body::Body;
use hyper::body::Bytes;

use super::{
    Answer, empty, grant, listing, message, noted,
    query::{Query, within},
    target::{Resource, Whom},
};
use crate::{node::NodeHub, problem::Problem};

/// Does it; the method is one that the resource takes.
pub(super) async fn perform<B>(
    node: &NodeHub,
    resource: Resource,
    query: &Query,
    head: &Parts,
    body: B,
) -> Result<Answer, Problem>
where
    B: Body<Data = Bytes>,
{
    let hub = &node.hub;
    match resource {
        Resource::Send(whom) => {
            let to = recipients(node, whom, query)?;
            send(&to, message::read(&head.headers, body).await?)
        }
        Resource::Close(whom) => {
            recipients(node, whom, query)?.end(query.reason.as_deref())?;
            tracing::info!(hub = %node.name, "connections closed by a publisher");
            Ok(empty(StatusCode::NO_CONTENT))
        }
        Resource::Those(Whom::Connection(id)) => connection(node, &id, query, &head.method).await,
        Resource::Those(whom) => exists(node, whom, query).await,
        Resource::Token => grant::token(node, query),
        Resource::Members(group) => listing::members(hub, name("group", group)?, query, head).await,
        Resource::Member { group, connection } => {
            member(hub, name("group", group)?, &connection, &head.method).await
        }
        Resource::Memberships(id) => {
            let is_there = match parse(&id) {
                Some(id) => known(hub.groups().remove_from_all(id).await)?,
                None => false,
            };
            Ok(if is_there { empty(StatusCode::OK) } else { noted(StatusCode::OK, NO_CONNECTION) })
        }
        Resource::UserMember { user, group } => {
            let (user, group) = (name("user", user)?, name("group", group)?);
            user_member(hub, user, group, query, &head.method).await
        }
        Resource::UserMemberships(user) => {
            hub.groups().remove_user_from_all(name("user", user)?).await?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
    }
}

fn send(to: &Recipients, message: Publication) -> Result<Answer, Problem> {
    let Publication { target, arguments } = message;
    to.send_encoded(&target, arguments)?;
    Ok(empty(StatusCode::ACCEPTED))
}

/// Whether anybody is there.
async fn exists(node: &NodeHub, whom: Whom, query: &Query) -> Result<Answer, Problem> {
    let (what, code) = match whom {
        Whom::User(_) => ("no connection of this user", "Warning.User.NotExisted"),
        _ => ("no connection in this group", "Warning.Group.NotExisted"),
    };
    let Across { value, unreached } = recipients(node, whom, query)?.count().await;
    if !known(Across { value: value > 0, unreached })? {
        return Err(Problem::not_found(format!("there is {what}")).coded(code));
    }
    Ok(empty(StatusCode::OK))
}

/// One connection: is it there, or its end.
async fn connection(
    node: &NodeHub,
    id: &str,
    query: &Query,
    method: &Method,
) -> Result<Answer, Problem> {
    const GONE: &str = "Warning.Connection.NotExisted";
    let id = match parse(id) {
        Some(id) => known(node.hub.exists(id).await)?.then_some(id),
        None => None,
    };
    match (id, *method == Method::DELETE) {
        (Some(id), true) => {
            node.hub.connections([id]).end(query.reason.as_deref())?;
            tracing::info!(hub = %node.name, connection = %id, "connection closed by a publisher");
            Ok(empty(StatusCode::OK))
        }
        (Some(_), false) => Ok(empty(StatusCode::OK)),
        // What was to go is gone.
        (None, true) => Ok(noted(StatusCode::OK, GONE)),
        (None, false) => Err(Problem::not_found("there is no such connection").coded(GONE)),
    }
}

/// A connection comes into a group, or leaves it.
async fn member(hub: &Hub, group: String, id: &str, method: &Method) -> Result<Answer, Problem> {
    let (id, is_added) = (parse(id), *method == Method::PUT);
    let is_there = match id {
        Some(id) if is_added => known(hub.groups().add_confirmed(id, group).await?)?,
        Some(id) => known(hub.groups().remove_confirmed(id, group).await)?,
        None => false,
    };
    match (is_there, is_added) {
        (true, _) => Ok(empty(StatusCode::OK)),
        (false, true) => {
            Err(Problem::not_found("there is no such connection").coded(NO_CONNECTION))
        }
        (false, false) => Ok(noted(StatusCode::OK, NO_CONNECTION)),
    }
}

/// A user comes into a group, leaves it, or is looked for there.
async fn user_member(
    hub: &Hub,
    user: String,
    group: String,
    query: &Query,
    method: &Method,
) -> Result<Answer, Problem> {
    let groups = hub.groups();
    match *method {
        Method::PUT => groups.add_user(user, group, query.ttl).await?,
        Method::DELETE => {
            groups.remove_user(user, group).await?;
            return Ok(empty(StatusCode::NO_CONTENT));
        }
        _ if known(groups.has_user(user, group).await)? => {}
        _ => {
            let problem = Problem::not_found("the user is not in this group");
            return Err(problem.coded("Info.User.NotInGroup"));
        }
    }
    Ok(empty(StatusCode::OK))
}

fn recipients(node: &NodeHub, whom: Whom, query: &Query) -> Result<Recipients, Problem> {
    let NodeHub { hub, name: of, .. } = node;
    let all = match whom {
        Whom::All => hub.all(),
        Whom::Group(group) => hub.group(name("group", group)?),
        Whom::User(user) => hub.user(name("user", user)?),
        // What is sent to who has gone reaches nobody, and an id that is none never was anybody.
        Whom::Connection(id) => hub.connections([parse(&id).ok_or_else(|| {
            Problem::bad_request(format!("{id:?} is no connection's id: see everwire hub ls {of}"))
        })?]),
    };
    Ok(all.except(query.excluded.iter().copied()))
}

/// What all nodes say together: that something is not there is only known if all have answered.
fn known(there: Across<bool>) -> Result<bool, Problem> {
    match there {
        Across { value: false, unreached: 1.. } => Err(unreached(there.unreached)),
        Across { value, .. } => Ok(value),
    }
}

/// Some nodes have not answered in time.
pub(super) fn unreached(nodes: usize) -> Problem {
    let what = format!("{nodes} of the hub's nodes have not answered; try again later");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, what)
}

fn parse(id: &str) -> Option<ConnectionId> {
    id.parse().ok()
}

fn name(kind: &str, name: String) -> Result<String, Problem> {
    within(kind, NAME_MAX, name)
}

impl From<SendError> for Problem {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Overloaded => {
                let what = "what was published before has not been delivered; try again later";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, what)
            }
            SendError::NotStored(refusal) => {
                let what = format!("it was done on this node, on others it was not: {refusal}");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, what)
            }
            SendError::Encode(error) => Self::bad_request(error.to_string()),
        }
    }
}

impl From<GroupError> for Problem {
    fn from(error: GroupError) -> Self {
        match error {
            GroupError::TooMany => Self::conflict(error.to_string()),
            GroupError::TooLong => Self::bad_request(error.to_string()),
            GroupError::NotStored(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
            }
        }
    }
}

impl From<StandingError> for Problem {
    fn from(error: StandingError) -> Self {
        match error {
            StandingError::Connection(error) => error.into(),
            StandingError::TooMany | StandingError::NotStored(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
            }
        }
    }
}

/// The longest name of a group, as described, and of a user.
const NAME_MAX: usize = 1024;

const NO_CONNECTION: &str = "Error.Connection.NotExisted";
