//! How the backplane is and what it has carried, asked for when somebody looks.

use std::{fmt, sync::Arc};

use everwire_backplane::{Bus, Counts};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

/// The node's end of the bus.
pub(super) struct BackplaneCounts(pub(super) Arc<dyn Bus>);

impl Collector for BackplaneCounts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let health = self.0.health();
        let (name, help) = ("backplane_reachable", "Whether the backplane answers");
        let gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(i64::from(health.reachable)).encode(gauge)?;
        COUNTERS.into_iter().try_for_each(|(name, help, value)| {
            let counter = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(value(&health.counts)).encode(counter)
        })
    }
}

impl fmt::Debug for BackplaneCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BackplaneCounts")
    }
}

/// Name, help, value.
type Series = (&'static str, &'static str, fn(&Counts) -> u64);

const COUNTERS: [Series; 9] = [
    ("backplane_stored", "Messages that the backplane confirmed", |counts| counts.stored),
    (
        "backplane_refused",
        "Messages that were not taken, of which their publishers were told",
        |counts| counts.refused,
    ),
    ("backplane_resent", "Messages sent once more, since they were not confirmed", |counts| {
        counts.resent
    }),
    ("backplane_received", "Messages received", |counts| counts.received),
    ("backplane_duplicates", "Messages received again and dropped", |counts| counts.duplicates),
    ("backplane_recovered", "Messages that were missing and came when asked for", |counts| {
        counts.recovered
    }),
    ("backplane_lost", "Messages lost, each of them announced", |counts| counts.lost),
    ("backplane_foreign", "Entries that this node cannot read, dropped", |counts| counts.foreign),
    ("backplane_cuts", "Connections to the backplane that ended", |counts| counts.cuts),
];
