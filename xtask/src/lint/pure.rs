//! Pure files decide; they do not wait, spawn, read a clock or touch files.
//!
//! Looks at tokens, not at text: a comment may say "tokio", code may not.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use proc_macro2::{TokenStream, TokenTree};

use crate::root;

/// Folders and file-name beginnings whose Rust files are pure.
const PURE: &[(&str, &[&str])] = &[
    ("crates/proto/src", &[""]),
    ("crates/backplane/src", &["envelope", "incoming", "leases", "outgoing"]),
    ("crates/backplane/src/history", &["reel"]),
    ("crates/backplane/src/journal", &["format"]),
    ("crates/backplane/src/log", &["fold"]),
    ("crates/gateway/src", &["relay", "backends"]),
    (
        "crates/hub/src",
        &[
            "audience",
            "conversation",
            "dispatch",
            "frames",
            "outgoing",
            "presence",
            "pulse",
            "registry",
            "seal",
            "ticket",
        ],
    ),
    ("crates/hub/src/cluster", &["clocks", "letter", "window"]),
    ("crates/hub/src/connection", &["kept"]),
    ("crates/hub/src/estate", &["note"]),
    ("crates/hub/src/fanout", &["envelope", "fields", "ledger", "request"]),
    ("crates/hub/src/history", &["follow", "line", "plan", "run"]),
    ("crates/hub/src/moving", &["session", "waves"]),
    ("crates/hub/src/shard", &["index"]),
    ("crates/hub/src/standing", &["learning", "memory"]),
    (
        "crates/fleet/src",
        &[
            "access",
            "answer",
            "command",
            "duties",
            "entry",
            "hook",
            "introduction",
            "ledger",
            "name",
            "rollout",
            "roster",
            "seal",
            "seats",
            "set.rs",
            "target",
            "watch",
        ],
    ),
    ("crates/fleet/src/bridge", &["lead", "message"]),
    ("crates/fleet/src/set", &[""]),
    ("crates/agent/src", &["address", "apply", "backoff", "environment", "record", "sets", "wire"]),
    ("crates/agent/src/sidecar", &["override_of"]),
    ("crates/agent/src/supervise", &["machine"]),
    ("crates/client/src", &["session", "reconnect", "address", "choice", "cookies"]),
];

/// Words that pure code has no use for.
const WORDS: &[&str] = &[
    "tokio",
    "tokio_util",
    "futures",
    "futures_util",
    "async",
    "await",
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "UnixStream",
];

/// Paths that pure code has no use for.
const PATHS: &[(&str, &str)] =
    &[("Instant", "now"), ("SystemTime", "now"), ("std", "env"), ("std", "fs"), ("std", "thread")];

/// One sentence, with file and line, for each impurity in a pure file.
pub(super) fn impurities() -> Result<Vec<String>> {
    let mut mistakes = Vec::new();
    for (folder, beginnings) in PURE {
        for file in pure_files(&root::path(folder), beginnings)? {
            let text = fs::read_to_string(&file)?;
            let shown = file.strip_prefix(root::repository()).unwrap_or(&file).display();
            let found = judge(&text).with_context(|| shown.to_string())?;
            mistakes.extend(found.iter().map(|found| format!("{shown}:{found}")));
        }
    }
    Ok(mistakes)
}

fn pure_files(folder: &Path, beginnings: &[&str]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?.path();
        let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !beginnings.iter().any(|beginning| name.starts_with(beginning)) {
            continue;
        }
        if entry.is_dir() {
            files.extend(pure_files(&entry, &[""])?);
        } else if name.ends_with(".rs") {
            files.push(entry);
        }
    }
    files.sort();
    Ok(files)
}

/// `line: what` for each word or path that does not belong there.
fn judge(text: &str) -> Result<Vec<String>> {
    let tokens: TokenStream =
        text.parse().map_err(|error| anyhow::anyhow!("cannot be read as Rust: {error}"))?;
    let mut words = Vec::new();
    flatten(tokens, &mut words);
    let mut found = Vec::new();
    for (index, (word, line)) in words.iter().enumerate() {
        if WORDS.contains(&word.as_str()) {
            found.push(format!("{line}: mentions `{word}`"));
        }
        // A path is its first word, two colons, its second word.
        let is_path = words.get(index + 1).is_some_and(|(next, _)| next == ":");
        let Some((second, _)) = words.get(index + 3).filter(|_| is_path) else { continue };
        if PATHS.contains(&(word.as_str(), second.as_str())) {
            found.push(format!("{line}: mentions `{word}::{second}`"));
        }
    }
    Ok(found)
}

fn flatten(tokens: TokenStream, words: &mut Vec<(String, usize)>) {
    for token in tokens {
        let line = token.span().start().line;
        match token {
            TokenTree::Group(group) => flatten(group.stream(), words),
            TokenTree::Ident(word) => words.push((word.to_string(), line)),
            TokenTree::Punct(mark) => words.push((mark.as_char().to_string(), line)),
            TokenTree::Literal(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pure_code_passes_whatever_its_comments_say() {
        let text =
            "//! No tokio here.\n/// Not async.\nfn f(now: Instant) -> &'static str { \"tokio\" }";
        assert!(judge(text).unwrap().is_empty());
    }

    #[test]
    fn impure_code_is_named_with_its_line() {
        let text = "use tokio::sync::Notify;\nasync fn f() {}\nfn g() { Instant::now(); }";
        let found = judge(text).unwrap();
        assert_eq!(
            found,
            ["1: mentions `tokio`", "2: mentions `async`", "3: mentions `Instant::now`"]
        );
        assert_eq!(judge("use std::fs;").unwrap(), ["1: mentions `std::fs`"]);
        assert!(judge("use std::net::IpAddr;").unwrap().is_empty(), "an address is a value");
    }

    #[test]
    fn the_pure_files_are_found() {
        let files = pure_files(&root::path("crates/proto/src"), &[""]).unwrap();
        assert!(files.iter().any(|file| file.ends_with("src/lib.rs")));
        let none = pure_files(&root::path("crates/gateway/src"), &["pipe-that-is-not"]).unwrap();
        assert!(none.is_empty());
    }
}
