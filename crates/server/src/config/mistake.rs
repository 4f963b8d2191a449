//! One mistake in a configuration: where it is, which key, what is wrong and what to write.

use std::fmt;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// A line of the configuration file.
    File { line: usize },
    /// An environment variable.
    Environment { name: String },
    /// A flag of the command line.
    Flag { name: &'static str },
    /// The configuration as a whole: something is missing everywhere.
    Whole,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mistake {
    /// Where.
    pub(crate) origin: Origin,
    /// The key as a path, `routes[0].delivery`; empty when there is none.
    pub(crate) key: String,
    /// What is wrong, and what to write instead.
    pub(crate) what: String,
}

impl Mistake {
    /// The line, if the mistake is that it is not TOML.
    fn broken_line(&self) -> Option<Origin> {
        let is_line = matches!(self.origin, Origin::File { .. });
        (is_line && self.key.is_empty()).then(|| self.origin.clone())
    }
}

/// All mistakes of one configuration, with the file's name for the lines.
#[derive(Debug)]
pub(crate) struct Mistakes {
    file: String,
    list: Vec<Mistake>,
}

impl Mistakes {
    pub(super) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), list: Vec::new() }
    }

    pub(super) fn add(&mut self, origin: Origin, key: impl Into<String>, what: impl Into<String>) {
        self.list.push(Mistake { origin, key: key.into(), what: what.into() });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn count(&self) -> usize {
        self.list.len()
    }

    /// The mistakes in the order in which a reader of the file meets them. What else seems to be
    /// wrong with a line that is not TOML is a guess, and left out.
    pub(super) fn sorted(mut self) -> Self {
        self.list.sort();
        self.list.dedup();
        let broken: Vec<Origin> = self.list.iter().filter_map(Mistake::broken_line).collect();
        self.list.retain(|mistake| mistake.key.is_empty() || !broken.contains(&mistake.origin));
        self
    }

    /// The same mistakes as data, for `--json`.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let items: Vec<_> = self.list.iter().map(|mistake| self.item(mistake)).collect();
        serde_json::json!({ "items": items })
    }

    fn item(&self, mistake: &Mistake) -> serde_json::Value {
        let mut item = serde_json::json!({ "key": mistake.key, "mistake": mistake.what });
        match &mistake.origin {
            Origin::File { line } => {
                item["file"] = self.file.clone().into();
                item["line"] = (*line).into();
            }
            Origin::Environment { name } => item["environment"] = name.clone().into(),
            Origin::Flag { name } => item["flag"] = (*name).into(),
            Origin::Whole => {}
        }
        item
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mistake in &self.list {
            match &mistake.origin {
                Origin::File { line } => write!(f, "{}:{line}: ", self.file)?,
                Origin::Environment { name } => write!(f, "environment {name}: ")?,
                Origin::Flag { name } => write!(f, "{name}: ")?,
                Origin::Whole => {}
            }
            if !mistake.key.is_empty() {
                write!(f, "{}: ", mistake.key)?;
            }
            writeln!(f, "{}", mistake.what)?;
        }
        match self.list.len() {
            1 => write!(f, "1 mistake"),
            count => write!(f, "{count} mistakes"),
        }
    }
}

impl std::error::Error for Mistakes {}
