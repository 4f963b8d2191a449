//! What the node has done with others, asked for when somebody looks.

use std::fmt;

use everwire_hub::{Cluster, ClusterTotals};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter},
};

/// The node among others.
#[derive(Debug)]
pub(super) struct ClusterCounts(pub(super) Cluster);

impl Collector for ClusterCounts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let totals = self.0.totals();
        COUNTERS.into_iter().try_for_each(|(name, help, value)| {
            let counter = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(value(&totals)).encode(counter)
        })
    }
}

/// Name, help, value.
type Series = (&'static str, &'static str, fn(&ClusterTotals) -> u64);

const COUNTERS: [Series; 5] = [
    ("cluster_passed", "Requests of clients passed to the node of their connection", |totals| {
        totals.passed
    }),
    ("cluster_tunneled", "WebSockets carried to the node of their session", |totals| {
        totals.tunneled
    }),
    ("cluster_unreachable", "Questions that another node did not answer", |totals| {
        totals.unreachable
    }),
    (
        "cluster_refused",
        "Requests to this node that no node of the cluster had written",
        |totals| totals.refused,
    ),
    (
        "cluster_stale",
        "Those of the refused that a node had written, too long ago, too early or twice",
        |totals| totals.stale,
    ),
];
