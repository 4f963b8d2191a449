//! Instances and watchers that somebody else wrote, each a process of its own: npm's and Python's SignalR
//! clients, and `curl`.

use std::{collections::BTreeMap, process::Command, sync::Mutex};

use serde_json::Value;

use crate::{
    foreign::Launch,
    process::Process,
    versions::{Told, told},
    wait::{PATIENCE, POLL, eventually_within},
};

/// A process that says what it is told. Dropping it kills it.
#[derive(Debug)]
pub struct Stock {
    process: Process,
    heard: Mutex<Vec<(String, Value)>>,
    read: fn(&str) -> Option<(String, Value)>,
}

impl Stock {
    /// Starts `node/instance.mjs` or `python/instance.py`, which come back for ever.
    pub fn start(launch: &Launch) -> Self {
        Self { process: launch.start(&[]), heard: Mutex::default(), read: object }
    }

    /// Watches a set with `curl`, going on after `last` if there was one; it ends with its connection.
    pub fn curl(url: &str, last: Option<&str>) -> Self {
        let mut command = Command::new("curl");
        command.args(["--no-buffer", "--silent", "--show-error", "--fail", url]);
        if let Some(last) = last {
            command.args(["--header", &format!("Last-Event-ID: {last}")]);
        }
        Self { process: Process::start("curl", &mut command), heard: Mutex::default(), read: line }
    }

    /// Everything it has said so far: what, and about what.
    pub fn heard(&self) -> Vec<(String, Value)> {
        let mut heard = self.heard.lock().unwrap();
        let lines = self.process.stdout().after(heard.len());
        let silence = || (String::new(), Value::Null);
        heard.extend(lines.iter().map(|line| (self.read)(line).unwrap_or_else(silence)));
        heard.clone()
    }

    /// What it has been told of its set.
    pub fn told(&self) -> Vec<Told> {
        events(&self.heard()).iter().filter_map(|(name, data)| told(name, data)).collect()
    }

    /// The id of the last event that `curl` has got whole.
    pub fn last_event(&self) -> Option<String> {
        let (mut id, mut whole) = (None, None);
        for (name, value) in self.heard() {
            match name.as_str() {
                "id" => id = value.as_str().map(str::to_owned),
                "" if id.is_some() => whole = id.clone(),
                _ => {}
            }
        }
        whole
    }

    /// The data of each event of this name.
    pub fn named(&self, event: &str) -> Vec<Value> {
        let heard = events(&self.heard());
        heard.into_iter().filter(|(name, _)| name == event).map(|(_, data)| data).collect()
    }

    /// Waits until it has said enough.
    pub async fn says(&self, what: &str, is_enough: impl Fn(&Self) -> bool) {
        eventually_within(PATIENCE, what, async || is_enough(self).then_some(())).await;
    }

    /// Waits, however long it takes, until the process has ended.
    pub async fn gives_up(&mut self) -> String {
        while !self.process.has_ended() {
            tokio::time::sleep(POLL).await;
        }
        self.process.transcript()
    }

    /// The process, to be signalled.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// Events: of `curl`'s lines those that belong together make one.
fn events(heard: &[(String, Value)]) -> Vec<(String, Value)> {
    let mut events = Vec::new();
    let mut fields: BTreeMap<&str, &Value> = BTreeMap::new();
    for (name, value) in heard {
        match name.as_str() {
            "event" | "data" | "id" | "retry" => {
                fields.insert(name, value);
            }
            "" => {
                // An empty line ends an event of a stream; a comment alone is none.
                if let (Some(event), Some(data)) = (fields.get("event"), fields.get("data")) {
                    let name = event.as_str().unwrap_or_default();
                    events.push((name.to_owned(), (*data).clone()));
                }
                fields.clear();
            }
            _ => events.push((name.clone(), value.clone())),
        }
    }
    events
}

/// One JSON object, as our scripts say it.
fn object(line: &str) -> Option<(String, Value)> {
    let said: Value = serde_json::from_str(line).ok()?;
    Some((said["event"].as_str()?.to_owned(), said["data"].clone()))
}

/// One line of server-sent events.
fn line(line: &str) -> Option<(String, Value)> {
    let (name, value) = line.split_once(':').filter(|(name, _)| !name.is_empty())?;
    let value = value.strip_prefix(' ').unwrap_or(value);
    let text = || Value::String(value.to_owned());
    let value = if name == "data" {
        serde_json::from_str(value).unwrap_or_else(|_| text())
    } else {
        text()
    };
    Some((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_of_a_stream_is_whole_when_an_empty_line_comes() {
        let lines =
            ["retry: 1000", "", ": ping", "", "id: e-4", "event: changed", "data: {\"version\":4}"];
        let read = |lines: &[&str]| -> Vec<(String, Value)> {
            lines.iter().map(|one| line(one).unwrap_or_default()).collect()
        };
        assert_eq!(events(&read(&lines)), []);
        let whole = [&lines[..], &[""]].concat();
        assert_eq!(events(&read(&whole)), [("changed".to_owned(), json!({ "version": 4 }))]);
    }
}
