//! What this node's hub does when another node's asks for it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use everwire_backplane::{Answer, Member, Question};
use everwire_proto::signalr::message::{HubMessage, Outcome};
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::{sleep, timeout};

use super::{
    ANSWER_WITHIN, Counts, Fanout,
    envelope::read_call,
    request::{
        Answered, NamesOf, Request, read_flag, write_count, write_flag, write_joined,
        write_members, write_names, write_offer, write_page, write_stays, write_text,
    },
};
use crate::{
    audience::Audience, frames::Frames, hub::Hub, look::Behind, recipients::Recipients,
    replies::Awaited,
};

/// Answers a question. What takes time goes on after the answer.
pub(super) async fn serve(hub: Hub, question: Question) {
    let Some(fanout) = hub.fanout() else { return };
    let from = question.from;
    let reply = match Request::read(&question.payload) {
        Some(Request::Survey { question: number, audience, patience, body }) => {
            let survey = Conducted::begin(&hub, from, number, audience, body);
            question.answer(write_flag(survey.is_some()));
            if let Some(survey) = survey {
                survey.conduct(patience).await;
            }
            return;
        }
        Some(request) => answer(&hub, fanout, from, request).await,
        None => {
            Counts::count(&fanout.counts.unreadable);
            tracing::debug!(%from, "a question of another node cannot be read");
            Bytes::new()
        }
    };
    question.answer(reply);
}

async fn answer(hub: &Hub, fanout: &Fanout, from: Member, request: Request) -> Bytes {
    match request {
        Request::Membership { connection, group, joins } => {
            write_joined(match (hub.settled(connection).await, joins) {
                (None, _) => Ok(false),
                (Some(_), true) => hub.groups().add(connection, group).map(|()| true),
                (Some(_), false) => hub.groups().remove(connection, group).map(|()| true),
            })
        }
        Request::Abort(connection) => write_flag(hub.abort_here(connection)),
        Request::Asked { question, ids, is_last } => {
            write_flag(fanout.asked(question, from.node, &ids, is_last))
        }
        Request::Answers { question, answers } => {
            write_flag(fanout.answered(question, from.node, answers))
        }
        Request::Count(audience) => write_count(hub.count_here(&Arc::new(audience)).await),
        Request::Page { audience, after, limit } => {
            let these = Recipients::of(hub.clone(), audience);
            write_members(&these.page_now(after, limit as usize).await)
        }
        Request::Names { of, after, limit } => {
            let after = Some(after).filter(|after| !after.is_empty()).map(Arc::from);
            let behind = Behind { after, limit: limit as usize };
            write_names(&match of {
                NamesOf::Groups => hub.groups_here(&behind).await,
                NamesOf::Users => hub.users_here(&behind).await,
            })
        }
        Request::Presence(after) => match hub.attendance() {
            Some(attendance) => write_page(&attendance.page_here(after.as_ref())),
            None => Bytes::new(),
        },
        Request::LeaveAll(connection) => write_flag(hub.leave_all_here(connection)),
        Request::HasUser { user, group } => {
            write_flag(hub.groups().has_user_here(&user, &group).await)
        }
        Request::Stays(after) => {
            let (stays, next) = hub.standing().page(after.as_ref());
            write_stays(&stays, next.as_ref())
        }
        Request::Where(connection) => write_text(hub.where_is(connection).await.as_deref()),
        Request::Offer => write_offer(hub.offer().as_ref()),
        Request::Survey { .. } => Bytes::new(),
    }
}

/// A question of another node to clients of this one.
struct Conducted {
    hub: Hub,
    from: Member,
    question: u64,
    shards: Vec<tokio::sync::oneshot::Receiver<Vec<Awaited>>>,
}

/// Nobody waits for the answers any more.
struct Unwanted;

impl Conducted {
    fn begin(
        hub: &Hub,
        from: Member,
        question: u64,
        audience: Audience,
        body: Bytes,
    ) -> Option<Self> {
        let (target, arguments) = read_call(body)?;
        let id = hub.next_question();
        let frames = Frames::new(HubMessage::ask(id.clone(), target, arguments));
        let shards = hub.survey(&Arc::new(audience), &id, &Arc::new(frames)).ok()?;
        Some(Self { hub: hub.clone(), from, question, shards })
    }

