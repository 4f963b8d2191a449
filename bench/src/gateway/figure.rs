//! The list of figures and their targets, as data.

use std::time::Duration;

use super::{Bench, deaths, pipes, steady};
use crate::proxy::Kind;
use crate::rounds::{Figure, Scale, Target};

const PROXIES: &[Kind] = &[Kind::Everwire, Kind::Haproxy, Kind::Nginx, Kind::Floor];

/// Those that a backend's death concerns: the floor has one backend and knows no other.
const WITHOUT_FLOOR: &[Kind] = &[Kind::Everwire, Kind::Haproxy, Kind::Nginx, Kind::Direct];

/// All figures, in the order of the tables.
pub(super) const ALL: &[Figure<Bench, Kind>] = &[
    Figure {
        name: "small",
        title: "processor time per 128-byte round trip, 200 connections, one in flight each",
        subjects: &Kind::ALL,
        rounds_max: usize::MAX,
        measure: |bench, kind| steady::processor(bench, kind, [200, 128, 1, 0]),
        targets: &[
            Target { label: "cpu_us", scale: Scale::Of(Kind::Haproxy), at_most: 0.75 },
            Target { label: "cpu_us", scale: Scale::Of(Kind::Nginx), at_most: 1.0 },
        ],
    },
    Figure {
        name: "paced",
        title: "the same, each connection every 20 ms: 10,000 round trips a second",
        subjects: &Kind::ALL,
        rounds_max: usize::MAX,
        measure: |bench, kind| steady::processor(bench, kind, [200, 128, 1, 20]),
        targets: &[
            Target { label: "cpu_us", scale: Scale::Of(Kind::Haproxy), at_most: 0.75 },
            Target { label: "cpu_us", scale: Scale::Of(Kind::Nginx), at_most: 1.0 },
        ],
    },
    Figure {
        name: "large",
        title: "processor time per 16 KiB round trip, 200 connections, one in flight each",
        subjects: &Kind::ALL,
        rounds_max: usize::MAX,
        measure: |bench, kind| steady::processor(bench, kind, [200, 16 * 1024, 1, 0]),
        targets: &[Target { label: "cpu_us", scale: Scale::Of(Kind::Haproxy), at_most: 0.85 }],
    },
    Figure {
        name: "burst",
        title: "processor time per 64-byte message, 200 connections, 64 in flight each",
        subjects: &Kind::ALL,
        rounds_max: usize::MAX,
        measure: |bench, kind| steady::processor(bench, kind, [200, 64, 64, 0]),
        targets: &[Target { label: "cpu_us", scale: Scale::Of(Kind::Nginx), at_most: 1.0 }],
    },
    Figure {
        name: "open",
        title: "processor time per pipe opened with a 1 KiB handshake, used once and closed",
        subjects: PROXIES,
        rounds_max: usize::MAX,
        measure: pipes::opening,
        targets: &[Target { label: "cpu_us", scale: Scale::Of(Kind::Nginx), at_most: 1.3 }],
    },
    Figure {
        name: "latency",
        title: "round trip of 128 bytes, one connection, nothing else going on",
        subjects: &Kind::ALL,
        rounds_max: usize::MAX,
        measure: |bench, kind| steady::latency(bench, kind, 1, 0),
        targets: &[Target { label: "p50_us", scale: Scale::AddedOf(Kind::Nginx), at_most: 1.0 }],
    },
    Figure {
        name: "latency-busy",
        title: "round trip of 128 bytes, 100 connections, each every 20 ms",
        subjects: &Kind::ALL,
        rounds_max: usize::MAX,
        measure: |bench, kind| steady::latency(bench, kind, 100, 20),
        targets: &[Target { label: "p50_us", scale: Scale::AddedOf(Kind::Nginx), at_most: 1.0 }],
    },
    Figure {
        name: "memory",
        title: "anonymous memory per idle pipe after one echo each, 1 KiB handshakes",
        subjects: PROXIES,
        rounds_max: 2,
        measure: pipes::memory,
        targets: &[Target { label: "bytes", scale: Scale::Plain, at_most: 3072.0 }],
    },
    Figure {
        name: "silence",
        title: "silence for a client whose backend is killed, another is up: 10,000 questions a \
                second from 200 clients, a third of two cores",
        subjects: WITHOUT_FLOOR,
        rounds_max: 5,
        measure: |bench, kind| deaths::silence(bench, kind, Duration::from_millis(20)),
        targets: &[
            Target { label: "p99_ms", scale: Scale::Plain, at_most: 20.0 },
            Target { label: "dropped", scale: Scale::Plain, at_most: 0.0 },
        ],
    },
    Figure {
        name: "silence-busy",
        title: "the same at 20,000 questions a second, two thirds of two cores",
        subjects: WITHOUT_FLOOR,
        rounds_max: 5,
        measure: |bench, kind| deaths::silence(bench, kind, Duration::from_millis(10)),
        targets: &[Target { label: "dropped", scale: Scale::Plain, at_most: 0.0 }],
    },
    Figure {
        name: "stampede",
        title: "all pipes on one of two backends, it is killed: until the last is back",
        subjects: &Kind::PRODUCTS,
        rounds_max: 2,
        measure: deaths::stampede,
        targets: &[
            Target { label: "dials_max", scale: Scale::Plain, at_most: 128.0 },
            Target { label: "dropped", scale: Scale::Plain, at_most: 0.0 },
        ],
    },
];
