//! Telling the application of the clients that a node has left behind.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use everwire_backplane::Member;
use futures_util::future::join_all;

use super::{
    Estate,
    keeper::REMEMBERED,
    ledger::{Ledger, Wrote},
    note::{Entry, Holding, Holdings, Note, write_notes},
};
use crate::{
    events::LostClient,
    hub::{Hub, Inner},
    id::ConnectionId,
};

/// Inherits a node in the name of this one, `me`; done when all its clients are told of, or somebody
/// else tells. Waits as long as the backplane is away.
pub(crate) async fn inherit(hub: Weak<Inner>, estate: Arc<Estate>, member: Member, me: Member) {
    let Some(name) = estate.name(member) else { return };
    let mut ledger = Ledger::new(Arc::clone(&estate.log), name);
    let clients = seal(&mut ledger, member, me).await;
    let count = clients.len();
    if tell(&hub, &mut ledger, member, clients).await {
        ledger.trim(ledger.version()).await;
        ledger.remove(REMEMBERED).await;
        tracing::info!(node = %member.node, clients = count, "told of a lost node's clients");
    }
}

/// Takes over the log of a node; gives the clients that are still to be told of.
async fn seal(ledger: &mut Ledger, member: Member, me: Member) -> BTreeMap<ConnectionId, Holding> {
    let mut holdings = Holdings::default();
    loop {
        match ledger.read_on().await {
            Some(entries) if entries.is_empty() => {}
            Some(entries) => {
                entries.iter().for_each(|entry| holdings.take(&entry.payload, member.node));
                continue;
            }
            None => {
                holdings = Holdings::default();
                continue;
            }
        }
        match ledger.write(&Entry::Seal(me).write()).await {
            Wrote::Last => return holdings.clients,
            // There is more to read.
            Wrote::TakenOver => {}
            Wrote::Forgotten => return BTreeMap::new(),
        }
    }
}

/// Tells of each client, some at a time, and writes down that they are told of. `false` if somebody
/// else goes on.
async fn tell(
    hub: &Weak<Inner>,
    ledger: &mut Ledger,
    member: Member,
    clients: BTreeMap<ConnectionId, Holding>,
) -> bool {
    let mut rest = clients.into_iter().peekable();
    while rest.peek().is_some() {
        let Some(hub) = hub.upgrade().map(Hub::from_inner) else { return false };
        let some: Vec<_> = rest.by_ref().take(TOLD_AT_ONCE).collect();
        let told: Vec<_> = some.iter().map(|(id, _)| Note::Gone(*id)).collect();
        let lost = some.into_iter().map(|(connection, Holding { user, groups })| LostClient {
            node: member.node,
            connection,
            user,
            groups: groups.into_iter().collect(),
        });
        join_all(lost.filter_map(|lost| hub.events().client_lost(&hub, lost))).await;
        drop(hub);
        if ledger.write(&write_notes(&told)).await == Wrote::TakenOver {
            return false;
        }
    }
    true
}

/// Clients that are told of at once: so many are told of again if this node ends meanwhile.
const TOLD_AT_ONCE: usize = 64;
