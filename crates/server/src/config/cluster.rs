//! `[cluster]`: where the other nodes reach this one, and what all of them know.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
};

use everwire_hub::{Cluster as Member, ClusterError};

use super::{
    keys::CLUSTER,
    mistake::Mistakes,
    reader::{self, Reader},
    tree::Node,
};

/// `[cluster]`. `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Cluster {
    /// Where the other nodes are listened to.
    pub(crate) listen: SocketAddr,
    /// Where they reach this node, if that is not where it listens.
    pub(crate) advertise: Option<String>,
    /// The first signs, all verify.
    pub(crate) secrets: Vec<String>,
}

impl Cluster {
    /// This node among the others, if it listens there.
    ///
    /// # Errors
    /// None that reading the configuration does not find.
    pub(crate) fn join(&self, listening: SocketAddr) -> Result<Member, ClusterError> {
        let advertise = self.advertise.clone().unwrap_or_else(|| listening.to_string());
        Member::new(&advertise, &self.secrets)
    }
}

/// Reads the table; `None` without secrets, since then no other node can know this one.
pub(super) fn read(node: Node, mistakes: &mut Mistakes) -> Option<Cluster> {
    let mut reader = Reader::open("cluster".to_owned(), &CLUSTER, node, mistakes)?;
    let mut listen = LISTEN;
    reader.set("listen", &mut listen, reader::address);
    let advertise = reader.read("advertise", host_and_port);
    let secrets = read_secrets(&mut reader);
    let is_anywhere = listen.ip().is_unspecified();
    if is_anywhere && !reader.was_taken("advertise") && secrets.is_some() {
        let what = format!(
            "{listen} is no address that other nodes reach; write advertise = \"HOST:PORT\" too"
        );
        reader.contradict(&["listen"], what);
    }
    reader.finish();
    Some(Cluster { listen, advertise, secrets: secrets? })
}

/// The secrets, of which none is repeated, whatever is wrong with it.
fn read_secrets(reader: &mut Reader<'_>) -> Option<Vec<String>> {
    let node = reader.take("secrets")?;
    let origin = node.origin.clone();
    let Ok(nodes) = node.into_list() else {
        reader.complain(&origin, "secrets", "is not a list; write secrets = [\"…\"]");
        return None;
    };
    let mut secrets: Vec<String> = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let name = format!("secrets[{index}]");
        match reader::string(node) {
            Ok(secret) if secrets.contains(&secret) => {
                reader.complain(&node.origin, &name, "is listed twice");
            }
            Ok(secret) => match Member::new(ANY, [&secret]) {
                Ok(_) => secrets.push(secret),
                Err(bad) => {
                    let what = format!("{bad}; `openssl rand -base64 32` makes a good one");
                    reader.complain(&node.origin, &name, what);
                }
            },
            Err(_) => reader.complain(&node.origin, &name, "is not a string"),
        }
    }
    if nodes.is_empty() {
        reader.complain(&origin, "secrets", "is empty; leave it out if there is one node");
    } else if let Err(bad) = Member::new(ANY, &secrets)
        && secrets.len() == nodes.len()
    {
        reader.complain(&origin, "secrets", bad.to_string());
    }
    Some(secrets)
}

fn host_and_port(node: &Node) -> Result<String, String> {
    let text = reader::string(node)?;
    let made = Member::new(&text, [[0; 32]]);
    let wrong = || "is not HOST:PORT; write for example \"10.0.0.5:8405\"".to_owned();
    made.map(|_| text).map_err(|_| wrong())
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("listen", &self.listen)
            .field("advertise", &self.advertise)
            .finish_non_exhaustive()
    }
}

const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8405);

/// An address that is good, where only secrets are judged.
const ANY: &str = "127.0.0.1:8405";

#[cfg(test)]
mod tests {
    use crate::config::{Config, Flags, Sources, load, print};

