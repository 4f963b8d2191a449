//! Hubs without a program: what their methods do is declared.
//!
//! A method joins or leaves a group, says under which name its caller is present, and sends its
//! arguments on; [`Action`] says in which order. Names and receivers are [`Template`]s, filled in
//! from the call. Who is present is told to all, or to the members of the group that it is in:
//! newcomers learn who is there, everybody else who has come and gone, and a connection that ends
//! takes its names with it, however it ends.
//!
//! ```
//! use everwire_hub::{
//!     Hub,
//!     declared::{Action, Declaration, Receivers, Send},
//! };
//!
//! let send = Send { to: Receivers::All, target: "Receive".into(), arguments: None };
//! let broadcast = Action { send: Some(send), ..Action::default() };
//! let mut declared = Declaration::default();
//! declared.methods.insert("Broadcast".into(), broadcast);
//! let hub = declared.declare(Hub::builder()).build().unwrap();
//! ```

pub(crate) mod attendance;
mod perform;
mod template;

use std::{collections::BTreeMap, fmt, str::FromStr};

pub use self::template::{Template, TemplateError};

/// What the methods of a hub do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declaration {
    /// The methods by their names.
    pub methods: BTreeMap<Box<str>, Action>,
    /// Whom the hub tells who is present, if it does.
    pub presence: Option<Presence>,
    /// Groups and names that one connection may have. Default: 100, so that a client cannot fill
    /// the memory; beyond that its calls fail.
    pub memberships_max: usize,
}

/// What one method does, in this order, and nothing of it if its arguments do not fit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Action {
    /// The caller joins this group.
    pub join: Option<Template>,
    /// The caller is present under this name: in the group that the method joins, or in the hub.
    pub present: Option<Template>,
    /// Somebody is sent something.
    pub send: Option<Send>,
    /// The caller is no longer present in the hub under this name.
    pub absent: Option<Template>,
    /// The caller leaves this group, and with it all names under which it is present there.
    pub leave: Option<Template>,
}

/// Something that is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Send {
    /// To whom.
    pub to: Receivers,
    /// The method of the receivers that is called.
    pub target: Box<str>,
    /// What with; the arguments of the call that do not name the receivers, if this does not say.
    pub arguments: Option<Vec<Template>>,
}

/// To whom something is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receivers {
    /// Everybody, the caller included.
    All,
    /// Everybody but the caller.
    Others,
    /// The caller.
    Caller,
    /// The members of a group.
    Group(Template),
    /// The connections of a user.
    User(Template),
}

/// What clients are told of who is present. In a group, its name follows as the last argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// The clients' method that is called with a name when that is present.
    pub joined: Option<Box<str>>,
    /// The clients' method that is called with a name when that is no longer present.
    pub left: Option<Box<str>>,
    /// The clients' method that is called with a list of all names, for who comes into the hub or
    /// into a group. Without it a newcomer is told `joined` of each.
    pub roster: Option<Box<str>>,
    /// Names that may be present in the hub, and in each group. Default: 4,096, because a newcomer
    /// is told all of them; beyond that calls fail.
    pub names_max: usize,
}

/// A text does not say who receives.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiversError {
    /// It is none of the words.
    #[error("is not one of all, others, caller, group:NAME, user:NAME")]
    Unknown,
    /// The name of a group or user cannot be read.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

impl Default for Declaration {
    fn default() -> Self {
        Self { methods: BTreeMap::new(), presence: None, memberships_max: MEMBERSHIPS_MAX }
    }
}

impl Default for Presence {
    fn default() -> Self {
        Self { joined: None, left: None, roster: None, names_max: 4096 }
    }
}

impl Receivers {
    /// The template in it, if there is one.
    pub(crate) const fn template(&self) -> Option<&Template> {
        match self {
            Self::Group(name) | Self::User(name) => Some(name),
            Self::All | Self::Others | Self::Caller => None,
        }
    }
}

impl FromStr for Receivers {
    type Err = ReceiversError;

    fn from_str(text: &str) -> Result<Self, ReceiversError> {
        match text.split_once(':') {
            None if text == "all" => Ok(Self::All),
            None if text == "others" => Ok(Self::Others),
            None if text == "caller" => Ok(Self::Caller),
            Some(("group", name)) => Ok(Self::Group(name.parse()?)),
            Some(("user", name)) => Ok(Self::User(name.parse()?)),
            _ => Err(ReceiversError::Unknown),
        }
    }
}

impl fmt::Display for Receivers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Others => f.write_str("others"),
            Self::Caller => f.write_str("caller"),
            Self::Group(name) => write!(f, "group:{name}"),
            Self::User(name) => write!(f, "user:{name}"),
        }
    }
}

/// Groups and names of one connection where nothing else is said.
pub(crate) const MEMBERSHIPS_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receivers_are_read_as_they_are_written() {
        for text in ["all", "others", "caller", "group:{0}", "group:room-{1}", "user:{user}"] {
            assert_eq!(text.parse::<Receivers>().map(|to| to.to_string()).as_deref(), Ok(text));
        }
        for wrong in ["", "everybody", "All", "group", "all:x", "group:", "user:{x}"] {
            assert!(wrong.parse::<Receivers>().is_err(), "{wrong}");
        }
    }
}
