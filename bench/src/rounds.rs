//! Figures measured on all subjects in turn, over several rounds.
//!
//! A round measures every figure on every subject, one after the other, each on freshly started
//! processes. What another user of the machine does in the meantime hits all of them alike, so
//! ratios within a round are what is compared with the targets, and their median is what counts.

mod figure;
mod report;

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Result, ensure};

pub(crate) use figure::{Figure, Reading, Scale, Subject, Target};

/// What to measure, and how often.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// A smoke run: one round, short windows, few connections. Its figures are not comparable.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only this figure; may be repeated.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// How often every subject is measured.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each measured window.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// The result as JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Everything measured of one figure: per round, per subject.
struct Measured<B: 'static, S: Subject> {
    figure: &'static Figure<B, S>,
    rounds: Vec<Vec<(S, Reading)>>,
}

impl Options {
    /// How long each measured window is.
    pub(crate) fn window(&self) -> Duration {
        Duration::from_secs_f64(if self.quick { 1.0 } else { self.seconds })
    }

    /// Measures the chosen figures on the chosen subjects and prints.
    pub(crate) fn run<B, S: Subject>(
        &self,
        bench: &B,
        figures: &'static [Figure<B, S>],
        subjects: &[S],
    ) -> Result<()> {
        let rounds = if self.quick { 1 } else { self.rounds.max(1) };
        let mut measured: Vec<Measured<B, S>> =
            self.chosen(figures)?.map(|figure| Measured { figure, rounds: Vec::new() }).collect();
        for round in 0..rounds {
            for one in &mut measured {
                if round < one.figure.rounds_max {
                    one.rounds.push(measure(bench, one.figure, subjects, round)?);
                }
            }
        }
        let text = if self.json { report::json(&measured)? } else { report::table(&measured) };
        Ok(writeln!(std::io::stdout(), "{text}")?)
    }

    fn chosen<B, S: Subject>(
        &self,
        figures: &'static [Figure<B, S>],
    ) -> Result<impl Iterator<Item = &'static Figure<B, S>>> {
        let known: Vec<&str> = figures.iter().map(|figure| figure.name).collect();
        for name in &self.only {
            let is_known = known.contains(&name.as_str());
            ensure!(is_known, "no figure {name}; there are {}", known.join(", "));
        }
        let only = self.only.clone();
        let wanted = move |name: &str| only.is_empty() || only.iter().any(|one| one == name);
        Ok(figures.iter().filter(move |figure| wanted(figure.name)))
    }
}

fn measure<B, S: Subject>(
    bench: &B,
    figure: &Figure<B, S>,
    subjects: &[S],
    round: usize,
) -> Result<Vec<(S, Reading)>> {
    let mut readings = Vec::new();
    for subject in subjects.iter().filter(|subject| figure.subjects.contains(subject)) {
        let reading = (figure.measure)(bench, *subject)?;
        let shown: Vec<String> =
            reading.0.iter().map(|(label, value)| format!("{label} {value:.2}")).collect();
        writeln!(
            std::io::stderr(),
            "round {} {} {}: {}",
            round + 1,
            figure.name,
            subject.name(),
            shown.join(", ")
        )?;
        readings.push((*subject, reading));
    }
    Ok(readings)
}
