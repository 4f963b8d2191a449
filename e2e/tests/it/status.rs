//! The status demo in tabs of a real browser, while the nodes that they hang on are killed.

use std::{path::Path, time::Duration};

use everwire_testkit::{
    everwire::{Everwire, Setup, everwire_command},
    foreign::Launch,
    http, need,
    process::Process,
    redis::{Server, VOLATILE},
    signalr::Peer,
    status::{LEASE, Node, Tabs},
    tools,
    wait::{SOON, eventually, eventually_within},
};
use serde_json::json;

/// Three nodes of the example on one Redis, and the gateway before them.
struct Stage {
    _redis: Server,
    nodes: Vec<Node>,
    gateway: Everwire,
}

impl Stage {
    async fn set(redis: &Path, balance: &str) -> Self {
        let redis = Server::start(redis, VOLATILE).await;
        let mut nodes = Vec::new();
        for _ in 0..3 {
            nodes.push(Node::on(&redis.url()).await);
        }
        for node in &nodes {
            node.knows_of(3).await;
        }
        let backend = |setup: Setup, node: &Node| setup.backend(format!("ws://{}", node.address()));
        let setup = nodes.iter().fold(Setup::new(), backend);
        let setup = setup.pool("balance", format!("{balance:?}")).route("outage_max", r#""0s""#);
        Self { _redis: redis, nodes, gateway: Everwire::start(&setup).await }
    }

    async fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for node in &self.nodes {
            names.push(node.name().await);
        }
        names
    }
}

#[tokio::test]
async fn two_tabs_on_two_nodes_see_both_while_nodes_are_killed() {
    let (node, browser) = (need!(tools::node()), need!(tools::chromium()));
    let mut stage = Stage::set(&need!(tools::redis()), "least-sessions").await;
    let mut tabs = Tabs::open(&node, &browser, &stage.gateway.url("/"), 2).await;
    let mut names = stage.names().await;
    let at = tabs.agree(SOON, &["here", "here"], Some(&names)).await;
    assert_ne!(at[0], at[1], "two tabs, two nodes");
    tabs.tell(1, "having tea");
    tabs.agree(SOON, &["here", "having tea"], Some(&names)).await;

    // The node of the one tab, of the other, and of the first again: each killed, and then new.
    let mut texts = ["here", "having tea"];
    for (tab, news) in [(0, "away"), (1, "back from tea"), (0, "back too")] {
        let at = tabs.agree(SOON, &texts, Some(&names)).await;
        let victim = names.iter().position(|name| *name == at[tab]).expect("a living node");
        stage.nodes[victim].kill().await;
        names.remove(victim);
        tabs.agree(RIGHT_WITHIN, &texts, Some(&names)).await;
        tabs.tell(tab, news);
        texts[tab] = news;
        tabs.agree(SOON, &texts, Some(&names)).await;
        stage.nodes[victim].revive().await;
        stage.nodes[victim].knows_of(3).await;
        names = stage.names().await;
    }
    assert_eq!(tabs.complaints(), [json!(null); 0]);
    let own = stage.gateway.address().to_string();
    let foreign = |url: &String| !url.contains(&own) && !url.starts_with("data:");
    assert_eq!(tabs.asked().into_iter().find(foreign), None, "a page asks nobody else");
}

#[tokio::test]
async fn with_nothing_installed_two_tabs_see_both_while_nodes_are_killed() {
    let (node, browser) = (need!(tools::node()), need!(tools::chromium()));
    let mut demo = Process::start("everwire demo", everwire_command().args(["demo", "status"]));
    let page =
        async || demo.stdout().find(|line| line.trim().strip_prefix("page ").map(str::to_owned));
    let page = eventually("the demo's page", page).await;
    let proved = |line: &str| line.contains("(open it in two tabs").then_some(());
    let proof = async || demo.stdout().find(proved);
    eventually_within(RIGHT_WITHIN, "the demo's proof", proof).await;
    let mut tabs = Tabs::open(&node, &browser, page.trim(), 2).await;
    tabs.tell(0, "looking");
    let at = tabs.agree(SOON, &["looking", "here"], None).await;
    assert_ne!(at[0], at[1], "two tabs, two nodes");
    // The demo kills one node after another by itself.
    for lives in 1..=3 {
        let back = |line: &&String| line.ends_with("is in its place");
        eventually("a killed node", async || {
            (demo.stdout().all().iter().filter(back).count() >= lives).then_some(())
        })
        .await;
        tabs.agree(SOON, &["looking", "here"], None).await;
    }
    assert_eq!(tabs.complaints(), [json!(null); 0]);
    demo.terminate();
    demo.ended().await;
}

