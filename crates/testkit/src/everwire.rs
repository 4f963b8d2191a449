//! Runs the real `everwire` binary, with a configuration of the test's own on ports of the kernel's
//! choice, and asks its admin API and command line what it is doing.

use std::{
    fmt::Write as _,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Output},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    http::{self, Answer},
    process::Process,
    tools::{environment, workspace},
    wait::{eventually, until_equal, within},
};

/// What an instance is started with: one pool `main` and one route `/` to it, and hubs.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    listen: Option<IpAddr>,
    port: u16,
    backends: Vec<String>,
    pool: Vec<(String, String)>,
    route: Vec<(String, String)>,
    limits: Vec<(String, String)>,
    hubs: String,
    secret: Option<String>,
    nodes: Option<(SocketAddr, SocketAddr)>,
    backplane: Option<String>,
    top: Vec<(String, String)>,
    environment: Vec<(String, String)>,
    prefix: Vec<String>,
}

impl Setup {
    /// No backends, everything else as the product's defaults have it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a backend.
    pub fn backend(mut self, url: impl ToString) -> Self {
        self.backends.push(url.to_string());
        self
    }

    /// Has hubs, as they stand in a file; without a backend there is then no pool and no route.
    pub fn hubs(mut self, lines: &str) -> Self {
        self.hubs.push_str(lines);
        self
    }

    /// Serves its hubs with all other nodes that know this secret.
    pub fn cluster(mut self, secret: &str) -> Self {
        self.secret = Some(secret.to_owned());
        self
    }

    /// Listens to other nodes of its cluster there, and tells them that it is reached at `advertise`.
    pub fn listen_to_nodes(mut self, listen: SocketAddr, advertise: SocketAddr) -> Self {
        self.nodes = Some((listen, advertise));
        self
    }

    /// Talks to other nodes over the Redis at this URL.
    pub fn backplane(mut self, url: impl ToString) -> Self {
        self.backplane = Some(url.to_string());
        self
    }

    /// Listens for clients there instead of on 127.0.0.1.
    pub fn listen_on(mut self, address: impl Into<IpAddr>) -> Self {
        self.listen = Some(address.into());
        self
    }

    /// Listens for clients exactly there: who restarts must be found again.
    pub fn listen_at(mut self, address: SocketAddr) -> Self {
        self.port = address.port();
        self.listen_on(address.ip())
    }

