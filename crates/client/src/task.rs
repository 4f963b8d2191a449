//! The one task of a connection: it moves bytes, calls and answers, and does what [`Session`]
//! decides.

mod delivery;
mod waiting;

use std::{future::pending, pin::Pin, sync::Arc};

use bytes::Bytes;
use everwire_proto::{signalr::message::Invocation, time::Time};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{AbortHandle, JoinSet},
    time::sleep_until,
};
use tokio_util::sync::CancellationToken;

use crate::{
    call::{Cancellations, Command, Reply},
    carrier::{Carrier, Socket},
    clock,
    dial::{Dialer, Dialled, Route},
    dispatch::{Handlers, dispatch},
    error::{CloseReason, ConnectError, SendError},
    session::{CallId, CallKind, Epoch, Session, SessionConfig, Wish},
    state::State,
};
use delivery::{Parked, room};
use waiting::{End, Waiting};

/// What a task is made of.
pub(crate) struct TaskConfig {
    pub(crate) session: SessionConfig,
    pub(crate) handler_queue_max: usize,
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) handlers: Arc<Handlers>,
    pub(crate) cancellations: Arc<Cancellations>,
    /// For uploads, which say their items as the application says everything else.
    pub(crate) command_tx: mpsc::Sender<Command>,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) state: watch::Sender<State>,
    /// Who waits for the first connection.
    pub(crate) started: Option<oneshot::Sender<Result<(), ConnectError>>>,
    pub(crate) stop: CancellationToken,
}

/// A connection at work.
pub(crate) struct Task {
    config: TaskConfig,
    session: Session,
    carrier: Option<Carrier>,
    dial: Option<Dial>,
    /// How to attach another socket to the session.
    route: Option<Route>,
    /// The last transport, which is being closed.
    farewell: JoinSet<()>,
    waiting: Waiting,
    uploads: JoinSet<()>,
    /// What there is no room for.
    parked: Option<Parked>,
    calls: mpsc::Sender<(Epoch, Invocation)>,
    answers: mpsc::Receiver<(Epoch, Bytes)>,
    dispatcher: JoinSet<()>,
}

type Dial = Pin<Box<dyn Future<Output = Result<Box<Opened>, ConnectError>> + Send>>;

/// What dialling has given.
enum Opened {
    New(Dialled),
    Again(Box<Socket>),
}

/// What a turn of the loop is for.
enum Turn {
    Stop,
    Cancel(Vec<CallId>),
    Answer(Epoch, Bytes),
    Command(Command),
    Dialled(Result<Box<Opened>, ConnectError>),
    Exchanged(Result<Option<Vec<u8>>, Arc<str>>),
    Panicked,
    Idle,
}

impl Task {
    pub(crate) fn new(config: TaskConfig) -> Self {
        let (calls, call_rx) = mpsc::channel(config.handler_queue_max.max(1));
        let (answer_tx, answers) = mpsc::channel(1);
        let mut dispatcher = JoinSet::new();
        let handlers = config.handlers.clone();
        dispatcher.spawn(dispatch(handlers, config.session.protocol, call_rx, answer_tx));
        Self {
            session: Session::new(config.session.clone(), clock::now(), rand::random()),
            config,
            carrier: None,
            dial: None,
            route: None,
            farewell: JoinSet::new(),
            waiting: Waiting::default(),
            uploads: JoinSet::new(),
            parked: None,
            calls,
            answers,
            dispatcher,
        }
    }

    /// Runs until the connection is closed for good.
    pub(crate) async fn run(mut self) {
        let why = loop {
            let now = clock::now();
            if let Some(why) = self.obey(now) {
                break why;
            }
            if self.session.poll_timeout().is_some_and(|deadline| deadline <= now) {
                self.session.handle_timeout(now);
                continue;
            }
            let turn = self.wait().await;
            self.handle(clock::now(), turn);
        };
        self.finish(why).await;
    }

