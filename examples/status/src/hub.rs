//! The hub: each tab is present under a name that says where it hangs and how it is.
//!
//! The hub keeps the roster, on all nodes: who comes is told who is there (`roster`), all are told who
//! has come (`joined`) and who has gone (`left`), however they went. A tab that is closed, loses its
//! network or hangs on a node that is killed is announced as gone by whoever is left.

use std::sync::Arc;

use everwire_backplane::Bus;
use everwire_hub::{Channel, Cluster, Context, Hub, HubError, Presence};

/// The other nodes of the hub.
pub(crate) struct Others {
    /// How they talk to each other.
    pub(crate) bus: Arc<dyn Bus>,
    /// Who they are to each other, so that any of them takes any request of a client.
    pub(crate) cluster: Cluster,
}

/// The hub of a node, alone or with others.
pub(crate) fn build(others: Option<&Others>) -> anyhow::Result<Hub> {
    let mut hub = Hub::builder()
        .presence(Presence {
            roster: Some("roster".into()),
            joined: Some("joined".into()),
            left: Some("left".into()),
            ..Presence::default()
        })
        .method("Announce", announce);
    if let Some(Others { bus, cluster }) = others {
        hub = hub.backplane(Arc::clone(bus), Channel::new("status")?).cluster(cluster, "status");
    }
    Ok(hub.build()?)
}

/// A tab says how it is, and how it was until now if it has said so before.
async fn announce(cx: Context, says: String, said: String) -> Result<(), HubError> {
    cx.present(&entry(&cx, &says))?;
    if said != says {
        cx.absent(&entry(&cx, &said));
    }
    Ok(())
}

/// A line of the roster. What identifies the tab is the hub's word, so that nobody changes or removes
/// another's line.
fn entry(cx: &Context, says: &str) -> String {
    format!("{} {} {says}", cx.hub().node(), cx.connection_id())
}