    fn read(lines: &str) -> Result<Config, String> {
        let text = format!("[hubs.a]\npath = \"/a\"\n[cluster]\n{lines}\n");
        let file = Some(("f".to_owned(), text));
        let sources = Sources { file, variables: Vec::new(), flags: Flags::default() };
        load(&sources).map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn a_cluster_is_read_and_printed_without_its_secrets() {
        let config = read(
            "listen = \"0.0.0.0:1\"\nadvertise = \"node-1:9\"\n\
             secrets = [\"0123456789abcdef\", \"fedcba9876543210\"]",
        );
        let cluster = config.as_ref().unwrap().cluster.clone().unwrap();
        assert_eq!(cluster.listen, "0.0.0.0:1".parse().unwrap());
        assert_eq!(cluster.secrets.len(), 2);
        assert_eq!(cluster.join(cluster.listen).unwrap().advertise(), "node-1:9");
        let printed = print(config.as_ref().unwrap());
        assert!(printed.contains("advertise = \"node-1:9\""), "{printed}");
        for shown in [printed, format!("{config:?}")] {
            assert!(!shown.contains("0123456789") && !shown.contains("fedcba"), "{shown}");
        }
        let near = read("secrets = [\"0123456789abcdef\"]").unwrap().cluster.unwrap();
        let at = "127.0.0.1:77".parse().unwrap();
        assert_eq!(near.join(at).unwrap().advertise(), "127.0.0.1:77");
        assert_eq!(near.listen, "127.0.0.1:8405".parse().unwrap());
        assert_eq!(read("listen = \"0.0.0.0:1\"").unwrap().cluster, None, "it is alone");
    }

    #[test]
    fn mistakes_in_a_cluster_are_told_with_line_and_key_and_no_secret() {
        for (lines, wanted) in [
            ("listen = \"here\"", ":4: cluster.listen: \"here\" is not an address"),
            ("advertise = \"node\"", ":4: cluster.advertise: \"node\" is not HOST:PORT"),
            (
                "advertise = \"http://n:1\"",
                ":4: cluster.advertise: \"http://n:1\" is not HOST:PORT",
            ),
            ("secrets = []", ":4: cluster.secrets: is empty"),
            ("secrets = \"squeamish\"", ":4: cluster.secrets: is not a list"),
            ("secrets = [\"squeamish\"]", ":4: cluster.secrets[0]: a secret is shorter than 16"),
            ("secrets = [7]", ":4: cluster.secrets[0]: is not a string"),
            (
                "secrets = [\"squeamish ossifrage\", \"squeamish ossifrage\"]",
                ":4: cluster.secrets[1]: is listed twice",
            ),
            ("secret = \"squeamish\"", ":4: cluster.secret: unknown key; did you mean secrets?"),
            (
                "listen = \"0.0.0.0:1\"\nsecrets = [\"squeamish ossifrage\"]",
                ":4: cluster.listen: 0.0.0.0:1 is no address that other nodes reach",
            ),
        ] {
            let told = read(lines).unwrap_err();
            assert!(told.contains(wanted) && told.ends_with("\n1 mistake"), "{told}\n{wanted}");
            assert!(!told.contains("squeamish"), "{told}");
        }
        let many: Vec<_> = (0..9).map(|one| format!("\"secret number {one} of nine\"")).collect();
        let told = read(&format!("secrets = [{}]", many.join(", "))).unwrap_err();
        assert!(told.contains(":4: cluster.secrets: there are more than 8 secrets"), "{told}");
    }

    #[test]
    fn nodes_and_clients_come_to_different_addresses() {
        for (listen, other) in [("127.0.0.1:8080", "listen"), ("127.0.0.1:8404", "admin")] {
            let lines = format!("listen = \"{listen}\"\nsecrets = [\"0123456789abcdef\"]");
            let told = read(&lines).unwrap_err();
            assert!(told.contains(&format!("cluster: {listen} is not")), "{other}: {told}");
        }
    }
}
