//! Who comes to the admin listener with a token of the fleet instead of the operator's: it may do with
//! sets and commands what the token's grant says, and nothing else.

use axum::http::HeaderMap;
use everwire_fleet::{
    access::{Pass, Right},
    name::SetName,
    target::Pattern,
};

use super::commands::BY;
use crate::{
    node::{Node, NodeFleet},
    problem::Problem,
    rest::access::bearer,
};

/// Somebody with a token of the fleet. A request of the operator has none.
#[derive(Clone, Copy, Debug)]
pub(in crate::admin) struct Guest(Pass);

impl Guest {
    /// Whoever shows a token that the fleet knows, at an address where one may be for something. That it is
    /// for what is asked the handlers check.
    pub(in crate::admin) fn find(node: &Node, path: &str, headers: &HeaderMap) -> Option<Self> {
        let is_place = PLACES.iter().any(|place| path.starts_with(place));
        let token = bearer(headers).filter(|_| is_place)?;
        let (grants, pass) = (node.fleet.as_ref()?.fleet.grants(), Pass::new(Some(token)));
        (!grants.is_open() && grants.admits(pass)).then_some(Self(pass))
    }

    /// Refuses what the token does not allow with a set.
    pub(super) fn check_set(
        self,
        fleet: &NodeFleet,
        right: Right,
        set: &SetName,
    ) -> Result<(), Problem> {
        match fleet.fleet.grants().allows_set(self.0, right, set) {
            true => Ok(()),
            false => Err(Problem::forbidden(format!(
                "the token has no right {right} for the set {set}; see [fleet.tokens]"
            ))),
        }
    }

    /// Refuses commands for whom the token is not.
    pub(super) fn check_target(self, fleet: &NodeFleet, target: &Pattern) -> Result<(), Problem> {
        match fleet.fleet.grants().allows_target(self.0, target) {
            true => Ok(()),
            false => Err(Problem::forbidden(format!(
                "the token has no right {} for {target}; see [fleet.tokens]",
                Right::Command
            ))),
        }
    }

    /// Whom the fleet knows who asks.
    pub(super) const fn name(guest: Option<Self>) -> &'static str {
        match guest {
            Some(_) => "a token",
            None => BY,
        }
    }
}

/// Where handlers look at who asks.
const PLACES: [&str; 2] = ["/api/v1/fleet/sets/", "/api/v1/fleet/commands"];
