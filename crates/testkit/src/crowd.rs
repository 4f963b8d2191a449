//! Many clients that chat: each says its next numbered message at a steady pace, whatever it hears,
//! and keeps all that it hears. Connection, order and content are judged afterwards.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::{
    checker::Checker,
    client::{Client, Heard},
    message::{self, Mark},
    wait::{PATIENCE, eventually, eventually_within, soon, until_equal, within},
};

/// How a crowd chats.
#[derive(Clone, Debug)]
pub struct Manner {
    /// How many clients.
    pub clients: usize,
    /// How often each says something.
    pub every: Duration,
    /// Bytes of filler in each message.
    pub size: usize,
    /// The path each connects to.
    pub path: String,
}

/// What one client said and heard.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its name, which is its stream's.
    pub name: String,
    /// How many messages it said.
    pub said: u64,
    /// What it heard, in order; `None` for what is not one of our messages.
    pub heard: Vec<Option<Mark>>,
    /// How its connection ended, if nobody asked.
    pub dropped: Option<String>,
}

/// A crowd that is connected.
#[derive(Debug)]
pub struct Crowd {
    tasks: JoinSet<Account>,
    phase: watch::Sender<Phase>,
    counts: Arc<[Counts]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Gather,
    Chat,
    Hush,
    Part,
}

impl Crowd {
    /// Connects all at once; they start to chat when the last is connected.
    pub async fn gather(to: SocketAddr, manner: &Manner) -> Self {
        let phase = watch::Sender::new(Phase::Gather);
        let counts: Arc<[Counts]> = (0..manner.clients).map(|_| Counts::default()).collect();
        let connected = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        for number in 0..manner.clients {
            let (manner, counts, connected) =
                (manner.clone(), Arc::clone(&counts), Arc::clone(&connected));
            let phase = phase.subscribe();
            tasks.spawn(async move {
                let client = Client::open(to, &manner.path, &format!("c{number}")).await;
                connected.fetch_add(1, Ordering::SeqCst);
                Member::new(client, number, counts, manner).chat(phase).await
            });
        }
        let all = manner.clients;
        until_equal("connected clients", all, async || connected.load(Ordering::SeqCst)).await;
        phase.send_replace(Phase::Chat);
        Self { tasks, phase, counts }
    }

    /// Waits until every client has heard something that came after this call.
    pub async fn everyone_hears_again(&self) {
        let heard = || self.counts.iter().map(Counts::heard);
        let before: Vec<u64> = heard().collect();
        eventually_within(PATIENCE, "something heard by every client of a crowd", async || {
            heard().zip(&before).all(|(now, before)| now > *before).then_some(())
        })
        .await;
    }

    /// Nobody says anything any more; all go on listening.
    pub async fn hush(&self) {
        self.phase.send_replace(Phase::Hush);
        eventually("a crowd hushed", async || {
            let hushed = |counts: &Counts| counts.hushed.load(Ordering::SeqCst);
            self.counts.iter().all(hushed).then_some(())
        })
        .await;
    }

    /// Nobody says anything any more; waits until each has heard as much as it has said.
    pub async fn hush_when_answered(&self) {
        self.hush().await;
        eventually_within(PATIENCE, "an answer for everything said", async || {
            let answered = |counts: &Counts| counts.heard() >= counts.said.load(Ordering::SeqCst);
            self.counts.iter().all(answered).then_some(())
        })
        .await;
    }

    /// Everybody closes. What each said and heard.
    pub async fn part(self) -> Vec<Account> {
        self.phase.send_replace(Phase::Part);
        let mut accounts = within(PATIENCE, "a crowd parted", self.tasks.join_all()).await;
        accounts.sort_by(|one, two| one.name.cmp(&two.name));
        accounts
    }
}

/// How much a client has said and heard, for those who wait for it.
#[derive(Debug, Default)]
struct Counts {
    said: AtomicU64,
    heard: AtomicU64,
    /// It says nothing any more.
    hushed: AtomicBool,
}

impl Counts {
    fn heard(&self) -> u64 {
        self.heard.load(Ordering::SeqCst)
    }
}

/// Tells `checker`, which looks at the backends, what the crowd said, and who was dropped.
pub fn report_said(accounts: &[Account], checker: &mut Checker) {
    for account in accounts {
        checker.sent(&account.name, account.said);
        if account.dropped.is_some() {
            checker.dropped();
        }
    }
}

/// Tells `checker` what the crowd heard.
pub fn report_heard(accounts: &[Account], checker: &mut Checker) {
    for mark in accounts.iter().flat_map(|account| &account.heard) {
        checker.arrived(mark.as_ref());
    }
}

struct Member {
    client: Client,
    number: usize,
    account: Account,
    counts: Arc<[Counts]>,
    manner: Manner,
}

impl Member {
    fn new(client: Client, number: usize, counts: Arc<[Counts]>, manner: Manner) -> Self {
        let name = client.name().to_owned();
        let account = Account { name, said: 0, heard: Vec::new(), dropped: None };
        Self { client, number, account, counts, manner }
    }

    async fn chat(mut self, mut phase: watch::Receiver<Phase>) -> Account {
        let mut turn = interval(self.manner.every);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = *phase.borrow_and_update();
            self.counts[self.number].hushed.store(now == Phase::Hush, Ordering::SeqCst);
            if now == Phase::Part {
                self.part().await;
                break;
            }
            tokio::select! {
                _ = phase.changed() => {}
                heard = self.client.listen() => if !self.keep(&heard) { break },
                _ = turn.tick(), if now == Phase::Chat => if !self.say().await { break },
            }
        }
        self.counts[self.number].hushed.store(true, Ordering::SeqCst);
        self.account
    }

    async fn say(&mut self) -> bool {
        let sequence = self.account.said + 1;
        let (kind, payload) = message::write(&self.account.name, sequence, self.manner.size);
        let sent = self.client.try_send(kind, payload).await;
        match sent {
            Ok(()) => {
                self.account.said = sequence;
                self.counts[self.number].said.store(sequence, Ordering::SeqCst);
            }
            Err(error) => self.account.dropped = Some(error.to_string()),
        }
        self.account.dropped.is_none()
    }

    fn keep(&mut self, heard: &Heard) -> bool {
        match heard {
            Heard::Message(..) => {
                self.account.heard.push(heard.mark());
                self.counts[self.number].heard.fetch_add(1, Ordering::SeqCst);
                return true;
            }
            Heard::Closed(code, reason) => {
                self.account.dropped = Some(format!("closed {code} {reason}"));
            }
            Heard::Dropped(why) => self.account.dropped = Some(why.clone()),
        }
        false
    }

    /// Closes, and keeps what still comes before the answer.
    async fn part(&mut self) {
        // A socket that has ended meanwhile takes no Close, and is heard to have ended.
        let _ = self.client.try_close(1000, "done").await;
        loop {
            match soon("the answer to a Close", self.client.listen()).await {
                Heard::Closed(1000, _) => return,
                heard @ Heard::Message(..) => _ = self.keep(&heard),
                other => {
                    self.account.dropped = Some(format!("instead of a Close: {other:?}"));
                    return;
                }
            }
        }
    }
}