    /// Runs as the end of this command, which must become it.
    pub fn run_by(mut self, prefix: &[&str]) -> Self {
        self.prefix = prefix.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Sets a key of the pool to a TOML value.
    pub fn pool(mut self, key: &str, value: impl ToString) -> Self {
        self.pool.push((key.to_owned(), value.to_string()));
        self
    }

    /// Sets a key of the route to a TOML value.
    pub fn route(mut self, key: &str, value: impl ToString) -> Self {
        self.route.push((key.to_owned(), value.to_string()));
        self
    }

    /// Sets a key of `[limits]` to a TOML value.
    pub fn limit(mut self, key: &str, value: impl ToString) -> Self {
        self.limits.push((key.to_owned(), value.to_string()));
        self
    }

    /// Sets a key of the node itself to a TOML value.
    pub fn node(mut self, key: &str, value: impl ToString) -> Self {
        self.top.push((key.to_owned(), value.to_string()));
        self
    }

    /// Sets a variable of the process' environment.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Pings every `millis` milliseconds and gives a hung peer as long again.
    pub fn ping_millis(self, millis: u64) -> Self {
        self.route("ping", format!(r#"{{ interval = "{millis}ms", timeout = "{millis}ms" }}"#))
    }

    /// The configuration file.
    pub fn to_toml(&self) -> String {
        let listen = SocketAddr::new(self.listen.unwrap_or(LOCALHOST), self.port);
        let mut text = format!("listen = \"{listen}\"\n");
        write_keys(&mut text, &self.top);
        text.push_str("\n[admin]\nlisten = \"127.0.0.1:0\"\n");
        if let Some(secret) = &self.secret {
            let _ = writeln!(text, "[cluster]\nsecrets = [{secret:?}]");
            let anywhere = SocketAddr::new(LOCALHOST, 0);
            let listen = self.nodes.map_or(anywhere, |(listen, _)| listen);
            let _ = writeln!(text, "listen = \"{listen}\"");
            if let Some((_, advertise)) = self.nodes {
                let _ = writeln!(text, "advertise = \"{advertise}\"");
            }
        }
        if let Some(url) = &self.backplane {
            let _ = writeln!(text, "[backplane]\nurl = {url:?}");
        }
        text.push_str(&self.hubs);
        if !self.hubs.is_empty() && self.backends.is_empty() {
            return text;
        }
        let backends: Vec<_> = self.backends.iter().map(|url| format!("{url:?}")).collect();
        let _ = writeln!(text, "\n[pools.main]\nbackends = [{}]", backends.join(", "));
        write_keys(&mut text, &self.pool);
        text.push_str("\n[[routes]]\npath = \"/\"\npool = \"main\"\n");
        write_keys(&mut text, &self.route);
        if !self.limits.is_empty() {
            text.push_str("\n[limits]\n");
            write_keys(&mut text, &self.limits);
        }
        text
    }
}

/// A running instance. Dropping it kills it.
#[derive(Debug)]
pub struct Everwire {
    process: Process,
    address: SocketAddr,
    admin: SocketAddr,
    launch: Launch,
}

/// How it is started, this time and again.
#[derive(Debug)]
struct Launch {
    folder: Folder,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    prefix: Vec<String>,
}

impl Everwire {
    /// Starts it and waits until it listens.
    pub async fn start(setup: &Setup) -> Self {
        Self::up(Launch::of(setup)).await
    }

    /// Starts it with these arguments of `serve`, on ports of the kernel's choice.
    pub async fn serve(arguments: &[&str]) -> Self {
        let anywhere = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        let arguments = anywhere.iter().chain(arguments).map(|&word| word.to_owned()).collect();
        let (environment, prefix) = (Vec::new(), Vec::new());
        Self::up(Launch { folder: Folder::new(), arguments, environment, prefix }).await
    }

    /// SIGKILL, and the same again with what it finds in its folder.
    pub async fn kill_and_restart(&mut self) {
        self.process.kill();
        self.restart().await;
    }

    /// Starts what has ended again, with what it finds in its folder.
    pub async fn restart(&mut self) {
        self.process = self.launch.begin();
        (self.address, self.admin) = listeners(&mut self.process).await;
    }

    /// Starts one that cannot run; how it ends, and what it says.
    pub async fn fail(setup: &Setup) -> (ExitStatus, String) {
        let launch = Launch::of(setup);
        let mut process = launch.begin();
        let status = process.ended().await;
        (status, process.transcript())
    }

    async fn up(launch: Launch) -> Self {
        let mut process = launch.begin();
        let (address, admin) = listeners(&mut process).await;
        Self { process, address, admin, launch }
    }

    /// The folder that it runs in.
    pub fn folder(&self) -> &Path {
        &self.launch.folder.0
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of one of its paths.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Where the admin API is.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The process, to be signalled.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.transcript()
    }

    /// A GET on the admin listener.
    pub async fn get(&self, path: &str) -> Answer {
        http::request(self.admin, "GET", path, None).await
    }

    /// Any other request to the admin listener.
    pub async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        http::request(self.admin, method, path, body).await
    }

    /// The live pipes, as the API lists them.
    pub async fn pipes(&self) -> Vec<Value> {
        items(&self.get("/api/v1/pipes").await)
    }

    /// The pool's backends, as the API lists them.
    pub async fn backends(&self) -> Vec<Value> {
        items(&self.get("/api/v1/pools/main/backends").await)
    }

    /// Adds a backend over the API.
    pub async fn add_backend(&self, url: &str) -> Answer {
        let body = json!({ "url": url });
        http::request(self.admin, "POST", "/api/v1/pools/main/backends", Some(&body)).await
    }

    /// Removes a backend over the API: the answer comes when its pipes have moved.
    pub async fn remove_backend(&self, url: &str) -> Answer {
        let id = self.backend_id(url).await;
        let path = format!("/api/v1/pools/main/backends/{id}");
        within(DRAIN_MAX, "a backend removed", http::request(self.admin, "DELETE", &path, None))
            .await
    }

    /// The API's id of the backend at `url`.
    pub async fn backend_id(&self, url: &str) -> String {
        let backends = self.backends().await;
        let found = backends.iter().find(|backend| backend["url"] == url);
        let id = &found.unwrap_or_else(|| panic!("no backend {url} in {backends:?}"))["id"];
        id.as_str().map_or_else(|| id.to_string(), str::to_owned)
    }

    /// Waits until exactly `count` pipes are live.
    pub async fn pipes_become(&self, count: usize) {
        until_equal("live pipes", count, async || self.pipes().await.len()).await;
    }

    /// Waits until exactly `count` requests that open no WebSocket are being served.
    pub async fn requests_become(&self, count: u32) {
        let open = async || self.metric("everwire_http_requests_open").await;
        until_equal("open requests", f64::from(count), open).await;
    }

    /// Waits until nothing is unconfirmed in any pipe: every message reached a backend's stack.
    pub async fn settled(&self) {
        eventually("nothing unconfirmed", async || {
            let pipes = self.pipes().await;
            pipes.iter().all(|pipe| pipe["unconfirmed_messages"] == 0).then_some(())
        })
        .await;
    }

    /// Waits until `count` pipes hold a client without having a backend.
    pub async fn pipes_without_backend_become(&self, count: usize) {
        until_equal("pipes without a backend", count, async || {
            self.pipes().await.iter().filter(|pipe| pipe["backend"].is_null()).count()
        })
        .await;
    }

    /// The sum of all series of a metric; fails where there is none.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").await.body;
        let value = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            let base = series.split('{').next()?;
            (base == name).then(|| value.parse::<f64>().ok())?
        };
        let values: Vec<f64> = text.lines().filter_map(value).collect();
        assert!(!values.is_empty(), "no metric {name} in\n{text}");
        values.iter().sum()
    }

