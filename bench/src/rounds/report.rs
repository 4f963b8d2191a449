//! From measurements to a table and to JSON.

use serde_json::{Value, json};

use super::Measured;
use super::figure::{Reading, Scale, Subject, Target};
use crate::stats::Spread;
use crate::table;

/// One table per figure, then the targets.
pub(super) fn table<B, S: Subject>(measured: &[Measured<B, S>]) -> String {
    let mut text = String::new();
    let mut targets =
        vec![["figure", "target", S::OWN.name(), "", "floor"].map(String::from).to_vec()];
    for one in measured {
        text.push_str(&format!("{}: {}\n", one.figure.name, one.figure.title));
        text.push_str(&table::render(&values(one)));
        text.push('\n');
        targets.extend(one.figure.targets.iter().map(|target| target_cells(one, target)));
    }
    text.push_str(&table::render(&targets));
    text
}

fn values<B, S: Subject>(one: &Measured<B, S>) -> Vec<Vec<String>> {
    let mut heading = vec![String::new()];
    heading.extend(one.labels().into_iter().map(String::from));
    let mut rows = vec![heading];
    for subject in one.subjects() {
        let mut row = vec![format!("  {}", subject.name())];
        for label in one.labels() {
            row.push(one.spread(subject, label).map_or_else(|| String::from("-"), show));
        }
        rows.push(row);
    }
    rows
}

fn target_cells<B, S: Subject>(one: &Measured<B, S>, target: &Target<S>) -> Vec<String> {
    let (shown, verdict) = match one.against(target, S::OWN) {
        Some(spread) => (show(spread), verdict(spread, target)),
        None => (String::from("-"), "not measured"),
    };
    let floor = one.against(target, S::FLOOR).map_or_else(|| String::from("-"), show);
    vec![String::from(one.figure.name), target.wanted(), shown, String::from(verdict), floor]
}

fn verdict<S>(spread: Spread, target: &Target<S>) -> &'static str {
    if spread.median <= target.at_most { "ok" } else { "SHORT" }
}

fn show(spread: Spread) -> String {
    let Spread { median, min, max } = spread;
    let digits = if median.abs() < 100.0 { 2 } else { 0 };
    if min == max {
        return format!("{median:.digits$}");
    }
    format!("{median:.digits$} [{min:.digits$} .. {max:.digits$}]")
}

/// Everything, for machines.
pub(super) fn json<B, S: Subject>(measured: &[Measured<B, S>]) -> anyhow::Result<String> {
    let figures: Vec<Value> = measured.iter().map(|one| figure_json(one)).collect();
    Ok(serde_json::to_string_pretty(&json!({ "figures": figures }))?)
}

fn figure_json<B, S: Subject>(one: &Measured<B, S>) -> Value {
    let subjects = one.subjects().into_iter().map(|subject| {
        let spreads = one
            .labels()
            .into_iter()
            .map(|label| (String::from(label), json!(one.spread(subject, label))));
        (String::from(subject.name()), spreads.collect::<Value>())
    });
    let targets = one.figure.targets.iter().map(|target| {
        let measured = one.against(target, S::OWN);
        let floor = one.against(target, S::FLOOR);
        let ok = measured.map(|spread| spread.median <= target.at_most);
        json!({ "target": target.wanted(), "measured": measured, "ok": ok, "floor": floor })
    });
    json!({
        "name": one.figure.name,
        "title": one.figure.title,
        "rounds": one.rounds.len(),
        "subjects": subjects.collect::<Value>(),
        "targets": targets.collect::<Vec<_>>(),
    })
}

impl<S: Subject> Target<S> {
    fn wanted(&self) -> String {
        let scale = match self.scale {
            Scale::Plain => String::new(),
            Scale::Of(other) => format!(" of {}", other.name()),
            Scale::AddedOf(other) => format!(" of what {} adds", other.name()),
        };
        format!("{} at most {}{scale}", self.label, self.at_most)
    }
}

impl<B, S: Subject> Measured<B, S> {
    fn subjects(&self) -> Vec<S> {
        self.rounds.first().into_iter().flatten().map(|(subject, _)| *subject).collect()
    }

    /// All labels of the figure; a subject may lack some.
    fn labels(&self) -> Vec<&'static str> {
        let mut labels = Vec::new();
        for (label, _) in
            self.rounds.first().into_iter().flatten().flat_map(|(_, reading)| &reading.0)
        {
            if !labels.contains(label) {
                labels.push(*label);
            }
        }
        labels
    }

    fn spread(&self, subject: S, label: &str) -> Option<Spread> {
        Spread::of(self.rounds.iter().filter_map(|round| value(round, subject, label)))
    }

    /// A subject's value on the target's scale, round by round.
    fn against(&self, target: &Target<S>, subject: S) -> Option<Spread> {
        let of = |round: &[(S, Reading)], subject| value(round, subject, target.label);
        Spread::of(self.rounds.iter().filter_map(|round| {
            let own = of(round, subject)?;
            Some(match target.scale {
                Scale::Plain => own,
                Scale::Of(other) => own / of(round, other)?,
                Scale::AddedOf(other) => {
                    let direct = of(round, S::NOBODY?)?;
                    (own - direct) / (of(round, other)? - direct)
                }
            })
        }))
    }
}

fn value<S: Subject>(round: &[(S, Reading)], subject: S, label: &str) -> Option<f64> {
    let (_, reading) = round.iter().find(|(measured, _)| *measured == subject)?;
    reading.0.iter().find(|(name, _)| *name == label).map(|(_, value)| *value)
}
