//! The keys in Redis. A name is written behind its length, so that none builds another's key.

use super::config::InvalidConfig;
use crate::{Channel, Member, NodeId, outgoing::Stream};

/// Makes all keys of one deployment.
#[derive(Debug)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Result<Self, InvalidConfig> {
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if prefix.is_empty() || prefix.len() > 64 || !prefix.bytes().all(fine) {
            return Err(InvalidConfig::Prefix);
        }
        Ok(Self { prefix: prefix.to_owned() })
    }

    pub(super) fn epoch(&self) -> String {
        format!("{}:epoch", self.prefix)
    }

    /// Field: node. Value: incarnation and count.
    pub(super) fn beats(&self) -> String {
        format!("{}:beats", self.prefix)
    }

    /// Field: a member that is gone. Value: the member that cleans up after it.
    pub(super) fn cleaning(&self) -> String {
        format!("{}:cleaning", self.prefix)
    }

    pub(super) fn expired(&self, member: Member) -> String {
        format!("{}:expired:{member}", self.prefix)
    }

    pub(super) fn left(&self, member: Member) -> String {
        format!("{}:left:{member}", self.prefix)
    }

    pub(super) fn inbox(&self, node: NodeId) -> String {
        format!("{}:inbox:{node}", self.prefix)
    }

    pub(super) fn channel(&self, channel: &Channel) -> String {
        self.named("channel", channel)
    }

    pub(super) fn log(&self, log: &Channel) -> String {
        self.named("log", log)
    }

    /// Version, what was trimmed, snapshot.
    pub(super) fn log_state(&self, log: &Channel) -> String {
        self.named("logstate", log)
    }

    /// The messages of a history.
    pub(super) fn history(&self, history: &Channel) -> String {
        self.named("history", history)
    }

    /// Its epoch, the server's process, its last number, its bytes.
    pub(super) fn history_state(&self, history: &Channel) -> String {
        self.named("historystate", history)
    }

    /// The last message that a node has recorded and published in a channel.
    pub(super) fn recorded(&self, node: NodeId, channel: &Channel) -> String {
        self.named(&format!("recorded:{node}"), channel)
    }

    pub(super) fn stream(&self, stream: &Stream) -> String {
        match stream {
            Stream::Channel(channel) => self.channel(channel),
            Stream::Inbox(node) => self.inbox(*node),
        }
    }

    fn named(&self, kind: &str, name: &Channel) -> String {
        format!("{}:{kind}:{}:{name}", self.prefix, name.as_str().len())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn attack_s7_no_name_builds_another_ones_key() {
        let keys = Keys::new("p").unwrap();
        let names = ["a", "1:a", "a:1:a", "1:a\r\n", "*", "epoch", "\0", "a ", "{a}"];
        let names = names.map(|name| Channel::new(name).unwrap());
        let mut all: HashSet<String> = [keys.epoch(), keys.beats(), keys.cleaning()].into();
        for name in &names {
            assert!(all.insert(keys.channel(name)), "{name:?}");
            assert!(all.insert(keys.log(name)), "{name:?}");
            assert!(all.insert(keys.log_state(name)), "{name:?}");
            assert!(all.insert(keys.history(name)), "{name:?}");
            assert!(all.insert(keys.history_state(name)), "{name:?}");
            assert!(all.insert(keys.recorded(NodeId::from([0; 12]), name)), "{name:?}");
        }
        assert!(all.contains("p:channel:5:a:1:a"));
    }

    #[test]
    fn a_prefix_is_a_word() {
        for bad in ["", "a:b", "a b", "ä", "x".repeat(65).as_str()] {
            assert_eq!(Keys::new(bad).unwrap_err(), InvalidConfig::Prefix, "{bad:?}");
        }
    }
}
