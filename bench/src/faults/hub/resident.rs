//! A client that is present under a name, and never comes back.

use std::sync::Arc;

use anyhow::Result;
use tokio::time::sleep;

use super::receiver::REDIAL;
use super::scene::Scene;
use super::talk::Talk;

/// One at each node.
pub(super) struct Resident {
    pub(super) scene: Arc<Scene>,
    pub(super) node: usize,
}

impl Resident {
    /// Stays until its node goes.
    pub(super) async fn live(self) {
        let (node, target) = self.scene.node(self.node);
        loop {
            if let Ok(mut talk) = Talk::open(target).await {
                // It ends with the connection.
                let _ = stay(&mut talk, &name(node)).await;
                return;
            }
            sleep(REDIAL).await;
        }
    }
}

async fn stay(talk: &mut Talk, name: &str) -> Result<()> {
    talk.call("Enter", name, drop).await?;
    loop {
        talk.ear.hear().await?;
    }
}

/// Who is present at a node.
pub(super) fn name(node: u16) -> String {
    format!("resident {node}")
}
