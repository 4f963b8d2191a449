//! `everwire fleet send`: a command, and what everybody made of it.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{commands, progress::Progress, report};
use crate::{
    cli::FleetSendArgs,
    client::{Client, segment},
    clock::Moment,
    commands::{argument, status::text},
    failure::Failure,
    terminal,
};

pub(super) async fn run(args: &FleetSendArgs) -> Result<(), Failure> {
    let client = Client::new(&args.node)?;
    let answer = client.call(Method::POST, commands::PATH, Some(&command(args)?)).await?;
    let is_repeated = answer.status == StatusCode::OK;
    let accepted = answer.into_result()?;
    let (id, expected) = (text(&accepted["id"]), expected(&accepted));
    if args.detach {
        return match args.node.json {
            true => terminal::print_json(&accepted),
            false => terminal::print_line(&format!(
                "{id} is accepted for {}: everwire fleet status {id}",
                terminal::count(expected, "instance")
            )),
        };
    }
    if is_repeated && !args.node.json {
        terminal::complain(&format!("{id} was sent before with this key; what became of it:"));
    }
    let state = wait(&client, &id, args).await?;
    judge(&state, args)
}

/// The command as the admin API takes it.
fn command(args: &FleetSendArgs) -> Result<Value, Failure> {
    let labels: Map<_, _> =
        args.label.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    let arguments: Vec<_> = args.arguments.iter().map(|text| argument(text)).collect();
    let mut command = json!({
        "target": args.target,
        "name": args.name,
        "args": arguments,
        "deadline": format!("{}ms", args.deadline.as_millis()),
    });
    if !labels.is_empty() {
        command["labels"] = labels.into();
    }
    if let Some(key) = &args.key {
        command["key"] = key.as_str().into();
    }
    let mut rollout = match (args.at_once, args.per_second) {
        (Some(count), _) => json!({ "at_once": count }),
        (None, Some(count)) => json!({ "per_second": count }),
        (None, None) if args.stop_after.is_some() => {
            let what =
                "--stop-after is for --at-once or --per-second: otherwise all have it at once";
            return Err(Failure::Usage(what.to_owned()));
        }
        (None, None) => return Ok(command),
    };
    if let Some(failures) = args.stop_after {
        rollout["stop_after"] = failures.get().into();
    }
    command["rollout"] = rollout;
    Ok(command)
}

/// Waits until the command has come to its end. A node that restarts meanwhile is asked again: it
/// knows the command still.
async fn wait(client: &Client, id: &str, args: &FleetSendArgs) -> Result<Value, Failure> {
    let mut progress = Progress::new(!args.node.json);
    let mut unreachable: Option<Moment> = None;
    let path = format!("{}/{}?outcomes=none", commands::PATH, segment(id));
    loop {
        match client.read(&path).await {
            Ok(state) => {
                unreachable = None;
                let counts = report::Counts::of(&state);
                progress.show(&counts);
                if counts.with(report::OPEN) == 0 {
                    progress.clear();
                    return commands::read(client, id).await;
                }
            }
            Err(Failure::Unreachable(why)) => {
                let since = *unreachable.get_or_insert_with(Moment::now);
                if since.elapsed() > UNREACHABLE_MAX {
                    let goes_on = format!("{why}\nThe command goes on: everwire fleet status {id}");
                    return Err(Failure::Unreachable(goes_on));
                }
            }
            Err(other) => return Err(other),
        }
        tokio::time::sleep(LOOK_AFTER).await;
    }
}

/// Tells what has come of it, and fails unless everybody has done it.
fn judge(state: &Value, args: &FleetSendArgs) -> Result<(), Failure> {
    let counts = report::Counts::of(state);
    if args.node.json {
        terminal::print_json(state)?;
    } else {
        if let Some(table) = report::not_done(state) {
            terminal::print(&table)?;
        }
        terminal::print_line(&format!("{} to {}", args.name, report::end(state)))?;
    }
    if counts.total() == 0 {
        let target = &args.target;
        return Err(Failure::failed(format!("nobody is {target}: see everwire fleet ls")));
    }
    match counts.bad() {
        0 => Ok(()),
        some => {
            let some = terminal::count(some, "instance");
            Err(Failure::failed(format!("{some} did not do it")))
        }
    }
}

fn expected(accepted: &Value) -> u64 {
    accepted["expected"].as_array().map_or(0, Vec::len) as u64
}

/// How often it is asked how far the command has come.
const LOOK_AFTER: Duration = Duration::from_millis(100);

/// A node that is restarted is back by then.
const UNREACHABLE_MAX: Duration = Duration::from_secs(30);
