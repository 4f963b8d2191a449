//! What a program notices of the agent beside it: nothing.

use std::fs;

use everwire_testkit::{everwire::everwire_command, process::Process};

use super::{Folder, Manager, agent, complains, says, shell, signal};

/// Says which signals come, and ends at TERM, INT and QUIT with codes of its own.
const TRAPS: &str = "trap 'echo HUP' HUP; trap 'echo TERM; exit 41' TERM; trap 'exit 42' INT; \
                     trap 'exit 43' QUIT; echo ready; while :; do sleep 0.02; done";

#[tokio::test]
async fn the_exit_code_of_the_program_is_the_agents() {
    let manager = Manager::start().await;
    for (script, code) in
        [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137), ("kill -SEGV $$", 139)]
    {
        let mut agent = shell(&manager.url(), &[], script);
        assert_eq!(agent.ended().await.code(), Some(code), "{script}");
    }
    let mut agent = agent(&manager.url(), &[], &["/no/such/program"]);
    assert_eq!(agent.ended().await.code(), Some(127));
    complains(&agent, "/no/such/program cannot be started").await;
}

#[tokio::test]
async fn pred_k13_signals_reach_the_program_and_it_decides() {
    let manager = Manager::start().await;
    for (name, code) in [("TERM", 41), ("INT", 42), ("QUIT", 43)] {
        let mut agent = shell(&manager.url(), &[], TRAPS);
        says(&agent, "ready", 1).await;
        signal(&agent, "HUP");
        says(&agent, "HUP", 1).await;
        signal(&agent, name);
        assert_eq!(agent.ended().await.code(), Some(code), "{name}");
    }
}

#[tokio::test]
async fn pred_k13_who_does_not_end_in_its_grace_is_killed() {
    let manager = Manager::start().await;
    let stubborn = "trap 'echo no' TERM; echo ready; while :; do sleep 0.02; done";
    let mut agent = shell(&manager.url(), &["--grace", "300ms"], stubborn);
    says(&agent, "ready", 1).await;
    signal(&agent, "TERM");
    assert_eq!(agent.ended().await.code(), Some(137));
    says(&agent, "no", 1).await;
}

#[tokio::test]
async fn pred_k13_the_program_reads_what_is_typed_and_is_in_the_agents_group() {
    let manager = Manager::start().await;
    let script = "cut -d' ' -f5 /proc/$$/stat; read line; echo \"read $line\"";
    let mut agent = shell(&manager.url(), &[], script);
    agent.tell("what is typed");
    assert!(agent.ended().await.success());
    let said = agent.stdout().complete().await;
    let own = fs::read_to_string("/proc/self/stat").unwrap();
    let group = own.split(' ').nth(4).unwrap();
    assert_eq!(said, [group, "read what is typed"]);
}

#[tokio::test]
async fn pred_k13_the_program_does_not_survive_an_agent_that_is_killed() {
    let (manager, folder) = (Manager::start().await, Folder::new());
    let last = folder.0.join("last");
    let script = format!(
        "trap 'echo told > {}; exit' TERM; echo ready; while :; do sleep 0.02; done",
        last.display()
    );
    let mut agent = shell(&manager.url(), &[], &script);
    says(&agent, "ready", 1).await;
    agent.kill();
    everwire_testkit::wait::eventually("the program's last word", async || {
        fs::read_to_string(&last).ok().filter(|word| word == "told\n")
    })
    .await;
}

#[tokio::test]
async fn the_environment_is_that_of_the_sets_over_the_agents_and_has_no_token() {
    let manager = Manager::start().await;
    manager.change("base", &[("COLOR", Some("red")), ("SIZE", Some("1"))]);
    manager.change("shop/prod", &[("COLOR", Some("it's \"blue\"\n$HOME"))]);
    let mut command = everwire_command();
    command.args(["agent", "--manager", &manager.url(), "--app", "shop"]);
    command.args(["--set", "base", "--set", "shop/prod", "--", "sh", "-c"]);
    command.arg("echo \"$COLOR/$SIZE/$OWN/$EVERWIRE_FLEET_TOKEN\"");
    command.env("OWN", "own").env("COLOR", "of the agent").env("EVERWIRE_FLEET_TOKEN", "secret");
    let agent = Process::start("everwire agent", &mut command);
    let said = agent.stdout().complete().await.join("\n");
    assert_eq!(said, "it's \"blue\"\n$HOME/1/own/");
}

#[tokio::test]
async fn mistakes_on_the_command_line_end_with_2_before_anything_runs() {
    for (options, what) in [
        (&["--on", "reload"][..], "is no action"),
        (&["--set", "a b"], "is not a set"),
        (&["--label", "zone"], "zone=a"),
        (&["--grace", "soon"], "10s"),
    ] {
        let mut agent = shell("http://127.0.0.1:1", options, "echo ran");
        assert_eq!(agent.ended().await.code(), Some(2), "{options:?}");
        complains(&agent, what).await;
        assert!(agent.stdout().complete().await.is_empty());
    }
    let mut nowhere = shell("127.0.0.1:1", &[], "echo ran");
    assert_eq!(nowhere.ended().await.code(), Some(2));
    complains(&nowhere, "it must be like http://").await;
}
