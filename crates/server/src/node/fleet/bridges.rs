//! Bridges: what is published on plain channels of a Redis becomes changes of sets.

use std::sync::Arc;

use everwire_backplane::{Bus, redis};
use everwire_fleet::{
    Fleet,
    bridge::{Bridge, BridgeConfig, BridgeEvent, Changes},
    name::SetName,
    set::{Change, ChangeError},
    sets::Author,
};

use super::FleetError;
use crate::config;

/// A bridge and the channel that it reads.
#[derive(Debug)]
pub(crate) struct NodeBridge {
    pub(crate) channel: String,
    pub(crate) bridge: Bridge,
}

/// Starts all bridges; each ends with what is given back.
pub(super) fn start(
    bridges: &[config::Bridge],
    bus: &Arc<dyn Bus>,
    fleet: &Fleet,
) -> Result<Vec<NodeBridge>, FleetError> {
    let changes = Arc::new(ToFleet(fleet.clone()));
    let start = |bridge: &config::Bridge| {
        let config = BridgeConfig {
            redis: redis::Config::new(&*bridge.url),
            channel: bridge.channel.as_str().into(),
            set: bridge.set.clone(),
        };
        let bridge_of = Bridge::start(config, Arc::clone(bus), Arc::clone(&changes))?;
        Ok(NodeBridge { channel: bridge.channel.clone(), bridge: bridge_of })
    };
    bridges.iter().map(start).collect()
}

struct ToFleet(Fleet);

impl Changes for ToFleet {
    async fn change(&self, set: SetName, change: Change, by: Box<str>) -> Result<(), ChangeError> {
        let author = Author { by, note: None };
        self.0.change(&set, &[change], author, None).await.map(drop)
    }

    fn tell(&self, event: BridgeEvent) {
        match event {
            BridgeEvent::BridgeBegan { channel } => {
                tracing::info!(%channel, "this node reads the bridge");
            }
            BridgeEvent::BridgeMissed { channel, why } => {
                tracing::warn!(%channel, %why, "the bridge may have missed something");
            }
            BridgeEvent::BridgeRefused { channel, why } => {
                tracing::warn!(%channel, %why, "a message of the bridge is no change");
            }
        }
    }
}
