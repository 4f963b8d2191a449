//! The nodes that serve a hub together: who this one is to the others, and how they ask each other.
//!
//! Nodes speak HTTP/1.1, each to the address that the other advertises; nobody lists them, since a
//! connection token says where it was issued. Every request carries a `letter`, which only who
//! knows the secrets can write. What a node is asked:
//!
//! | purpose | request |
//! |---|---|
//! | pass | a client's, as it came, for a connection that lives there; answered as if it had come there |
//! | claim | `POST /claim?id={token}&node={address}`: a WebSocket for this token, which the asked node issued, is at that address. `begin`, or `at {address}` where its session lives, or 404 |
//! | hello | `POST /hello`: what time it is there, since letters are dated by the clock of who reads them |
//! | review | `POST /review`, 16 bytes for each connection: those are answered that do not live there |
//! | move | `POST /move/begin`, `take`, `end`: sessions are to move there; see [`crate::moving`]. `POST /move/tell?node={address}`, 16 bytes for each connection: those live at that address, and their tokens were issued by the asked node |

mod clocks;
mod letter;
mod mesh;
mod peers;
pub(crate) mod review;
mod service;
mod window;

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use http::{HeaderValue, uri::Authority};

pub use self::service::PeerService;
use self::{
    clocks::Clocks,
    letter::{Address, Letter},
    peers::Peers,
    window::Senders,
};
pub(crate) use self::{
    letter::Purpose,
    mesh::{Claim, Mesh, boxed, passed, strip_hop},
    peers::PeerBody,
};
use crate::{
    clock,
    seal::{Seal, SecretsError},
    service::HubService,
};

/// This node among the nodes that serve the same hubs. Cheap to clone.
///
/// Hubs that are [built](crate::HubBuilder::cluster) with it can be reached through any of the nodes,
/// whichever a client's requests come to, once the node serves
/// [what the others ask](Self::service).
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

struct Inner {
    seal: Seal,
    advertise: Box<str>,
    /// Names this run of the node.
    run: u64,
    /// What time it was when the process' clock began, in milliseconds since 1970.
    ///
    /// The wall clock is looked at once: whoever sets it later does not make letters old. And it is
    /// that, so that a node that is started anew goes by about the same clock as before.
    begun: u64,
    clocks: Mutex<Clocks>,
    /// Letters written so far.
    letters: AtomicU64,
    senders: Mutex<Senders>,
    peers: Peers,
    tally: Tally,
}

#[derive(Default)]
struct Tally {
    passed: AtomicU64,
    tunneled: AtomicU64,
    unreachable: AtomicU64,
    refused: AtomicU64,
    stale: AtomicU64,
}

/// What a node has done with others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClusterTotals {
    /// Requests of clients that were passed to the node of their connection.
    pub passed: u64,
    /// WebSockets that were carried to the node of their session.
    pub tunneled: u64,
    /// Questions that another node did not answer.
    pub unreachable: u64,
    /// Requests to this node that no node of the cluster had written, or not for now.
    pub refused: u64,
    /// Those of them that a node had written, too long ago or too early by this node's clock, or that
    /// have come before.
    pub stale: u64,
}

/// This is no node of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// The secrets.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The address.
    #[error("other nodes reach a node at HOST:PORT")]
    Address,
}

impl Cluster {
    /// A node that the others reach at `advertise`, a host and a port, and with whom it shares
    /// `secrets`: the first signs, all verify.
    ///
    /// # Errors
    /// If the address is none, there is no secret, there are more than 8, or one has fewer than 16
    /// bytes.
    pub fn new<S: AsRef<[u8]>>(
        advertise: &str,
        secrets: impl IntoIterator<Item = S>,
    ) -> Result<Self, ClusterError> {
        let authority: Authority = advertise.parse().map_err(|_| ClusterError::Address)?;
        let is_plain = authority.port_u16().is_some() && !advertise.contains('@');
        if !is_plain || advertise.len() > ADDRESS_MAX {
            return Err(ClusterError::Address);
        }
        Ok(Self(Arc::new(Inner {
            seal: Seal::new(secrets)?,
            advertise: advertise.into(),
            run: rand::random(),
            begun: begun(),
            clocks: Mutex::default(),
            letters: AtomicU64::new(0),
            senders: Mutex::default(),
            peers: Peers::new(),
            tally: Tally::default(),
        })))
    }

    /// Where the others reach this node.
    pub fn advertise(&self) -> &str {
        &self.0.advertise
    }

    /// What this node has done with others so far.
    pub fn totals(&self) -> ClusterTotals {
        let Tally { passed, tunneled, unreachable, refused, stale } = &self.0.tally;
        ClusterTotals {
            passed: passed.load(Relaxed),
            tunneled: tunneled.load(Relaxed),
            unreachable: unreachable.load(Relaxed),
            refused: refused.load(Relaxed),
            stale: stale.load(Relaxed),
        }
    }

    /// Answers the other nodes, for these hubs. Serve it where the node is advertised, over HTTP/1.1
    /// with upgrades, and let nobody but the nodes reach it: what they say is signed, not encrypted.
    pub fn service(&self, hubs: impl IntoIterator<Item = HubService>) -> PeerService {
        PeerService::new(self.clone(), hubs)
    }

    pub(crate) fn seal(&self) -> &Seal {
        &self.0.seal
    }

    /// Names this run of the node.
    pub(crate) fn run(&self) -> u64 {
        self.0.run
    }

    /// What tells another node that this request is a node's, written at a moment of that node's clock.
    fn write_letter(
        &self,
        purpose: Purpose,
        hub: &str,
        at: u64,
        address: &Address<'_>,
    ) -> HeaderValue {
        let number = self.0.letters.fetch_add(1, Relaxed);
        let sender = self.0.run;
        Letter { purpose, hub: hub.into(), sender, number, at }.write(&self.0.seal, address)
    }

    /// What another node wants, if it is one and has not said the same before. To say what time it is
    /// twice does no harm.
    fn read_letter(&self, value: &HeaderValue, method: &str, target: &str) -> Option<Letter> {
        let address = Address { to: self.advertise(), method, target };
        let letter = Letter::read(value.to_str().ok()?, &self.0.seal, &address)?;
        if letter.purpose == Purpose::Hello {
            return Some(letter);
        }
        let mut senders = self.0.senders.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = senders.admit(letter.sender, letter.number, letter.at, self.time());
        drop(senders);
        if !is_new {
            self.count(|tally| &tally.stale);
        }
        is_new.then_some(letter)
    }

    /// What time it is here, in milliseconds.
    fn time(&self) -> u64 {
        self.0.begun.saturating_add(clock::now().as_millis())
    }

    fn clocks(&self) -> MutexGuard<'_, Clocks> {
        self.0.clocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, counter: impl Fn(&Tally) -> &AtomicU64) {
        counter(&self.0.tally).fetch_add(1, Relaxed);
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("advertise", &self.0.advertise).finish_non_exhaustive()
    }
}

/// When the process' clock began, in milliseconds since 1970.
fn begun() -> u64 {
    let now = clock::now().as_millis();
    (clock::since_epoch().as_millis() as u64).saturating_sub(now)
}

/// The longest host name there can be, and a port.
pub(crate) const ADDRESS_MAX: usize = 253 + 6;
