//! The calls of one connection at work: does what [`Dispatch`] decides.
//!
//! Polled by the connection's task, so that what a client calls costs no task of its own, and goes
//! on only while the client takes what it is answered.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use everwire_proto::signalr::{
    message::{HubMessage, InvocationId, Outcome},
    payload::Payload,
};
use futures_util::StreamExt;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::{
    client::Question,
    connection::Connection,
    dispatch::{Action, AskError, CallKey, Dispatch, Start, UploadKey},
    error::{Failure, HubError},
    hub::Hub,
    method::{Answer, Begun, Context, Turn, Work},
    shard::Post,
    upload::Feeder,
};

/// Calls that are at work or wait, and what is to be said of them.
pub(crate) struct Calls {
    dispatch: Dispatch,
    at_work: Vec<AtWork>,
    said: VecDeque<Saying>,
    /// Who was at work last; the one behind it comes next, so that no stream starves another.
    last: usize,
    /// Whether nothing begins any more, because the session moves.
    is_abandoned: bool,
    /// What the client has been asked.
    questions: Vec<(InvocationId, oneshot::Sender<Result<Outcome, AskError>>)>,
}

/// A message, and what is to be posted behind it.
pub(crate) type Saying = (HubMessage, Option<Box<Post>>);

/// A call at work.
struct AtWork {
    call: CallKey,
    work: Work,
    canceled: CancellationToken,
    turn: Turn,
    feeders: Vec<Feeder>,
}

/// What a call has come to.
enum Step {
    Item(Payload),
    End(Result<Option<Payload>, Failure>),
}

impl Calls {
    pub(crate) fn new(hub: &Hub) -> Self {
        let dispatch = Dispatch::new(hub.config().calls, hub.methods().detail());
        Self {
            dispatch,
            at_work: Vec::new(),
            said: VecDeque::new(),
            last: 0,
            is_abandoned: false,
            questions: Vec::new(),
        }
    }

    /// Whether the client is not to be heard for the time being.
    pub(crate) fn is_full(&self) -> bool {
        let feeders = || self.at_work.iter().flat_map(|at_work| &at_work.feeders);
        self.dispatch.is_full() || self.said.len() >= SAID_MAX || feeders().any(Feeder::is_full)
    }

    /// Takes a message of the client.
    pub(crate) fn handle(&mut self, message: HubMessage, hub: &Hub, connection: &Arc<Connection>) {
        let find = |target: &str| hub.methods().find(target, &connection.identity);
        self.dispatch.handle_message(message, find);
        self.obey(hub, connection);
    }

    /// Notes that the client is asked; `false` if it must not be, of which the asker is told.
    pub(crate) fn ask(&mut self, question: Question) -> bool {
        let Question { id, frames: _, answer } = question;
        if answer.is_closed() {
            return false;
        }
        match self.dispatch.handle_ask(id.clone()) {
            Ok(()) => {
                self.questions.push((id, answer));
                true
            }
            Err(error) => {
                // Nobody hears it who does not wait any more.
                let _ = answer.send(Err(error));
                false
            }
        }
    }

    /// Goes on until there is something to say; ready with nothing if nothing is at work.
    pub(crate) fn poll(
        &mut self,
        cx: &mut TaskContext<'_>,
        hub: &Hub,
        connection: &Arc<Connection>,
    ) -> Poll<Option<Saying>> {
        self.forget(cx);
        loop {
            if let Some(said) = self.said.pop_front() {
                return Poll::Ready(Some(said));
            }
            self.said = VecDeque::new();
            self.release();
            self.obey(hub, connection);
            let Some((call, step)) = self.step(cx) else { break };
            match step {
                Step::Item(item) => self.dispatch.handle_item(call, item),
                Step::End(end) => {
                    let ended = self.at_work.extract_if(.., |at_work| at_work.call == call);
                    let post = ended.last().and_then(|ended| ended.turn.take_afterwards());
                    self.dispatch.handle_end(call, end);
                    self.end(post, hub, connection);
                }
            }
            self.obey(hub, connection);
        }
        if self.at_work.is_empty() {
            self.at_work = Vec::new();
            return Poll::Ready(None);
        }
        for feeder in self.at_work.iter().flat_map(|at_work| &at_work.feeders) {
            // The task looks whether there is room whenever it is woken.
            let _ = feeder.poll_room(cx);
        }
        Poll::Pending
    }

