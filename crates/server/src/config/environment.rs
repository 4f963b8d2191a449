//! `EVERWIRE_POOLS__CHAT__AFFINITY=cookie`: the environment laid over the file.
//!
//! Two underscores step into a table or list, letters may be upper case, and `_` stands for a `-`
//! that a name cannot have. The only file that reads the environment.

use std::collections::BTreeMap;

use super::{
    mistake::{Mistakes, Origin},
    tree::{Node, Value},
};

/// Everything the process was given that starts with `EVERWIRE_`, in a stable order.
pub(crate) fn variables() -> Vec<(String, String)> {
    let ours = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        let name = name.into_string().ok()?;
        name.starts_with(PREFIX).then(|| (name, value.to_string_lossy().into_owned()))
    };
    let mut found: Vec<_> = std::env::vars_os().filter_map(ours).collect();
    found.sort_by_key(|(name, _)| sort_key(name));
    found
}

/// Lays the variables over the tree; each one replaces what the file said.
pub(super) fn overlay(
    tree: &mut BTreeMap<String, Node>,
    variables: &[(String, String)],
    mistakes: &mut Mistakes,
) {
    for (name, value) in variables.iter().filter(|(name, _)| is_configuration(name)) {
        let path: Vec<_> = name[PREFIX.len()..].split("__").collect();
        let origin = Origin::Environment { name: name.clone() };
        let leaf = Node::new(origin.clone(), Value::Text(value.clone()));
        if let Err(what) = set(tree, &path, leaf) {
            mistakes.add(origin, path.join(".").to_lowercase(), what);
        }
    }
}

fn set(table: &mut BTreeMap<String, Node>, path: &[&str], leaf: Node) -> Result<(), String> {
    let Some((first, rest)) = path.split_first() else { return Ok(()) };
    if first.is_empty() {
        return Err("an empty name between two `__`".to_owned());
    }
    let key = table.keys().find(|key| same_name(key, first)).cloned();
    let key = key.unwrap_or_else(|| first.to_lowercase());
    if rest.is_empty() {
        table.insert(key, leaf);
        return Ok(());
    }
    let entry = table.entry(key).or_insert_with(|| empty_for(rest, &leaf.origin));
    step(entry, rest, leaf)
}

fn step(entry: &mut Node, path: &[&str], leaf: Node) -> Result<(), String> {
    match &mut entry.value {
        Value::Table(inner) => set(inner, path, leaf),
        Value::Array(items) => set_element(items, path, leaf),
        _ => Err(format!("there is no table to set {} in", path.join(".").to_lowercase())),
    }
}

fn set_element(items: &mut Vec<Node>, path: &[&str], leaf: Node) -> Result<(), String> {
    let count = items.len();
    let Some(index) = path[0].parse::<usize>().ok().filter(|index| *index <= count) else {
        return Err(format!("{:?} is not a number from 0 to {count}", path[0]));
    };
    let rest = &path[1..];
    if rest.is_empty() {
        match items.get_mut(index) {
            Some(item) => *item = leaf,
            None => items.push(leaf),
        }
        return Ok(());
    }
    if index == count {
        items.push(empty_for(rest, &leaf.origin));
    }
    step(&mut items[index], rest, leaf)
}

fn empty_for(rest: &[&str], origin: &Origin) -> Node {
    let is_index = !rest[0].is_empty() && rest[0].bytes().all(|byte| byte.is_ascii_digit());
    let value = if is_index { Value::Array(Vec::new()) } else { Value::Table(BTreeMap::new()) };
    Node::new(origin.clone(), value)
}

fn same_name(key: &str, segment: &str) -> bool {
    key.len() == segment.len()
        && key.bytes().zip(segment.bytes()).all(|(k, s)| {
            k.eq_ignore_ascii_case(&s) || (s == b'_' && matches!(k, b'-' | b'.' | b' '))
        })
}

/// Kubernetes announces a service called `everwire` in variables of these shapes, and the two
/// names below belong to the commands that talk to a node: neither is configuration.
fn is_configuration(name: &str) -> bool {
    let rest = &name[PREFIX.len()..];
    let announced = rest.starts_with("SERVICE_") || rest == "PORT" || rest.starts_with("PORT_");
    !announced && !NOT_CONFIGURATION.contains(&name)
}

/// List positions in numeric order, so that `__10` is set after `__9`.
fn sort_key(name: &str) -> Vec<(usize, String)> {
    name.split("__").map(|part| (part.parse().unwrap_or(0), part.to_owned())).collect()
}

const PREFIX: &str = "EVERWIRE_";
const NOT_CONFIGURATION: [&str; 4] =
    ["EVERWIRE_ADMIN", "EVERWIRE_TOKEN", "EVERWIRE_CONFIG", "EVERWIRE_ACCESS_KEY"];

#[cfg(test)]
mod tests;
