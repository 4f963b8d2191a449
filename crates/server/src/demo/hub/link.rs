//! The network between clients and hub, which can lose what is on its way.

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// Carries connections to the hub; they end with it.
pub(super) struct Link {
    address: SocketAddr,
    wires: Arc<Wires>,
    _task: JoinSet<()>,
}

/// Connections that can be struck, by number.
#[derive(Default)]
struct Wires {
    talking: Mutex<BTreeMap<u64, watch::Sender<Condition>>>,
    next: AtomicU64,
    cuts: AtomicU64,
}

/// Connections that lose what is on its way, and are cut next.
pub(super) struct Struck(Vec<watch::Sender<Condition>>, Arc<Wires>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Up,
    /// Half of what comes next arrives, and nothing after it; nobody notices.
    Lossy,
    Cut,
}

impl Link {
    pub(super) async fn to(hub: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let wires = Arc::<Wires>::default();
        let mut task = JoinSet::new();
        task.spawn(accept(listener, hub, Arc::clone(&wires)));
        Ok(Self { address, wires, _task: task })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections have been cut.
    pub(super) fn cuts(&self) -> u64 {
        self.wires.cuts.load(Ordering::Relaxed)
    }

    /// Lets this share of the connections lose what is on its way, from the middle of a message on.
    pub(super) fn strike(&self, share: f64) -> Struck {
        let mut talking = self.wires.talking.lock().unwrap_or_else(PoisonError::into_inner);
        let struck = talking.extract_if(.., |_, _| rand::random_bool(share));
        let struck: Vec<_> = struck.map(|(_, condition)| condition).collect();
        for condition in &struck {
            condition.send_replace(Condition::Lossy);
        }
        Struck(struck, Arc::clone(&self.wires))
    }
}

impl Struck {
    /// Ends the connections; how many there were.
    pub(super) fn cut(self) -> usize {
        let Self(struck, wires) = self;
        for condition in &struck {
            condition.send_replace(Condition::Cut);
        }
        wires.cuts.fetch_add(struck.len() as u64, Ordering::Relaxed);
        struck.len()
    }
}

async fn accept(listener: TcpListener, hub: SocketAddr, wires: Arc<Wires>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if let Ok((client, _)) = listener.accept().await {
            connections.spawn(carry(client, hub, Arc::clone(&wires)));
        }
    }
}

async fn carry(client: TcpStream, hub: SocketAddr, wires: Arc<Wires>) {
    let Ok(hub) = TcpStream::connect(hub).await else { return };
    // Small messages are not to wait for each other.
    if client.set_nodelay(true).is_err() || hub.set_nodelay(true).is_err() {
        return;
    }
    let number = wires.next.fetch_add(1, Ordering::Relaxed);
    let (condition, watched) = watch::channel(Condition::Up);
    let mut wire = Wire { client, hub, condition: watched };
    let mut waiting = Some(condition);
    let talks = || {
        if let Some(condition) = waiting.take() {
            let mut talking = wires.talking.lock().unwrap_or_else(PoisonError::into_inner);
            talking.insert(number, condition);
        }
    };
    wire.carry(talks).await;
    wires.talking.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
}

/// One connection.
struct Wire {
    client: TcpStream,
    hub: TcpStream,
    condition: watch::Receiver<Condition>,
}

impl Wire {
    /// Carries bytes until an end is gone or the connection is cut. Calls `talks` when the client
    /// goes on after the hub has answered: it has a WebSocket then. A client tries but once to open
    /// another for its session, so before that a connection is left alone.
    async fn carry(&mut self, mut talks: impl FnMut()) {
        let (mut up, mut down) = ([0; CHUNK], [0; CHUNK]);
        let (mut to_hub, mut to_client) = (Arrivals::All, Arrivals::All);
        let mut has_answered = false;
        loop {
            let carried = tokio::select! {
                biased;
                changed = self.condition.changed() => {
                    if changed.is_err() || *self.condition.borrow_and_update() == Condition::Cut {
                        return;
                    }
                    (to_hub, to_client) = (Arrivals::Half, Arrivals::Half);
                    Ok(())
                }
                read = self.client.read(&mut up) => match read {
                    Ok(count @ 1..) => {
                        if has_answered {
                            talks();
                        }
                        self.hub.write_all(to_hub.of(&up[..count])).await
                    }
                    _ => return,
                },
                read = self.hub.read(&mut down) => match read {
                    Ok(count @ 1..) => {
                        has_answered = true;
                        self.client.write_all(to_client.of(&down[..count])).await
                    }
                    _ => return,
                },
            };
            if carried.is_err() {
                return;
            }
        }
    }
}

/// What of the next bytes arrives.
#[derive(Clone, Copy)]
enum Arrivals {
    All,
    Half,
    Nothing,
}

impl Arrivals {
    /// What arrives of these. Half of a frame is the last that does.
    fn of<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        match *self {
            Self::All => bytes,
            Self::Half => {
                *self = Self::Nothing;
                &bytes[..bytes.len() / 2]
            }
            Self::Nothing => &[],
        }
    }
}

/// Messages of the demo fit more than once.
const CHUNK: usize = 4096;
