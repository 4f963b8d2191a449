//! From measurements to a table and to JSON.

use serde_json::{Value, json};

use super::Measured;
use super::figure::{Reading, Scale, Target};
use crate::proxy::Kind;
use crate::stats::Spread;
use crate::table;

/// One table per figure, then the targets.
pub(super) fn table(measured: &[Measured]) -> String {
    let mut text = String::new();
    let mut targets =
        vec![["figure", "target", "everwire", "", "floor"].map(String::from).to_vec()];
    for one in measured {
        text.push_str(&format!("{}: {}\n", one.figure.name, one.figure.title));
        text.push_str(&table::render(&values(one)));
        text.push('\n');
        targets.extend(one.figure.targets.iter().map(|target| target_cells(one, target)));
    }
    text.push_str(&table::render(&targets));
    text
}

fn values(one: &Measured) -> Vec<Vec<String>> {
    let mut heading = vec![String::new()];
    heading.extend(one.labels().into_iter().map(String::from));
    let mut rows = vec![heading];
    for kind in one.kinds() {
        let mut row = vec![format!("  {}", kind.name())];
        for label in one.labels() {
            row.push(one.spread(kind, label).map_or_else(|| String::from("-"), show));
        }
        rows.push(row);
    }
    rows
}

fn target_cells(one: &Measured, target: &Target) -> Vec<String> {
    let (shown, verdict) = match one.against(target, Kind::Everwire) {
        Some(spread) => (show(spread), verdict(spread, target)),
        None => (String::from("-"), "not measured"),
    };
    let floor = one.against(target, Kind::Floor).map_or_else(|| String::from("-"), show);
    vec![String::from(one.figure.name), target.wanted(), shown, String::from(verdict), floor]
}

fn verdict(spread: Spread, target: &Target) -> &'static str {
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
pub(super) fn json(measured: &[Measured]) -> anyhow::Result<String> {
    let figures: Vec<Value> = measured.iter().map(figure_json).collect();
    Ok(serde_json::to_string_pretty(&json!({ "figures": figures }))?)
}

fn figure_json(one: &Measured) -> Value {
    let proxies = one.kinds().into_iter().map(|kind| {
        let spreads = one
            .labels()
            .into_iter()
            .map(|label| (String::from(label), json!(one.spread(kind, label))));
        (String::from(kind.name()), spreads.collect::<Value>())
    });
    let targets = one.figure.targets.iter().map(|target| {
        let measured = one.against(target, Kind::Everwire);
        let floor = one.against(target, Kind::Floor);
        let ok = measured.map(|spread| spread.median <= target.at_most);
        json!({ "target": target.wanted(), "measured": measured, "ok": ok, "floor": floor })
    });
    json!({
        "name": one.figure.name,
        "title": one.figure.title,
        "rounds": one.rounds.len(),
        "proxies": proxies.collect::<Value>(),
        "targets": targets.collect::<Vec<_>>(),
    })
}

impl Target {
    fn wanted(&self) -> String {
        let scale = match self.scale {
            Scale::Plain => String::new(),
            Scale::Of(kind) => format!(" of {}", kind.name()),
            Scale::AddedOf(kind) => format!(" of what {} adds", kind.name()),
        };
        format!("{} at most {}{scale}", self.label, self.at_most)
    }
}

impl Measured {
    fn kinds(&self) -> Vec<Kind> {
        self.rounds.first().into_iter().flatten().map(|(kind, _)| *kind).collect()
    }

    /// All labels of the figure; a proxy may lack some.
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

    fn spread(&self, kind: Kind, label: &str) -> Option<Spread> {
        Spread::of(self.rounds.iter().filter_map(|round| value(round, kind, label)))
    }

    /// A proxy's value on the target's scale, round by round.
    fn against(&self, target: &Target, subject: Kind) -> Option<Spread> {
        let of = |round: &[(Kind, Reading)], kind| value(round, kind, target.label);
        Spread::of(self.rounds.iter().filter_map(|round| {
            let own = of(round, subject)?;
            Some(match target.scale {
                Scale::Plain => own,
                Scale::Of(kind) => own / of(round, kind)?,
                Scale::AddedOf(kind) => {
                    let direct = of(round, Kind::Direct)?;
                    (own - direct) / (of(round, kind)? - direct)
                }
            })
        }))
    }
}

fn value(round: &[(Kind, Reading)], kind: Kind, label: &str) -> Option<f64> {
    let (_, reading) = round.iter().find(|(measured, _)| *measured == kind)?;
    reading.0.iter().find(|(name, _)| *name == label).map(|(_, value)| *value)
}
