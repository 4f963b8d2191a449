//! Connection tokens: what attaches a request to a connection that was negotiated.
//!
//! A token is signed and says everything itself, so that negotiation keeps nothing and whichever
//! node sees it knows whose it is. It is not secret from its client what it says, only unforgeable:
//! the public id of a connection attaches to nothing.
//!
//! | part | bytes |
//! |---|---|
//! | the connection's id, written as it is everywhere | 22 characters |
//! | then, in base64url: format, which is 1 | 1 |
//! | bit 0: the session may outlive its socket | 1 |
//! | when it was issued, by the clock of the node that did | 8 |
//! | which run of that node, at random | 8 |
//! | the start of a digest of the id and the user | 16 |
//! | the signature of all of it and of the hub's name | 16 |
//! | where other nodes reach the node that issued it; nothing without a cluster | the rest |

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use everwire_proto::{signalr::negotiate::StatefulReconnect, time::Time};
use sha2::{Digest, Sha256};

use crate::{
    id::{ConnectionId, UserId},
    seal::{Seal, TAG, Tag},
};

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) id: ConnectionId,
    pub(crate) stateful_reconnect: StatefulReconnect,
    /// By the clock of the node that issued it.
    pub(crate) issued: Time,
    /// The run of that node.
    run: u64,
    user: [u8; DIGEST],
    /// Where that node is reached by others.
    home: Box<str>,
}

/// Where a token was issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Home<'a> {
    /// Here.
    Here,
    /// At the node that is reached here.
    At(&'a str),
    /// At a node that has been started anew since, and knows nothing of it.
    Gone,
}

/// Issues and reads the tokens of one hub.
#[derive(Debug)]
pub(crate) struct Office {
    seal: Seal,
    hub: Box<str>,
    home: Box<str>,
    run: u64,
}

impl Office {
    /// An office of a node that is reached by others at `home`, in this run of it.
    pub(crate) fn new(seal: Seal, hub: &str, home: &str, run: u64) -> Self {
        Self { seal, hub: hub.into(), home: home.into(), run }
    }

    /// A token for a connection of this user's.
    pub(crate) fn issue(
        &self,
        id: ConnectionId,
        stateful_reconnect: StatefulReconnect,
        issued: Time,
        user: Option<&UserId>,
    ) -> String {
        let (run, user, home) = (self.run, digest(id, user), self.home.clone());
        let ticket = Ticket { id, stateful_reconnect, issued, run, user, home };
        let mut bytes = ticket.facts().to_vec();
        bytes.extend_from_slice(&self.tag(&ticket));
        bytes.extend_from_slice(ticket.home.as_bytes());
        format!("{id}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// What a token says, if one of this hub's nodes issued it.
    pub(crate) fn read(&self, text: &str) -> Option<Ticket> {
        if text.len() > TEXT_MAX {
            return None;
        }
        let (id, rest) = text.split_at_checked(ConnectionId::LENGTH)?;
        let rest = URL_SAFE_NO_PAD.decode(rest).ok()?;
        let (facts, rest) = rest.split_first_chunk::<FACTS>()?;
        let (tag, home) = rest.split_first_chunk::<TAG>()?;
        let ticket = Ticket::of(id.parse().ok()?, facts, str::from_utf8(home).ok()?)?;
        let parts = [self.hub.as_bytes(), id.as_bytes(), facts, home];
        self.seal.verify(PURPOSE, &parts, tag).then_some(ticket)
    }

    /// Where a token was issued.
    pub(crate) fn home<'a>(&self, ticket: &'a Ticket) -> Home<'a> {
        match (ticket.home == self.home, ticket.run == self.run) {
            (true, true) => Home::Here,
            (true, false) => Home::Gone,
            (false, _) => Home::At(&ticket.home),
        }
    }

    fn tag(&self, ticket: &Ticket) -> Tag {
        let (id, facts) = (ticket.id.to_string(), ticket.facts());
        let parts = [self.hub.as_bytes(), id.as_bytes(), &facts, ticket.home.as_bytes()];
        self.seal.sign(PURPOSE, &parts)
    }
}

/// Whether a text has the form of a token, of whichever hub and node.
pub(crate) fn has_form(text: &str) -> bool {
    let parts = text.split_at_checked(ConnectionId::LENGTH).filter(|_| text.len() <= TEXT_MAX);
    parts.is_some_and(|(id, rest)| {
        let rest = URL_SAFE_NO_PAD.decode(rest).unwrap_or_default();
        id.parse::<ConnectionId>().is_ok()
            && rest.len() >= FACTS + TAG
            && rest.first() == Some(&FORMAT)
    })
}

impl Ticket {
    /// Whether it was issued to this user.
    pub(crate) fn is_of(&self, user: Option<&UserId>) -> bool {
        // What is compared is not secret: whoever has a token knows whose it is.
        self.user == digest(self.id, user)
    }

