//! Three nodes over one Redis with a client each, who say numbered messages to everybody.

use std::{collections::BTreeSet, time::Duration};

use everwire_testkit::{
    everwire::{Everwire, Setup},
    redis::Server,
    talker::{Call, Talker},
    wait::{eventually, until_equal},
};
use serde_json::{Value, json};

pub(crate) const SECRET: &str = "a secret that all nodes of the test have been told";

/// Who says something is heard by all, who appears is seen by all, and who enters a room is told
/// what is said there.
pub(crate) const ROOM: &str = r#"
[hubs.room]
path = "/room"
[hubs.room.presence]
joined = "online"
left = "offline"
roster = "roster"
[hubs.room.methods]
Hello = { send = "all" }
Say = { send = "all", target = "Said" }
Appear = { present = "{0}" }
Vanish = { absent = "{0}" }
Enter = { join = "{0}" }
Tell = { send = "group:{0}", target = "Told" }
"#;

/// Longest time within which a node that is killed is missed: two of its leases.
pub(crate) const TWO_LEASES: Duration = Duration::from_secs(20);

/// The nodes, and what was said at each.
pub(crate) struct Three {
    pub(crate) nodes: Vec<Everwire>,
    pub(crate) clients: Vec<Talker>,
    /// Numbers said by the client of each node.
    said: Vec<u64>,
}

impl Three {
    /// Nodes that talk over this Redis.
    pub(crate) async fn on(redis: &Server) -> Self {
        let url = redis.url();
        Self::over([&url, &url, &url]).await
    }

    /// Nodes that each find their Redis at a URL of their own.
    pub(crate) async fn over(urls: [&str; 3]) -> Self {
        Self::of(urls.map(|url| setup().backplane(url))).await
    }

    /// Nodes set up so, once each client has heard of all others.
    pub(crate) async fn of(setups: [Setup; 3]) -> Self {
        let (mut nodes, mut clients) = (Vec::new(), Vec::new());
        for setup in &setups {
            let node = Everwire::start(setup).await;
            clients.push(Talker::open(node.address(), "/room").await);
            nodes.push(node);
        }
        let three = Self { nodes, clients, said: vec![0; 3] };
        three.know_each_other().await;
        three
    }

    /// Waits until each client hears what is said at any node, and each node answers all others.
    pub(crate) async fn know_each_other(&self) {
        eventually("the nodes to know each other", async || {
            for (at, client) in self.clients.iter().enumerate() {
                client.say("Hello", &json!([at]));
            }
            self.clients.iter().all(|client| greeted(client) == self.clients.len()).then_some(())
        })
        .await;
        for node in &self.nodes {
            until_equal("clients of all nodes", json!(self.clients.len()), async || {
                everywhere(node).await
            })
            .await;
        }
    }

    /// The client of each node says so many more numbers.
    pub(crate) fn say(&mut self, count: u64) {
        for (at, (client, said)) in self.clients.iter().zip(&mut self.said).enumerate() {
            for _ in 0..count {
                client.say("Say", &json!([at, *said]));
                *said += 1;
            }
        }
    }

    /// All go on saying numbers, hundreds a second, while this happens.
    pub(crate) async fn say_during<T>(&mut self, fault: impl Future<Output = T>) -> T {
        let mut tick = tokio::time::interval(PACE);
        let mut fault = Box::pin(fault);
        loop {
            tokio::select! {
                done = &mut fault => return done,
                _ = tick.tick() => self.say(1),
            }
        }
    }

    /// Waits until each client has heard as much as was said: every number of every node once, and
    /// each node's in order. One more round shows that nothing comes again.
    pub(crate) async fn all_have_heard_all(&mut self) {
        self.say(1);
        self.all_have_heard().await;
        self.say(1);
        self.all_have_heard().await;
    }

    /// The same without the further rounds.
    pub(crate) async fn all_have_heard(&self) {
        let all = self.said.iter().sum::<u64>() as usize;
        for (at, client) in self.clients.iter().enumerate() {
            client.hears_so_often("Said", all).await;
            assert_eq!(in_order(&heard(client, "Said")), self.said, "client {at}");
        }
    }

    /// The client of each node is present under the name of its node, and all have been told.
    pub(crate) async fn all_appear(&mut self) {
        for (at, client) in self.clients.iter_mut().enumerate() {
            client.call("Appear", &json!([name(at)])).await;
        }
        for client in &self.clients {
            client.hears_so_often("online", 3).await;
        }
    }

    /// What the client of a node has heard of its own node.
    pub(crate) fn heard_at_home(&self, at: usize) -> u64 {
        let own = |call: &&Call| call.target == "Said" && call.arguments[0] == at;
        self.clients[at].heard().iter().filter(own).count() as u64
    }

    /// Numbers that the client of a node has said.
    pub(crate) fn said_at(&self, at: usize) -> u64 {
        self.said[at]
    }

    /// No client was cut or sent away.
    pub(crate) fn nobody_was_dropped(&self) {
        for (at, client) in self.clients.iter().enumerate() {
            assert_eq!(client.end(), None, "client {at}");
        }
    }
}

/// How many clients the room has on all nodes, as one of them sees it.
pub(crate) async fn everywhere(node: &Everwire) -> Value {
    node.get("/api/v1/hubs").await.json()["items"][0]["connections_everywhere"].clone()
}

/// A node of the three.
pub(crate) fn setup() -> Setup {
    Setup::new().cluster(SECRET).hubs(ROOM)
}

/// The name of a node's client.
pub(crate) fn name(at: usize) -> String {
    format!("n{at}")
}

/// Calls of one method that a client has heard, by their arguments.
pub(crate) fn heard(client: &Talker, target: &str) -> Vec<Value> {
    let calls = client.heard().into_iter().filter(|call| call.target == target);
    calls.map(|call| call.arguments).collect()
}

/// How many numbers of each node have been heard; each node's must have come in order.
pub(crate) fn in_order(heard: &[Value]) -> Vec<u64> {
    let mut next = vec![0; 3];
    for arguments in heard {
        let from = arguments[0].as_u64().expect("a node") as usize;
        assert_eq!(arguments[1], next[from], "of node {from}");
        next[from] += 1;
    }
    next
}

/// How many nodes' greetings a client has heard.
fn greeted(client: &Talker) -> usize {
    let greetings = heard(client, "Hello");
    greetings.iter().map(|arguments| arguments[0].as_u64()).collect::<BTreeSet<_>>().len()
}

/// Between two numbers of one client.
const PACE: Duration = Duration::from_millis(5);
