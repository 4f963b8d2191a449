//! The status demo: a node of `examples/status`, and tabs of a real browser that have its page open.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    everwire::build,
    foreign::Launch,
    http,
    loopback::unique_address,
    process::Process,
    wait::{PATIENCE, POLL, eventually, eventually_within, now},
};

/// A node of the example, at one address for all its lives. Dropping it kills it.
#[derive(Debug)]
pub struct Node {
    process: Process,
    address: SocketAddr,
    options: Vec<String>,
}

impl Node {
    /// Starts a node that is alone.
    pub async fn alone() -> Self {
        Self::start(Vec::new()).await
    }

    /// Starts one of several that share this Redis.
    pub async fn on(redis: &str) -> Self {
        let lease = LEASE.as_secs().to_string();
        let options = ["--redis", redis, "--secret", SECRET, "--lease", &lease];
        Self::start(options.map(str::to_owned).into()).await
    }

    async fn start(options: Vec<String>) -> Self {
        let listen = SocketAddr::from((unique_address(), 0));
        let mut process = launch(listen, &options);
        let address = process.ready("a node of the example", listening).await;
        Self { process, address, options }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What `GET /api` says of it.
    pub async fn api(&self) -> Value {
        http::request(self.address, "GET", "/api", None).await.json()
    }

    /// What it is called in this life.
    pub async fn name(&self) -> String {
        self.api().await["node"].as_str().expect("a node has a name").to_owned()
    }

    /// Waits until it knows that there are so many nodes, itself included.
    pub async fn knows_of(&self, nodes: usize) {
        eventually("the other nodes", async || (self.api().await["nodes"] == nodes).then_some(()))
            .await;
    }

    /// SIGKILL.
    pub async fn kill(&mut self) {
        self.process.kill();
        eventually("the end of a node", async || self.process.has_ended().then_some(())).await;
    }

    /// A new life at the same address, after the last has ended.
    pub async fn revive(&mut self) {
        self.process = launch(self.address, &self.options);
        self.process.ready("a node of the example", listening).await;
    }
}

/// A line of the roster as a page shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Line {
    /// The node that the tab hangs on.
    pub node: String,
    /// Which tab.
    pub tab: String,
    /// How it is.
    pub text: String,
    /// Whether it is the tab that shows it.
    pub own: bool,
}

/// Tabs of one browser. Dropping them ends it.
#[derive(Debug)]
pub struct Tabs {
    process: Process,
    count: usize,
}

impl Tabs {
    /// Opens so many tabs at a URL, one after the other, each once the one before it is connected.
    pub async fn open(node: &Path, browser: &Path, url: &str, count: usize) -> Self {
        let launch = Launch::node(node, "status_tabs.mjs");
        let launch = launch.with("browser", browser.display()).with("url", url);
        let mut tabs = Self { process: launch.start(&[]), count: 0 };
        for tab in 0..count {
            tabs.count += 1;
            tabs.order(json!({ "order": "open" }));
            let is_there = async || tabs.roster(tab).iter().any(|line| line.own).then_some(());
            eventually_within(PATIENCE, "a tab in its own roster", is_there).await;
        }
        tabs
    }

    /// Has a tab say how it is, by keyboard.
    pub fn tell(&mut self, tab: usize, text: &str) {
        self.order(json!({ "order": "tell", "tab": tab, "text": text }));
    }

    /// Has a tab ask which node answers, by keyboard.
    pub fn ask(&mut self, tab: usize) {
        self.order(json!({ "order": "ask", "tab": tab }));
    }

    /// Waits until all tabs show the same: each of them once, with these texts, and on nodes that live,
    /// if those are known. Gives the nodes that the tabs hang on.
    pub async fn agree(
        &self,
        within: Duration,
        texts: &[&str],
        living: Option<&[String]>,
    ) -> Vec<String> {
        let start = now();
        loop {
            if let Some(nodes) = self.agreed(texts, living) {
                return nodes;
            }
            if start.elapsed() > within {
                panic!("not {texts:?} in all tabs, on {living:?}:\n{}", self.process.transcript());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn agreed(&self, texts: &[&str], living: Option<&[String]>) -> Option<Vec<String>> {
        let rosters: Vec<Vec<Line>> = (0..self.count).map(|tab| self.roster(tab)).collect();
        let own = |lines: &Vec<Line>| lines.iter().find(|line| line.own).cloned();
        let own: Vec<Line> = rosters.iter().filter_map(own).collect();
        let seen = |lines: &[Line]| {
            let lines = lines.iter().cloned();
            lines.map(|line| Line { own: false, ..line }).collect::<BTreeSet<_>>()
        };
        let lives = |line: &Line| living.is_none_or(|living| living.contains(&line.node));
        let is_right = own.iter().map(|line| &line.text).eq(texts)
            && own.iter().all(lives)
            && rosters.iter().all(|lines| lines.len() == self.count && seen(lines) == seen(&own));
        is_right.then(|| own.into_iter().map(|line| line.node).collect())
    }

    /// The roster that a tab shows.
    pub fn roster(&self, tab: usize) -> Vec<Line> {
        let shown = self.page(tab).map(|page| page["lines"].clone());
        shown.map_or_else(Vec::new, |lines| {
            serde_json::from_value(lines).expect("lines of a roster")
        })
    }

    /// What a tab shows of which node answers.
    pub fn answer(&self, tab: usize) -> String {
        let page = self.page(tab);
        page.and_then(|page| page["answer"].as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// The addresses that the pages have asked for.
    pub fn asked(&self) -> Vec<String> {
        let asked = self.said("asked").into_iter();
        asked.map(|event| event["url"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// What the browser has to say against the pages.
    pub fn complaints(&self) -> Vec<Value> {
        self.said("complaint")
    }

    /// Whether a tab's page fits on a screen of this width.
    pub async fn fits(&mut self, tab: usize, width: u32) -> bool {
        self.order(json!({ "order": "resize", "tab": tab, "width": width, "height": 700 }));
        let resized = async || {
            let mut said = self.said("resized").into_iter();
            said.rfind(|event| event["tab"] == tab && event["width"] == width)
        };
        eventually("a page of another size", resized).await["fits"] == true
    }

    fn page(&self, tab: usize) -> Option<Value> {
        self.said("page").into_iter().rfind(|event| event["tab"] == tab)
    }

    fn said(&self, what: &str) -> Vec<Value> {
        let read = |line: &String| serde_json::from_str::<Value>(line).expect("JSON");
        let said = self.process.stdout().all();
        said.iter().map(read).filter(|event| event["event"] == what).collect()
    }

    fn order(&mut self, order: Value) {
        self.process.tell(&order.to_string());
    }
}

fn launch(listen: SocketAddr, options: &[String]) -> Process {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    let package = "everwire-status-example";
    let binary = BINARY.get_or_init(|| build(package, package));
    let mut command = Command::new(binary);
    Process::start(package, command.arg("--listen").arg(listen.to_string()).args(options))
}

fn listening(line: &str) -> Option<SocketAddr> {
    line.split_once("listening on ")?.1.trim().parse().ok()
}

/// After this long a silent node of the example is taken for dead.
pub const LEASE: Duration = Duration::from_secs(3);

const SECRET: &str = "a secret that all nodes of the example know";
