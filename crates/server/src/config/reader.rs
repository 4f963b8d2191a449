//! Typed reading of one table: takes its keys one by one, says what is wrong with each, and at
//! the end what it does not know.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use super::{
    keys::{Key, Section, State},
    mistake::{Mistakes, Origin},
    tree::{Node, Table, Value},
    units,
};

/// One table being read.
pub(super) struct Reader<'m> {
    path: String,
    section: &'static Section,
    table: Table,
    /// Where the keys were written that have been taken.
    taken: BTreeMap<&'static str, Origin>,
    mistakes: &'m mut Mistakes,
}

impl<'m> Reader<'m> {
    pub(super) fn new(
        path: impl Into<String>,
        section: &'static Section,
        table: Table,
        mistakes: &'m mut Mistakes,
    ) -> Self {
        Self { path: path.into(), section, table, taken: BTreeMap::new(), mistakes }
    }

    /// Opens a value that has to be a table.
    pub(super) fn open(
        path: String,
        section: &'static Section,
        node: Node,
        mistakes: &'m mut Mistakes,
    ) -> Option<Self> {
        let origin = node.origin.clone();
        match node.into_table() {
            Ok(table) => Some(Self::new(path, section, table, mistakes)),
            Err(node) => {
                let what = format!("{} is not a table of keys", node.describe());
                mistakes.add(origin, path, what);
                None
            }
        }
    }

    /// The mistakes, for tables inside this one.
    pub(super) fn mistakes(&mut self) -> &mut Mistakes {
        self.mistakes
    }

    /// The full name of one of this table's keys.
    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Whether a key was written and has not been taken.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.entries.contains_key(key)
    }

    /// Whether a key has been taken.
    pub(super) fn was_taken(&self, key: &str) -> bool {
        self.taken.contains_key(key)
    }

    pub(super) fn take(&mut self, key: &'static str) -> Option<Node> {
        let node = self.table.entries.remove(key)?;
        self.taken.insert(key, node.origin.clone());
        Some(node)
    }

    /// Reads a key with `parse`, which says what to write where it cannot.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&Node) -> Result<T, String>,
    ) -> Option<T> {
        let node = self.take(key)?;
        self.parsed(key, &node, parse)
    }

    /// Reads a key into `target` and leaves the default where it is absent or wrong.
    pub(super) fn set<T>(
        &mut self,
        key: &'static str,
        target: &mut T,
        parse: impl Fn(&Node) -> Result<T, String>,
    ) {
        if let Some(value) = self.read(key, parse) {
            *target = value;
        }
    }

    /// Reads a list; every wrong element is its own mistake, and so is one that was there before.
    pub(super) fn read_list<T: PartialEq>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&Node) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let items = self.take_list(key)?;
        let mut list = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let key = format!("{key}[{index}]");
            match self.parsed(&key, item, &parse) {
                Some(value) if list.contains(&value) => {
                    self.refuse(&key, item, "is listed twice");
                }
                value => list.extend(value),
            }
        }
        Some(list)
    }

    /// Takes a list whose elements the caller reads.
    pub(super) fn take_list(&mut self, key: &'static str) -> Option<Vec<Node>> {
        let node = self.take(key)?;
        node.into_list().map_err(|node| self.refuse(key, &node, "is not a list")).ok()
    }

    /// A mistake in a value of this table.
    pub(super) fn refuse(&mut self, key: &str, node: &Node, what: &str) {
        let path = self.path_of(key);
        self.mistakes.add(node.origin.clone(), path, format!("{} {what}", node.describe()));
    }

    /// A mistake that only several keys together show; told of the first that was written.
    pub(super) fn contradict(&mut self, keys: &[&'static str], what: impl Into<String>) {
        let written = keys.iter().find_map(|key| Some((*key, self.taken.get(key)?.clone())));
        if let Some((key, origin)) = written {
            self.complain(&origin, key, what);
        }
    }

    /// A mistake of this table as a whole.
    pub(super) fn complain(&mut self, origin: &Origin, key: &str, what: impl Into<String>) {
        let path = self.path_of(key);
        self.mistakes.add(origin.clone(), path, what);
    }

    /// What is left over is unknown or reserved.
    pub(super) fn finish(self) {
        for (name, node) in &self.table.entries {
            let known = self.section.keys.iter().find(|key| key.name == name);
            let what = match known {
                Some(key) if key.state == State::Later => "not available yet".to_owned(),
                _ => unknown(name, self.section.keys),
            };
            self.mistakes.add(node.origin.clone(), self.path_of(name), what);
        }
    }

    fn parsed<T>(
        &mut self,
        key: &str,
        node: &Node,
        parse: impl Fn(&Node) -> Result<T, String>,
    ) -> Option<T> {
        parse(node).map_err(|what| self.refuse(key, node, &what)).ok()
    }
}

