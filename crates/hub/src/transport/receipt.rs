//! What is known of an answer to a poll after it was given away.
//!
//! A client that polls says that it has an answer only by coming again. Until then what it was given is
//! kept, and given again if it turns out that the answer was lost.

use std::sync::Arc;

use crate::connection::{Connection, mail::Visit};

/// Who carries an answer away may say that it was lost. In the
/// [extensions](http::Response::extensions) of an answer to a poll, for servers that see more of a connection
/// than a service does: one that fails behind the answer, with no other request on it, has not
/// delivered it. What the client was sent is then sent again, first thing with its next poll. Who
/// does not look at this loses what a connection loses, as polling does everywhere.
#[derive(Debug, Clone)]
pub struct Receipt {
    connection: Arc<Connection>,
    visit: Visit,
}

impl Receipt {
    pub(super) const fn new(connection: Arc<Connection>, visit: Visit) -> Self {
        Self { connection, visit }
    }

    /// The client has not got the answer. Too late once it has come again.
    pub fn lost(&self) {
        self.connection.take_back(self.visit);
    }
}
