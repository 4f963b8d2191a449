//! What a manager says, in the order in which it says it.

use everwire_client::{Answer, ClientBuilder};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::wire::{Changed, Gap, Order, Snapshot, Welcome};

/// One thing that a manager says.
#[derive(Debug)]
pub(crate) enum Said {
    Welcome(Welcome),
    /// A command, and where the manager waits for an answer.
    Order(Order, oneshot::Sender<Value>),
    Snapshot(Snapshot),
    Changed(Changed),
    Gap(Gap),
}

/// Has a client hand on what the manager says. Handlers wait for room, and so does the manager.
pub(super) fn handlers(client: ClientBuilder, say: &mpsc::Sender<Said>) -> ClientBuilder {
    let client = on(client, "Welcome", say, Said::Welcome);
    let client = on(client, "Snapshot", say, Said::Snapshot);
    let client = on(client, "ConfigurationChanged", say, Said::Changed);
    let client = on(client, "Gap", say, Said::Gap);
    let say = say.clone();
    client.on("Command", move |order: Order| {
        let say = say.clone();
        async move {
            let (answer, answered) = oneshot::channel();
            let gone = |_| "the agent is about to leave".to_owned();
            say.send(Said::Order(order, answer)).await.map_err(|_| gone(()))?;
            answered.await.map(Answer).map_err(|_| gone(()))
        }
    })
}

fn on<T: DeserializeOwned + Send + 'static>(
    client: ClientBuilder,
    method: &str,
    say: &mpsc::Sender<Said>,
    said: fn(T) -> Said,
) -> ClientBuilder {
    let say = say.clone();
    client.on(method, move |what: T| {
        let say = say.clone();
        async move {
            // Nobody listens any more to a connection that is about to be left.
            let _ = say.send(said(what)).await;
        }
    })
}
