//! `[hubs.NAME.methods]` and `[hubs.NAME.presence]`: what a hub does without a program.

use std::str::FromStr;

use everwire_hub::declared::{Action, Declaration, Presence, Receivers, Send, Template};

use crate::config::{
    keys,
    mistake::{Mistakes, Origin},
    print::{list, quoted},
    reader::{self, Reader},
    tree::{Node, Value},
};

/// Reads what is declared of the hub that `reader` reads.
pub(super) fn read(reader: &mut Reader<'_>) -> Declaration {
    let mut declaration = Declaration::default();
    let most = reader::number(1, MEMBERSHIPS_MAX);
    reader.set("memberships_max", &mut declaration.memberships_max, most);
    if let Some(node) = reader.take("presence") {
        let path = reader.path_of("presence");
        declaration.presence = read_presence(path, node, reader.mistakes());
    }
    let Some(node) = reader.take("methods") else { return declaration };
    let path = reader.path_of("methods");
    let Ok(table) = node.into_table() else {
        let what = "is not a table; write for example Broadcast = { send = \"all\" }";
        reader.contradict(&["methods"], what);
        return declaration;
    };
    let has_presence = reader.was_taken("presence");
    for (name, node) in table.entries {
        let method = Method { path: format!("{path}.{name}"), origin: node.origin.clone() };
        let known = declaration.methods.keys().any(|known| known.eq_ignore_ascii_case(&name));
        if known {
            let what = "exists already: clients call methods in any case";
            reader.mistakes().add(method.origin.clone(), method.path.clone(), what);
        }
        let action = method.read(&name, has_presence, node, reader.mistakes());
        declaration.methods.insert(name.into(), action);
    }
    declaration
}

/// What is declared, as lines of TOML below the hub's table.
pub(in crate::config) fn print(hub: &str, declaration: &Declaration) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(Presence { joined, left, roster, names_max }) = &declaration.presence {
        lines.push(format!("[hubs.{hub}.presence]"));
        for (key, target) in [("joined", joined), ("left", left), ("roster", roster)] {
            lines.extend(target.iter().map(|target| format!("{key} = {}", quoted(target))));
        }
        lines.push(format!("names_max = {names_max}"));
    }
    if !declaration.methods.is_empty() {
        lines.push(format!("[hubs.{hub}.methods]"));
        for (name, action) in &declaration.methods {
            lines.push(format!("{} = {{ {} }}", quoted(name), keys_of(action).join(", ")));
        }
    }
    lines
}

fn keys_of(action: &Action) -> Vec<String> {
    let Action { join, present, send, absent, leave } = action;
    let named = |key: &str, template: &Option<Template>| {
        template.as_ref().map(|template| format!("{key} = {}", quoted(template.to_string())))
    };
    let mut keys: Vec<_> = named("join", join).into_iter().collect();
    keys.extend(named("present", present));
    if let Some(Send { to, target, arguments }) = send {
        keys.push(format!("send = {}", quoted(to.to_string())));
        keys.push(format!("target = {}", quoted(target)));
        let arguments =
            arguments.as_ref().map(|all| list(all.iter().map(|one| quoted(one.to_string()))));
        keys.extend(arguments.map(|arguments| format!("arguments = {arguments}")));
    }
    keys.extend(named("absent", absent));
    keys.extend(named("leave", leave));
    keys
}

fn read_presence(path: String, node: Node, mistakes: &mut Mistakes) -> Option<Presence> {
    let mut presence = Presence::default();
    let origin = node.origin.clone();
    let mut reader = Reader::open(path.clone(), &keys::PRESENCE, node, mistakes)?;
    presence.joined = reader.read("joined", target);
    presence.left = reader.read("left", target);
    presence.roster = reader.read("roster", target);
    let told = ["joined", "left", "roster"].iter().any(|key| reader.was_taken(key));
    reader.set("names_max", &mut presence.names_max, reader::number(1, NAMES_MAX));
    reader.finish();
    if !told {
        let what = "tells nobody anything; name a target for joined, left or roster";
        mistakes.add(origin, path, what);
    }
    Some(presence)
}

/// Where a method is declared.
struct Method {
    path: String,
    origin: Origin,
}

impl Method {
    fn read(self, name: &str, has_presence: bool, node: Node, mistakes: &mut Mistakes) -> Action {
        let mut action = Action::default();
        let before = mistakes.count();
        let Some(mut reader) = Reader::open(self.path.clone(), &keys::METHOD, node, mistakes)
        else {
            return action;
        };
        action.join = reader.read("join", parsed::<Template>);
        action.leave = reader.read("leave", parsed::<Template>);
        action.present = reader.read("present", parsed::<Template>);
        action.absent = reader.read("absent", parsed::<Template>);
        action.send = read_send(&mut reader, name);
        if !has_presence {
            let what = "tells nobody without [hubs.NAME.presence]; name its targets there";
            reader.contradict(&["present", "absent"], what);
        }
        reader.finish();
        if action == Action::default() && mistakes.count() == before {
            let what = "does nothing; write one of join, leave, present, absent, send";
            mistakes.add(self.origin, self.path, what);
        }
        action
    }
}

/// A method that does not say what its receivers call it by has one name for both.
fn read_send(reader: &mut Reader<'_>, name: &str) -> Option<Send> {
    let to = reader.read("send", parsed::<Receivers>);
    let target = reader.read("target", target).unwrap_or_else(|| name.into());
    let arguments = reader.take_list("arguments").map(|items| read_arguments(reader, &items));
    if !reader.was_taken("send") {
        let what = "does nothing without send; write for example send = \"all\"";
        reader.contradict(&["target", "arguments"], what);
    }
    Some(Send { to: to?, target, arguments })
}

/// The same argument may be sent twice, so this is no list of different things.
fn read_arguments(reader: &mut Reader<'_>, items: &[Node]) -> Vec<Template> {
    let mut templates = Vec::new();
    for (index, item) in items.iter().enumerate() {
        match parsed(item) {
            Ok(template) => templates.push(template),
            Err(what) => reader.refuse(&format!("arguments[{index}]"), item, &what),
        }
    }
    templates
}

fn parsed<T>(node: &Node) -> Result<T, String>
where
    T: FromStr<Err: std::fmt::Display>,
{
    reader::string(node)?.parse().map_err(|error: T::Err| error.to_string())
}

fn target(node: &Node) -> Result<Box<str>, String> {
    match &node.value {
        Value::String(text) | Value::Text(text) if text.len() > TARGET_MAX => {
            Err(format!("is longer than {TARGET_MAX} bytes"))
        }
        _ => reader::string(node).map(Into::into),
    }
}

/// Groups and names of one connection: more would be a table of its own.
const MEMBERSHIPS_MAX: usize = 100_000;

/// Names in one place: more would not fit what may wait for a client.
const NAMES_MAX: usize = 100_000;

/// The name of a client's method.
const TARGET_MAX: usize = 255;
