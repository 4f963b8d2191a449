//! The list of figures and their targets, as data.

use super::server::Kind;
use super::{Bench, broadcast, connections};
use crate::rounds::{Figure, Scale, Target};

/// All figures, in the order of the tables.
pub(super) const ALL: &[Figure<Bench, Kind>] = &[
    Figure {
        name: "broadcast-1000",
        title: "processor time per delivery of a 128-byte broadcast to 1,000 clients; the same \
                when 16 at once are published",
        subjects: &Kind::ALL,
        rounds_max: usize::MAX,
        measure: |bench, kind| broadcast::processor(bench, kind, 1_000),
        targets: &[
            Target { label: "cpu_us", scale: Scale::Of(Kind::Nchan), at_most: 0.9 },
            Target { label: "cpu_us", scale: Scale::Of(Kind::Ws), at_most: 0.5 },
            Target { label: "burst_share", scale: Scale::Plain, at_most: 0.5 },
        ],
    },
    Figure {
        name: "broadcast-5000",
        title: "the same to 5,000 clients",
        subjects: &Kind::ALL,
        rounds_max: usize::MAX,
        measure: |bench, kind| broadcast::processor(bench, kind, 5_000),
        targets: &[
            Target { label: "cpu_us", scale: Scale::Of(Kind::Nchan), at_most: 0.7 },
            Target { label: "cpu_us", scale: Scale::Of(Kind::Ws), at_most: 0.5 },
            Target { label: "burst_share", scale: Scale::Plain, at_most: 0.5 },
        ],
    },
    Figure {
        name: "slow",
        title: "from publishing to the 99th of a hundred of 1,000 clients, of all messages and of the \
                median one; then with one more client that does not read",
        subjects: &Kind::ALL,
        rounds_max: usize::MAX,
        measure: broadcast::slow,
        targets: &[
            Target { label: "each_share", scale: Scale::Plain, at_most: 1.2 },
            Target { label: "p99_share", scale: Scale::Plain, at_most: 1.2 },
        ],
    },
    Figure {
        name: "open",
        title: "processor time per client that connects, says what its protocol begins with, and \
                leaves",
        subjects: &Kind::ALL,
        rounds_max: usize::MAX,
        measure: connections::opening,
        targets: &[],
    },
    Figure {
        name: "calls",
        title: "calls with 128 bytes answered with the same, 200 clients, one in flight each",
        subjects: &Kind::CALLED,
        rounds_max: usize::MAX,
        measure: connections::calls,
        targets: &[],
    },
    Figure {
        name: "memory",
        title: "anonymous memory per idle client after one broadcast each",
        subjects: &Kind::ALL,
        rounds_max: 2,
        measure: connections::memory,
        targets: &[Target { label: "bytes", scale: Scale::Plain, at_most: 3072.0 }],
    },
];
