//! Hubs of the binary, as stock SignalR clients meet them: an independent WebSocket client that
//! speaks the JSON protocol by hand, and plain HTTP.

mod access;
pub(crate) mod client;
mod declared;
mod nodes;
mod operator;
mod polls;
mod publishers;
mod requests;
mod rest;

use std::path::PathBuf;

use crate::process::file;

/// A configuration of a hub at `/statusHub` that stops at once, with more lines behind its path.
fn with_hub(name: &str, lines: &str) -> PathBuf {
    let text = format!(
        "listen = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[stop]\nannounce = \"0s\"\n\
         window = \"0s\"\n[hubs.status]\npath = \"/statusHub\"\n{lines}\n"
    );
    file(name, &text)
}