#[tokio::test]
async fn the_demo_over_redis_kills_processes_and_is_right_in_all_tabs() {
    let redis = Server::start(&need!(tools::redis()), VOLATILE).await;
    let mut command = everwire_command();
    command.args(["demo", "status", "--once", "--redis", &redis.url()]);
    let mut demo = Process::start("everwire demo", &mut command);
    // Each of three kills may take two leases.
    let proved = |line: &str| line.contains("nodes that answer").then_some(());
    let proof = async || demo.stdout().find(proved);
    eventually_within(3 * RIGHT_WITHIN, "the demo's proof", proof).await;
    let status = demo.ended().await;
    let said = demo.stdout().complete().await;
    assert!(status.success(), "{status}: {said:#?}");
    let has = |what: [&str; 2]| said.iter().any(|line| what.iter().all(|what| line.contains(what)));
    assert!(has(["(pid ", "is killed"]) && has(["wrong lines", " 0"]), "{said:#?}");
}

#[tokio::test]
async fn a_node_alone_needs_nothing_and_its_tabs_come_back_when_it_does() {
    let (node, browser) = (need!(tools::node()), need!(tools::chromium()));
    let mut alone = Node::alone().await;
    let url = format!("http://{}/", alone.address());
    let mut tabs = Tabs::open(&node, &browser, &url, 2).await;
    tabs.tell(0, "<b>bold</b>");
    tabs.agree(SOON, &["<b>bold</b>", "here"], Some(&[alone.name().await])).await;
    tabs.ask(1);
    let short = alone.name().await[..6].to_owned();
    eventually("who answers", async || tabs.answer(1).contains(&short).then_some(())).await;
    alone.kill().await;
    alone.revive().await;
    tabs.agree(SOON, &["<b>bold</b>", "here"], Some(&[alone.name().await])).await;
    assert_eq!(tabs.complaints(), [json!(null); 0]);
    assert!(tabs.fits(0, 320).await, "on a phone");
}

#[tokio::test]
async fn each_node_answers_when_the_gateway_is_asked() {
    let stage = Stage::set(&need!(tools::redis()), "round-robin").await;
    let mut answering = Vec::new();
    for _ in 0..6 {
        let answer = http::request(stage.gateway.address(), "GET", "/api", None).await;
        assert_eq!(answer.json()["nodes"], 3);
        answering.push(answer.json()["node"].as_str().expect("a node").to_owned());
    }
    assert_eq!(answering[..3], answering[3..], "each in its turn");
    answering[..3].sort();
    let mut names = stage.names().await;
    names.sort();
    assert_eq!(answering[..3], names);
    let page = http::request(stage.gateway.address(), "GET", "/", None).await;
    let policy = &page.headers["content-security-policy"];
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; "), "{policy}");
}

#[tokio::test]
async fn stock_clients_negotiate_with_any_node_and_are_in_the_roster() {
    let node = need!(tools::node());
    let stage = Stage::set(&need!(tools::redis()), "round-robin").await;
    let mut peers = Vec::new();
    for transport in ["WebSockets", "ServerSentEvents", "LongPolling"] {
        let launch =
            Launch::node(&node, "signalr.mjs").with("url", stage.gateway.url("/statusHub"));
        let mut peer = Peer::start(&launch.with("transport", transport)).await;
        peer.on("joined");
        peer.call("Announce", json!([format!("{transport} here"), ""])).await;
        peers.push(peer);
    }
    let first = &peers[0];
    eventually("all transports in the roster", async || {
        let joined = first.called("joined");
        let has = |what: &str| {
            joined.iter().any(|call| call[0].as_str().is_some_and(|name| name.ends_with(what)))
        };
        (has("WebSockets here") && has("ServerSentEvents here") && has("LongPolling here"))
            .then_some(())
    })
    .await;
}

/// Two leases, until a dead node's tabs are known to be gone, and time to connect anew.
const RIGHT_WITHIN: Duration = Duration::from_secs(2 * LEASE.as_secs() + 10);