    /// Whether nothing is at work, or waits to be, or to be said or answered.
    pub(crate) fn is_idle(&self) -> bool {
        self.at_work.is_empty()
            && self.said.is_empty()
            && self.questions.is_empty()
            && self.dispatch.is_idle()
    }

    /// Ends all calls with an error, those that wait too; gives what the client is to be told. Methods
    /// that are at work go on, as when a client is gone, and are given to whoever lets them.
    pub(crate) fn abandon(
        &mut self,
        hub: &Hub,
        connection: &Arc<Connection>,
    ) -> (Vec<Saying>, Vec<impl Future<Output = ()> + Send + use<>>) {
        self.is_abandoned = true;
        for (id, _) in std::mem::take(&mut self.questions) {
            self.dispatch.handle_unask(&id);
        }
        let mut answers = Vec::new();
        self.obey(hub, connection);
        while let Some(AtWork { call, work, canceled, turn, .. }) = self.at_work.pop() {
            canceled.cancel();
            if let Work::Answer(answer) = work {
                answers.push(ended(answer, turn, Arc::clone(connection)));
            }
            self.dispatch.handle_end(call, Err(moved()));
            self.obey(hub, connection);
        }
        (self.said.drain(..).collect(), answers)
    }

    /// Has what a call wants posted behind its answer, or at once if nobody wants an answer.
    fn end(&mut self, post: Option<Box<Post>>, hub: &Hub, connection: &Arc<Connection>) {
        let Some(post) = post else { return };
        let before = self.said.len();
        self.obey(hub, connection);
        // The answer is the first of what is said then.
        match self.said.get_mut(before) {
            Some((HubMessage::Completion(_), behind)) => *behind = Some(post),
            _ => connection.shard.post(*post),
        }
    }

    /// The client is gone: streams end, and methods that are at work are told and go on, because
    /// what they do may have to be done. They are given to whoever lets them.
    pub(crate) fn disconnect(&mut self, hub: &Hub, connection: &Arc<Connection>) -> Vec<Answer> {
        self.dispatch.handle_disconnect();
        self.obey(hub, connection);
        let at_work = self.at_work.drain(..);
        let answers = at_work.filter_map(|at_work| match at_work.work {
            Work::Answer(answer) => Some(answer),
            Work::Stream(_) => None,
        });
        answers.collect()
    }

    /// Forgets what nobody waits for any more, and has the task woken when that becomes so.
    fn forget(&mut self, cx: &mut TaskContext<'_>) {
        let given_up =
            self.questions.extract_if(.., |(_, answer)| answer.poll_closed(cx).is_ready());
        given_up.for_each(|(id, _)| self.dispatch.handle_unask(&id));
        if self.questions.is_empty() {
            self.questions = Vec::new();
        }
    }

    /// Lets the next calls begin while some wait for their own client.
    fn release(&mut self) {
        for at_work in self.at_work.iter().filter(|at_work| at_work.turn.take_released()) {
            // Beyond the limit the call keeps its turn, and what it asks is refused.
            self.dispatch.handle_release(at_work.call);
        }
    }

    /// Lets each call go on in its turn, until one comes to something.
    fn step(&mut self, cx: &mut TaskContext<'_>) -> Option<(CallKey, Step)> {
        let count = self.at_work.len();
        for next in 1..=count {
            let at = (self.last + next) % count;
            let at_work = &mut self.at_work[at];
            if let Poll::Ready(step) = at_work.poll(cx) {
                self.last = at;
                return Some((at_work.call, step));
            }
        }
        None
    }

    fn obey(&mut self, hub: &Hub, connection: &Arc<Connection>) {
        while let Some(action) = self.dispatch.poll_action() {
            match action {
                Action::Start(start) => self.start(&start, hub, connection),
                Action::Feed(key, item) => {
                    self.feeder(key).into_iter().for_each(|feeder| feeder.feed(item.clone()));
                }
                Action::EndUpload(key, error) => {
                    self.feeder(key).into_iter().for_each(|feeder| feeder.end(error.clone()));
                }
                Action::Cancel(call) => {
                    let at_work = self.at_work.iter().find(|at_work| at_work.call == call);
                    at_work.into_iter().for_each(|at_work| at_work.canceled.cancel());
                }
                Action::Send(message) => self.said.push_back((message, None)),
                Action::Refused(refusal) => tracing::debug!(?refusal, "a call is refused"),
                Action::Ignored(ignored) => tracing::debug!(?ignored, "a message is ignored"),
                Action::Answer(id, outcome) => {
                    let answered = self.take_question(&id).map(|answer| answer.send(Ok(outcome)));
                    if !matches!(answered, Some(Ok(()))) {
                        tracing::debug!("an answer comes when nobody waits for it any more");
                    }
                }
                Action::Unanswered(id) => drop(self.take_question(&id)),
                Action::Closed(_) => {}
            }
        }
    }

