//! What the fleet knows and has done, summed up when it is asked for.

use std::{collections::BTreeMap, fmt, sync::Arc};

use everwire_fleet::{bridge::BridgeCounts, command::Outcome};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

use crate::node::{NodeBridge, NodeFleet};

/// The node's end of the fleet.
#[derive(Debug)]
pub(super) struct FleetCounts(pub(super) Arc<NodeFleet>);

impl Collector for FleetCounts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let fleet = &self.0;
        let (present, away) = fleet.present_and_away();
        gauges(
            &mut encoder,
            ("fleet_instances", "Instances on all nodes, and those that are expected back"),
            "state",
            [("present", present as u64), ("away", away as u64)],
        )?;
        let (running, finished, outcomes) = commands(fleet);
        gauges(
            &mut encoder,
            ("fleet_commands", "Commands that are known"),
            "state",
            [("running", running), ("finished", finished)],
        )?;
        gauges(
            &mut encoder,
            ("fleet_outcomes", "What has become of the commands that are known"),
            "outcome",
            outcomes,
        )?;
        let counters = [("fleet_refused", "Requests answered with an error", fleet.refused.get())];
        counters.into_iter().try_for_each(|(name, help, value)| {
            let counter = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(value).encode(counter)
        })?;
        bridges(&mut encoder, &fleet.bridges)
    }
}

/// What each bridge has heard, by its channel.
fn bridges(encoder: &mut DescriptorEncoder<'_>, bridges: &[NodeBridge]) -> fmt::Result {
    if bridges.is_empty() {
        return Ok(());
    }
    BRIDGES.into_iter().try_for_each(|(name, help, value)| {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        bridges.iter().try_for_each(|NodeBridge { channel, bridge }| {
            let labels = [("channel", channel.as_str())];
            let one = family.encode_family(&labels)?;
            ConstCounter::new(value(&bridge.counts())).encode(one)
        })
    })
}

/// One gauge with a label of a closed set.
fn gauges(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    label: &str,
    values: impl IntoIterator<Item = (&'static str, u64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    values.into_iter().try_for_each(|(value, count)| {
        ConstGauge::new(count).encode(family.encode_family(&[(label, value)])?)
    })
}

/// Commands that run, those that are finished, and their outcomes.
fn commands(fleet: &NodeFleet) -> (u64, u64, BTreeMap<&'static str, u64>) {
    fleet.fleet.read(|ledger| {
        let (mut running, mut finished) = (0, 0);
        let mut outcomes: BTreeMap<_, _> =
            Outcome::ALL.iter().map(|outcome| (outcome.as_str(), 0)).collect();
        for (_, command) in ledger.commands().iter() {
            *if command.unfinished() > 0 { &mut running } else { &mut finished } += 1;
            for (outcome, count) in command.counts() {
                *outcomes.entry(outcome.as_str()).or_default() += u64::from(count);
            }
        }
        (running, finished, outcomes)
    })
}

/// Name, help, value.
type Series = (&'static str, &'static str, fn(&BridgeCounts) -> u64);

const BRIDGES: [Series; 3] = [
    ("fleet_bridge_changed", "Messages of the bridge that were made changes of sets", |counts| {
        counts.changed
    }),
    ("fleet_bridge_refused", "Messages of the bridge that are no changes", |counts| counts.refused),
    ("fleet_bridge_missed", "Times that messages of the bridge may have been missed", |counts| {
        counts.missed
    }),
];
