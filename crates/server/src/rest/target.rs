//! What a request's path asks for. Pure.

use everwire_proto::signalr::negotiate::segment;
use http::{Method, StatusCode};

use crate::problem::Problem;

/// What is at a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Whether the node answers at all.
    Health,
    /// Something of a hub by its name; nothing if it has nothing there.
    Hub(String, Option<Resource>),
}

/// Whom something is done with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Whom {
    All,
    Group(String),
    User(String),
    Connection(String),
}

/// What of a hub.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Resource {
    /// `:send`.
    Send(Whom),
    /// `:closeConnections`.
    Close(Whom),
    /// `:generateToken`.
    Token,
    /// Those themselves.
    Those(Whom),
    /// The members of a group.
    Members(String),
    /// A connection in a group.
    Member { group: String, connection: String },
    /// A connection's groups.
    Memberships(String),
    /// A user in a group.
    UserMember { user: String, group: String },
    /// A user's groups.
    UserMemberships(String),
}

impl Target {
    /// What is at this path, if it is one of the data plane's. A name's escapes are resolved, so that
    /// a slash may be in it.
    pub(super) fn of(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/api/")?;
        if rest == "health" {
            return Some(Self::Health);
        }
        let segments = rest.strip_prefix("hubs/")?.split('/').map(segment);
        let segments = segments.collect::<Option<Vec<_>>>()?;
        let (hub, rest) = segments.split_first()?;
        let rest: Vec<_> = rest.iter().map(String::as_str).collect();
        Some(Self::Hub(hub.clone(), Resource::of(&rest)))
    }
}

impl Resource {
    fn of(segments: &[&str]) -> Option<Self> {
        if segments.contains(&"") {
            return None;
        }
        let text = |text: &str| text.to_owned();
        Some(match *segments {
            [SEND] => Self::Send(Whom::All),
            [CLOSE] => Self::Close(Whom::All),
            [":generateToken"] => Self::Token,
            [kind, name] => Self::Those(Whom::of(kind, name)?),
            [kind, name, SEND] => Self::Send(Whom::of(kind, name)?),
            [kind @ ("groups" | "users"), name, CLOSE] => Self::Close(Whom::of(kind, name)?),
            ["groups", group, "connections"] => Self::Members(text(group)),
            ["groups", group, "connections", connection] => {
                Self::Member { group: text(group), connection: text(connection) }
            }
            ["connections", connection, "groups"] => Self::Memberships(text(connection)),
            ["users", user, "groups"] => Self::UserMemberships(text(user)),
            ["users", user, "groups", group] => {
                Self::UserMember { user: text(user), group: text(group) }
            }
            _ => return None,
        })
    }

    /// The methods that it takes, as `Allow` lists them.
    pub(super) const fn methods(&self) -> &'static str {
        match self {
            Self::Send(_) | Self::Close(_) | Self::Token => "POST",
            Self::Those(Whom::Connection(_)) => "GET, HEAD, DELETE",
            Self::Those(_) => LOOK,
            Self::Members(_) => "GET",
            Self::Member { .. } => "PUT, DELETE",
            Self::Memberships(_) | Self::UserMemberships(_) => "DELETE",
            Self::UserMember { .. } => "GET, HEAD, PUT, DELETE",
        }
    }
}

impl Whom {
    fn of(kind: &str, name: &str) -> Option<Self> {
        match kind {
            "groups" => Some(Self::Group(name.to_owned())),
            "users" => Some(Self::User(name.to_owned())),
            "connections" => Some(Self::Connection(name.to_owned())),
            _ => None,
        }
    }
}

/// Lets only these methods through.
pub(super) fn allow(method: &Method, methods: &'static str) -> Result<(), Problem> {
    if methods.split(", ").any(|allowed| allowed == method.as_str()) {
        return Ok(());
    }
    let detail = format!("this address takes {methods}, not {method}");
    Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).allowing(methods))
}

/// Asking whether something is there.
pub(super) const LOOK: &str = "GET, HEAD";

const SEND: &str = ":send";
const CLOSE: &str = ":closeConnections";

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str) -> Option<Resource> {
        match Target::of(&format!("/api/hubs/chat{path}")) {
            Some(Target::Hub(hub, resource)) => {
                assert_eq!(hub, "chat");
                resource
            }
            other => panic!("{path}: {other:?}"),
        }
    }

    #[test]
    fn a_path_says_what_and_whom() {
        let name = || "a/b ä+".to_owned();
        assert_eq!(at("/:send"), Some(Resource::Send(Whom::All)));
        assert_eq!(at("/%3Asend"), Some(Resource::Send(Whom::All)));
        assert_eq!(at("/groups/a%2Fb%20%C3%A4+/:send"), Some(Resource::Send(Whom::Group(name()))));
        assert_eq!(at("/users/x/:closeConnections"), Some(Resource::Close(Whom::User("x".into()))));
        let member = Resource::UserMember { user: "x".into(), group: name() };
        assert_eq!(at("/users/x/groups/a%2fb%20%c3%a4%2B"), Some(member));
        assert_eq!(Target::of("/api/health"), Some(Target::Health));
    }

    #[test]
    fn what_is_not_there_is_nothing() {
        for path in [
            "",
            "/",
            "/:Send",
            "/groups",
            "/groups/",
            "/groups//:send",
            "/connections/x/:closeConnections",
            "/rooms/x",
            "/groups/x/users",
            "/groups/x/connections/y/z",
        ] {
            assert_eq!(at(path), None, "{path}");
        }
        for path in ["/api/hubs", "/api", "/api/hubs/chat/groups/%ff", "/other"] {
            assert_eq!(Target::of(path), None, "{path}");
        }
    }
}