    /// Waits for whatever comes first. What the application says precedes what the server does: it
    /// is bounded by the room for it, and then the socket has its turn, while servers have no bound.
    async fn wait(&mut self) -> Turn {
        let queued = self.carrier.as_ref().map_or(0, Carrier::queued);
        let takes_answers = self.session.takes_answers(queued);
        let takes_calls = self.session.takes_calls(queued);
        let reads = matches!(self.session.wish(), Wish::Keep { read: true });
        let deadline = self.session.poll_timeout();
        tokio::select! {
            biased;
            () = self.config.stop.cancelled() => Turn::Stop,
            ids = self.config.cancellations.take() => Turn::Cancel(ids),
            Some((epoch, answer)) = self.answers.recv(), if takes_answers => {
                Turn::Answer(epoch, answer)
            }
            Some(command) = self.config.commands.recv(), if takes_calls => Turn::Command(command),
            opened = dialled(&mut self.dial) => Turn::Dialled(opened),
            exchanged = exchange(&mut self.carrier, reads) => Turn::Exchanged(exchanged),
            () = room(self.parked.as_ref(), &self.calls, &self.waiting) => Turn::Idle,
            Some(_) = self.uploads.join_next() => Turn::Idle,
            _ = self.dispatcher.join_next() => Turn::Panicked,
            () = reached(deadline) => Turn::Idle,
        }
    }

    fn handle(&mut self, now: Time, turn: Turn) {
        match turn {
            Turn::Stop => self.session.handle_stop(CloseReason::Stopped),
            Turn::Cancel(ids) => {
                for id in ids {
                    self.session.handle_cancel(now, id);
                    self.waiting.forget(id);
                }
            }
            Turn::Answer(epoch, answer) => self.session.handle_answer(now, epoch, answer),
            Turn::Command(command) => self.handle_command(now, command),
            Turn::Dialled(opened) => self.handle_dialled(now, opened),
            Turn::Exchanged(exchanged) => self.handle_exchanged(now, exchanged),
            Turn::Panicked => self.session.handle_stop(CloseReason::HandlerPanicked),
            Turn::Idle => {}
        }
    }

    fn handle_command(&mut self, now: Time, command: Command) {
        let Command { message, reply, uploads } = command;
        if reply.is_dropped() {
            return;
        }
        let calls_max = self.config.session.calls_max;
        let call = match &reply {
            Reply::Said(_) => None,
            Reply::Once(id, _) => Some((*id, CallKind::Once)),
            Reply::Stream(id, ..) => Some((*id, CallKind::Stream)),
        };
        let said = if self.uploads.len() + uploads.len() > calls_max {
            Err(SendError::TooManyCalls(calls_max))
        } else {
            self.session.handle_call(now, message, call)
        };
        let uploads = if said.is_ok() { uploads } else { Vec::new() };
        let uploads: Vec<AbortHandle> = uploads
            .into_iter()
            .map(|pump| self.uploads.spawn(pump.run(self.config.command_tx.clone())))
            .collect();
        self.reply(said, reply, uploads);
    }

    /// Tells whoever waits whether it is said; nobody may wait any more.
    fn reply(&mut self, said: Result<(), SendError>, reply: Reply, uploads: Vec<AbortHandle>) {
        match reply {
            Reply::Said(waits) => {
                let _ = waits.send(said);
            }
            Reply::Once(id, waits) => match said {
                Ok(()) => {
                    self.waiting.insert(id, End::Once(waits), uploads);
                }
                Err(error) => {
                    let _ = waits.send(Err(error.into()));
                }
            },
            Reply::Stream(id, waits, items) => {
                if said.is_ok() {
                    self.waiting.insert(id, End::Stream(items), uploads);
                }
                let _ = waits.send(said);
            }
        }
    }

