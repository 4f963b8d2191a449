//! Plays a script: a Redis, three nodes, everybody who speaks and hears, and what happens to them.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::Signal;

use super::cable::Cable;
use super::crowd::{Crowd, Stagehand};
use super::judge::{Evidence, Fate, Said, Stream, judge};
use super::node::Node;
use super::poison;
use super::redis::Redis;
use super::resident;
use super::scenario::{Play, Step};
use super::scene::Scene;
use super::slow;
use crate::process::Workplace;

/// What was seen.
pub(super) struct Seen {
    pub(super) evidence: Evidence,
    /// Bare publish and subscribe.
    pub(super) anchor: Option<Evidence>,
    /// What else is worth knowing.
    pub(super) notes: Vec<String>,
    /// What should not have been.
    pub(super) broken: Vec<String>,
}

/// Everything on the stage. Fields are dropped in this order.
struct Stage {
    crowd: Crowd,
    nodes: Vec<Node>,
    /// From each node to the Redis, and last the anchor's.
    cables: Vec<Cable>,
    /// From receivers to each node.
    fronts: Vec<Cable>,
    redis: Redis,
    scene: std::sync::Arc<Scene>,
    hand: Stagehand,
    place: Workplace,
    phases: Vec<u64>,
    seen: Seen,
}

/// Plays and collects what everybody wrote down.
pub(super) fn play(everwire: &Path, play: &Play) -> Result<Seen> {
    let mut stage = Stage::set(everwire, play)?;
    stage.seen.evidence.opened = stage.scene.now();
    for step in &play.script {
        stage.act(*step).with_context(|| format!("{step:?}"))?;
    }
    stage.finish()
}

impl Stage {
    fn set(everwire: &Path, play: &Play) -> Result<Self> {
        let (hand, place) = (Stagehand::start()?, Workplace::create()?);
        let redis = Redis::start(&place, play.is_durable)?;
        let (mut cables, mut nodes, mut fronts) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..NODES {
            let cable = Cable::to(redis.address, &hand.runtime)?;
            let node = Node::start(&place, number, everwire, cable.address, &play.settings)?;
            fronts.push(Cable::to(node.clients, &hand.runtime)?);
            nodes.push(node);
            cables.push(cable);
        }
        let addresses = fronts.iter().map(|front| front.address).collect();
        let scene = Scene::new(nodes.iter().map(|node| node.clients).collect(), addresses);
        let mut crowd = Crowd::gather(&scene, play.cast, &hand.runtime)?;
        if play.anchor {
            let subscriber = Cable::to(redis.address, &hand.runtime)?;
            let (at, rate) = (subscriber.address, play.cast.rate);
            crowd.add_anchor(redis.address, at, rate, &hand.runtime)?;
            cables.push(subscriber);
        }
        let evidence = Evidence::default();
        let seen = Seen { evidence, anchor: None, notes: Vec::new(), broken: Vec::new() };
        Ok(Self {
            crowd,
            nodes,
            cables,
            fronts,
            redis,
            scene,
            hand,
            place,
            phases: Vec::new(),
            seen,
        })
    }

