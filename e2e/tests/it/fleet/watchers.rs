//! Watchers of every make on one set: stock clients of npm and of Python, the Rust client, and `curl`.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use everwire_client::{Client, Connection, ReconnectPolicy};
use everwire_testkit::{
    everwire::Everwire,
    foreign::Launch,
    instance::Stock,
    versions::{Told, told},
};
use serde_json::Value;

/// Somebody who watches a set, and comes back for ever.
pub(crate) enum Watcher {
    /// npm's or Python's client.
    Stock(Stock),
    /// Ours.
    Rust(Heard, #[expect(dead_code, reason = "the connection ends with it")] Connection),
    /// `curl`, called again with the id of the last event whenever it ends.
    Curl(Curls),
}

type Heard = Arc<Mutex<Vec<Told>>>;

/// One `curl` after the other.
pub(crate) struct Curls {
    url: String,
    last: Option<String>,
    earlier: Vec<Told>,
    now: Stock,
}

impl Watcher {
    /// One of each make at this node.
    pub(crate) async fn all_makes(
        manager: &Everwire,
        node: &Path,
        python: &Path,
        index: usize,
    ) -> Vec<Self> {
        let at =
            |id: &str| manager.url(&format!("/fleet?app=shop&index={index}&id={id}&set={SET}"));
        vec![
            Self::Stock(Stock::start(&Launch::node(node, "instance.mjs").with("url", at("node")))),
            Self::Stock(Stock::start(
                &Launch::python(python, "instance.py").with("url", at("python")),
            )),
            Self::rust(&at("rust")).await,
            Self::curl(manager.url(&format!("/fleet/sets/{SET}/events"))),
        ]
    }

    async fn rust(url: &str) -> Self {
        let heard = Heard::default();
        let on = |name: &'static str| {
            let heard = Arc::clone(&heard);
            move |data: Value| heard.lock().unwrap().extend(told(name, &data))
        };
        let client = Client::builder(url)
            .reconnect(ReconnectPolicy::unlimited())
            .on("Snapshot", on("Snapshot"))
            .on("ConfigurationChanged", on("ConfigurationChanged"))
            .on("Gap", on("Gap"));
        let connection = client.connect().await.expect("the node is there");
        Self::Rust(heard, connection)
    }

    fn curl(url: String) -> Self {
        let now = Stock::curl(&url, None);
        Self::Curl(Curls { url, last: None, earlier: Vec::new(), now })
    }

    /// What it has been told so far.
    pub(crate) fn told(&mut self) -> Vec<Told> {
        match self {
            Self::Stock(stock) => stock.told(),
            Self::Rust(heard, _) => heard.lock().unwrap().clone(),
            Self::Curl(curls) => curls.told(),
        }
    }

    /// The last version that it knows of.
    pub(crate) fn version(&mut self) -> Option<u64> {
        let versions = self.told().into_iter().rev().filter_map(|told| match told {
            Told::Snapshot(version, _) | Told::Changed(version, _) => Some(version),
            Told::Gap => None,
        });
        versions.max()
    }

    /// Whether it says itself which version it has when it comes back.
    pub(crate) fn goes_on(&self) -> bool {
        matches!(self, Self::Curl(_))
    }
}

impl Curls {
    fn told(&mut self) -> Vec<Told> {
        if self.now.process().has_ended() {
            let last = self.now.last_event();
            self.earlier.extend(self.now.told());
            self.last = last.or_else(|| self.last.take());
            self.now = Stock::curl(&self.url, self.last.as_deref());
        }
        let mut told = self.earlier.clone();
        told.extend(self.now.told());
        told
    }
}

pub(crate) const SET: &str = "shop/prod";
