//! Finds what the tests need besides cargo: Node and Python with their packages,
//! Chromium, HAProxy, nginx, Redis, a C compiler, the right to make network namespaces.
//!
//! `cargo xtask test` installs them. A test whose tool is missing fails and says what to do, unless
//! skipping is allowed: then it says `SKIPPED` where a test runner cannot swallow it.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Why a tool cannot be used, and what would help.
#[derive(Clone, Debug)]
pub struct Missing(String);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The tool, or an early return from the test after having said loudly that it did not run.
#[macro_export]
macro_rules! need {
    ($tool:expr) => {
        match $tool {
            Ok(tool) => tool,
            Err(missing) => return $crate::tools::skip(&missing),
        }
    };
}

/// Node, with the packages of `e2e/node` installed. `EVERWIRE_NODE` overrides which.
pub fn node() -> Result<PathBuf, Missing> {
    let node = override_or("EVERWIRE_NODE", || "node".into());
    works(Command::new(&node).arg("--version"), "Node (node) is not installed")?;
    let packages = workspace().join("e2e/node/node_modules");
    let has = |name: &&str| packages.join(name).is_dir();
    if ["ws", "@microsoft/signalr"].iter().all(has) {
        Ok(node)
    } else {
        Err(Missing("the packages of e2e/node are not installed: npm ci --prefix e2e/node".into()))
    }
}

/// The Python that has the packages of `e2e/python`. `EVERWIRE_PYTHON` overrides which.
pub fn python() -> Result<PathBuf, Missing> {
    let python = override_or("EVERWIRE_PYTHON", || workspace().join(".tools/venv/bin/python"));
    let hint = "no Python with websockets and SignalR: python3 -m venv .tools/venv && \
                .tools/venv/bin/pip install -r e2e/python/requirements.txt";
    works(Command::new(&python).args(["-c", "import pysignalr, signalrcore, websockets"]), hint)?;
    Ok(python)
}

/// Chromium without windows. `EVERWIRE_CHROMIUM` overrides which.
pub fn chromium() -> Result<PathBuf, Missing> {
    let names = ["chromium-headless-shell", "chromium", "google-chrome"];
    let candidates = environment("EVERWIRE_CHROMIUM")
        .map_or_else(|| names.map(PathBuf::from).into(), |chosen| vec![chosen.into()]);
    let runs = |program: &PathBuf| works(Command::new(program).arg("--version"), "").is_ok();
    let found = candidates.into_iter().find(runs);
    found.ok_or_else(|| {
        Missing("Chromium is not installed: apt-get install chromium-headless-shell".into())
    })
}

/// HAProxy, a control that drops sockets.
pub fn haproxy() -> Result<PathBuf, Missing> {
    let haproxy = PathBuf::from("haproxy");
    works(Command::new(&haproxy).arg("-v"), "HAProxy is not installed: apt-get install haproxy")?;
    Ok(haproxy)
}

/// Redis, which the tests start, stop and kill.
pub fn redis() -> Result<PathBuf, Missing> {
    let redis = PathBuf::from("redis-server");
    let hint = "Redis is not installed: apt-get install redis-server";
    works(Command::new(&redis).arg("--version"), hint)?;
    Ok(redis)
}

/// nginx, a control that drops sockets.
pub fn nginx() -> Result<PathBuf, Missing> {
    let nginx = PathBuf::from("nginx");
    works(Command::new(&nginx).arg("-v"), "nginx is not installed: apt-get install nginx")?;
    Ok(nginx)
}

/// What `LD_PRELOAD` of a process takes to have its wall clock put forward by `CLOCK_SKEW` seconds; made
/// by the C compiler that cargo links with.
pub fn skewed_clock() -> Result<PathBuf, Missing> {
    let test = std::env::current_exe().expect("a test knows its executable");
    let made = test.with_file_name("skewed-clock.so");
    // Several tests may make it at once, and one may be using it.
    let making = test.with_file_name(format!("skewed-clock.{}.so", std::process::id()));
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&making);
    compiler.arg(workspace().join("e2e/native/skew.c"));
    works(&mut compiler, "there is no C compiler (cc): apt-get install gcc")?;
    std::fs::rename(&making, &made).expect("the folder of the test can be written");
    Ok(made)
}

/// `ip`, and the right to make a network namespace with it.
pub fn namespaces() -> Result<PathBuf, Missing> {
    let hint = "network namespaces need root and iproute2";
    works(Command::new("unshare").args(["--net", "ip", "link"]), hint)?;
    Ok(PathBuf::from("ip"))
}

/// Waits for the turn of a test that needs most of the machine; its turn ends with the file.
///
/// Two of these at once would measure each other: runners start tests side by side, some of them
/// each in a process of its own, so the turn is a lock on a file.
pub async fn heavy_turn() -> File {
    let path = std::env::temp_dir().join("everwire-heavy-test.lock");
    let turn = tokio::task::spawn_blocking(move || {
        let file = File::create(path)?;
        file.lock()?;
        std::io::Result::Ok(file)
    });
    turn.await.expect("the waiting thread ends").expect("the temporary folder has locks")
}

/// The root of the repository.
pub fn workspace() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.ancestors().nth(2).expect("the kit lies two folders deep").to_owned()
}

/// Fails the test, or says that it is skipped where that is allowed: by `EVERWIRE_ALLOW_SKIP=1`,
/// or by `EVERWIRE_SKIPPED`, the file in which `cargo xtask test` collects what did not run.
pub fn skip(missing: &Missing) {
    let thread = std::thread::current();
    // The test runner names a test's thread after it.
    let line = format!("{}: {missing}", thread.name().unwrap_or("a test"));
    let list = environment("EVERWIRE_SKIPPED");
    let allowed = list.is_some() || environment("EVERWIRE_ALLOW_SKIP").as_deref() == Some("1");
    assert!(allowed, "{missing}");
    if let Some(list) = list {
        let file = OpenOptions::new().append(true).create(true).open(list);
        let written = file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
        written.expect("the list of skipped tests can be written");
    }
    // Straight to the stream: `eprintln!` is captured for tests that pass.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {line}");
}

/// A variable of the environment: this is the one file of the kit that reads it.
#[allow(
    clippy::disallowed_methods,
    reason = "where the tools of a test are is told by the environment"
)]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn override_or(name: &str, otherwise: impl FnOnce() -> PathBuf) -> PathBuf {
    environment(name).map_or_else(otherwise, PathBuf::from)
}

fn works(command: &mut Command, hint: &str) -> Result<(), Missing> {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match quiet.status() {
        Ok(status) if status.success() => Ok(()),
        _ => Err(Missing(hint.to_owned())),
    }
}