    fn act(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Pause(duration) => sleep(duration),
            Step::Fault => self.seen.evidence.faults.push(self.scene.now()),
            Step::KillRedis => self.redis.kill(),
            Step::StartRedis => self.redis.start_again()?,
            Step::StopRedis => self.redis.signal(Signal::STOP)?,
            Step::ContinueRedis => self.redis.signal(Signal::CONT)?,
            Step::PauseClients(seconds) => self.redis.pause_clients(seconds)?,
            Step::KillClients => self.redis.kill_clients()?,
            Step::LimitOutput(bytes) => self.redis.limit_output(bytes)?,
            Step::Cable(number, condition) => {
                // Where there is no anchor its cable is missing.
                self.cables.get(number).into_iter().for_each(|cable| cable.set(condition));
            }
            Step::Fronts(condition) => self.fronts.iter().for_each(|front| front.set(condition)),
            Step::KillNode(number) => {
                self.is_gone(number)?;
                self.nodes[number].kill();
            }
            Step::RestartNode(number) => {
                self.is_gone(number)?;
                self.nodes[number].stop()?;
                self.nodes[number].start_again(&self.place)?;
            }
            Step::IsAway(number) => self.is_away(number)?,
            Step::WasCut(number) => {
                if self.nodes[number].metric(&series("cuts"))? == 0.0 {
                    self.seen.broken.push(format!("node {number} was not cut off: no fault"));
                }
            }
            Step::Poison => self.poison()?,
            Step::Newer => self.newer()?,
            Step::Memory => self.memory()?,
            Step::Phase => self.phases.push(self.scene.now()),
            Step::Slow(seconds) => self.crowd.add_slow(seconds, &self.hand.runtime),
        }
        Ok(())
    }

    /// Whoever is present at the node leaves with it.
    fn is_gone(&mut self, number: usize) -> Result<()> {
        let gone = (resident::name(u16::try_from(number)?), self.scene.now());
        self.seen.evidence.gone.push(gone);
        Ok(())
    }

    /// One node cannot reach Redis, and says so; the others can.
    fn is_away(&mut self, away: usize) -> Result<()> {
        for (number, node) in self.nodes.iter().enumerate() {
            let is_reachable = node.metric("everwire_backplane_reachable")? > 0.0;
            if is_reachable == (number == away) {
                let word = if is_reachable { "reachable" } else { "away" };
                self.seen.broken.push(format!("node {number} says that Redis is {word}"));
            }
        }
        Ok(())
    }

    fn poison(&mut self) -> Result<()> {
        let before = self.counted()?;
        let expected = poison::write_all(&self.redis)?;
        self.expect_counted(&before, expected)?;
        self.seen.notes.push(format!("poisons: {}", expected.0 + expected.1));
        Ok(())
    }

    /// What nodes of today can read of a newer one is heard, what they cannot is counted.
    fn newer(&mut self) -> Result<()> {
        let before = self.counted()?;
        let numbers = 1..=NEWER_MESSAGES;
        let at = self.scene.now();
        poison::write_newer(&self.redis, NEWER, numbers.clone())?;
        let said = numbers.map(|number| Said { stream: NEWER, number, at, fate: Fate::Accepted });
        self.seen.evidence.said.extend(said);
        let newest = poison::write_newest(&self.redis)?;
        self.expect_counted(&before, (newest, 0))?;
        self.seen.notes.push(format!("newer: {NEWER_MESSAGES} readable, {newest} not"));
        Ok(())
    }

    /// What each node has counted of entries that it cannot read.
    fn counted(&self) -> Result<Vec<(f64, f64)>> {
        let node = |node: &Node| Ok((node.metric(&series("foreign"))?, node.metric(UNREADABLE)?));
        self.nodes.iter().map(node).collect()
    }

    fn expect_counted(&mut self, before: &[(f64, f64)], expected: (u64, u64)) -> Result<()> {
        sleep(COUNTED_AFTER);
        for (node, (before, after)) in before.iter().zip(self.counted()?).enumerate() {
            let counted = (after.0 - before.0, after.1 - before.1);
            if counted != (expected.0 as f64, expected.1 as f64) {
                let what = format!("node {node} counts {counted:?} instead of {expected:?}");
                self.seen.broken.push(what);
            }
        }
        Ok(())
    }

    fn memory(&mut self) -> Result<()> {
        let mut most = 0;
        for node in &self.nodes {
            most = most.max(node.memory()?);
        }
        self.seen.notes.push(format!("memory of a node: at most {} MiB", most >> 20));
        if most > MEMORY_MAX {
            self.seen.broken.push(String::from("memory is not bounded"));
        }
        let is_shed = self.crowd.said().iter().any(|said| said.fate == Fate::Refused);
        if !is_shed {
            self.seen.broken.push(String::from("nothing was shed: this was no storm"));
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Seen> {
        for node in &mut self.nodes {
            let was_killed = !node.is_alive()?;
            let is_gone = self
                .seen
                .evidence
                .gone
                .iter()
                .any(|(name, _)| *name == resident::name(node.number));
            if was_killed && !is_gone {
                self.seen.broken.push(format!("node {} has died", node.number));
            }
        }
        self.crowd.finish(|crowd| judge(&self.evidence(crowd)).silent == 0);
        let mut evidence = self.evidence(&self.crowd);
        for node in &self.nodes {
            evidence.gaps.extend(node.gaps(self.scene.began_wall)?);
        }
        evidence.gaps.sort_by_key(|gap| gap.at);
        if !evidence.gaps.is_empty() {
            self.seen.notes.push(format!("gaps: {}", evidence.gaps.len()));
        }
        let counts = self.counts()?;
        self.seen.notes.extend(counts);
        self.seen.notes.extend(slow::ratio(&evidence, &self.phases));
        self.seen.broken.extend(self.crowd.complaints.copy());
        let anchor = self.crowd.anchor().map(|(said, diary)| Evidence {
            opened: evidence.opened,
            said,
            diaries: vec![diary],
            faults: evidence.faults.clone(),
            ..Evidence::default()
        });
        Ok(Seen { evidence, anchor, ..self.seen })
    }

    /// What the nodes' backplanes have counted, so that it is seen that something happened.
    fn counts(&mut self) -> Result<Vec<String>> {
        let mut notes = Vec::new();
        for name in ["cuts", "resent", "duplicates", "recovered", "lost"] {
            let mut sum = 0.0;
            for node in &mut self.nodes {
                if node.is_alive()? {
                    sum += node.metric(&series(name))?;
                }
            }
            if sum > 0.0 {
                notes.push(format!("{name}: {sum}"));
            }
        }
        Ok(notes)
    }

    fn evidence(&self, crowd: &Crowd) -> Evidence {
        let mut evidence = self.seen.evidence.clone();
        evidence.said.extend(crowd.said());
        evidence.diaries = crowd.diaries();
        evidence
    }
}

/// A counter of the backplane.
fn series(name: &str) -> String {
    format!("everwire_backplane_{name}_total")
}

const NODES: u16 = 3;
/// Entries are read as they come.
const COUNTED_AFTER: Duration = Duration::from_secs(1);
/// What a newer node says is one publisher more.
const NEWER: Stream = Stream { publisher: NODES, node: 255, life: 0 };
const NEWER_MESSAGES: u64 = 100;
/// A node may keep 64 MiB for the backplane, and as much that its clients have not taken.
const MEMORY_MAX: u64 = 256 << 20;
const UNREADABLE: &str = "everwire_hub_nodes_unreadable_total";
