//! What the fleet is told, and what happens to its manager meanwhile.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{APP, SET, crew::Crew, manager::Manager, verdict::Verdict};
use crate::{client::Client, clock::Moment, failure::Failure, terminal};

/// The steps in their order.
pub(super) struct Script<'s> {
    manager: &'s mut Manager,
    crew: &'s Crew,
    started: Moment,
    patience: Duration,
    verdict: Verdict,
}

/// When the manager dies after it has accepted a command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Death {
    Not,
    AtOnce,
    Halfway,
}

impl<'s> Script<'s> {
    pub(super) fn new(manager: &'s mut Manager, crew: &'s Crew, unprotected: bool) -> Self {
        let patience = if unprotected { HOPELESS } else { PATIENCE };
        Self { manager, crew, started: Moment::now(), patience, verdict: Verdict::default() }
    }

    pub(super) async fn play(mut self) -> Result<Verdict, Failure> {
        terminal::print_line("   time  what happens")?;
        self.gather().await?;
        self.order("refresh", json!({ "at_once": 5 }), "five at a time", Death::Not).await?;
        self.configure("greeting", "hello", Death::Not).await?;
        self.order("clear-cache", json!({ "all": true }), "all at once", Death::AtOnce).await?;
        self.configure("greeting", "good evening", Death::AtOnce).await?;
        self.order("rotate-logs", json!({ "at_once": 4 }), "four at a time", Death::Halfway)
            .await?;
        self.configure("volume", "11", Death::Not).await?;
        // What comes twice would have come by now, or come with what follows.
        sleep(AFTERWARDS).await;
        let Self { crew, mut verdict, .. } = self;
        verdict.count(&crew.counts());
        Ok(verdict)
    }

    /// Waits until everybody is there.
    async fn gather(&mut self) -> Result<(), Failure> {
        let client = self.manager.client()?;
        let (count, path) = (self.crew.count(), format!("/api/v1/fleet/instances?target={APP}"));
        let is_all = |state: &Value| state["total"].as_u64() == Some(count as u64);
        self.until(&client, &path, PATIENCE, is_all).await?;
        self.say(&format!(
            "{count} instances have joined as {APP}:0:demo to {APP}:{}:demo",
            count - 1
        ))
    }

    /// Sends a command to all, and waits until everybody has answered, as far as that comes.
    async fn order(
        &mut self,
        name: &'static str,
        rollout: Value,
        how: &str,
        death: Death,
    ) -> Result<(), Failure> {
        let client = self.manager.client()?;
        let body = json!({ "target": APP, "name": name, "rollout": rollout });
        let path = "/api/v1/fleet/commands";
        let accepted = client.call(Method::POST, path, Some(&body)).await?.into_result()?;
        let id = accepted["id"].as_str().unwrap_or_default().to_owned();
        let expected = accepted["expected"].as_array().map_or(0, Vec::len);
        let path = format!("{path}/{id}");
        self.verdict.orders.push((id, expected));
        self.say(&format!("{name} is accepted for {expected}, {how}"))?;
        if death == Death::Halfway {
            let is_half = |state: &Value| open(state) <= expected / 2;
            self.until(&client, &path, self.patience, is_half).await?;
        }
        if death != Death::Not {
            self.kill(if death == Death::AtOnce { "within that moment" } else { "halfway" })
                .await?;
        }
        let client = self.manager.client()?;
        let state = self.until(&client, &path, self.patience, |state| open(state) == 0).await?;
        let done = state["counts"]["done"].as_u64().unwrap_or_default();
        self.verdict.done += usize::try_from(done).unwrap_or(usize::MAX);
        self.say(&match open(&state) {
            0 => format!("{name}: {done} of {expected} are done"),
            _ => format!("{name}: {done} of {expected} are done, of the others nobody knows"),
        })
    }

    /// Changes the set, and waits until everybody has been told, as far as that comes.
    async fn configure(&mut self, key: &str, value: &str, death: Death) -> Result<(), Failure> {
        let path = format!("/api/v1/fleet/sets/{SET}");
        let body = json!({ "changes": { key: value } });
        let client = self.manager.client()?;
        let answer = client.call(Method::PATCH, &path, Some(&body)).await?.into_result()?;
        let version = answer["version"].as_u64().unwrap_or_default();
        let change = format!("{key}={value}");
        self.verdict.changes.push((change.clone(), self.crew.count()));
        self.say(&format!("{SET} is at version {version}: {change}"))?;
        if death != Death::Not {
            self.kill("within that moment").await?;
        }
        let since = Moment::now();
        while self.crew.told(&change) < self.crew.count() && since.elapsed() < self.patience {
            sleep(LOOK_EVERY).await;
        }
        let (told, count) = (self.crew.told(&change), self.crew.count());
        self.say(&format!("{told} of {count} have been told of {change}"))
    }

    async fn kill(&mut self, when: &str) -> Result<(), Failure> {
        let id = self.manager.process_id();
        self.manager.kill_and_restart(AWAY).await?;
        self.verdict.kills += 1;
        let now = self.manager.process_id();
        self.say(&format!("kill -9 {id}, the manager, {when}; another one starts as {now}"))
    }

    /// Asks until the answer is as wanted, or patience is over. What is not there is nothing.
    async fn until(
        &self,
        client: &Client,
        path: &str,
        patience: Duration,
        is_wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value, Failure> {
        let since = Moment::now();
        loop {
            let answer = client.call(Method::GET, path, None).await?;
            let state = if answer.status.is_success() { answer.body } else { Value::Null };
            if (!state.is_null() && is_wanted(&state)) || since.elapsed() > patience {
                return Ok(state);
            }
            sleep(LOOK_EVERY).await;
        }
    }

    fn say(&self, what: &str) -> Result<(), Failure> {
        terminal::print_line(&format!("{:>6.1}s  {what}", self.started.elapsed().as_secs_f64()))
    }
}

/// How many have no outcome; more than there are if nothing is known of the command.
fn open(state: &Value) -> usize {
    state["missing"].as_array().map_or(usize::MAX, Vec::len)
}

/// Agents that have lost their manager look for it every 5 s at least.
const PATIENCE: Duration = Duration::from_secs(30);
const HOPELESS: Duration = Duration::from_secs(4);
const AWAY: Duration = Duration::from_millis(500);
const LOOK_EVERY: Duration = Duration::from_millis(20);
const AFTERWARDS: Duration = Duration::from_secs(1);
