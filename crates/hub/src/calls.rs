//! The calls of one connection: one after the other.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use everwire_proto::signalr::message::{Call, HubMessage, InvocationId, Outcome};

use crate::{connection::Connection, hub::Hub};

/// What a method is called with, and by whom.
#[derive(Debug, Clone)]
pub struct Caller {
    hub: Hub,
    connection: Arc<Connection>,
}

/// A method without its types.
pub(crate) type Method = Box<dyn Fn(Caller, Call) -> Running + Send + Sync>;

/// A call at work.
pub(crate) type Running = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// Calls at work and calls that wait.
#[derive(Default)]
pub(crate) struct Calls {
    running: Option<Box<(Option<InvocationId>, Running)>>,
    waiting: VecDeque<(Option<InvocationId>, Running)>,
}

impl Caller {
    /// The hub.
    pub const fn hub(&self) -> &Hub {
        &self.hub
    }

    /// The connection that calls.
    pub fn id(&self) -> crate::ConnectionId {
        self.connection.id()
    }
}

impl Calls {
    pub(crate) const fn new() -> Self {
        Self { running: None, waiting: VecDeque::new() }
    }

    pub(crate) fn is_full(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(crate) fn handle(&mut self, message: HubMessage, hub: &Hub, connection: &Arc<Connection>) {
        let HubMessage::Invocation(invocation) = message else { return };
        let caller = Caller { hub: hub.clone(), connection: Arc::clone(connection) };
        let running: Running = match hub.method(&invocation.call.target) {
            Some(method) => method(caller, invocation.call),
            None => {
                let error = format!("Unknown hub method '{}'", invocation.call.target);
                Box::pin(async move { Outcome::Error(error.into()) })
            }
        };
        self.waiting.push_back((invocation.id, running));
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<HubMessage>> {
        loop {
            if self.running.is_none() {
                let Some(next) = self.waiting.pop_front() else { return Poll::Ready(None) };
                self.running = Some(Box::new(next));
            }
            let Some(running) = &mut self.running else { return Poll::Ready(None) };
            let Poll::Ready(outcome) = running.1.as_mut().poll(cx) else { return Poll::Pending };
            let id = running.0.take();
            self.running = None;
            if let Some(id) = id {
                return Poll::Ready(Some(HubMessage::completion(id, outcome)));
            }
        }
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").finish_non_exhaustive()
    }
}
