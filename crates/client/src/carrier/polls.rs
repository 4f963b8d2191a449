//! Listening by long polls: requests that the server answers when there is something to say.

use std::{fmt, pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use tokio::time::timeout;

use super::requests::RequestLimits;
use crate::{
    error::ConnectError,
    http::{Ask, Lane, body, checked},
    site::Site,
};

/// The poll that the server holds, and the next when it is answered.
pub(super) struct Polls {
    site: Arc<Site>,
    limits: RequestLimits,
    poll: Poll,
    /// Polls in a row that were not answered.
    unanswered: u32,
}

type Poll = Pin<Box<dyn Future<Output = Result<Polled, ConnectError>> + Send>>;

/// What comes of a poll.
enum Polled {
    /// This, which may be nothing yet.
    Brought(Lane, Bytes),
    /// There is no more to come.
    Ended,
    /// No answer in time.
    Unanswered,
}

impl Polls {
    /// Polls for the first time, which the server answers at once, for it begins the connection.
    pub(super) async fn open(site: Arc<Site>, limits: RequestLimits) -> Result<Self, ConnectError> {
        let mut lane = site.lane();
        let answer = checked(site.ask(&mut lane, ask()).await?)?;
        body(answer, limits.bytes_max).await?;
        Ok(Self { poll: poll(site.clone(), lane, limits), site, limits, unanswered: 0 })
    }

    /// The next that the server says. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Result<Vec<u8>, Arc<str>> {
        loop {
            let lane = match (&mut self.poll).await {
                Ok(Polled::Brought(lane, bytes)) => {
                    self.unanswered = 0;
                    self.repeat(lane);
                    if !bytes.is_empty() {
                        return Ok(bytes.into());
                    }
                    continue;
                }
                Ok(Polled::Unanswered) => self.site.lane(),
                Ok(Polled::Ended) => return self.end("the server ended the polls".into()),
                Err(error) => return self.end(error.to_string()),
            };
            self.unanswered += 1;
            if self.unanswered >= UNANSWERED_MAX {
                return self.end(format!("{UNANSWERED_MAX} polls were not answered"));
            }
            self.repeat(lane);
        }
    }

    fn repeat(&mut self, lane: Lane) {
        self.poll = poll(self.site.clone(), lane, self.limits);
    }

    /// Polls no more.
    fn end(&mut self, why: String) -> Result<Vec<u8>, Arc<str>> {
        self.poll = Box::pin(std::future::pending());
        Err(why.into())
    }
}

fn ask() -> Ask {
    Ask { method: Method::GET, headers: HeaderMap::new(), body: Bytes::new() }
}

/// Asks for what there is. Beyond the head of its answer a poll is not repeated but has failed, for
/// what the server has said is said.
fn poll(site: Arc<Site>, mut lane: Lane, limits: RequestLimits) -> Poll {
    let RequestLimits { bytes_max, answer_max } = limits;
    Box::pin(async move {
        let Ok(answer) = timeout(answer_max, site.ask(&mut lane, ask())).await else {
            return Ok(Polled::Unanswered);
        };
        let answer = answer?;
        if answer.status() == StatusCode::NO_CONTENT {
            return Ok(Polled::Ended);
        }
        let late =
            |_| ConnectError::Timeout { step: "reading what a poll brings", limit: answer_max };
        let bytes =
            timeout(answer_max, body(checked(answer)?, bytes_max)).await.map_err(late)??;
        Ok(Polled::Brought(lane, bytes))
    })
}

impl fmt::Debug for Polls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Polls").field("unanswered", &self.unanswered).finish_non_exhaustive()
    }
}

/// After a poll that was not answered another is sent, as in the official clients. A server that
/// answers none of so many is gone: it should answer within 90 s, even if with nothing.
const UNANSWERED_MAX: u32 = 3;
