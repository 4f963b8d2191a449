//! `everwire token`: what lets clients into hubs that have an access key.

use std::io::Read;

use everwire_hub::{
    method::Claims,
    token::{AccessKey, AccessKeys, Token},
};
use serde_json::json;

use crate::{
    cli::{KeyArgs, MintArgs, TokenCheckArgs, TokenCommand},
    clock,
    config::{self, Access, Config, Flags},
    failure::Failure,
    terminal,
};

pub(super) fn run(command: &TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::Mint(args) => mint(args),
        TokenCommand::Check(args) => check(args),
    }
}

fn mint(args: &MintArgs) -> Result<(), Failure> {
    let (keys, audience) = keys(&args.key)?;
    let mut claims = Claims::default();
    for (name, value) in &args.claim {
        claims.add(name.as_str(), value.as_str());
    }
    let token = Token {
        user: args.user.clone(),
        audiences: if args.audience.is_empty() {
            audience.into_iter().collect()
        } else {
            args.audience.clone()
        },
        expires: clock::since_epoch() + args.expires,
        begins: None,
        claims,
    };
    terminal::print_line(&keys.sign(&token).map_err(Failure::failed)?)
}

fn check(args: &TokenCheckArgs) -> Result<(), Failure> {
    let (keys, _) = keys(&args.key)?;
    let text = match &args.token {
        Some(token) => token.clone(),
        None => read_token()?,
    };
    let now = clock::since_epoch();
    let token = keys.read(text.trim(), now).map_err(Failure::failed)?;
    let left = token.expires.saturating_sub(now).as_secs();
    let claims = token.claims.iter();
    if args.json {
        let claims: Vec<_> =
            claims.map(|(name, value)| json!({ "name": name, "value": value })).collect();
        return terminal::print_json(&json!({
            "user": token.user,
            "audiences": token.audiences,
            "expires": token.expires.as_secs(),
            "expires_in_seconds": left,
            "claims": claims,
        }));
    }
    let mut table = terminal::Table::new(&["CLAIM", "VALUE"]);
    for (name, value) in claims {
        table.row([name.to_owned(), value.to_owned()]);
    }
    for audience in token.audiences {
        table.row(["aud".to_owned(), audience]);
    }
    terminal::print(&table.render())?;
    let user =
        token.user.map_or_else(|| "nobody in particular".to_owned(), |user| format!("{user:?}"));
    terminal::print_line(&format!("good for {user}, another {}", terminal::seconds(left)))
}

/// The keys that were meant, and whom a token has to be for.
fn keys(args: &KeyArgs) -> Result<(AccessKeys, Option<String>), Failure> {
    if let Some(key) = &args.key {
        let key = AccessKey::new(key).map_err(|bad| Failure::Usage(format!("the key {bad}")))?;
        return Ok((AccessKeys::new(&key), None));
    }
    let sources = super::sources(&args.source, Flags::default())?;
    let config = config::load(&sources).map_err(|wrong| Failure::Usage(wrong.to_string()))?;
    let access = access(&config, args.hub.as_deref()).map_err(Failure::Usage)?;
    Ok((access.keys(), access.audiences.first().cloned()))
}

/// The hub's access, or that of the only hub which has any.
fn access<'c>(config: &'c Config, hub: Option<&str>) -> Result<&'c Access, String> {
    if let Some(name) = hub {
        let hub = config.hubs.get(name).ok_or_else(|| format!("there is no [hubs.{name}]"))?;
        return hub.access.as_ref().ok_or_else(|| format!("[hubs.{name}] has no access_key"));
    }
    let mut guarded = config.hubs.values().filter_map(|hub| hub.access.as_ref());
    match (guarded.next(), guarded.next()) {
        (Some(access), None) => Ok(access),
        (Some(_), Some(_)) => Err("several hubs have an access_key; say which: --hub NAME".into()),
        _ => Err("no hub has an access_key; give the key with --key, or write it there".into()),
    }
}

fn read_token() -> Result<String, Failure> {
    let mut text = String::new();
    // One byte more than is taken tells that it is too long.
    let most = AccessKeys::TOKEN_MAX as u64 + 1;
    let read = std::io::stdin().lock().take(most).read_to_string(&mut text);
    read.map_err(|error| Failure::failed(format!("cannot read the token: {error}")))?;
    Ok(text)
}