/// A string that is not empty.
pub(super) fn string(node: &Node) -> Result<String, String> {
    match &node.value {
        Value::String(text) | Value::Text(text) if !text.is_empty() => Ok(text.clone()),
        Value::String(_) | Value::Text(_) => Err("is empty".to_owned()),
        _ => Err("is not a string; write it in quotes".to_owned()),
    }
}

/// A duration such as `30s`.
pub(super) fn duration(node: &Node) -> Result<Duration, String> {
    let wrong = || "is not a duration; write for example \"30s\", \"500ms\" or \"2m\"".to_owned();
    string(node).ok().and_then(|text| units::parse_duration(&text)).ok_or_else(wrong)
}

/// A duration of at least `least`.
pub(super) fn duration_from(least: Duration) -> impl Fn(&Node) -> Result<Duration, String> {
    move |node| match duration(node)? {
        value if value >= least => Ok(value),
        _ => Err(format!("is too short; at least {}", units::format_duration(least))),
    }
}

/// A size of at least `least` bytes and of no more than `most`.
pub(super) fn size_within(least: u64, most: u64) -> impl Fn(&Node) -> Result<u64, String> {
    move |node| match size_from(least)(node)? {
        bytes if bytes <= most => Ok(bytes),
        _ => Err(format!("is too large; at most {}", units::format_size(most))),
    }
}

/// A size of at least `least` bytes, such as `5MiB`, or a bare number of bytes.
pub(super) fn size_from(least: u64) -> impl Fn(&Node) -> Result<u64, String> {
    move |node| {
        let bytes = match &node.value {
            Value::Integer(number) => u64::try_from(*number).ok(),
            Value::String(text) | Value::Text(text) => units::parse_size(text),
            _ => None,
        };
        match bytes {
            Some(bytes) if bytes >= least => Ok(bytes),
            Some(_) => Err(format!("is too small; at least {}", units::format_size(least))),
            None => Err("is not a size; write for example \"5MiB\" or \"64KiB\"".to_owned()),
        }
    }
}

/// A whole number within limits.
pub(super) fn number<T>(least: T, most: T) -> impl Fn(&Node) -> Result<T, String>
where
    T: Copy + PartialOrd + std::fmt::Display + TryFrom<i64>,
{
    move |node| {
        let number = match &node.value {
            Value::Integer(number) => Some(*number),
            Value::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        let fits = |value: &T| *value >= least && *value <= most;
        number
            .and_then(|number| T::try_from(number).ok())
            .filter(fits)
            .ok_or_else(|| format!("is not a whole number from {least} to {most}"))
    }
}

/// Yes or no.
pub(super) fn flag(node: &Node) -> Result<bool, String> {
    match &node.value {
        Value::Boolean(flag) => Ok(*flag),
        Value::Text(text) if text == "true" => Ok(true),
        Value::Text(text) if text == "false" => Ok(false),
        _ => Err("is neither true nor false".to_owned()),
    }
}

/// One of a closed set of names.
pub(super) fn one_of<T: Copy>(names: &[(&str, T)]) -> impl Fn(&Node) -> Result<T, String> {
    move |node| {
        let text = string(node).ok();
        let found = names.iter().find(|(name, _)| Some(*name) == text.as_deref());
        found.map(|(_, value)| *value).ok_or_else(|| {
            let list: Vec<_> = names.iter().map(|(name, _)| *name).collect();
            format!("is not one of {}", list.join(", "))
        })
    }
}

/// A socket address; `localhost` means 127.0.0.1.
pub(super) fn address(node: &Node) -> Result<SocketAddr, String> {
    let wrong = || {
        "is not an address; write for example \"127.0.0.1:8080\", \"0.0.0.0:8080\" or \
         \"[::]:8080\""
            .to_owned()
    };
    let text = string(node).map_err(|_| wrong())?;
    let text = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text,
    };
    text.parse().map_err(|_| wrong())
}

/// An absolute path without query.
pub(super) fn path(node: &Node) -> Result<String, String> {
    let text = string(node)?;
    let plain = |c: char| c.is_ascii_graphic() && c != '?' && c != '#';
    if text.starts_with('/') && text.chars().all(plain) {
        return Ok(text);
    }
    Err("is not a path; it begins with / and has no query".to_owned())
}

fn unknown(name: &str, keys: &[Key]) -> String {
    let ready = keys.iter().filter(|key| key.state == State::Ready);
    let nearest = ready.map(|key| (distance(name, key.name), key.name)).min();
    match nearest {
        Some((steps, key)) if steps <= TYPING_MISTAKES => {
            format!("unknown key; did you mean {key}?")
        }
        _ => "unknown key; `everwire config doc` lists all".to_owned(),
    }
}

/// How many letters have to be changed, added or removed to come from one to the other.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.bytes().enumerate() {
            let substituted = diagonal + usize::from(!a.eq_ignore_ascii_case(&b));
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

const TYPING_MISTAKES: usize = 2;
