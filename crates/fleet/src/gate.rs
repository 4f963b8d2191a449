//! Who may do what at this moment: the grants, which may be replaced while they are in use.

use tokio::sync::watch;

use crate::access::{Grants, Pass, Right};
use crate::name::SetName;

/// The grants of a node. A clone is the same.
#[derive(Clone, Debug)]
pub(crate) struct Gate(watch::Sender<Grants>);

impl Gate {
    pub(crate) fn new(grants: Grants) -> Self {
        Self(watch::Sender::new(grants))
    }

    /// From now on these grants count, for whoever is there too.
    pub(crate) fn replace(&self, grants: Grants) {
        self.0.send_if_modified(|there| {
            let is_new = *there != grants;
            *there = grants;
            is_new
        });
    }

    /// Those that count now.
    pub(crate) fn grants(&self) -> Grants {
        self.0.borrow().clone()
    }

    /// Told whenever others count.
    pub(crate) fn changes(&self) -> watch::Receiver<Grants> {
        self.0.subscribe()
    }

    /// Whether whoever shows this may come in at all.
    pub(crate) fn admits(&self, pass: Pass) -> bool {
        self.0.borrow().admits(pass)
    }

    /// Whether it may do this as an application, or to one.
    pub(crate) fn allows_app(&self, pass: Pass, right: Right, app: &str) -> bool {
        self.0.borrow().allows_app(pass, right, app)
    }

    /// Whether it may do this to a set.
    pub(crate) fn allows_set(&self, pass: Pass, right: Right, set: &SetName) -> bool {
        self.0.borrow().allows_set(pass, right, set)
    }
}
