//! What hubs have done, summed up when it is asked for: no connection touches a shared counter.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

use crate::node::NodeHub;

/// The hubs of a node.
#[derive(Debug)]
pub(super) struct HubCounts(pub(super) Vec<Arc<NodeHub>>);

/// One series of each hub.
type Series = (&'static str, &'static str, fn(&NodeHub) -> u64);

impl Collector for HubCounts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        GAUGES
            .into_iter()
            .try_for_each(|series| self.encode_all(&mut encoder, MetricType::Gauge, series))?;
        COUNTERS
            .into_iter()
            .try_for_each(|series| self.encode_all(&mut encoder, MetricType::Counter, series))
    }
}

impl HubCounts {
    fn encode_all(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        kind: MetricType,
        (name, help, value): Series,
    ) -> fmt::Result {
        let mut family = encoder.encode_descriptor(name, help, None, kind)?;
        for hub in &self.0 {
            let labels = [("hub", hub.name.as_str())];
            let one = family.encode_family(&labels)?;
            match kind {
                MetricType::Gauge => ConstGauge::new(value(hub)).encode(one)?,
                _ => ConstCounter::new(value(hub)).encode(one)?,
            }
        }
        Ok(())
    }
}

const GAUGES: [Series; 2] = [
    ("hub_connections", "Clients of the hub", |hub| hub.hub.connected() as u64),
    (
        "hub_kept_bytes",
        "What is kept for sessions that their clients may resume, each message counted for each",
        |hub| hub.hub.totals().kept as u64,
    ),
];

const COUNTERS: [Series; 20] = [
    ("hub_messages_in", "Messages of clients", |hub| hub.hub.totals().received),
    (
        "hub_messages_out",
        "Messages published, counted once for each client that was sent them",
        |hub| hub.hub.totals().delivered,
    ),
    ("hub_messages_queued", "Messages published that had to wait for their client", |hub| {
        hub.hub.totals().queued
    }),
    ("hub_messages_dropped", "Messages published that were dropped for slow clients", |hub| {
        hub.hub.totals().dropped
    }),
    (
        "hub_slow_consumers",
        "Connections ended because their clients took less than they were sent",
        |hub| hub.hub.totals().slow,
    ),
    (
        "hub_sessions_given_up",
        "Sessions that can no longer be resumed, because the hub kept as much as it may",
        |hub| hub.hub.totals().given_up,
    ),
    ("hub_floods", "Connections ended because their clients said more than they may", |hub| {
        hub.hub.totals().floods
    }),
    ("hub_sessions_moved_out", "Sessions that have moved to other nodes", |hub| {
        hub.hub.totals().moved_out
    }),
    ("hub_sessions_moved_in", "Sessions that have come from other nodes", |hub| {
        hub.hub.totals().moved_in
    }),
    ("hub_session_moves_failed", "Attempts to move a session that have failed", |hub| {
        hub.hub.totals().moves_failed
    }),
    ("hub_history_recorded", "Messages of this node that went to a history", |hub| {
        hub.hub.totals().recorded
    }),
    (
        "hub_history_replayed",
        "Messages read from a history, once for each client that they were read for",
        |hub| hub.hub.totals().replayed,
    ),
    ("hub_history_gaps", "Times that a client that follows a channel was told of a gap", |hub| {
        hub.hub.totals().gaps
    }),
    ("hub_refused", "Requests answered with an error", |hub| hub.refused.get()),
    ("hub_nodes_said", "Envelopes for the hub on other nodes", |hub| exchanged(hub).said),
    (
        "hub_nodes_refused",
        "Envelopes that the backplane refused, of which their publishers were told",
        |hub| exchanged(hub).refused,
    ),
    ("hub_nodes_heard", "Envelopes of the hub on other nodes", |hub| exchanged(hub).heard),
    ("hub_nodes_unwanted", "Those of the heard that were for nobody here", |hub| {
        exchanged(hub).unwanted
    }),
    (
        "hub_nodes_unreadable",
        "Envelopes and questions of other nodes that were dropped, since this one cannot read them",
        |hub| exchanged(hub).unreadable,
    ),
    ("hub_nodes_gaps", "Times that something of other nodes was lost and announced", |hub| {
        exchanged(hub).gaps
    }),
];

fn exchanged(hub: &NodeHub) -> everwire_hub::Exchanged {
    hub.hub.exchanged().unwrap_or_default()
}
