//! The task that keeps an agent connected: it looks for the manager for ever, the first time as ever
//! after, and has each connection used by a [`Session`].

mod said;
mod session;

use std::{sync::Arc, time::Duration};

use everwire_client::{
    Client, ClientBuilder, CloseReason, ConnectError, Connection, Loss, ReconnectPolicy,
};
use everwire_proto::time::Time;
use tokio::sync::mpsc;

use self::{said::Said, session::Session};
use crate::{
    address::address,
    backoff, clock,
    commands::Queued,
    core::Core,
    handler::Commands,
    status::{EndReason, OnRejection, Rejection, Status},
    wire::TAKEN_OVER,
};

/// Keeps the agent connected until it ends, and ends its other tasks then.
pub(crate) async fn run(core: Arc<Core>, commands: Commands, queue: mpsc::Sender<Queued>) {
    let link = Link { core: core.clone(), commands, queue, failed: 0, away_since: clock::now() };
    let why = link.run().await;
    if !matches!(why, EndReason::Stopped) {
        tracing::error!(%why, "the agent ends");
    }
    core.status.send_replace(Status::Ended { why: Arc::new(why) });
    core.stop.cancel();
}

struct Link {
    core: Arc<Core>,
    commands: Commands,
    queue: mpsc::Sender<Queued>,
    /// Attempts in a row that did not lead to a fleet.
    failed: u32,
    away_since: Time,
}

/// How a connection, or an attempt to make one, has ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The agent is to end.
    Stopped,
    /// There is no manager.
    Away(String),
    /// There is one that does not get along with this agent.
    Rejected(Rejection),
    /// Trying again will not help.
    Mistake(ConnectError),
}

impl Link {
    async fn run(mut self) -> EndReason {
        loop {
            let wait = match self.connect_once().await {
                Ended::Stopped => return EndReason::Stopped,
                Ended::Mistake(error) => return EndReason::Mistake(error),
                Ended::Away(why) => self.wait_for_manager(&why),
                Ended::Rejected(why) if self.core.options.on_rejection == OnRejection::End => {
                    return EndReason::Rejected(why);
                }
                Ended::Rejected(why) => self.wait_after(why),
            };
            let stop = self.core.stop.clone();
            if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                return EndReason::Stopped;
            }
        }
    }

    /// Connects, and uses the connection until it ends.
    async fn connect_once(&mut self) -> Ended {
        // Handlers are new with each connection, so that none is called twice.
        let (say, said) = mpsc::channel(SAID_MAX);
        let client = said::handlers(self.client(), &say);
        let stop = self.core.stop.clone();
        let connection = match stop.run_until_cancelled(client.connect()).await {
            None => return Ended::Stopped,
            Some(Err(error)) if is_mistake(&error) => return Ended::Mistake(error),
            Some(Err(error)) => return Ended::Away(error.to_string()),
            Some(Ok(connection)) => connection,
        };
        let ended = self.use_connection(connection.clone(), said).await;
        connection.stop().await;
        ended
    }

    async fn use_connection(
        &mut self,
        connection: Connection,
        said: mpsc::Receiver<Said>,
    ) -> Ended {
        let closed = connection.clone();
        let session = Session::new(&self.core, &self.commands, &self.queue, connection);
        let ended = tokio::select! {
            biased;
            () = self.core.stop.cancelled() => Ended::Stopped,
            ended = session.run(said) => ended,
            why = closed.closed() => ended_by(&why, &self.core.name),
        };
        if matches!(*self.core.status.borrow(), Status::Joined { .. }) {
            self.failed = 0;
            self.away_since = clock::now();
        }
        ended
    }

    fn client(&self) -> ClientBuilder {
        let options = &self.core.options;
        let labels = &options.labels;
        let url = address(&options.url, &self.core.name, options.version.as_deref(), labels);
        let client = Client::builder(url).reconnect(ReconnectPolicy::Never);
        let client = options.token.iter().fold(client, |it, token| it.access_token(token.as_str()));
        options.roots.iter().fold(client, ClientBuilder::root_certificates)
    }

    fn wait_for_manager(&mut self, why: &str) -> Duration {
        let away = clock::now().saturating_since(self.away_since);
        let wait = backoff::delay(self.failed, away, &mut rand::rng());
        tracing::debug!(%why, ?wait, failed = self.failed, "no manager");
        let status = Status::Away { why: why.into(), attempts: self.failed.saturating_add(1) };
        self.core.status.send_replace(status);
        self.failed = self.failed.saturating_add(1);
        wait
    }

    fn wait_after(&mut self, why: Rejection) -> Duration {
        tracing::error!(%why, "the agent stays away from the manager for a while");
        self.core.status.send_replace(Status::StaysAway { why });
        backoff::stay_away(&mut rand::rng())
    }
}

/// Errors that are the application's.
const fn is_mistake(error: &ConnectError) -> bool {
    use ConnectError::{Address, Certificates, Header};
    matches!(error, Address(_) | Header(_) | Certificates(_))
}

fn ended_by(why: &CloseReason, name: &str) -> Ended {
    let error = match why {
        CloseReason::Server { error } | CloseReason::Lost(Loss::Server { error }) => error,
        _ => &None,
    };
    match error.as_deref() {
        Some(error) if error.contains(TAKEN_OVER) => {
            Ended::Rejected(Rejection::TakenOver(name.into()))
        }
        _ => Ended::Away(why.to_string()),
    }
}

/// What the manager said that nobody has looked at; while there is more, it is not read.
const SAID_MAX: usize = 64;
