//! What a figure is: how it is measured, of whom, and what Everwire is to reach.

use anyhow::Result;

/// Those who are measured beside each other.
pub(crate) trait Subject: Copy + Eq + 'static {
    /// Whom the targets are for.
    const OWN: Self;
    /// The least that anybody could cost.
    const FLOOR: Self;
    /// What is left where nobody is measured, if that means something.
    const NOBODY: Option<Self>;

    /// The name in tables and in JSON.
    fn name(self) -> &'static str;
}

/// The labelled values of one measurement, the one that matters first.
pub(crate) struct Reading(pub(crate) Vec<(&'static str, f64)>);

/// One thing that is measured.
pub(crate) struct Figure<B: 'static, S: Subject> {
    /// The name for `--only`.
    pub(crate) name: &'static str,
    /// What it is, in one line.
    pub(crate) title: &'static str,
    /// The subjects it means something for.
    pub(crate) subjects: &'static [S],
    /// Rounds beyond this add nothing: the figure hardly varies, or takes long.
    pub(crate) rounds_max: usize,
    pub(crate) measure: fn(&B, S) -> Result<Reading>,
    /// What Everwire is to reach.
    pub(crate) targets: &'static [Target<S>],
}

/// One thing Everwire is to reach.
pub(crate) struct Target<S: 'static> {
    /// Which value of the reading.
    pub(crate) label: &'static str,
    pub(crate) scale: Scale<S>,
    pub(crate) at_most: f64,
}

/// What a value is held against.
#[derive(Clone, Copy)]
pub(crate) enum Scale<S> {
    /// Itself.
    Plain,
    /// The same value of another subject in the same round.
    Of(S),
    /// Both values less that of nobody at all, in the same round.
    AddedOf(S),
}