    /// Passes the answers on as they come. Dropping this forgets the question at its clients.
    async fn conduct(mut self, patience: Option<Duration>) {
        let shards = std::mem::take(&mut self.shards);
        let conduct = async {
            let mut awaited = Vec::new();
            for shard in shards {
                // A shard that has ended has asked nobody.
                awaited.extend(shard.await.unwrap_or_default());
            }
            self.tell_asked(&awaited).await?;
            self.tell_answers(awaited.into_iter().collect()).await
        };
        match patience {
            Some(patience) => drop(timeout(patience, conduct).await),
            None => drop(conduct.await),
        }
    }

    async fn tell_asked(&self, awaited: &[Awaited]) -> Result<(), Unwanted> {
        let mut parts = awaited.chunks(ASKED_MAX).peekable();
        loop {
            let part = parts.next().unwrap_or_default();
            let ids = part.iter().map(Awaited::connection).collect();
            let is_last = parts.peek().is_none();
            self.tell(&Request::Asked { question: self.question, ids, is_last }).await?;
            if is_last {
                return Ok(());
            }
        }
    }

    async fn tell_answers(&self, mut awaited: FuturesUnordered<Awaited>) -> Result<(), Unwanted> {
        while !awaited.is_empty() {
            // Nothing to tell for a while: is somebody still waiting?
            let next = timeout(LOOK_AFTER, awaited.next()).await;
            let mut answers: Vec<Answered> =
                next.ok().flatten().into_iter().map(passable).collect();
            while answers.len() < ANSWERS_MAX
                && answers.iter().map(size).sum::<usize>() < ANSWERS_BYTES_MAX
                && let Some(Some(more)) = futures_util::FutureExt::now_or_never(awaited.next())
            {
                answers.push(passable(more));
            }
            self.tell(&Request::Answers { question: self.question, answers }).await?;
        }
        Ok(())
    }

    /// Tells the node that asked, until it has heard or is gone. It knows what it has heard before.
    async fn tell(&self, request: &Request) -> Result<(), Unwanted> {
        let fanout = self.hub.fanout().ok_or(Unwanted)?;
        let payload = request.write();
        loop {
            match fanout.ask(self.from.node, payload.clone(), ANSWER_WITHIN).await {
                Answer::Reply(reply) if read_flag(reply.clone()) == Some(true) => return Ok(()),
                Answer::Reply(_) | Answer::NoSuchNode => return Err(Unwanted),
                Answer::NotTaken | Answer::TimedOut | Answer::NotSent(_) => {
                    if !fanout.living().contains(&self.from) {
                        return Err(Unwanted);
                    }
                    sleep(AGAIN_AFTER).await;
                }
            }
        }
    }
}

/// Bytes of an answer between nodes.
fn size((_, answer): &Answered) -> usize {
    match answer {
        Ok(Outcome::Result(result)) => result.charged(),
        Ok(Outcome::Error(error)) => error.len(),
        Ok(Outcome::Void) | Err(_) => 0,
    }
}

/// What is passed on of an answer: one that is too large to be is an error, and the asker is told.
fn passable(answered: Answered) -> Answered {
    if size(&answered) <= ANSWER_MAX {
        return answered;
    }
    let error = format!("The answer has more than {ANSWER_MAX} bytes.");
    (answered.0, Ok(Outcome::Error(error.into())))
}

/// Connections of one note of who was asked: 1 MiB.
const ASKED_MAX: usize = 65_536;

/// Answers of one note.
const ANSWERS_MAX: usize = 1024;

/// Bytes of answers after which no more join a note.
const ANSWERS_BYTES_MAX: usize = 256 * 1024;

/// Bytes of one answer: with a full note before it, it fits a payload of the bus.
const ANSWER_MAX: usize = 3 << 20;

/// After which silence it is asked whether somebody still waits.
const LOOK_AFTER: Duration = Duration::from_secs(15);

/// After which time a note that was not heard is repeated.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
