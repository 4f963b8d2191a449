//! Hooks of Git hosts: a push becomes a command.

use std::{collections::BTreeMap, sync::Arc};

use everwire_fleet::{
    Fleet, Hooks, Taking,
    fleet::{NewCommand, SendError},
    hook::{BadHook, Called, Commanded, Hook, NotCalled},
};
use http::{HeaderMap, StatusCode};
use hyper::body::Bytes;

use crate::config;

/// The hooks of the configuration, by name.
#[derive(Debug)]
pub(super) struct NodeHooks {
    hooks: BTreeMap<String, Arc<Hook>>,
    fleet: Fleet,
}

impl NodeHooks {
    pub(super) fn new(
        hooks: &BTreeMap<String, config::Hook>,
        fleet: Fleet,
    ) -> Result<Self, BadHook> {
        let build = |(name, hook): (&String, &config::Hook)| {
            Ok((name.clone(), Arc::new(hook.build(name)?)))
        };
        Ok(Self { hooks: hooks.iter().map(build).collect::<Result<_, _>>()?, fleet })
    }
}

impl Hooks for NodeHooks {
    fn take(&self, name: String, headers: HeaderMap, body: Bytes) -> Taking {
        let (hook, fleet) = (self.hooks.get(&name).cloned(), self.fleet.clone());
        Box::pin(async move {
            match hook {
                Some(hook) => take(&hook, &fleet, &headers, &body).await,
                None => (StatusCode::NOT_FOUND, format!("there is no hook {name:?}")),
            }
        })
    }
}

async fn take(
    hook: &Hook,
    fleet: &Fleet,
    headers: &HeaderMap,
    body: &[u8],
) -> (StatusCode, String) {
    match hook.call(|name| headers.get(name).map(|value| value.as_bytes()), body) {
        Ok(Called::Push(push)) => send(hook, fleet, *push).await,
        Ok(Called::Ping) => (StatusCode::OK, "heard\n".to_owned()),
        Ok(Called::Ignored { why }) => (StatusCode::OK, format!("nothing is done: {why}\n")),
        Err(wrong) => {
            tracing::warn!(hook = hook.name(), %wrong, "a hook was called and not believed");
            (status(wrong), wrong.to_string())
        }
    }
}

async fn send(hook: &Hook, fleet: &Fleet, push: Commanded) -> (StatusCode, String) {
    let Commanded { target, name, args, key, by } = push;
    let command = NewCommand {
        args,
        key: Some(key.into()),
        by: Some(by.into()),
        ..NewCommand::new(target, name)
    };
    match fleet.send(command).await {
        Ok(accepted) => {
            let (id, expected) = (accepted.id, accepted.expected.len());
            tracing::info!(hook = hook.name(), command = %id, expected, "a hook sent a command");
            (StatusCode::ACCEPTED, format!("command {id} for {expected} instances\n"))
        }
        Err(error) => (not_sent(&error), error.to_string()),
    }
}

fn status(wrong: NotCalled) -> StatusCode {
    match wrong {
        NotCalled::Unproven(_) | NotCalled::Wrong => StatusCode::UNAUTHORIZED,
        NotCalled::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        NotCalled::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        NotCalled::Malformed(_) => StatusCode::BAD_REQUEST,
    }
}

/// The host delivers again what it is told to come back with.
fn not_sent(error: &SendError) -> StatusCode {
    match error {
        SendError::NotACommand(_) => StatusCode::BAD_REQUEST,
        SendError::Refused(_) | SendError::Full | SendError::Lost => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}
