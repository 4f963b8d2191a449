//! The configuration as a tree of values that remember where they came from.
//!
//! File, environment and flags all end up in one tree, so that the typed reading above it exists
//! once and every mistake can name its line, variable or flag.

use std::collections::BTreeMap;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::mistake::{Mistakes, Origin};

/// A table of the tree: key → value.
pub(super) struct Table {
    pub(super) entries: BTreeMap<String, Node>,
}

/// One value and where it came from.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) origin: Origin,
    pub(super) value: Value,
}

/// A value before anybody has said what type it should have.
#[derive(Clone)]
pub(super) enum Value {
    /// A quoted string.
    String(String),
    /// Bare text from the environment or a flag: whoever reads it decides what it means.
    Text(String),
    Integer(i64),
    Boolean(bool),
    Array(Vec<Node>),
    Table(BTreeMap<String, Node>),
    /// A TOML value that no key of ours takes (a date, a fraction, a number beyond 64 bits).
    Foreign(&'static str),
}

impl Node {
    pub(super) fn new(origin: Origin, value: Value) -> Self {
        Self { origin, value }
    }

    /// What a reader would call this value.
    pub(super) fn describe(&self) -> String {
        match &self.value {
            Value::String(text) | Value::Text(text) => format!("{text:?}"),
            Value::Integer(number) => number.to_string(),
            Value::Boolean(flag) => flag.to_string(),
            Value::Array(_) => "a list".to_owned(),
            Value::Table(_) => "a table".to_owned(),
            Value::Foreign(name) => (*name).to_owned(),
        }
    }

    /// The elements, if this is a list. Text may spell one: `a,b` or `["a", "b"]`.
    pub(super) fn into_list(self) -> Result<Vec<Self>, Self> {
        match self.value {
            Value::Array(items) => Ok(items),
            Value::Text(ref text) if text.trim_start().starts_with('[') => {
                match inline(text, &self.origin) {
                    Some(Self { value: Value::Array(items), .. }) => Ok(items),
                    _ => Err(self),
                }
            }
            Value::Text(text) => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                let node = |item: &str| Self::new(self.origin.clone(), Value::Text(item.into()));
                Ok(items.map(node).collect())
            }
            _ => Err(self),
        }
    }

    /// The entries, if this is a table. Text may spell one: `{ path = "/healthz" }`.
    pub(super) fn into_table(self) -> Result<Table, Self> {
        match self.value {
            Value::Table(entries) => Ok(Table { entries }),
            Value::Text(ref text) if text.trim_start().starts_with('{') => {
                match inline(text, &self.origin) {
                    Some(Self { value: Value::Table(entries), .. }) => Ok(Table { entries }),
                    _ => Err(self),
                }
            }
            _ => Err(self),
        }
    }
}

/// Reads a file's text. What is not TOML becomes mistakes; the rest is still read, so that the
/// other mistakes are found in the same run.
pub(super) fn from_file(text: &str, mistakes: &mut Mistakes) -> BTreeMap<String, Node> {
    let lines = Lines::of(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let line = lines.line(error.span().map_or(0, |span| span.start));
        mistakes.add(Origin::File { line }, "", one_line(error.message()));
    }
    entries(table.get_ref(), &|start| Origin::File { line: lines.line(start) })
}

/// Puts `node` under `key`, keeping what is set there already.
pub(super) fn fill(table: &mut BTreeMap<String, Node>, key: &str, node: Node) {
    match table.get_mut(key) {
        None => {
            table.insert(key.to_owned(), node);
        }
        Some(present) => fill_value(&mut present.value, node.value),
    }
}

fn fill_value(present: &mut Value, filler: Value) {
    match (present, filler) {
        (Value::Table(present), Value::Table(filler)) => {
            for (key, node) in filler {
                fill(present, &key, node);
            }
        }
        (Value::Array(present), Value::Array(filler)) => {
            for (index, node) in filler.into_iter().enumerate() {
                match present.get_mut(index) {
                    Some(item) => fill_value(&mut item.value, node.value),
                    None => present.push(node),
                }
            }
        }
        _ => {}
    }
}

/// Reads one value written as TOML inside a variable or flag.
fn inline(text: &str, origin: &Origin) -> Option<Node> {
    let value = DeValue::parse(text.trim()).ok()?;
    Some(node(&value, value.span().start, &|_| origin.clone()))
}

fn entries(table: &DeTable<'_>, origin: &dyn Fn(usize) -> Origin) -> BTreeMap<String, Node> {
    table
        .iter()
        .map(|(key, value)| (key.get_ref().to_string(), node(value, key.span().start, origin)))
        .collect()
}

fn node(value: &Spanned<DeValue<'_>>, start: usize, origin: &dyn Fn(usize) -> Origin) -> Node {
    let element = |item: &Spanned<DeValue<'_>>| node(item, item.span().start, origin);
    let read = match value.get_ref() {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Boolean(flag) => Value::Boolean(*flag),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Value::Foreign("a number beyond 64 bits"), Value::Integer),
        DeValue::Array(items) => Value::Array(items.iter().map(element).collect()),
        DeValue::Table(table) => Value::Table(entries(table, origin)),
        DeValue::Float(_) => Value::Foreign("a fraction"),
        DeValue::Datetime(_) => Value::Foreign("a date"),
    };
    Node::new(origin(start), read)
}

/// The parser's messages may span lines; a mistake is one.
fn one_line(message: &str) -> String {
    message
        .split('\n')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(", ")
}

/// Byte offset → line number.
struct Lines {
    starts: Vec<usize>,
}

impl Lines {
    fn of(text: &str) -> Self {
        let after_newline = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { starts: std::iter::once(0).chain(after_newline).collect() }
    }

    fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }
}
