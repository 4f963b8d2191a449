//! The node's own metrics and the page that shows all of them.
//!
//! Names start with `everwire_`; labels come from closed sets only, so the number of series does
//! not depend on what clients send.

mod backplane;
mod cluster;
mod fleet;
mod hubs;

use std::sync::Arc;

use everwire_backplane::Bus;
use everwire_gateway::Gateway;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text::encode},
    metrics::{
        counter::{ConstCounter, Counter},
        gauge::Gauge,
        info::Info,
    },
    registry::Registry,
};

use self::{
    backplane::BackplaneCounts, cluster::ClusterCounts, fleet::FleetCounts, hubs::HubCounts,
};
use crate::{
    logging,
    node::{Hubs, NodeFleet},
};

/// What the node counts beside the gateway's own metrics.
pub(crate) struct Metrics {
    /// Connections that were accepted.
    pub(crate) accepted: Counter,
    /// Connections that are open, in their handshake or as a session.
    pub(crate) connections: Gauge,
    /// Connections answered 503 because `connections_max` was reached.
    pub(crate) turned_away: Counter,
    /// Times that accepting failed, for want of file descriptors most likely.
    pub(crate) accept_errors: Counter,
    /// Clients that sent no whole request head in time.
    pub(crate) head_timeouts: Counter,
    registry: Registry,
}

impl Metrics {
    pub(crate) fn new(
        gateway: &Gateway,
        hubs: &Hubs,
        fleet: Option<&Arc<NodeFleet>>,
        bus: Option<&Arc<dyn Bus>>,
    ) -> Self {
        let mut registry = Registry::with_prefix("everwire");
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "What runs", version);
        let mut metrics = Self {
            accepted: Counter::default(),
            connections: Gauge::default(),
            turned_away: Counter::default(),
            accept_errors: Counter::default(),
            head_timeouts: Counter::default(),
            registry,
        };
        metrics.register();
        gateway.register_metrics(&mut metrics.registry);
        let cluster = hubs.cluster.clone();
        let hubs = hubs.iter().cloned().collect();
        metrics.registry.register_collector(Box::new(HubCounts(hubs)));
        if let Some(fleet) = fleet {
            metrics.registry.register_collector(Box::new(FleetCounts(Arc::clone(fleet))));
        }
        if let Some(bus) = bus {
            metrics.registry.register_collector(Box::new(BackplaneCounts(Arc::clone(bus))));
        }
        if let Some(cluster) = cluster {
            metrics.registry.register_collector(Box::new(ClusterCounts(cluster)));
        }
        metrics
    }

    /// The page in the OpenMetrics text format.
    pub(crate) fn page(&self) -> Result<String, std::fmt::Error> {
        let mut page = String::new();
        encode(&mut page, &self.registry)?;
        Ok(page)
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("accepted", "Client connections accepted", self.accepted.clone());
        registry.register("connections", "Client connections open", self.connections.clone());
        registry.register(
            "turned_away",
            "Client connections answered 503 at connections_max",
            self.turned_away.clone(),
        );
        registry.register("accept_errors", "Failures to accept", self.accept_errors.clone());
        registry.register(
            "head_timeouts",
            "Clients without a whole request in time",
            self.head_timeouts.clone(),
        );
        registry.register_collector(Box::new(LogLines));
    }
}

/// What the log has lost, asked for on request.
#[derive(Debug)]
struct LogLines;

impl Collector for LogLines {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let lines = ConstCounter::new(logging::lines_dropped());
        let help = "Log lines dropped because nobody read them in time";
        let name = "log_lines_dropped";
        lines.encode(encoder.encode_descriptor(name, help, None, lines.metric_type())?)
    }
}