    /// Runs a command of the binary against this instance.
    pub async fn command(&self, arguments: &[&str]) -> Output {
        let mut command = everwire_command();
        command.args(arguments).arg("--admin").arg(format!("http://{}", self.admin));
        let run = tokio::task::spawn_blocking(move || command.output());
        let output = within(DRAIN_MAX, "a command", run).await.expect("the command's thread ends");
        output.expect("the binary can be run")
    }

    /// Its anonymous memory in bytes.
    pub fn memory(&self) -> u64 {
        self.process.memory()
    }

    /// Processor time it has used so far.
    pub fn processor_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id()));
        let stat = stat.expect("a live process has a stat");
        // Fields 14 and 15, counted behind the name, which may contain anything.
        let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        let ticks: u64 =
            fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
    }

    /// How many file descriptors it has open.
    pub fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.process.id());
        fs::read_dir(folder).expect("a live process has descriptors").count()
    }
}

impl Launch {
    fn of(setup: &Setup) -> Self {
        let folder = Folder::new();
        let config = folder.0.join("everwire.toml");
        fs::write(&config, setup.to_toml()).expect("the test's folder can be written");
        let arguments = vec!["-c".to_owned(), config.display().to_string()];
        let (environment, prefix) = (setup.environment.clone(), setup.prefix.clone());
        Self { folder, arguments, environment, prefix }
    }

    fn begin(&self) -> Process {
        let mut command = everwire_command_by(&self.prefix);
        command.arg("serve").args(&self.arguments).current_dir(&self.folder.0);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Process::start("everwire", &mut command)
    }
}

/// Where a process that was started listens for clients and for operators.
async fn listeners(process: &mut Process) -> (SocketAddr, SocketAddr) {
    let address = process.ready("its listener", |line| listening(line, false)).await;
    (address, process.ready("its admin listener", |line| listening(line, true)).await)
}

/// A command of the real binary, its environment free of settings.
pub fn everwire_command() -> Command {
    everwire_command_by(&[])
}

/// The same as the end of another command.
fn everwire_command_by(prefix: &[String]) -> Command {
    let mut command = match prefix {
        [] => Command::new(binary()),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(binary());
            command
        }
    };
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("EVERWIRE_") {
            command.env_remove(name);
        }
    }
    command
}

/// The binary under test: `EVERWIRE_BIN`, or the one that cargo builds beside this test.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    let built = || build("everwire-server", "everwire");
    BINARY.get_or_init(|| environment("EVERWIRE_BIN").map_or_else(built, PathBuf::from))
}

/// Builds a binary in the profile of the running test: a stale one would prove nothing.
pub(crate) fn build(package: &str, name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its executable");
    let folder = test.ancestors().nth(2).expect("a test lies in target/PROFILE/deps");
    let mut cargo = Command::new(option_env!("CARGO").unwrap_or("cargo"));
    cargo.args(["build", "--quiet", "--package", package, "--bin", name]);
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo.current_dir(workspace()).status().expect("cargo can be run");
    assert!(status.success(), "{name} could not be built");
    folder.join(name)
}

fn listening(line: &str, admin: bool) -> Option<SocketAddr> {
    let (_, after) = line.split_once("listening on ")?;
    let text = after.trim_start_matches("http://").split([' ', '/', ',']).next()?;
    (line.contains("admin") == admin).then(|| text.parse().ok())?
}

fn write_keys(text: &mut String, keys: &[(String, String)]) {
    for (key, value) in keys {
        let _ = writeln!(text, "{key} = {value}");
    }
}

fn items(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{answer:?}");
    match &answer.json()["items"] {
        Value::Array(items) => items.clone(),
        _ => panic!("no list: {answer:?}"),
    }
}

/// A folder of one test, removed with it.
#[derive(Debug)]
pub struct Folder(pub PathBuf);

impl Folder {
    /// A new, empty one.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("everwire-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("the temporary folder can be written");
        Self(path)
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// `drain_max` of the product and some: a removal that takes longer hangs.
const DRAIN_MAX: Duration = Duration::from_secs(30);

/// `USER_HZ`, which Linux has fixed at 100 on every architecture in use.
const TICKS_PER_SECOND: u64 = 100;
