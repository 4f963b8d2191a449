//! Everybody who takes part in a play, on a thread of their own, so that the script can wait.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::runtime::{Builder, Handle};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::anchor::Anchor;
use super::judge::{Diary, Event, Fate, Said};
use super::polling::Polling;
use super::publisher::Publisher;
use super::receiver::Receiver;
use super::resident::Resident;
use super::scene::{Events, Page, Sayings, Scene};
use super::slow;
use super::stateful::Stateful;
use crate::clock;

/// A thread with a runtime; it ends with this.
pub(super) struct Stagehand {
    pub(super) runtime: Handle,
    over: CancellationToken,
    thread: Option<thread::JoinHandle<()>>,
}

impl Stagehand {
    pub(super) fn start() -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (handle, over) = (runtime.handle().clone(), CancellationToken::new());
        let until = over.clone();
        let thread = thread::spawn(move || runtime.block_on(until.cancelled()));
        Ok(Self { runtime: handle, over, thread: Some(thread) })
    }
}

impl Drop for Stagehand {
    fn drop(&mut self) {
        self.over.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Those who speak and hear.
pub(super) struct Crowd {
    scene: Arc<Scene>,
    tasks: JoinSet<()>,
    receivers: Vec<Arc<Events>>,
    publishers: Vec<Arc<Sayings>>,
    anchor: Option<Arc<Anchor>>,
    /// What somebody noticed that should not have been.
    pub(super) complaints: Arc<Page<String>>,
}

/// How receivers hear.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ears {
    /// By WebSocket; its end is the end of the session.
    Plain,
    /// By WebSocket; another one resumes the session.
    Stateful,
    /// By long polling; a poll that fails is the end of the session.
    Polling,
    /// By long polling, again and again.
    StubbornPolling,
}

/// Who takes part.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cast {
    pub(super) ears: Ears,
    /// Receivers at each node.
    pub(super) receivers: usize,
    /// Messages a second of all publishers together; there is one at each node.
    pub(super) rate: u64,
    /// Bytes added to each message.
    pub(super) padding: usize,
}

impl Crowd {
    /// Everybody comes; returns when every receiver has heard every publisher.
    pub(super) fn gather(scene: &Arc<Scene>, cast: Cast, runtime: &Handle) -> Result<Self> {
        let mut crowd = Self {
            scene: Arc::clone(scene),
            tasks: JoinSet::new(),
            receivers: Vec::new(),
            publishers: Vec::new(),
            anchor: None,
            complaints: Arc::default(),
        };
        let nodes = scene.nodes.len();
        for node in (0..nodes).flat_map(|node| std::iter::repeat_n(node, cast.receivers)) {
            crowd.add_receiver(cast.ears, node, runtime);
        }
        for node in 0..nodes {
            let resident = Resident { scene: Arc::clone(scene), node };
            crowd.has_part(resident.live(), runtime);
            let sayings = Arc::<Sayings>::default();
            crowd.publishers.push(Arc::clone(&sayings));
            let publisher = Publisher {
                scene: Arc::clone(scene),
                sayings,
                number: u16::try_from(node)?,
                node,
                rate: cast.rate / nodes as u64,
                padding: cast.padding,
            };
            crowd.has_part(publisher.live(), runtime);
        }
        crowd.wait("the receivers to hear every publisher", |crowd| {
            crowd.receivers.iter().all(|events| hears(events, nodes))
        })?;
        Ok(crowd)
    }

    fn add_receiver(&mut self, ears: Ears, node: usize, runtime: &Handle) {
        let (scene, events) = (Arc::clone(&self.scene), Arc::<Events>::default());
        self.receivers.push(Arc::clone(&events));
        match ears {
            Ears::Plain => self.has_part(Receiver { scene, events, node }.live(), runtime),
            Ears::Stateful => self.has_part(Stateful { scene, events, node }.live(), runtime),
            Ears::Polling | Ears::StubbornPolling => {
                let is_stubborn = matches!(ears, Ears::StubbornPolling);
                let polling = Polling { scene, events, node, is_stubborn };
                self.has_part(polling.live(), runtime);
            }
        }
    }

