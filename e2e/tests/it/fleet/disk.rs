//! Row C3: the journal's disk is full. What is refused is said to be refused, and what was accepted stays.

use std::{fs, path::Path, process::Command};

use everwire_testkit::{
    everwire::{Everwire, Folder, Setup},
    need,
    process::Process,
    tools,
    wait::eventually,
};
use serde_json::json;

use super::stage::{SETS, alone, change, set};

/// A file system of 1 MiB that only processes which enter it see; it is gone with this one.
async fn tiny(folder: &Path) -> Process {
    let mount = "mount -t tmpfs -o size=1m tmpfs \"$1\" && echo mounted && read _";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", mount, "sh"]).arg(folder);
    let mut holder = Process::start("a tiny disk", &mut command);
    holder.ready("its disk", |line| (line == "mounted").then_some(())).await;
    holder
}

#[tokio::test]
async fn fault_c3_a_full_disk_is_an_error_of_the_api_and_loses_nothing_that_was_accepted() {
    need!(tools::namespaces());
    let folder = Folder::new();
    let disk = tiny(&folder.0).await;
    let namespace = format!("--mount=/proc/{}/ns/mnt", disk.id());
    let journal = folder.0.join("fleet.journal");
    let ballast = Path::new(&format!("/proc/{}/root", disk.id()))
        .join(folder.0.join("ballast").strip_prefix("/").expect("the folder is absolute"));
    let setup = alone().hubs(&format!("journal = {journal:?}\n")).run_by(&["nsenter", &namespace]);
    let mut manager = Everwire::start(&setup).await;
    assert_eq!(change(&manager, "shop/prod", json!({ "N": "1" })).await, 1);
    fs::write(&ballast, vec![0; 256 * 1024]).expect("there is room yet");
    let accepted = fill(&manager).await;
    // Reading goes on, and instances that are connected are not sent away.
    assert_eq!(set(&manager, "shop/prod").await["version"], accepted);
    fs::remove_file(&ballast).expect("the ballast is there");
    let next = eventually("a change with room again", async || {
        let answer = try_change(&manager, "again").await;
        (answer.0 == 200).then_some(answer.1)
    })
    .await;
    assert_eq!(next, accepted + 1, "what was refused has left nothing");
    manager.kill_and_restart().await;
    let set = set(&manager, "shop/prod").await;
    assert_eq!(set["version"], next, "{}", manager.log());
}

/// A limit of the process instead of the disk: the same holds where a write is refused half-way.
#[tokio::test]
async fn fault_c3_a_journal_that_may_not_grow_is_an_error_of_the_api_and_loses_nothing() {
    let limited = "trap '' XFSZ; ulimit -f 512; exec \"$@\"";
    let setup: Setup = alone().run_by(&["sh", "-c", limited, "sh"]);
    let mut manager = Everwire::start(&setup).await;
    assert_eq!(change(&manager, "shop/prod", json!({ "N": "1" })).await, 1);
    let accepted = fill(&manager).await;
    assert_eq!(set(&manager, "shop/prod").await["version"], accepted);
    manager.kill_and_restart().await;
    assert_eq!(set(&manager, "shop/prod").await["version"], accepted, "{}", manager.log());
}

/// Changes the set until that is refused; the version then.
async fn fill(manager: &Everwire) -> u64 {
    let mut accepted = 1;
    for number in 0..200 {
        let (status, version) = try_change(manager, &number.to_string()).await;
        if status != 200 {
            assert!((500..600).contains(&status), "{status}");
            assert!(accepted > 1, "there was no room from the beginning");
            return accepted;
        }
        assert_eq!(version, accepted + 1);
        accepted = version;
    }
    panic!("200 changes of 32 KiB found room in 1 MiB");
}

async fn try_change(manager: &Everwire, mark: &str) -> (u16, u64) {
    let changes = json!({ "changes": { "N": format!("{mark:-<32768}") } });
    let answer = manager.ask("PATCH", &format!("{SETS}/shop/prod"), Some(&changes)).await;
    let version = if answer.status == 200 { answer.json()["version"].as_u64() } else { None };
    (answer.status, version.unwrap_or_default())
}
