//! The simulated tabs: each says how it is, and keeps the roster that it is told, as the page does.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use everwire_client::{Client, ConnectError, Connection, ReconnectPolicy, State, Transport};
use tokio::task::JoinSet;

use super::verdict::wrong_lines;
use crate::failure::Failure;

/// All tabs.
pub(super) struct Tabs {
    list: Vec<Tab>,
    /// Each tab says anew how it is when it has lost its connection.
    _reminders: JoinSet<()>,
}

struct Tab {
    name: String,
    connection: Connection,
    /// The roster as this tab sees it.
    sees: Arc<Mutex<BTreeSet<String>>>,
    /// How it is.
    says: Arc<Mutex<String>>,
}

impl Tabs {
    /// Opens so many tabs, which announce themselves.
    pub(super) async fn open(count: usize, gateway: SocketAddr) -> Result<Self, Failure> {
        let mut tabs = Self { list: Vec::new(), _reminders: JoinSet::new() };
        for number in 0..count {
            let tab = Tab::open(number, gateway).await.map_err(Failure::failed)?;
            tab.announce("").await;
            tabs._reminders.spawn(tab.reminder());
            tabs.list.push(tab);
        }
        Ok(tabs)
    }

    pub(super) fn count(&self) -> usize {
        self.list.len()
    }

    /// All say that they are something else.
    pub(super) async fn say(&self, text: &str) {
        for tab in &self.list {
            let says = format!("{} {text}", tab.name);
            let said = std::mem::replace(&mut *locked(&tab.says), says);
            tab.announce(&said).await;
        }
    }

    /// How many lines are wrong in all their rosters together: missing, doubled, or of somebody who
    /// is not there, with these nodes alive. A tab without a connection sees nothing.
    pub(super) fn wrong(&self, living: &BTreeSet<&str>) -> usize {
        let says: Vec<String> = self.list.iter().map(|tab| locked(&tab.says).clone()).collect();
        let wrong = |tab: &Tab| {
            let sees = tab.connection.state().borrow().is_open().then(|| locked(&tab.sees).clone());
            wrong_lines(&sees.unwrap_or_default(), &says, living)
        };
        self.list.iter().map(wrong).sum()
    }
}

impl Tab {
    async fn open(number: usize, gateway: SocketAddr) -> Result<Self, ConnectError> {
        let sees = Arc::<Mutex<BTreeSet<String>>>::default();
        let (all, more, fewer) = (Arc::clone(&sees), Arc::clone(&sees), Arc::clone(&sees));
        let connection = Client::builder(format!("http://{gateway}/statusHub"))
            // The page has no use for it either.
            .skip_negotiation()
            .transports([Transport::WebSockets])
            .reconnect(ReconnectPolicy::Unlimited { first: FIRST_WAIT, longest: 8 * FIRST_WAIT })
            .on("roster", move |names: BTreeSet<String>| *locked(&all) = names)
            .on("joined", move |name: String| {
                locked(&more).insert(name);
            })
            .on("left", move |name: String| {
                locked(&fewer).remove(&name);
            })
            .connect()
            .await?;
        let name = format!("tab{number}");
        let says = Arc::new(Mutex::new(format!("{name} here")));
        Ok(Self { name, connection, sees, says })
    }

    async fn announce(&self, said: &str) {
        announce(&self.connection, &self.says, said).await;
    }

    /// Says anew how the tab is whenever it has another connection.
    fn reminder(&self) -> impl Future<Output = ()> + use<> {
        let (connection, says) = (self.connection.clone(), Arc::clone(&self.says));
        let mut state = connection.state();
        async move {
            while state.changed().await.is_ok() {
                if matches!(*state.borrow_and_update(), State::Reconnected { .. }) {
                    announce(&connection, &says, "").await;
                }
            }
        }
    }
}

/// Where this fails, the connection is lost, and it is said on the next one.
async fn announce(connection: &Connection, says: &Mutex<String>, said: &str) {
    let says = locked(says).clone();
    let _ = connection.send("Announce", &[says.as_str(), said]).await;
}

fn locked<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

const FIRST_WAIT: Duration = Duration::from_millis(100);
