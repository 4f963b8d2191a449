//! The list of figures and their targets, as data.

use super::manager::Kind;
use super::{Bench, answers, instances};
use crate::rounds::{Figure, Scale, Target};

/// All figures, in the order of the tables.
pub(super) const ALL: &[Figure<Bench, Kind>] = &[
    Figure {
        name: "command",
        title: "one command to all connected instances, until the admin API says that it is finished, \
                and until the last instance had answered; the manager's processor time per outcome",
        subjects: &[Kind::Fleet],
        rounds_max: usize::MAX,
        measure: |bench, _| answers::command(bench),
        targets: &[
            Target { label: "p50_ms", scale: Scale::Plain, at_most: 1000.0 },
            Target { label: "max_ms", scale: Scale::Plain, at_most: 1000.0 },
        ],
    },
    Figure {
        name: "change",
        title: "one change of a set that all instances watch, until the last has heard of it; the \
                manager's processor time per notification",
        subjects: &[Kind::Fleet],
        rounds_max: usize::MAX,
        measure: |bench, _| answers::change(bench),
        targets: &[],
    },
    Figure {
        name: "memory",
        title: "anonymous memory per idle instance; processor time per instance that joins",
        subjects: &Kind::ALL,
        rounds_max: 2,
        measure: instances::memory,
        targets: &[Target { label: "bytes", scale: Scale::Plain, at_most: 4096.0 }],
    },
];
