//! `[hubs.NAME.history]`: what a hub keeps of what it sent.

use std::time::Duration;

use everwire_hub::{Retention, declared::Declaration};

use crate::config::{
    keys,
    mistake::Mistakes,
    print::{list, quoted},
    reader::{self, Reader},
    tree::Node,
    units::{format_duration, format_size},
};

/// Which channels of a hub have a history, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct History {
    hub: bool,
    groups: Vec<String>,
    retention: Retention,
    replay_max: u64,
    follows_max: usize,
}

impl Default for History {
    fn default() -> Self {
        Self {
            hub: true,
            groups: vec!["*".into()],
            retention: Retention::default(),
            replay_max: 1000,
            follows_max: 100,
        }
    }
}

impl History {
    /// The same for the hub.
    pub(crate) fn to_hub(&self) -> everwire_hub::History {
        let mut history =
            everwire_hub::History::new().replay_max(self.replay_max).follows_max(self.follows_max);
        if self.hub {
            history = history.hub(self.retention);
        }
        self.groups
            .iter()
            .fold(history, |history, group| history.groups(group.as_str(), self.retention))
    }
}

/// Reads the history of the hub that `reader` reads.
pub(super) fn read(reader: &mut Reader<'_>, declaration: &Declaration) -> Option<History> {
    let node = reader.take("history")?;
    if declaration.methods.keys().any(|name| name.eq_ignore_ascii_case("Recover")) {
        let what = "has a method Recover for itself; give the one in methods another name";
        reader.contradict(&["history"], what);
    }
    let path = reader.path_of("history");
    read_table(path, node, reader.mistakes())
}

fn read_table(path: String, node: Node, mistakes: &mut Mistakes) -> Option<History> {
    let mut history = History::default();
    let mut reader = Reader::open(path, &keys::HISTORY, node, mistakes)?;
    reader.set("hub", &mut history.hub, reader::flag);
    if let Some(groups) = reader.read_list("groups", pattern) {
        history.groups = groups;
    }
    let Retention { count_max, age_max, bytes_max } = &mut history.retention;
    reader.set("count_max", count_max, reader::number(1, COUNT_MAX));
    reader.set("age_max", age_max, reader::duration_from(AGE_MIN));
    reader.set("bytes_max", bytes_max, super::bytes);
    reader.set("replay_max", &mut history.replay_max, reader::number(1, COUNT_MAX));
    reader.set("follows_max", &mut history.follows_max, reader::number(1, FOLLOWS_MAX));
    if !history.hub && history.groups.is_empty() {
        reader.contradict(&["hub", "groups"], "keeps nothing; write hub = true, or name groups");
    }
    reader.finish();
    Some(history)
}

/// A group's name, or the beginning of some with a * behind it.
fn pattern(node: &Node) -> Result<String, String> {
    let text = reader::string(node)?;
    match text.find('*') {
        Some(at) if at + 1 < text.len() => Err("has a * that is not at its end".into()),
        _ => Ok(text),
    }
}

/// A history as lines of TOML below the hub's table.
pub(in crate::config) fn print(hub: &str, history: &History) -> Vec<String> {
    let History { hub: all, groups, retention, replay_max, follows_max } = history;
    let bytes_max = u64::try_from(retention.bytes_max).unwrap_or(u64::MAX);
    vec![
        format!("[hubs.{hub}.history]"),
        format!("hub = {all}"),
        format!("groups = {}", list(groups.iter().map(quoted))),
        format!("count_max = {}", retention.count_max),
        format!("age_max = {}", quoted(format_duration(retention.age_max))),
        format!("bytes_max = {}", quoted(format_size(bytes_max))),
        format!("replay_max = {replay_max}"),
        format!("follows_max = {follows_max}"),
    ]
}

/// Messages of one channel: more would be a database.
const COUNT_MAX: u64 = 1_000_000;

/// A client takes longer to reconnect.
const AGE_MIN: Duration = Duration::from_secs(1);

/// Channels of one connection, each of which is looked at for each message.
const FOLLOWS_MAX: usize = 1000;
