//! Runs a command of the shell about a change.

use std::{process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;

use crate::{sets::Change, supervise::Environment};

/// Runs it with `environment` and what has changed; its output is this process'.
pub(super) async fn run(
    command: &str,
    change: &Change,
    environment: Environment,
    timeout: Duration,
) -> Result<(), String> {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command).env_clear().envs(environment).envs(variables(change));
    // A group of its own can be killed with all that the command has started.
    shell.stdin(Stdio::null()).process_group(0).kill_on_drop(true);
    let mut shell = shell.spawn().map_err(|error| format!("sh cannot be started: {error}"))?;
    let group = shell.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    match tokio::time::timeout(timeout, shell.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("the command ended with {status}")),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => {
            let killed = group.map(|group| kill_process_group(group, Signal::KILL));
            tracing::debug!(?killed, "a command took too long");
            Err(format!("the command took longer than {timeout:?}, and was killed"))
        }
    }
}

/// The sets that differ, their versions in the same order, and all keys that do.
fn variables(change: &Change) -> [(&'static str, String); 3] {
    let sets: Vec<&str> = change.sets.iter().map(|set| set.set.as_str()).collect();
    let versions: Vec<String> = change.sets.iter().map(|set| set.version.to_string()).collect();
    let mut keys: Vec<&str> =
        change.sets.iter().flat_map(|set| set.keys.iter().map(String::as_str)).collect();
    keys.dedup();
    let joined = [sets.join(" "), versions.join(" "), keys.join(" ")];
    let [sets, versions, keys] = joined;
    [("EVERWIRE_SET", sets), ("EVERWIRE_VERSION", versions), ("EVERWIRE_CHANGED", keys)]
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsString, fs};

    use everwire_testkit::everwire::Folder;

    use super::*;
    use crate::action::tests_kit::change;

    fn path() -> Environment {
        let path = std::env::var_os("PATH").unwrap_or_default();
        Environment::from([(OsString::from("PATH"), path), ("COLOR".into(), "red".into())])
    }

    #[tokio::test]
    async fn a_command_knows_what_has_changed() {
        let folder = Folder::new();
        let out = folder.0.join("out");
        let command = format!(
            "echo \"$EVERWIRE_SET $EVERWIRE_VERSION $EVERWIRE_CHANGED $COLOR\" > {}",
            out.display()
        );
        run(&command, &change(), path(), Duration::from_secs(20)).await.unwrap();
        assert_eq!(fs::read_to_string(out).unwrap(), "shop/prod 7 COLOR SIZE red\n");
    }

    #[tokio::test]
    async fn a_command_that_fails_or_hangs_is_a_failure() {
        let limit = Duration::from_secs(20);
        let failed = run("exit 3", &change(), path(), limit).await.unwrap_err();
        assert!(failed.contains("exit status: 3"), "{failed}");
        let hung =
            run("sleep 600", &change(), path(), Duration::from_millis(50)).await.unwrap_err();
        assert!(hung.contains("was killed"), "{hung}");
    }
}
