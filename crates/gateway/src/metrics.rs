//! What the gateway counts. Labels come from closed sets only, so the number of series is bounded.

use std::fmt::Write as _;

use http::StatusCode;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::ConstGauge,
    },
    registry::Registry,
};

use crate::{
    gateway::{Gateway, WeakGateway},
    http::CutOff,
    pipe::PipeEnd,
    relay::{Note, Tally},
};

/// Counters that move when something happens; what flows is summed up when it is asked for.
#[derive(Debug, Default)]
pub struct Metrics {
    opened: Counter,
    refused: Family<Refused, Counter>,
    closed: Family<Closed, Counter>,
    legs_lost: Family<LegLost, Counter>,
    protocol_errors: Counter,
    unconfirmable: Counter,
    requests: Family<Answered, Counter>,
    cut_off: Family<Cut, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    by: &'static str,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Cut {
    why: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Closed {
    who: &'static str,
    why: &'static str,
    code: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LegLost {
    how: &'static str,
}

impl Metrics {
    pub(crate) fn opened(&self) {
        self.opened.inc();
    }

    pub(crate) fn refused(&self, status: u16) {
        self.refused.get_or_create(&Refused { status }).inc();
    }

    /// Counts a request that opens no WebSocket and got a backend's answer.
    pub(crate) fn answered_by_backend(&self, status: StatusCode) {
        self.answered("backend", status);
    }

    /// Counts one that got an answer of ours.
    pub(crate) fn answered_by_gateway(&self, status: StatusCode) {
        self.answered("gateway", status);
    }

    fn answered(&self, by: &'static str, status: StatusCode) {
        let status = class_of(status);
        self.requests.get_or_create(&Answered { by, status }).inc();
    }

    /// Counts an answer that does not reach its end.
    pub(crate) fn cut_off(&self, cut: CutOff) {
        self.cut_off.get_or_create(&Cut { why: cut.as_str() }).inc();
    }

    /// Counts the end of a pipe.
    pub(crate) fn closed(&self, end: &PipeEnd) {
        let labels =
            Closed { who: end.who.as_str(), why: end.why.as_str(), code: bounded_code(end.code) };
        self.closed.get_or_create(&labels).inc();
    }

    pub(crate) fn note(&self, note: &Note) {
        match note {
            Note::LegLost { loss, .. } => {
                self.legs_lost.get_or_create(&LegLost { how: loss.as_str() }).inc();
            }
            Note::BackendBrokeRules { .. } => {
                self.protocol_errors.inc();
            }
            Note::Unconfirmable => {
                self.unconfirmable.inc();
            }
        }
    }
}

impl Gateway {
    /// Counts a handshake that whoever listens refused before [`crate::PipeManager::open`] saw it.
    pub fn count_refused(&self, status: u16) {
        self.metrics().refused(status);
    }

    /// Adds everything the gateway counts to a registry; names get the registry's prefix.
    pub fn register_metrics(&self, registry: &mut Registry) {
        let metrics = self.metrics();
        registry.register("pipes_opened", "Pipes opened", metrics.opened.clone());
        registry.register(
            "handshakes_refused",
            "Requests answered with an HTTP status instead of 101",
            metrics.refused.clone(),
        );
        registry.register(
            "pipes_closed",
            "Pipes closed, by who closed them, why, and with which code",
            metrics.closed.clone(),
        );
        registry.register(
            "legs_lost",
            "Backend connections lost while their client stayed",
            metrics.legs_lost.clone(),
        );
        registry.register(
            "backend_protocol_errors",
            "Backend connections cut because the backend broke the WebSocket protocol",
            metrics.protocol_errors.clone(),
        );
        registry.register(
            "legs_unconfirmable",
            "Backend connections whose stack answers no Ping",
            metrics.unconfirmable.clone(),
        );
        registry.register(
            "http_requests",
            "Requests that open no WebSocket, by who answered and the class of the status",
            metrics.requests.clone(),
        );
        registry.register(
            "http_cut_off",
            "Answers that had begun and did not reach their end, by why",
            metrics.cut_off.clone(),
        );
        registry.register_collector(Box::new(Flow(self.downgrade())));
    }
}

/// What flows through all pipes, summed up on request: no pipe touches a shared counter.
#[derive(Debug)]
struct Flow(WeakGateway);

impl Collector for Flow {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(gateway) = self.0.upgrade() else { return Ok(()) };
        let totals = gateway.totals();
        gauge(&mut encoder, "pipes", "Pipes open", totals.pipes)?;
        gauge(&mut encoder, "pipes_waiting", "Pipes without a backend", totals.waiting)?;
        gauge(
            &mut encoder,
            "http_requests_open",
            "Requests being served that open no WebSocket",
            totals.requests,
        )?;
        gauge(&mut encoder, "buffered_bytes", "Memory held for messages", totals.buffered)?;
        gauge(
            &mut encoder,
            "unconfirmed_messages",
            "Client messages that no backend has confirmed",
            totals.unconfirmed,
        )?;
        let Tally { up_messages, up_bytes, down_messages, down_bytes, replayed, .. } = totals.tally;
        counter(&mut encoder, "client_messages", "Complete messages from clients", up_messages)?;
        counter(&mut encoder, "client_bytes", "Bytes from clients", up_bytes)?;
        counter(&mut encoder, "backend_messages", "Messages from backends", down_messages)?;
        counter(&mut encoder, "backend_bytes", "Bytes from backends", down_bytes)?;
        counter(&mut encoder, "replayed_messages", "Messages sent to a further backend", replayed)
    }
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
) -> std::fmt::Result {
    let gauge = ConstGauge::new(value as i64);
    gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
}

fn counter(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
) -> std::fmt::Result {
    let counter = ConstCounter::new(value);
    counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)
}

fn class_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        ..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}

/// A close code as a label: applications have two thousand codes of their own, which would be as
/// many series.
fn bounded_code(code: u16) -> String {
    let mut label = String::new();
    // Writing to a String cannot fail.
    let _ = match code {
        1000..=1015 | 4401 => write!(label, "{code}"),
        _ => write!(label, "{}xxx", code / 1000),
    };
    label
}
