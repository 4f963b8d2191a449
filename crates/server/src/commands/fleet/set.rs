//! `everwire fleet set`: changes of a set, all at once.

use std::io::Read;

use http::{Method, header};
use serde_json::{Map, Value, json};

use super::set_path;
use crate::{
    cli::FleetSetArgs, client::Client, commands::status::text, failure::Failure, terminal,
};

pub(super) async fn run(args: &FleetSetArgs) -> Result<(), Failure> {
    let path = set_path(&args.set)?;
    let body = changes(args, read_secret)?;
    let only_at = args.at.map(|version| (header::IF_MATCH, format!("\"{version}\"")));
    let client = Client::new(&args.node)?;
    let answer = client.call_with(Method::PATCH, &path, Some(&body), only_at.as_slice()).await?;
    let answer = answer.into_result()?;
    if args.node.json {
        return terminal::print_json(&answer);
    }
    let (set, version) = (&args.set, text(&answer["version"]));
    match answer["changed"].as_bool() {
        Some(false) => {
            terminal::print_line(&format!("{set} has all that already, in version {version}"))
        }
        _ => terminal::print_line(&format!("{set} is at version {version}")),
    }
}

/// The changes as the admin API takes them.
fn changes(
    args: &FleetSetArgs,
    read_secret: impl FnOnce() -> Result<String, Failure>,
) -> Result<Value, Failure> {
    let mut changes = Map::new();
    let mut put = |key: &String, value: Value| match changes.insert(key.clone(), value) {
        Some(_) => Err(Failure::Usage(format!("{key} is given twice"))),
        None => Ok(()),
    };
    for (key, value) in &args.change {
        put(key, value.as_str().into())?;
    }
    let (from_input, given): (Vec<_>, Vec<_>) =
        args.secret.iter().partition(|(_, value)| value == STANDARD_INPUT);
    for (key, value) in &given {
        put(key, value.as_str().into())?;
    }
    match from_input[..] {
        [] => {}
        [(key, _)] => put(key, read_secret()?.into())?,
        _ => {
            let what = "only one secret can come from standard input".to_owned();
            return Err(Failure::Usage(what));
        }
    }
    for key in &args.delete {
        put(key, Value::Null)?;
    }
    let rename: Map<_, _> =
        args.rename.iter().map(|(old, new)| (old.clone(), new.as_str().into())).collect();
    if changes.is_empty() && rename.is_empty() {
        let what = "nothing to change: give KEY=VALUE, --secret, --delete or --rename";
        return Err(Failure::Usage(what.to_owned()));
    }
    let secret: Vec<_> = args.secret.iter().map(|(key, _)| key).collect();
    let mut body = json!({ "changes": changes, "secret": secret, "rename": rename });
    if let Some(note) = &args.note {
        body["note"] = note.as_str().into();
    }
    Ok(body)
}

/// What stands on standard input, without the line's end that an editor or `echo` puts there.
fn read_secret() -> Result<String, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(INPUT_MAX).read_to_string(&mut text);
    read.map_err(|error| Failure::failed(format!("cannot read the secret: {error}")))?;
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(text)
}

/// What stands for standard input.
const STANDARD_INPUT: &str = "-";

/// More than a value may have; the node says so.
const INPUT_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command, FleetCommand};

    fn told(line: &[&str]) -> Result<Value, String> {
        let line = ["everwire", "fleet", "set", "shop/prod"].iter().chain(line);
        let Command::Fleet(FleetCommand::Set(args)) = Cli::parse_from(line).command else {
            panic!("another command");
        };
        changes(&args, || Ok("of stdin".to_owned())).map_err(|failure| failure.to_string())
    }

    #[test]
    fn what_is_typed_is_one_change() {
        let line = ["A=1", "B=x=y", "C=-", "--secret", "D=-", "--secret", "E=e", "--delete", "F"];
        let body = told(&[&line[..], &["--rename", "G=H", "--note", "why"]].concat()).unwrap();
        let changes =
            json!({ "A": "1", "B": "x=y", "C": "-", "D": "of stdin", "E": "e", "F": null });
        let rename = json!({ "G": "H" });
        let all =
            json!({ "changes": changes, "secret": ["D", "E"], "rename": rename, "note": "why" });
        assert_eq!(body, all);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (line, wanted) in [
            (&[][..], "nothing to change"),
            (&["A=1", "--delete", "A"], "A is given twice"),
            (&["--secret", "A=-", "--secret", "B=-"], "only one secret"),
        ] {
            assert!(told(line).unwrap_err().contains(wanted), "{line:?}");
        }
    }
}
