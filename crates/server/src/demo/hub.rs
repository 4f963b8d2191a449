//! `everwire demo hub`: live clients of a hub whose sockets are cut in the middle of messages.
//!
//! The hub is this process' own node, declared as a user would declare it; the clients are those of
//! `everwire-client`, half of them in JSON and half in MessagePack. Between them is a `link` that
//! tears messages, loses what is on its way, and cuts. Everybody in a room counts what everybody in
//! it says.

mod crowd;
mod link;
mod page;
mod script;
mod verdict;

use std::{net::SocketAddr, time::Duration};

use everwire_client::Client;

use self::{crowd::Crowd, link::Link, page::Page, script::Script, verdict::Verdict};
use crate::{
    config::{self, Sources},
    demo,
    failure::Failure,
    running::Running,
    terminal,
};

/// A proof that is done, and what it was done with.
pub(super) struct HubShow {
    node: Running,
    address: SocketAddr,
    page: Page,
}

impl HubShow {
    /// Shows that clients lose nothing with their sockets or, unprotected, what they do.
    pub(super) async fn prove(unprotected: bool) -> Result<Self, Failure> {
        let page = Page::bind().await.map_err(Failure::failed)?;
        let node = Running::start(configuration(&page, unprotected)?).await;
        let node = node.map_err(Failure::failed)?;
        let address = *node.node.listening().first().ok_or_else(|| Failure::failed(NOWHERE))?;
        let show = Self { node, address, page: page.serve(address) };
        show.introduce(unprotected)?;
        let link = Link::to(address).await.map_err(Failure::failed)?;
        let crowd = Crowd::start(link.address(), unprotected).await?;
        Script::new(&crowd, &link).play().await?;
        let verdict = Verdict::reach(&crowd.finish().await, link.cuts());
        terminal::print(&verdict.render())?;
        let end = if unprotected { UNPROTECTED_END } else { PROTECTED_END };
        demo::judge(verdict.is_clean(), unprotected, end)?;
        Ok(show)
    }

    /// Keeps everything up, and lets the hub tick for whoever opens the page.
    pub(super) async fn stay(&self) -> Result<(), Failure> {
        let admin = self.node.admin;
        terminal::print(&format!(
            "The hub, by hand:\n  http://{}    (a page; open it twice)\n  everwire hub ls demo --admin \
             http://{admin}\n  everwire hub send demo Receive \"hello\" --admin http://{admin}\n",
            self.page.address(),
        ))?;
        let url = format!("http://{}{PATH}", self.address);
        let clock = Client::builder(url).connect().await.map_err(Failure::failed)?;
        let mut seconds = 0_u64;
        loop {
            tokio::time::sleep(TICK).await;
            seconds += TICK.as_secs();
            let text = format!("the hub has been up for {} more", terminal::seconds(seconds));
            clock.send("Broadcast", &[text]).await.map_err(Failure::failed)?;
        }
    }

    fn introduce(&self, unprotected: bool) -> Result<(), Failure> {
        let first = if unprotected {
            "Everwire demo, hub, unprotected: the same clients and faults, without stateful reconnect. A \
             client\nwhose socket is cut connects anew and enters its room again."
        } else {
            "Everwire demo, hub: live SignalR clients while their sockets are cut."
        };
        terminal::print(&format!(
            "{first}\n\n  hub       http://{}{PATH}\n  admin     http://{}\n  page      http://{}\n  \
             clients   {} in rooms of {}, {} messages a second each, numbered and hashed\n\n",
            self.address,
            self.node.admin,
            self.page.address(),
            crowd::CLIENTS,
            crowd::ROOM,
            crowd::MESSAGES_PER_SECOND,
        ))
    }
}

/// The node as its user would write it.
fn configuration(page: &Page, unprotected: bool) -> Result<config::Config, Failure> {
    let text = format!(
        "listen = \"127.0.0.1:0\"\n\
         [admin]\nlisten = \"127.0.0.1:0\"\n\
         [hubs.demo]\npath = \"{PATH}\"\norigins = [\"http://{}\"]\nstateful_reconnect = {}\n\
         [hubs.demo.methods]\n\
         Enter     = {{ join = \"{{0}}\" }}\n\
         Say       = {{ send = \"group:{{0}}\", target = \"Said\" }}\n\
         Broadcast = {{ send = \"all\", target = \"Receive\" }}\n",
        page.address(),
        !unprotected,
    );
    let sources = Sources { file: Some(("the demo".to_owned(), text)), ..Sources::default() };
    config::load(&sources).map_err(|mistakes| Failure::failed(mistakes.to_string()))
}

/// Where the hub is.
const PATH: &str = "/demo";

/// How often the hub says something when nobody else does.
const TICK: Duration = Duration::from_secs(5);

const NOWHERE: &str = "the hub has no address";

const PROTECTED_END: &str = "
How: hub and client number what they say and keep it until the other end has it. A client that loses
its socket opens another at once and names the last it has got; both say the rest again. Stock clients
do the same when told to: .withStatefulReconnect() in JavaScript, .WithStatefulReconnect() in .NET. The
same for your service, with methods declared in a file or written in Rust:

  everwire serve --hub /chat

What is lost without it:  everwire demo hub --unprotected
";

const UNPROTECTED_END: &str = "
These losses are what clients see that only reconnect. The same clients and faults with stateful
reconnect:  everwire demo hub
";