    fn of(id: ConnectionId, facts: &[u8; FACTS], home: &str) -> Option<Self> {
        let ([FORMAT, flags], rest) = facts.split_first_chunk()? else { return None };
        let (issued, rest) = rest.split_first_chunk()?;
        let (run, user) = rest.split_first_chunk()?;
        let stateful_reconnect = match flags {
            0 => StatefulReconnect::Off,
            1 => StatefulReconnect::On,
            _ => return None,
        };
        Some(Self {
            id,
            stateful_reconnect,
            issued: Time::from_millis(u64::from_be_bytes(*issued)),
            run: u64::from_be_bytes(*run),
            user: user.try_into().ok()?,
            home: home.into(),
        })
    }

    fn facts(&self) -> [u8; FACTS] {
        let mut facts = [0; FACTS];
        facts[0] = FORMAT;
        facts[1] = u8::from(self.stateful_reconnect == StatefulReconnect::On);
        facts[2..10].copy_from_slice(&self.issued.as_millis().to_be_bytes());
        facts[10..18].copy_from_slice(&self.run.to_be_bytes());
        facts[18..].copy_from_slice(&self.user);
        facts
    }
}

/// Tells users apart, and whoever is nobody in particular.
fn digest(id: ConnectionId, user: Option<&UserId>) -> [u8; DIGEST] {
    let mut digest = Sha256::new();
    digest.update(id.to_string());
    if let Some(user) = user {
        digest.update([1]);
        digest.update(user.as_str());
    }
    let mut start = [0; DIGEST];
    start.copy_from_slice(&digest.finalize()[..DIGEST]);
    start
}

const PURPOSE: &str = "everwire connection token";
const FORMAT: u8 = 1;
const DIGEST: usize = 16;
const FACTS: usize = 18 + DIGEST;

/// The longest host name there can be, a port, and all else.
const TEXT_MAX: usize = 22 + (FACTS + TAG + 253 + 6).div_ceil(3) * 4;

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "known to all the nodes of the hub";

    fn office(secret: &str, hub: &str, home: &str, run: u64) -> Office {
        Office::new(Seal::new([secret]).unwrap(), hub, home, run)
    }

    fn issued(office: &Office, user: Option<&str>) -> String {
        let user = user.map(UserId::from);
        let issued = Time::from_millis(77);
        office.issue(ConnectionId::random(), StatefulReconnect::On, issued, user.as_ref())
    }

    #[test]
    fn any_node_of_the_hub_reads_a_token() {
        let one = office(SECRET, "chat", "10.0.0.1:1", 1);
        let token = issued(&one, Some("ann"));
        let read = office(SECRET, "chat", "10.0.0.2:1", 2).read(&token).expect("a token");
        assert_eq!(read.id.to_string(), token[..22]);
        assert_eq!(read.stateful_reconnect, StatefulReconnect::On);
        assert_eq!(read.issued, Time::from_millis(77));
        assert!(read.is_of(Some(&"ann".into())));
        for stranger in [None, Some("Ann"), Some(""), Some("bob")] {
            assert!(!read.is_of(stranger.map(UserId::from).as_ref()), "{stranger:?}");
        }
        let other = office(SECRET, "chat", "10.0.0.2:1", 2);
        assert_eq!(other.home(&read), Home::At("10.0.0.1:1"));
        assert_eq!(one.home(&read), Home::Here);
        assert_eq!(office(SECRET, "chat", "10.0.0.1:1", 2).home(&read), Home::Gone);
        assert!(token.len() <= TEXT_MAX && token.is_ascii());
    }

    #[test]
    fn nobody_in_particular_is_nobody_else() {
        let office = office(SECRET, "chat", "", 1);
        let read = office.read(&issued(&office, None)).expect("a token");
        assert!(read.is_of(None) && !read.is_of(Some(&"".into())));
    }

    #[test]
    fn attack_s4_a_token_that_is_changed_anywhere_is_none() {
        let office = office(SECRET, "chat", "10.0.0.1:1", 1);
        let token = issued(&office, None);
        for length in 0..token.len() {
            assert_eq!(office.read(&token[..length]), None, "cut to {length}");
        }
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(bytes).unwrap();
            assert_eq!(office.read(&forged), None, "changed at {at}");
        }
        for longer in [format!("{token}A"), format!("{token}AAAA"), format!("{token}{token}")] {
            assert_eq!(office.read(&longer), None);
        }
        assert_eq!(office.read(&"A".repeat(1 << 20)), None);
        assert_eq!(office.read(&"ä".repeat(50)), None);
    }

    #[test]
    fn attack_s5_a_token_of_another_key_or_another_hub_is_none() {
        let token = issued(&office(SECRET, "chat", "", 1), None);
        assert_eq!(office("some other secret that is long", "chat", "", 1).read(&token), None);
        assert_eq!(office(SECRET, "admin", "", 1).read(&token), None);
        let alone = Office::new(Seal::random(), "chat", "", 1);
        assert_eq!(alone.read(&token), None);
    }

    #[test]
    fn a_token_of_before_a_change_of_secrets_is_good_until_the_old_one_is_dropped() {
        const NEW: &str = "what replaces the secret of all nodes";
        let token = issued(&office(SECRET, "chat", "", 1), None);
        let changing = Office::new(Seal::new([NEW, SECRET]).unwrap(), "chat", "", 1);
        assert!(changing.read(&token).is_some());
        let changed = office(NEW, "chat", "", 1);
        assert_eq!(changed.read(&token), None);
        assert!(changed.read(&issued(&changing, None)).is_some());
    }
}