    /// Somebody lives until the play is over.
    fn has_part(&mut self, life: impl Future<Output = ()> + Send + 'static, runtime: &Handle) {
        let over = self.scene.over.clone();
        let part = async move {
            over.run_until_cancelled_owned(life).await;
        };
        self.tasks.spawn_on(part, runtime);
    }

    /// Bare publish and subscribe beside them.
    pub(super) fn add_anchor(
        &mut self,
        publisher: SocketAddr,
        subscriber: SocketAddr,
        rate: u64,
        runtime: &Handle,
    ) -> Result<()> {
        let scene = Arc::clone(&self.scene);
        let (events, sayings) = Default::default();
        let anchor = Arc::new(Anchor { scene, events, sayings, publisher, subscriber, rate });
        self.tasks.spawn_on(Arc::clone(&anchor).subscribe(), runtime);
        self.tasks.spawn_on(Arc::clone(&anchor).publish(), runtime);
        self.anchor = Some(Arc::clone(&anchor));
        self.wait("the anchor to hear its publisher", |_| hears(&anchor.events, 1))
    }

    /// A receiver at the first node that takes nothing for so long, and has been closed then.
    pub(super) fn add_slow(&mut self, seconds: u64, runtime: &Handle) {
        let (_, target) = self.scene.node(0);
        let complaints = Arc::clone(&self.complaints);
        self.tasks.spawn_on(
            async move {
                if let Err(error) = slow::sit(target, Duration::from_secs(seconds)).await {
                    complaints.write(error.to_string());
                }
            },
            runtime,
        );
    }

    /// No more is said; returns when everything has been heard and for a moment nothing more, or
    /// nothing has been heard for a while.
    pub(super) fn finish(&self, is_complete: impl Fn(&Self) -> bool) {
        self.scene.hush();
        let (mut before, mut since) = (0, clock::now());
        while since.elapsed() < GIVEN_UP_AFTER {
            thread::sleep(LOOK);
            let heard = self.everything();
            if heard != before {
                (before, since) = (heard, clock::now());
            } else if since.elapsed() > SETTLED_AFTER && is_complete(self) {
                break;
            }
        }
        self.scene.over.cancel();
    }

    /// How much was written down so far.
    fn everything(&self) -> usize {
        let heard = self.receivers.iter().map(|events| events.with(|events| events.len()));
        let answered = self.publishers.iter().map(|sayings| {
            sayings.with(|said| said.iter().filter(|said| said.fate != Fate::Unknown).count())
        });
        heard.chain(answered).sum()
    }

    pub(super) fn said(&self) -> Vec<Said> {
        self.publishers.iter().flat_map(|sayings| sayings.copy()).collect()
    }

    pub(super) fn diaries(&self) -> Vec<Diary> {
        self.receivers.iter().map(|events| events.diary()).collect()
    }

    pub(super) fn anchor(&self) -> Option<(Vec<Said>, Diary)> {
        let anchor = self.anchor.as_ref()?;
        Some((anchor.sayings.copy(), anchor.events.diary()))
    }

    fn wait(&self, what: &str, is_done: impl Fn(&Self) -> bool) -> Result<()> {
        let began = clock::now();
        while !is_done(self) {
            if began.elapsed() > GATHER_MAX {
                bail!("waited in vain for {what}");
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }
}

/// Whether so many publishers have been heard.
fn hears(events: &Events, publishers: usize) -> bool {
    let mut heard = vec![false; publishers];
    events.with(|events| {
        for (_, event) in events {
            let Event::Got(stream, _) = event else { continue };
            if let Some(heard) = heard.get_mut(usize::from(stream.publisher)) {
                *heard = true;
            }
        }
    });
    heard.into_iter().all(|heard| heard)
}

const GATHER_MAX: Duration = Duration::from_secs(15);
const LOOK: Duration = Duration::from_millis(50);
/// What comes again comes with what else there is, not long after it.
const SETTLED_AFTER: Duration = Duration::from_millis(500);
/// Longer than any publisher is asked for what is missing.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(5);