    fn start(&mut self, start: &Start, hub: &Hub, connection: &Arc<Connection>) {
        if self.is_abandoned {
            return self.dispatch.handle_end(start.call, Err(moved()));
        }
        let Some(protocol) = connection.protocol() else {
            let gone = Failure::Invoking(HubError::canceled());
            return self.dispatch.handle_end(start.call, Err(gone));
        };
        let canceled = CancellationToken::new();
        let turn = Turn::default();
        let connection = Arc::clone(connection);
        let context = Context::new(hub.clone(), connection, canceled.clone(), turn.clone());
        match hub.methods().begin(start.method, &start.arguments, context, protocol) {
            Ok(Begun { work, feeders }) => {
                self.at_work.push(AtWork { call: start.call, work, canceled, turn, feeders });
            }
            Err(failure) => self.dispatch.handle_end(start.call, Err(failure)),
        }
    }

    fn take_question(
        &mut self,
        id: &InvocationId,
    ) -> Option<oneshot::Sender<Result<Outcome, AskError>>> {
        let at = self.questions.iter().position(|(there, _)| there == id)?;
        Some(self.questions.swap_remove(at).1)
    }

    fn feeder(&self, key: UploadKey) -> Option<&Feeder> {
        let at_work = self.at_work.iter().find(|at_work| at_work.call == key.call)?;
        at_work.feeders.get(key.index)
    }
}

/// Lets a call that its client was told to have failed come to its end, and does what is to be done
/// behind that.
async fn ended(answer: Answer, turn: Turn, connection: Arc<Connection>) {
    // Its client has been answered.
    let _ = answer.await;
    turn.take_afterwards().into_iter().for_each(|post| connection.shard.post(*post));
}

/// Why a call ends that was not done in time.
fn moved() -> Failure {
    Failure::Invoking(HubError::new("The call was not done when its connection moved."))
}

impl AtWork {
    fn poll(&mut self, cx: &mut TaskContext<'_>) -> Poll<Step> {
        match &mut self.work {
            Work::Answer(answer) => {
                Pin::new(answer).poll(cx).map(|ended| Step::End(ended.map(Some)))
            }
            Work::Stream(items) => items.poll_next_unpin(cx).map(|item| match item {
                Some(Ok(item)) => Step::Item(item),
                Some(Err(failure)) => Step::End(Err(failure)),
                None => Step::End(Ok(None)),
            }),
        }
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Calls");
        shown.field("dispatch", &self.dispatch).field("at_work", &self.at_work.len());
        shown.finish_non_exhaustive()
    }
}

/// Messages that wait to be said before the client is heard again: a flood of calls that are
/// refused at once must not become a flood of answers in memory.
const SAID_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering::Relaxed},
        task::{Wake, Waker},
    };

    use everwire_proto::signalr::payload::Arguments;

    use super::*;
    use crate::frames::Frames;

    #[derive(Default)]
    struct Counted(AtomicUsize);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn a_question_that_nobody_waits_for_any_more_is_forgotten_at_once() {
        let hub = Hub::builder().build().unwrap();
        let connection = Arc::new(Connection::unconnected());
        let mut calls = Calls::new(&hub);
        let ask = |id: u64| {
            let message = HubMessage::ask(id.into(), "m", Arguments::none());
            Question::new(id.into(), Arc::new(Frames::new(message)))
        };
        let woken = Arc::new(Counted::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = TaskContext::from_waker(&waker);
        let (question, unread) = ask(1);
        assert!(calls.ask(question));
        assert!(calls.poll(&mut cx, &hub, &connection).is_ready());
        assert_eq!((woken.0.load(Relaxed), calls.questions.len()), (0, 1));
        drop(unread);
        assert_eq!(woken.0.load(Relaxed), 1, "the task is told");
        assert!(calls.poll(&mut cx, &hub, &connection).is_ready());
        assert_eq!(calls.questions.capacity(), 0);
        let (question, unread) = ask(2);
        drop(unread);
        assert!(!calls.ask(question), "nobody waits for this from the beginning");
    }
}
