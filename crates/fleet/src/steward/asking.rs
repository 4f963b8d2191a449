//! Commands that were given to connections, and their answers as they come.

use std::{collections::HashSet, fmt, pin::Pin, time::Duration};

use everwire_hub::{ConnectionId, Hub, Replies, SendError};
use futures_util::{FutureExt, Stream, StreamExt, stream::SelectAll};
use serde::Serialize;
use serde_json::Value;
use tokio::time::{Sleep, sleep};

use crate::{
    WallClock,
    answer::{Meaning, meaning},
    command::CommandId,
    entry::Order,
    name::InstanceName,
};

/// Answers that are awaited.
#[derive(Default)]
pub(super) struct Asked {
    answers: SelectAll<Box<dyn Stream<Item = Answer> + Send + Unpin>>,
    /// Who is to be asked once more, a little later.
    later: HashSet<InstanceName>,
    /// When that is.
    retry: Option<Pin<Box<Sleep>>>,
}

/// Which command, which connection, and what that says.
pub(super) type Answer = (CommandId, ConnectionId, Meaning);

/// A command as it is given.
#[derive(Serialize)]
struct Given<'a> {
    id: CommandId,
    name: &'a str,
    args: &'a Value,
    deadline: u64,
    cluster: &'a str,
}

impl Asked {
    /// Gives a command to connections, and waits for their answers until its deadline.
    pub(super) fn ask(
        &mut self,
        hub: &Hub,
        order: &Order,
        cluster: &str,
        sessions: &[ConnectionId],
        clock: &WallClock,
    ) -> Result<(), SendError> {
        let Order { id, name, args, deadline, .. } = order;
        let given = Given { id: *id, name, args, deadline: *deadline, cluster };
        let patience = clock.until(*deadline).min(PATIENCE_MAX);
        let to = hub.connections(sessions.iter().copied());
        let replies: Replies<Value> = to.invoke(METHOD, &(given,), patience)?;
        let id = *id;
        let answers = replies.map(move |reply| (id, reply.connection, meaning(reply.answer)));
        self.answers.push(Box::new(answers));
        Ok(())
    }

    /// The answers that are there, or none when somebody is to be asked once more; never ready if there
    /// is nothing to wait for.
    pub(super) async fn answers(&mut self) -> Vec<Answer> {
        let retry = async {
            match &mut self.retry {
                Some(retry) => retry.await,
                None => std::future::pending().await,
            }
        };
        let next = async {
            match self.answers.next().await {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        };
        let first = tokio::select! {
            first = next => first,
            () = retry => return Vec::new(),
        };
        let mut answers = vec![first];
        while answers.len() < AT_ONCE
            && let Some(Some(answer)) = self.answers.next().now_or_never()
        {
            answers.push(answer);
        }
        answers
    }

    /// Somebody is to be asked once more, a little later.
    pub(super) fn again_later(&mut self, instance: InstanceName) {
        self.later.insert(instance);
        self.retry.get_or_insert_with(|| Box::pin(sleep(RETRY)));
    }

    /// Who is to be asked once more by now.
    pub(super) fn due(&mut self) -> HashSet<InstanceName> {
        match &self.retry {
            Some(retry) if retry.is_elapsed() => {
                self.retry = None;
                std::mem::take(&mut self.later)
            }
            _ => HashSet::new(),
        }
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("awaited", &self.answers.len()).finish_non_exhaustive()
    }
}

/// The method that instances have for commands.
const METHOD: &str = "Command";

/// How long an answer is awaited at most: a deadline may be reckoned by a clock that was set since.
const PATIENCE_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Answers that are taken at once.
const AT_ONCE: usize = 1024;

/// How soon somebody is asked once more who could not be.
const RETRY: Duration = Duration::from_millis(100);
