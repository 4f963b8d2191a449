//! Programs that know nothing of a fleet, beside an agent: nginx and one in Node.

use std::{
    fmt::Display,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use everwire_testkit::{
    everwire::{Everwire, Folder, everwire_command},
    http::request,
    loopback::unique_address,
    need,
    process::Process,
    tools,
    wait::{eventually, until_equal},
};
use serde_json::{Value, json};

use super::stage::{alone, change, done_by, present_become, send};

/// How an agent is to be started beside a program.
pub(crate) struct Agent {
    words: Vec<String>,
}

impl Agent {
    /// The instance `app:index:i{index}` of this manager, which keeps its state there.
    pub(crate) fn of(manager: SocketAddr, app: &str, index: usize, state: &Path) -> Self {
        let words = ["agent", "--manager", &format!("http://{manager}"), "--app", app];
        let words = words.iter().map(|&word| word.to_owned()).collect();
        Self { words }
            .with("--index", index)
            .with("--id", format!("i{index}"))
            .with("--state", state.display())
    }

    /// With an option.
    pub(crate) fn with(mut self, option: &str, value: impl Display) -> Self {
        self.words.extend([option.to_owned(), value.to_string()]);
        self
    }

    /// Starts it beside this program.
    pub(crate) fn beside(&self, program: &[&str]) -> Process {
        let mut command = everwire_command();
        command.args(&self.words).arg("--").args(program);
        Process::start("everwire agent", &mut command)
    }
}

/// nginx reads its own file again when it is told to, and drops nobody meanwhile; when the agent is
/// told to end, nginx is, and its exit code is the agent's.
#[tokio::test]
async fn nginx_is_told_by_hup_that_its_set_has_changed() {
    let nginx = need!(tools::nginx());
    let (manager, folder) = (Everwire::start(&alone()).await, Folder::new());
    let site: SocketAddr = (unique_address(), 8081).into();
    let config = folder.0.join("nginx.conf");
    serve(&config, &folder.0, site, "one");
    change(&manager, "web/prod", json!({ "REVISION": "1" })).await;
    let (program, config_text) = (text(&nginx), text(&config));
    let agent = Agent::of(manager.address(), "web", 1, &folder.0.join("state"));
    let agent = agent.with("--set", "web/prod").with("--on", "signal:HUP");
    let prefix = text(&folder.0);
    let mut agent =
        agent.beside(&[&program, "-p", &prefix, "-c", &config_text, "-g", "daemon off;"]);
    agent_serves(site, "one").await;
    present_become(&manager, 1).await;
    let master = pid(&folder.0);
    serve(&config, &folder.0, site, "two");
    change(&manager, "web/prod", json!({ "REVISION": "2" })).await;
    agent_serves(site, "two").await;
    serve(&config, &folder.0, site, "three");
    done_by(&manager, &send(&manager, "web", "refresh").await, 1).await;
    agent_serves(site, "three").await;
    assert_eq!(pid(&folder.0), master, "it was never restarted");
    agent.terminate();
    let status = agent.ended().await;
    assert_eq!(status.code(), Some(0), "{}", agent.transcript());
    eventually("a port that is free", async || {
        tokio::net::TcpStream::connect(site).await.is_err().then_some(())
    })
    .await;
}

/// A burst of changes is one restart or a few, never two programs at once, and the last one has the
/// last values. What the program ends with, its agent ends with.
#[tokio::test]
async fn a_node_program_is_restarted_with_the_environment_of_its_set_and_never_runs_twice() {
    let node = need!(tools::node());
    let (manager, folder) = (Everwire::start(&alone()).await, Folder::new());
    change(&manager, "job/prod", json!({ "COLOR": "red", "SIZE": "1" })).await;
    let script = tools::workspace().join("e2e/node/environ.mjs");
    let agent = Agent::of(manager.address(), "job", 1, &folder.0.join("state"));
    let agent = agent.with("--set", "job/prod").with("--on", "restart");
    let mut agent = agent.beside(&[&text(&node), &text(&script)]);
    has_values(&agent, json!({ "COLOR": "red", "SIZE": "1" })).await;
    for size in 2..=9 {
        change(&manager, "job/prod", json!({ "SIZE": size.to_string() })).await;
    }
    change(&manager, "job/prod", json!({ "COLOR": null })).await;
    has_values(&agent, json!({ "SIZE": "9" })).await;
    let before = lives(&agent).len();
    assert!((2..=10).contains(&before), "{:?}", lives(&agent));
    done_by(&manager, &send(&manager, "job", "restart").await, 1).await;
    until_equal("lives", before + 1, async || lives(&agent).len()).await;
    let lives = lives(&agent);
    for pair in lives.windows(2) {
        let (before, after) = (&pair[0], &pair[1]);
        assert!(before.end.is_some_and(|end| end <= after.begin), "two at once: {lives:?}");
    }
    change(&manager, "job/prod", json!({ "EXIT": "7" })).await;
    let status = agent.ended().await;
    assert_eq!(status.code(), Some(7), "{}", agent.transcript());
    present_become(&manager, 0).await;
}

/// One life of `environ.mjs`.
#[derive(Debug)]
struct Life {
    begin: u64,
    end: Option<u64>,
    values: Value,
}

/// What `environ.mjs` has said of its lives, in the order of the lines.
fn lives(agent: &Process) -> Vec<Life> {
    let mut lives: Vec<Life> = Vec::new();
    for line in agent.stdout().all() {
        let Ok(said) = serde_json::from_str::<Value>(&line) else { continue };
        let at = said["at"].as_u64().expect("a time");
        match said["event"].as_str() {
            Some("begun") => {
                lives.push(Life { begin: at, end: None, values: said["values"].clone() });
            }
            Some("ends") => lives.last_mut().expect("it has begun").end = Some(at),
            _ => {}
        }
    }
    lives
}

async fn has_values(agent: &Process, values: Value) {
    let last = async || lives(agent).pop().map_or(Value::Null, |life| life.values);
    until_equal("the program's environment", values, last).await;
}

fn serve(config: &Path, folder: &Path, site: SocketAddr, text: &str) {
    let folder = folder.display();
    let lines = format!(
        "pid {folder}/nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n\
         client_body_temp_path {folder};\nproxy_temp_path {folder};\nfastcgi_temp_path {folder};\n\
         uwsgi_temp_path {folder};\nscgi_temp_path {folder};\nserver {{\nlisten {site};\n\
         location / {{ return 200 \"{text}\"; }}\n}}\n}}\n"
    );
    fs::write(config, lines).expect("the test's folder can be written");
}

async fn agent_serves(site: SocketAddr, wanted: &str) {
    let served = async || {
        let is_up = tokio::net::TcpStream::connect(site).await.is_ok();
        let answer = if is_up { Some(request(site, "GET", "/", None).await) } else { None };
        answer.map(|answer| answer.body)
    };
    let limit = Duration::from_secs(60);
    everwire_testkit::wait::eventually_within(limit, wanted, async || {
        (served().await.as_deref() == Some(wanted)).then_some(())
    })
    .await;
}

fn pid(folder: &Path) -> String {
    fs::read_to_string(folder.join("nginx.pid")).expect("nginx has a pid")
}

fn text(path: &(impl AsRef<Path> + ?Sized)) -> String {
    PathBuf::from(path.as_ref()).display().to_string()
}
