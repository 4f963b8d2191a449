//! A receiver that polls. A poll that ends in an error ends its session, as it does for stock
//! clients, unless it is stubborn; one that is not answered in time is given up and asked again, as
//! they do too.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::time::{sleep, timeout};

use super::http::{Answer, Http, negotiate};
use super::judge::Event;
use super::receiver::{GROUP, REDIAL, event};
use super::scene::{Events, Scene};
use super::talk::{OPEN_MAX, Word, invocation, parse};

/// A client by long polling.
pub(super) struct Polling {
    pub(super) scene: Arc<Scene>,
    pub(super) events: Arc<Events>,
    /// The node that it dials first.
    pub(super) node: usize,
    /// Polls again after an error.
    pub(super) is_stubborn: bool,
}

impl Polling {
    /// Hears, again and again.
    pub(super) async fn live(self) {
        let mut attempt = self.node;
        loop {
            let mut has_joined = false;
            // Every end is an error, of a request or said by the hub.
            let _ = self.listen(attempt, &mut has_joined).await;
            if has_joined {
                self.events.write((self.scene.now(), Event::Cut));
            }
            attempt += 1;
            sleep(REDIAL).await;
        }
    }

    async fn listen(&self, attempt: usize, has_joined: &mut bool) -> Result<()> {
        let (node, target) = self.scene.front(attempt);
        let rest = format!("?id={}", negotiate(target, false).await?);
        let mut polls = Http::to(target).await?;
        // The first poll only opens the connection.
        within(OPEN_MAX, polls.ask("GET", &rest, "")).await?;
        let hello = "{\"protocol\":\"json\",\"version\":1}\u{1e}";
        let join = format!("{}\u{1e}", invocation("call", "Join", GROUP));
        for said in [hello, &join] {
            within(OPEN_MAX, Http::to(target).await?.ask("POST", &rest, said)).await?;
        }
        loop {
            let answer = match timeout(POLL_MAX, polls.ask("GET", &rest, "")).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(error)) if !self.is_stubborn => return Err(error),
                Ok(Err(_)) | Err(_) => {
                    polls = self.dial_again(target).await?;
                    continue;
                }
            };
            ensure!(answer.status == 200, "a poll was answered {}", answer.status);
            for word in parse(answer.body.trim_start_matches("{}\u{1e}"))? {
                self.take(&word, node, has_joined)?;
            }
        }
    }

    /// A connection for the next poll, which one that is stubborn tries to get for a while.
    async fn dial_again(&self, target: SocketAddr) -> Result<Http> {
        for _ in 0..DIALS_MAX {
            match Http::to(target).await {
                Err(_) if self.is_stubborn => sleep(REDIAL).await,
                dialled => return dialled,
            }
        }
        bail!("dialled in vain")
    }

    fn take(&self, word: &Word, node: u16, has_joined: &mut bool) -> Result<()> {
        match word.kind {
            Word::CLOSE => bail!("closed by the hub"),
            Word::COMPLETION if !*has_joined => {
                *has_joined = true;
                self.events.write((self.scene.now(), Event::Joined(node)));
            }
            _ => {}
        }
        if let Some(event) = event(word) {
            self.events.write((self.scene.now(), event));
        }
        Ok(())
    }
}

async fn within(
    patience: Duration,
    asking: impl Future<Output = Result<Answer>>,
) -> Result<Answer> {
    let answer = timeout(patience, asking).await.context("no answer in time")??;
    ensure!(answer.status == 200, "answered {}", answer.status);
    Ok(answer)
}

/// Stock clients wait 100 s, ten more than a hub does; at this pace there is always something to
/// answer with.
const POLL_MAX: Duration = Duration::from_secs(2);
const DIALS_MAX: u32 = 50;
