//! `[fleet.hooks.NAME]`: whose pushes become commands.

use std::{collections::BTreeMap, fmt};

use everwire_fleet::{
    hook::{BadHook, Host},
    target::{NotATarget, Pattern, Target},
};

use crate::config::{
    is_name, keys,
    mistake::Mistakes,
    reader::{self, Reader},
    token,
    tree::Node,
};

/// One hook. `Debug` does not show its secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Hook {
    pub(crate) kind: HookKind,
    pub(crate) secret: String,
    /// Who is sent the command.
    pub(crate) target: Pattern,
    pub(crate) command: String,
}

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HookKind {
    Github,
    Gitlab,
}

/// The names of who calls.
pub(super) const KINDS: [(&str, HookKind); 2] =
    [("github", HookKind::Github), ("gitlab", HookKind::Gitlab)];

impl Hook {
    /// The hook as the fleet takes it.
    ///
    /// # Errors
    /// None that reading the configuration does not find.
    pub(crate) fn build(&self, name: &str) -> Result<everwire_fleet::hook::Hook, BadHook> {
        let secret = self.secret.as_str();
        let host = match self.kind {
            HookKind::Github => Host::GitHub { secret },
            HookKind::Gitlab => Host::GitLab { token: secret },
        };
        let target = Target::new(self.target.clone());
        everwire_fleet::hook::Hook::new(name, host, target, &self.command)
    }
}

/// Reads all hooks.
pub(super) fn read_all(node: Node, mistakes: &mut Mistakes) -> BTreeMap<String, Hook> {
    let origin = node.origin.clone();
    let Ok(table) = node.into_table() else {
        mistakes.add(origin, "fleet.hooks", "is not a table; write [fleet.hooks.NAME]");
        return BTreeMap::new();
    };
    let mut hooks = BTreeMap::new();
    for (name, node) in table.entries {
        let path = format!("fleet.hooks.{name}");
        if !is_name(&name) {
            let what = "a hook's name has letters, digits, - and _, at most 64 of them";
            mistakes.add(node.origin.clone(), path.clone(), what);
        }
        if let Some(hook) = read(path, node, mistakes) {
            hooks.insert(name, hook);
        }
    }
    hooks
}

fn read(path: String, node: Node, mistakes: &mut Mistakes) -> Option<Hook> {
    let whole = node.origin.clone();
    let mut reader = Reader::open(path, &keys::FLEET_HOOK, node, mistakes)?;
    let kind = reader.read("kind", reader::one_of(&KINDS));
    if kind.is_none() && !reader.was_taken("kind") {
        reader.complain(&whole, "kind", "is missing; write \"github\" or \"gitlab\"");
    }
    let secret = secret(&mut reader);
    if secret.is_none() && !reader.was_taken("secret") {
        let what =
            "is missing: anybody could send commands; `openssl rand -hex 32` makes a good one";
        reader.complain(&whole, "secret", what);
    }
    let target = reader.read("target", target).unwrap_or_default();
    let command = reader.read("command", reader::string).unwrap_or_else(|| "refresh".to_owned());
    let hook = kind.zip(secret).map(|(kind, secret)| Hook { kind, secret, target, command });
    if let Some(Err(bad)) = hook.as_ref().map(|hook| hook.build("any")) {
        reader.complain(&whole, "secret", bad.to_string());
    }
    reader.finish();
    hook
}

fn target(node: &Node) -> Result<Pattern, String> {
    let wrong = |error: NotATarget| format!("is no target: {error}");
    reader::string(node)?.parse().map_err(wrong)
}

fn secret(reader: &mut Reader<'_>) -> Option<String> {
    let node = reader.take("secret")?;
    match token(&node) {
        Ok(secret) => Some(secret),
        // The value is a secret even when it is wrong: it is not repeated.
        Err(what) => {
            reader.complain(&node.origin, "secret", what);
            None
        }
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook")
            .field("kind", &self.kind)
            .field("target", &self.target)
            .field("command", &self.command)
            .finish_non_exhaustive()
    }
}
