//! Writes `[fleet]` and `[[bridges]]` as TOML, without tokens, secrets and passwords.

use super::{Bridge, Fleet, Hook, KINDS, Memory};
use crate::config::{
    print::{name_of, origins, quoted},
    units::{format_duration, format_size},
};

/// The fleet as lines.
pub(in crate::config) fn print(fleet: &Fleet) -> Vec<String> {
    let (limits, duration) = (&fleet.limits, |value| quoted(format_duration(value)));
    let size = |bytes| quoted(format_size(u64::try_from(bytes).unwrap_or(u64::MAX)));
    let mut lines = vec![String::new(), "[fleet]".to_owned()];
    let mut key = |key: &str, value: String| lines.push(format!("{key} = {value}"));
    key("path", quoted(&fleet.path));
    if let Memory::Journal(path) = &fleet.memory {
        key("journal", quoted(path.to_string_lossy()));
    }
    let is_volatile = matches!(fleet.memory, Memory::Process | Memory::VolatileRedis);
    key("durability", quoted(if is_volatile { "volatile" } else { "fsync" }));
    key("instances_kept", duration(fleet.instances_kept));
    key("commands_kept", fleet.commands_kept.to_string());
    key("origins", origins(&limits.origins));
    key("keep_alive", duration(limits.keep_alive));
    key("client_timeout", duration(limits.client_timeout));
    key("message_max", size(limits.message_max));
    key("queue_max", size(limits.queue_max));
    key("rate_max", limits.rate_max.map_or(0, std::num::NonZero::get).to_string());
    if !fleet.tokens.is_open() {
        lines.push("# tokens are set; they are not shown".to_owned());
    }
    fleet.hooks.iter().for_each(|(name, hook)| lines.extend(hook_lines(name, hook)));
    fleet.bridges.iter().for_each(|bridge| lines.extend(bridge_lines(bridge)));
    lines
}

fn hook_lines(name: &str, hook: &Hook) -> [String; 6] {
    [
        String::new(),
        format!("[fleet.hooks.{name}]"),
        format!("kind = {}", quoted(name_of(&KINDS, hook.kind))),
        "# secret is set; it is not shown".to_owned(),
        format!("target = {}", quoted(hook.target.as_str())),
        format!("command = {}", quoted(&hook.command)),
    ]
}

fn bridge_lines(bridge: &Bridge) -> [String; 5] {
    [
        String::new(),
        "[[bridges]]".to_owned(),
        format!("channel = {}", quoted(&bridge.channel)),
        format!("set = {}", quoted(bridge.set.to_string())),
        // There may be a password in front of the host.
        match bridge.url.contains('@') {
            true => "# url is set; it is not shown, as it has a password".to_owned(),
            false => format!("url = {}", quoted(&bridge.url)),
        },
    ]
}
