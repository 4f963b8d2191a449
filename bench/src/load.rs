//! The load generator: one process, one thread, cheap enough that the proxy is what is measured.
//!
//! `steady` keeps messages in flight and counts round trips, `hold` keeps idle pipes and asks them
//! all at once, `churn` opens and closes pipes, `hear` is an audience and its publisher, `instances`
//! are those of a fleet. Each is ready once its connections are open, and then answers one question
//! with what it has counted since the last one.

pub(crate) mod churn;
mod connection;
pub(crate) mod dialect;
pub(crate) mod hear;
pub(crate) mod hold;
pub(crate) mod instances;
pub(crate) mod steady;

use anyhow::Result;

/// The shapes of load.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Shape {
    /// Messages in flight on every connection all the time.
    Steady(steady::Options),
    /// Idle connections that are asked all at once.
    Hold(hold::Options),
    /// Connections opened, used once and closed.
    Churn(churn::Options),
    /// Clients that hear what is published.
    Hear(hear::Options),
    /// Instances of a fleet, which answer commands and watch a set.
    Instances(instances::Options),
}

/// Runs one shape of load until the benchmark goes.
pub(crate) async fn run(shape: Shape) -> Result<()> {
    match shape {
        Shape::Steady(options) => steady::run(options).await,
        Shape::Hold(options) => hold::run(options).await,
        Shape::Churn(options) => churn::run(options).await,
        Shape::Hear(options) => hear::run(options).await,
        Shape::Instances(options) => instances::run(options).await,
    }
}
