//! A cable between two programs: TCP connections are carried through it, until something happens to
//! it.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A cable; its connections end with it.
pub(super) struct Cable {
    pub(super) address: SocketAddr,
    condition: watch::Sender<Condition>,
    _task: JoinSet<()>,
}

/// What becomes of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// They arrive.
    Up,
    /// They wait, both ways, and arrive when it is up again.
    Held,
    /// Connections end, and new ones at once.
    Cut,
    /// The same with a reset.
    Reset,
    /// What goes one way vanishes, and whatever a connection carries that way after that.
    Lost(Way),
}

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// From who dials.
    There,
    /// To who dials.
    Back,
}

impl Cable {
    /// A cable to a listener that need not be there yet.
    pub(super) fn to(target: SocketAddr, runtime: &Handle) -> Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let _entered = runtime.enter();
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let (condition, watched) = watch::channel(Condition::Up);
        let mut task = JoinSet::new();
        task.spawn_on(accept(listener, target, watched), runtime);
        Ok(Self { address, condition, _task: task })
    }

    /// From now on.
    pub(super) fn set(&self, condition: Condition) {
        self.condition.send_replace(condition);
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, condition: watch::Receiver<Condition>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if let Ok((near, _)) = listener.accept().await {
            connections.spawn(carry(near, target, condition.clone()));
        }
    }
}

async fn carry(mut near: TcpStream, target: SocketAddr, condition: watch::Receiver<Condition>) {
    if matches!(*condition.borrow(), Condition::Cut | Condition::Reset) {
        return;
    }
    let Ok(mut far) = TcpStream::connect(target).await else { return };
    // Small messages are not to wait for each other.
    if near.set_nodelay(true).is_err() || far.set_nodelay(true).is_err() {
        return;
    }
    // Halves that are borrowed end nothing when they are dropped: a reset is not to follow an end.
    let ((near_reads, near_writes), (far_reads, far_writes)) = (near.split(), far.split());
    let there = Strand { from: near_reads, to: far_writes, way: Way::There };
    let back = Strand { from: far_reads, to: near_writes, way: Way::Back };
    // The end of one direction is the end of both.
    tokio::select! {
        () = there.carry(condition.clone()) => {}
        () = back.carry(condition.clone()) => {}
    }
    if *condition.borrow() == Condition::Reset {
        for end in [&near, &far] {
            // One that has ended already needs none.
            let _ = end.set_zero_linger();
        }
    }
}

/// One direction of a connection.
struct Strand<'s> {
    from: ReadHalf<'s>,
    to: WriteHalf<'s>,
    way: Way,
}

impl Strand<'_> {
    async fn carry(mut self, mut condition: watch::Receiver<Condition>) {
        let mut bytes = vec![0; CHUNK];
        let mut has_lost = false;
        loop {
            let now = *condition.borrow_and_update();
            if matches!(now, Condition::Cut | Condition::Reset) {
                return;
            }
            let read = tokio::select! {
                changed = condition.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                read = self.from.read(&mut bytes), if now != Condition::Held => read,
            };
            let Ok(count @ 1..) = read else { return };
            // A stream with a hole in it never goes on.
            has_lost |= now == Condition::Lost(self.way);
            if !has_lost && self.to.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    }
}

/// Some hundred messages.
const CHUNK: usize = 64 * 1024;
