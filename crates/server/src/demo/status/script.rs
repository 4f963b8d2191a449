//! What is done to the nodes, and whether all tabs see the same meanwhile.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::sleep;

use super::{
    node::LEASE,
    nodes::{Between, Nodes, SHORT},
    tabs::Tabs,
    verdict::Verdict,
};
use crate::{cli::NodeArgs, client::Client, clock::Moment, failure::Failure, terminal};

/// The faults in their order.
pub(super) struct Script<'s> {
    nodes: &'s mut Nodes,
    tabs: &'s Tabs,
    started: Moment,
    verdict: Verdict,
}

impl<'s> Script<'s> {
    pub(super) fn new(nodes: &'s mut Nodes, tabs: &'s Tabs) -> Self {
        let verdict = Verdict { tabs: tabs.count(), ..Verdict::default() };
        Self { nodes, tabs, started: Moment::now(), verdict }
    }

    /// Kills each node and starts it again, and looks at all rosters after each step.
    pub(super) async fn play(mut self, gateway: &str) -> Result<Verdict, Failure> {
        terminal::print_line("   time   wrong  took       what happens")?;
        self.look("all tabs are open and have announced themselves").await?;
        self.tabs.say("away for lunch").await;
        self.look("all say that they are away").await?;
        self.ask(gateway).await?;
        for index in 0..self.nodes.count() {
            let node = self.nodes.describe(index);
            self.nodes.kill(index).await?;
            self.verdict.kills += 1;
            self.look(&format!("{node} is killed, and its tabs look for another")).await?;
            self.nodes.restart(index).await?;
            self.tabs.say(&format!("back for the {}. time", index + 1)).await;
            self.look(&format!("{} is new, and all say something", self.nodes.describe(index)))
                .await?;
        }
        self.ask(gateway).await?;
        Ok(self.verdict)
    }

    /// Waits until all rosters are right, for as long as that may take.
    async fn look(&mut self, what: &str) -> Result<(), Failure> {
        let since = Moment::now();
        let within = right_within(self.nodes.between());
        let mut wrong = self.wrong();
        while wrong > 0 && since.elapsed() < within {
            sleep(LOOK_EVERY).await;
            wrong = self.wrong();
        }
        self.verdict.looks += 1;
        self.verdict.wrong += wrong;
        self.verdict.slowest = self.verdict.slowest.max(since.elapsed());
        terminal::print_line(&format!(
            "{:>6.1}s {wrong:>7}  {:>6} ms  {what}",
            self.started.elapsed().as_secs_f64(),
            since.elapsed().as_millis(),
        ))
    }

    fn wrong(&self) -> usize {
        self.tabs.wrong(&self.nodes.living())
    }

    /// Asks the gateway several times who answers, until all nodes have.
    async fn ask(&mut self, gateway: &str) -> Result<(), Failure> {
        let admin = format!("http://{gateway}");
        let client = Client::new(&NodeArgs { admin, token: None, json: false })?;
        let mut seen = BTreeSet::new();
        let mut order = Vec::new();
        for _ in 0..ASKED * self.nodes.count() {
            let answer = client.read("/api").await?;
            let node = answer["node"].as_str().unwrap_or_default().to_owned();
            order.push(node.get(..SHORT).unwrap_or_default().to_owned());
            seen.insert(node);
        }
        let living = self.nodes.living();
        let answering = seen.iter().filter(|node| living.contains(node.as_str())).count();
        self.verdict.answering = (answering, self.nodes.count());
        let order = order.join(" ");
        terminal::print_line(&format!("{:19}GET /api is answered by {order}", ""))
    }
}

/// How long rosters may take to be right: a dead node's tabs are known to be gone after two leases at
/// most, and tabs connect anew meanwhile. Without anything between the nodes they never are.
pub(super) fn right_within(between: &Between) -> Duration {
    match between {
        Between::Redis(_) => 2 * LEASE + RECONNECT,
        Between::Memory(_) => RECONNECT,
        Between::Nothing => HOPELESS,
    }
}

const RECONNECT: Duration = Duration::from_secs(4);
const HOPELESS: Duration = Duration::from_millis(700);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Requests for each node.
const ASKED: usize = 2;
