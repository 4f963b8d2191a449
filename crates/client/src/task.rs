//! The one task of a connection: it moves bytes, calls and answers, and does what [`Session`]
//! decides.

mod waiting;

use std::{future::pending, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use everwire_proto::{
    signalr::{TransferFormat, message::Invocation, payload::Payload},
    time::Time,
    ws::{close::CloseCode, message::Message},
};
use everwire_socket::message::SocketError;
use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot, watch,
    },
    task::{AbortHandle, JoinSet},
    time::{sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    call::{Cancellations, Command, Reply},
    clock,
    dial::{Dialer, Dialled, Route, Socket},
    dispatch::{Handlers, dispatch},
    error::{CloseReason, ConnectError, InvokeError, SendError},
    session::{Blocker, CallId, CallKind, Epoch, Event, Output, Session, SessionConfig, Wish},
    state::State,
};
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
    socket: Option<Socket>,
    dial: Option<Dial>,
    /// How to attach another socket to the session.
    route: Option<Route>,
    /// The last socket, which is being closed.
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
    Again(Socket),
}

/// What the session gave and nobody takes yet.
enum Parked {
    Invocation(Epoch, Invocation),
    Item(CallId, Payload),
}

/// What a turn of the loop is for.
enum Turn {
    Stop,
    Cancel(Vec<CallId>),
    Answer(Epoch, Bytes),
    Command(Command),
    Dialled(Result<Box<Opened>, ConnectError>),
    Socket(Result<Option<Message>, SocketError>),
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
            socket: None,
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
        let queued = self.socket.as_ref().map_or(0, Socket::queued);
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
            exchanged = exchange(&mut self.socket, reads) => Turn::Socket(exchanged),
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
            Turn::Socket(exchanged) => self.handle_exchanged(now, exchanged),
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
            Ok(Opened::New(Dialled { socket, linked, route })) => {
                self.socket = Some(socket);
                self.route = Some(route);
                self.session.handle_dialled(now, linked);
            }
            Ok(Opened::Again(socket)) => {
                self.socket = Some(socket);
                self.session.handle_resumed(now);
            }
            Err(error) => {
                tracing::debug!(%error, "cannot connect");
                self.session.handle_dial_failed(now, error);
            }
        }
    }

    fn handle_exchanged(&mut self, now: Time, exchanged: Result<Option<Message>, SocketError>) {
        let end = match exchanged {
            Ok(Some(Message::Text(text))) => {
                return self.session.handle_data(now, text.into_bytes());
            }
            Ok(Some(Message::Binary(bytes))) => return self.session.handle_data(now, bytes),
            Ok(Some(Message::Ping(_) | Message::Pong(_)) | None) => return,
            Ok(Some(Message::Close(close))) => {
                format!("WebSocket closed with status code: {}", close.reported_code())
            }
            Err(error) => error.to_string(),
        };
        self.socket = None;
        self.session.handle_socket_end(now, end);
    }

    /// Does what the session wants; gives why it has ended.
    fn obey(&mut self, now: Time) -> Option<CloseReason> {
        self.deliver(now);
        while let Some(Output { format, bytes }) = self.session.poll_output() {
            if let Some(socket) = &mut self.socket {
                socket.enqueue(&message(format, &bytes));
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
                    dialer.attach(&route).await.map(Opened::Again).map(Box::new)
                }));
            }
            Wish::Dial | Wish::Resume => {}
            Wish::Keep { .. } | Wish::Rest => self.dial = None,
            Wish::End(why) => return Some(why),
        }
        None
    }

    /// Delivers what there is room for.
    fn deliver(&mut self, now: Time) {
        if let Some(parked) = self.parked.take()
            && self.put(now, parked)
        {
            self.session.handle_unblocked(now);
        }
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::State(state) => self.change(state),
                Event::Invocation(epoch, invocation) => {
                    self.put(now, Parked::Invocation(epoch, invocation));
                }
                Event::Item(id, item) => {
                    self.put(now, Parked::Item(id, item));
                }
                Event::Completed(id, outcome) => self.waiting.complete(id, Ok(outcome)),
                Event::Overrun(id, limit) => {
                    self.waiting.complete(id, Err(InvokeError::Overrun(limit)));
                }
                Event::CallsLost => {
                    self.waiting.lose_all();
                    self.uploads.abort_all();
                }
            }
        }
    }

    /// Hands something to whoever takes it, or keeps it until there is room; whether there was.
    fn put(&mut self, now: Time, parked: Parked) -> bool {
        let (refused, by) = match parked {
            Parked::Invocation(epoch, invocation) => {
                match self.calls.try_send((epoch, invocation)) {
                    Err(TrySendError::Full((epoch, invocation))) => {
                        (Parked::Invocation(epoch, invocation), Blocker::Handlers)
                    }
                    Ok(()) | Err(TrySendError::Closed(_)) => return true,
                }
            }
            Parked::Item(id, item) => match self.waiting.give(id, item) {
                Err(item) => (Parked::Item(id, item), Blocker::Stream(id)),
                Ok(()) => return true,
            },
        };
        self.session.handle_blocked(now, by);
        self.parked = Some(refused);
        false
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

    /// Closes the socket beside whatever comes next.
    fn part(&mut self) {
        let Some(mut socket) = self.socket.take() else { return };
        // One that is still being closed is dropped.
        self.farewell = JoinSet::new();
        self.farewell.spawn(async move {
            // What goes wrong at the end changes nothing.
            let _ = timeout(CLOSE_TIMEOUT, socket.close(CloseCode::NORMAL, "")).await;
        });
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
async fn exchange(
    socket: &mut Option<Socket>,
    reads: bool,
) -> Result<Option<Message>, SocketError> {
    match socket {
        Some(socket) if reads => socket.exchange().await,
        Some(socket) if socket.queued() > 0 => socket.flush().await.map(|()| None),
        _ => pending().await,
    }
}

/// Waits until there is room for what is parked, or nobody takes it any more.
async fn room(
    parked: Option<&Parked>,
    calls: &mpsc::Sender<(Epoch, Invocation)>,
    waiting: &Waiting,
) {
    match parked {
        None => pending().await,
        Some(Parked::Invocation(..)) => drop(calls.reserve().await),
        Some(Parked::Item(id, _)) => waiting.room(*id).await,
    }
}

async fn reached(deadline: Option<Time>) {
    match deadline {
        Some(deadline) => sleep_until(clock::instant_at(deadline)).await,
        None => pending().await,
    }
}

fn message(format: TransferFormat, bytes: &Bytes) -> Message {
    match format {
        // What is written as JSON is text.
        TransferFormat::Text => Message::Text(String::from_utf8_lossy(bytes).into_owned()),
        TransferFormat::Binary => Message::Binary(bytes.to_vec()),
    }
}

/// How long a server may take to answer our Close, as in the official server.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
