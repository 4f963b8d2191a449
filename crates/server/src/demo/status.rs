//! `everwire demo status`: tabs on three nodes behind a gateway, and the roster that all of them see
//! while the nodes are killed.
//!
//! The hub is declared, as a user would declare it, and serves the page of `examples/status`. The
//! gateway is this process' own node. The tabs are those of `everwire-client`; whoever opens the page
//! is one more.

pub(crate) mod node;
mod nodes;
mod script;
#[path = "../../../../examples/status/src/site.rs"]
mod site;
mod tabs;
mod verdict;

use std::time::Duration;

use everwire_backplane::memory;
use tokio::time::sleep;

use self::{
    nodes::{Between, Nodes},
    script::{Script, right_within},
    tabs::Tabs,
};
use crate::{
    cli::DemoArgs,
    clock::Moment,
    config::{self, Sources},
    demo,
    failure::Failure,
    running::Running,
    terminal,
};

/// A proof that is done, and what it was done with.
pub(super) struct StatusShow {
    nodes: Nodes,
    /// It listens as long as this lives.
    _gateway: Running,
    address: String,
}

impl StatusShow {
    /// Shows that all tabs see who is there though nodes are killed or, unprotected, that they do not.
    pub(super) async fn prove(args: &DemoArgs) -> Result<Self, Failure> {
        let between = match &args.redis {
            _ if args.unprotected => Between::Nothing,
            Some(url) => Between::Redis(url.clone()),
            None => Between::Memory(memory::Cluster::default()),
        };
        let mut nodes = Nodes::start(NODES, between).await?;
        let gateway = Running::start(configuration(&nodes)?).await.map_err(Failure::failed)?;
        let listening = gateway.node.listening().first().copied();
        let listening = listening.ok_or_else(|| Failure::failed("the gateway has no address"))?;
        let address = listening.to_string();
        introduce(&nodes, &address)?;
        let tabs = Tabs::open(TABS, listening).await?;
        let verdict = Script::new(&mut nodes, &tabs).play(&address).await?;
        terminal::print(&verdict.render())?;
        let end = if args.unprotected { UNPROTECTED_END.to_owned() } else { protected_end() };
        demo::judge(verdict.is_clean(), args.unprotected, &end)?;
        Ok(Self { nodes, _gateway: gateway, address })
    }

    /// Keeps everything up, and goes on killing nodes under whoever has the page open.
    pub(super) async fn stay(&mut self) -> Result<(), Failure> {
        // All nodes have just been killed, and the gateway avoids for a moment those that were.
        sleep(TRUSTED_AFTER).await;
        terminal::print(&format!(
            "The status page:\n  http://{}/    (open it in two tabs: one node after another is killed \
             every {} s)\n  curl http://{}/api    (which node answers)\n",
            self.address,
            KILL_EVERY.as_secs(),
            self.address,
        ))?;
        let mut next = 0;
        loop {
            self.watch_over(KILL_EVERY).await?;
            let node = self.nodes.describe(next);
            self.nodes.kill(next).await?;
            terminal::print_line(&format!("{node} is killed"))?;
            sleep(DOWN).await;
            self.revive(next).await?;
            next = (next + 1) % self.nodes.count();
        }
    }

    /// For so long brings back what a visitor kills.
    async fn watch_over(&mut self, long: Duration) -> Result<(), Failure> {
        let since = Moment::now();
        while since.elapsed() < long {
            sleep(LOOK_EVERY).await;
            while let Some(index) = self.nodes.died() {
                self.revive(index).await?;
            }
        }
        Ok(())
    }

    async fn revive(&mut self, index: usize) -> Result<(), Failure> {
        self.nodes.restart(index).await?;
        terminal::print_line(&format!("{} is in its place", self.nodes.describe(index)))
    }
}

fn introduce(nodes: &Nodes, gateway: &str) -> Result<(), Failure> {
    let what = match nodes.between() {
        Between::Redis(_) => {
            "Everwire demo, status: tabs see who is there while nodes are killed. The nodes are processes\n\
             that share a Redis, and end by kill -9."
        }
        Between::Memory(_) => {
            "Everwire demo, status: tabs see who is there while nodes are killed. The nodes are threads of\n\
             this process with a runtime and sockets of their own, and share its memory; one is killed by\n\
             dropping all of that where it is. With --redis URL they are processes, and end by kill -9."
        }
        Between::Nothing => {
            "Everwire demo, status, unprotected: the same tabs and nodes, with nothing between the nodes."
        }
    };
    let list = |(index, address)| format!("  {}  http://{address}\n", nodes.describe(index));
    let list: String = nodes.addresses().into_iter().enumerate().map(list).collect();
    let within = right_within(nodes.between()).as_secs_f64();
    terminal::print(&format!(
        "{what}\n\n  page      http://{gateway}/\n{list}  tabs      {TABS}; all rosters are to be right \
         within {within:.1} s of each step\n\n",
    ))
}

/// The gateway: tabs to the node with the fewest, questions to one node after another.
fn configuration(nodes: &Nodes) -> Result<config::Config, Failure> {
    let backends: Vec<String> =
        nodes.addresses().iter().map(|address| format!("\"ws://{address}\"")).collect();
    let backends = backends.join(", ");
    let text = format!(
        "listen = \"127.0.0.1:0\"\n\
         [admin]\nlisten = \"127.0.0.1:0\"\n\
         [pools.tabs]\nbackends = [{backends}]\n\
         [pools.questions]\nbackends = [{backends}]\nbalance = \"round-robin\"\n\
         [[routes]]\npath = \"/\"\npool = \"tabs\"\noutage_max = \"0s\"\n\
         [[routes]]\npath = \"/api\"\npool = \"questions\"\noutage_max = \"0s\"\n",
    );
    let sources = Sources { file: Some(("the demo".to_owned(), text)), ..Sources::default() };
    config::load(&sources).map_err(|mistakes| Failure::failed(mistakes.to_string()))
}

fn protected_end() -> String {
    let file = node::declaration("127.0.0.1:9001");
    let indented: String = file.lines().map(|line| format!("  {line}\n")).collect();
    let indented = indented.replace("  \n", "\n");
    format!(
        "
How: the hub keeps who is present, on all nodes together. Each node tells its own tabs; what hung on a
node that was killed is announced as gone by those that are left, once, after two lease times at most.
Any node takes any tab: the gateway needs no sticky sessions. The same for your pages, on each node

{indented}
  [backplane]
  url = \"redis://127.0.0.1\"

in everwire.toml, then `everwire serve`. As a program of your own: examples/status. With nothing between
the nodes:  everwire demo status --unprotected
"
    )
}

const NODES: usize = 3;
const TABS: usize = 9;

/// How often a node is killed when the proof is done, and how long it is away.
const KILL_EVERY: Duration = Duration::from_secs(10);
const DOWN: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// After this long without a failure a node has new tabs like any other.
const TRUSTED_AFTER: Duration = Duration::from_secs(3);

const UNPROTECTED_END: &str = "
Each node tells its tabs only who hangs on itself. The same tabs and nodes with a backplane between them:
everwire demo status
";
