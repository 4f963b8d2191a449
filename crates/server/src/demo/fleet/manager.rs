//! The fleet's manager: a node in a process of its own, killed by the id that the demo started.

use std::{net::SocketAddr, path::Path, time::Duration};

use anyhow::Result;

use crate::{
    cli::{DemoManagerArgs, NodeArgs},
    client::Client,
    commands,
    config::{self, Sources},
    demo::process::{Process, command, left_alone, somewhere},
    failure::Failure,
    running::Running,
    terminal,
};

/// The manager, alive or dead.
pub(super) struct Manager {
    process: Process,
    address: SocketAddr,
    /// Where it remembers, if it does.
    journal: Option<std::path::PathBuf>,
}

impl Manager {
    /// Starts a manager that writes down what it accepts, or one that does not.
    pub(super) async fn start(journal: Option<&Path>) -> Result<Self> {
        let process = somewhere(async |address| start(address, journal).await).await?;
        let address = process.address;
        Ok(Self { process, address, journal: journal.map(Path::to_owned) })
    }

    /// Where instances connect.
    pub(super) fn url(&self) -> String {
        format!("http://{}{}", self.address, PATH)
    }

    /// Its admin API.
    pub(super) fn admin(&self) -> &str {
        &self.process.said
    }

    pub(super) fn client(&self) -> Result<Client, Failure> {
        let admin = self.admin().to_owned();
        Client::new(&NodeArgs { admin, token: None, json: false })
    }

    pub(super) fn process_id(&self) -> u32 {
        self.process.id().unwrap_or_default()
    }

    pub(super) fn has_ended(&mut self) -> bool {
        self.process.has_ended()
    }

    /// `kill -9`, and another one at the same address.
    pub(super) async fn kill_and_restart(&mut self, away: Duration) -> Result<()> {
        self.process.kill().await?;
        tokio::time::sleep(away).await;
        self.restart().await
    }

    /// Starts it again when it has ended.
    pub(super) async fn restart(&mut self) -> Result<()> {
        self.process = start(self.address, self.journal.as_deref()).await?;
        Ok(())
    }
}

async fn start(address: SocketAddr, journal: Option<&Path>) -> Result<Process> {
    let mut command = command("demo-manager", address)?;
    if let Some(journal) = journal {
        command.arg("--journal").arg(journal);
    }
    Process::start(&mut command).await
}

/// Runs the manager in a process of its own, until it is killed or left alone by the demo.
pub(crate) fn run(args: &DemoManagerArgs) -> Result<(), Failure> {
    commands::block_on(async {
        let running = Running::start(configuration(args)?).await.map_err(Failure::failed)?;
        let admin = running.admin;
        terminal::print_line(&format!("listening on {} http://{admin}", args.listen))?;
        left_alone().cancelled().await;
        running.close_all().await;
        running.end().await;
        Ok(())
    })
}

/// The node as its user would write it.
fn configuration(args: &DemoManagerArgs) -> Result<config::Config, Failure> {
    let memory = match &args.journal {
        Some(journal) => format!("journal = {}", toml::Value::from(journal.display().to_string())),
        None => "durability = \"volatile\"".to_owned(),
    };
    let text = format!(
        "listen = \"{}\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[fleet]\npath = \"{PATH}\"\n{memory}\n",
        args.listen
    );
    let sources = Sources { file: Some(("the demo".to_owned(), text)), ..Sources::default() };
    config::load(&sources).map_err(|mistakes| Failure::failed(mistakes.to_string()))
}

/// Where the fleet is.
const PATH: &str = "/fleet";
