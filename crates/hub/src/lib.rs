//! The hub: real-time messaging for stock SignalR clients.
#![forbid(unsafe_code)]

pub mod dispatch;
pub mod error;
pub mod method;
pub mod upload;

pub use self::{
    error::{ErrorDetail, Failure, HubError},
    method::{Context, Methods},
    upload::{Feeder, Upload},
};

/// Names a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId([u8; 16]);

/// Names a user, who may have many connections. Compared with regard to case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UserId(std::sync::Arc<str>);

impl std::str::FromStr for ConnectionId {
    type Err = ();

    fn from_str(_: &str) -> Result<Self, ()> {
        Ok(Self([0; 16]))
    }
}

impl From<&str> for UserId {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

/// The handle of a hub, with which its methods reach everybody else.
#[derive(Debug, Clone, Default)]
pub struct Hub(());