    fn handle_dialled(&mut self, now: Time, opened: Result<Box<Opened>, ConnectError>) {
        self.dial = None;
        match opened.map(|opened| *opened) {
            Ok(Opened::New(Dialled { carrier, linked, route })) => {
                self.carrier = Some(carrier);
                self.route = Some(route);
                self.session.handle_dialled(now, linked);
            }
            Ok(Opened::Again(socket)) => {
                self.carrier = Some(Carrier::WebSocket(socket));
                self.session.handle_resumed(now);
            }
            Err(error) => {
                tracing::debug!(%error, "cannot connect");
                self.session.handle_dial_failed(now, error);
            }
        }
    }

    fn handle_exchanged(&mut self, now: Time, exchanged: Result<Option<Vec<u8>>, Arc<str>>) {
        match exchanged {
            Ok(Some(bytes)) => self.session.handle_data(now, bytes),
            Ok(None) => {}
            Err(why) => {
                self.carrier = None;
                self.session.handle_socket_end(now, why);
            }
        }
    }

    /// Does what the session wants; gives why it has ended.
    fn obey(&mut self, now: Time) -> Option<CloseReason> {
        self.deliver(now);
        while let Some(output) = self.session.poll_output() {
            if let Some(carrier) = &mut self.carrier {
                carrier.enqueue(&output);
            }
        }
        let wish = self.session.wish();
        if !matches!(wish, Wish::Keep { .. }) {
            self.part();
        }
        match wish {
            Wish::Dial if self.dial.is_none() => {
                let dialer = self.config.dialer.clone();
                self.dial =
                    Some(Box::pin(
                        async move { dialer.dial().await.map(Opened::New).map(Box::new) },
                    ));
            }
            Wish::Resume if self.dial.is_none() => {
                let (dialer, route) = (self.config.dialer.clone(), self.route.clone()?);
                self.dial = Some(Box::pin(async move {
                    let socket = dialer.attach(&route).await?;
                    Ok(Box::new(Opened::Again(Box::new(socket))))
                }));
            }
            Wish::Dial | Wish::Resume => {}
            Wish::Keep { .. } | Wish::Rest => self.dial = None,
            Wish::End(why) => return Some(why),
        }
        None
    }

    fn change(&mut self, state: State) {
        match &state {
            State::Reconnecting { loss } => tracing::info!(%loss, "reconnecting"),
            _ => tracing::info!("connected"),
        }
        if let Some(started) = self.config.started.take() {
            let _ = started.send(Ok(()));
        }
        self.config.state.send_replace(state);
    }

    /// Closes the transport beside whatever comes next.
    fn part(&mut self) {
        let Some(carrier) = self.carrier.take() else { return };
        // One that is still being closed is dropped.
        self.farewell = JoinSet::new();
        self.farewell.spawn(carrier.close());
    }

    async fn finish(mut self, why: CloseReason) {
        tracing::info!(%why, "closed");
        self.config.cancellations.close();
        self.config.handlers.clear();
        while self.farewell.join_next().await.is_some() {}
        if let Some(started) = self.config.started.take() {
            let _ = started.send(Err(match &why {
                CloseReason::NeverConnected(error) => error.clone(),
                _ => ConnectError::Stopped,
            }));
        }
        self.config.state.send_replace(State::Closed { why: Arc::new(why) });
    }
}

async fn dialled(dial: &mut Option<Dial>) -> Result<Box<Opened>, ConnectError> {
    match dial {
        Some(dial) => dial.await,
        None => pending().await,
    }
}

/// Writes, and reads if asked to; gives `None` when there is room to write more.
async fn exchange(carrier: &mut Option<Carrier>, reads: bool) -> Result<Option<Vec<u8>>, Arc<str>> {
    match carrier {
        Some(carrier) if reads || carrier.queued() > 0 => carrier.exchange(reads).await,
        _ => pending().await,
    }
}

async fn reached(deadline: Option<Time>) {
    match deadline {
        Some(deadline) => sleep_until(clock::instant_at(deadline)).await,
        None => pending().await,
    }
}
