//! A network namespace with one link to the outside, which a test can take down: packets then
//! vanish without an error, as they do in a partition.

use std::{
    fs::File,
    io,
    net::{Ipv4Addr, TcpListener},
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering},
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A namespace and its link. Dropping it removes both.
#[derive(Debug)]
pub struct Namespace {
    ip: PathBuf,
    name: String,
    /// The network's base address; the outside is one above it, the inside two.
    network: Ipv4Addr,
}

impl Namespace {
    /// Makes one with the given `ip` program; see [`crate::tools::namespaces`].
    pub fn new(ip: &Path) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (test, count) = (process::id() & 0xFFFF, NEXT.fetch_add(1, Ordering::Relaxed) & 0xF);
        // 100.64.0.0/10 is for carriers, and so for nobody on a test machine.
        let network = Ipv4Addr::new(100, 64, 0, 0).to_bits() | test << 6 | count << 2;
        let name = format!("everwire{test:x}{count:x}");
        let this = Self { ip: ip.to_owned(), name, network: network.into() };
        this.make();
        this
    }

    /// The address of the link's outer end.
    pub fn outside(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network.to_bits() + 1)
    }

    /// The address of its inner end.
    pub fn inside(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network.to_bits() + 2)
    }

    /// Packets vanish from here on.
    pub fn link_down(&self) {
        self.link(&["-n", &self.name, "link", "set", &self.inner(), "down"]);
    }

    /// Packets pass again.
    pub fn link_up(&self) {
        self.link(&["-n", &self.name, "link", "set", &self.inner(), "up"]);
    }

    /// Packets from the outside vanish from here on; those from the inside still pass.
    pub fn deafen(&self) {
        let (outer, inside) = (self.outer(), self.inside().to_string());
        let nobody = ["lladdr", "02:00:00:00:00:01", "nud", "permanent"];
        self.link(&[&["neighbour", "replace", &inside, "dev", &outer][..], &nobody].concat());
    }

    /// A port inside, for a peer that the test itself plays.
    pub fn listener(&self) -> TcpListener {
        let namespace = Path::new("/run/netns").join(&self.name);
        let inside = self.inside();
        // A socket stays in the namespace that its thread was in.
        let bind = move || {
            let network = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(File::open(namespace)?.as_fd(), network)?;
            TcpListener::bind((inside, 0))
        };
        let bound: io::Result<TcpListener> = std::thread::spawn(bind).join().expect("no panic");
        bound.expect("a port inside can be had")
    }

    /// The words that run a command inside, to be put before it.
    pub fn prefix(&self) -> Vec<String> {
        let ip = self.ip.to_string_lossy().into_owned();
        vec![ip, "netns".into(), "exec".into(), self.name.clone()]
    }

    fn make(&self) {
        let (name, outer, inner) = (self.name.as_str(), self.outer(), self.inner());
        let (outside, inside) = (self.outside(), self.inside());
        self.link(&["netns", "add", name]);
        self.link(&["link", "add", &outer, "type", "veth", "peer", "name", &inner, "netns", name]);
        self.link(&["address", "add", &format!("{outside}/30"), "dev", &outer]);
        self.link(&["link", "set", &outer, "up"]);
        let inner_address = format!("{inside}/30");
        self.link(&["-n", name, "address", "add", &inner_address, "dev", &inner]);
        self.link(&["-n", name, "link", "set", &inner, "up"]);
        self.link(&["-n", name, "link", "set", "lo", "up"]);
    }

    fn link(&self, arguments: &[&str]) {
        let output = Command::new(&self.ip).args(arguments).output().expect("ip can be run");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ip {}: {error}", arguments.join(" "));
    }

    fn outer(&self) -> String {
        format!("{}o", self.name)
    }

    fn inner(&self) -> String {
        format!("{}i", self.name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The link goes with the namespace that holds one of its ends.
        let _ = Command::new(&self.ip).args(["netns", "delete", &self.name]).output();
        let _ = Command::new(&self.ip).args(["link", "delete", &self.outer()]).output();
    }
}
