//! The one task of a pipe: it moves bytes between two sockets and does what [`Relay`] decides.
//!
//! A hand-written poll, not a `select!`: a message in either direction costs one read and one
//! write, and the idle task holds no buffer. Each turn, in this order: what others ask, the dial,
//! backend to client, client to backend, the clock.

mod receipt;
mod timer;

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, ready},
    time::Duration,
};

use everwire_proto::{time::Time, ws::close::CloseCode};
use everwire_socket::bytes::{ByteSocket, SLICES_MAX};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
};

use self::{receipt::Receipt, timer::Timer};
use crate::{
    bell::Ask,
    clock,
    dial::{Leg, LegError},
    handle::PipeHandle,
    pool::SessionGuard,
    relay::{DialFailure, DialWish, End, LegUp, Note, Relay, SocketWish, Tally, Who, Why},
    route::{LegPlan, Route},
};

/// An open pipe: a client that has got its 101, and its backend.
///
/// It does nothing until [`PersistentPipe::run`] is awaited; dropping it drops both sockets.
pub struct PersistentPipe<S> {
    client: Option<ByteSocket<S>>,
    leg: Option<LegSocket>,
    redial: Option<Box<Redial>>,
    relay: Relay,
    handle: Arc<PipeHandle>,
    route: Arc<Route>,
    timer: Timer,
}

/// How a pipe ended, for whoever ran it.
#[derive(Debug, Clone)]
pub struct PipeEnd {
    /// Who ended it.
    pub who: Who,
    /// Why.
    pub why: Why,
    /// The close code that the client was told, or told us; 1005 and 1006 as in RFC 6455.
    pub code: u16,
    /// The reason in words that went with it.
    pub reason: Box<str>,
    /// What has gone through.
    pub tally: Tally,
    /// Messages from the client that no backend has confirmed.
    pub unconfirmed: u64,
    /// How long the pipe was open.
    pub duration: Duration,
}

/// What a pipe holds that has lost a leg.
enum Redial {
    /// A dial is under way.
    Under(Dial),
    /// A leg is up, and the pipe's oldest message is suspected of ending backends: as long as this
    /// is held no other such pipe of the pool has one.
    Alone(OwnedSemaphorePermit),
}

type Dial = Pin<Box<dyn Future<Output = Dialled> + Send>>;
type Dialled = (Result<Leg, LegError>, Option<OwnedSemaphorePermit>);

struct LegSocket {
    socket: ByteSocket<TcpStream>,
    guard: SessionGuard,
    receipt: Receipt,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> PersistentPipe<S> {
    pub(crate) fn new(
        stream: S,
        read_ahead: &[u8],
        leg: Leg,
        handle: Arc<PipeHandle>,
        route: Arc<Route>,
    ) -> Self {
        let now = clock::now();
        let up = LegUp { received: leg.welcome.client_received };
        let deflate = leg.welcome.agreed.deflate.is_some();
        let mut relay = Relay::new(route.config.clone(), now, deflate, up, rand::random());
        relay.handle_leg_data(now, &leg.read_ahead);
        relay.handle_client_data(now, read_ahead);
        let mut pipe = Self {
            client: Some(ByteSocket::new(stream)),
            leg: None,
            redial: None,
            relay,
            handle,
            route,
            timer: Timer::default(),
        };
        pipe.take_leg(leg.stream, leg.guard);
        pipe
    }

    /// Moves messages until the pipe ends; counts, logs and gives how it did.
    ///
    /// The future is the pipe itself: whoever runs many keeps each in a task of its own.
    pub const fn run(self) -> Running<S> {
        Running(self)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let mut now = clock::now();
        let stale = self.handle.bell.answer_to(cx.waker());
        self.obey(now);
        loop {
            self.poll_io(cx, now);
            match self.poll_timer(cx, now, stale) {
                Poll::Ready(later) => now = later,
                Poll::Pending => break,
            }
        }
        self.settle_accounts(now);
        match self.relay.finished() {
            Some(end) => Poll::Ready(end.clone()),
            None => Poll::Pending,
        }
    }

    /// Moves bytes until both sockets have nothing more to give or take.
    ///
    /// Each direction is read dry and written before the other is looked at; only what changes
    /// which sockets there are, or whether they are read, is a reason to look again.
    fn poll_io(&mut self, cx: &mut Context<'_>, now: Time) {
        loop {
            let before = (self.relay.client_wish(), self.relay.leg_wish());
            let dialled = self.poll_dial(cx, now);
            while self.read_leg(cx, now) {
                self.write_client(cx, now);
            }
            while self.read_client(cx, now) {
                self.write_leg(cx, now);
            }
            self.write_client(cx, now);
            self.write_leg(cx, now);
            let dropped = self.drop_sockets(cx, now);
            let after = (self.relay.client_wish(), self.relay.leg_wish());
            if !dialled && !dropped && before == after {
                break;
            }
        }
    }

    /// Does what others have asked for.
    fn obey(&mut self, now: Time) {
        let asked = self.handle.bell.take();
        if asked.is_empty() {
            return;
        }
        if asked.has(Ask::Move) {
            self.relay.handle_move(now);
        }
        let (who, why, code, reason) = if asked.has(Ask::Stop) {
            (Who::Gateway, Why::Stopping, CloseCode::GOING_AWAY, "gateway stopping")
        } else if asked.has(Ask::Close) {
            (Who::Operator, Why::Closed, CloseCode::POLICY, "closed by the operator")
        } else if asked.has(Ask::Shed) {
            (Who::Gateway, Why::Overload, CloseCode::TRY_AGAIN, "gateway holds too much")
        } else {
            return;
        };
        self.relay.handle_close(now, End::new(who, why, code, reason));
    }

    /// Dials where a leg is wanted; gives whether one has come.
    fn poll_dial(&mut self, cx: &mut Context<'_>, now: Time) -> bool {
        let Some(wish) = self.relay.dial_wish() else {
            self.redial.take_if(|redial| matches!(**redial, Redial::Under(_)));
            return false;
        };
        if self.leg.is_some() {
            return false;
        }
        let mut dial = match self.redial.take().map(|redial| *redial) {
            Some(Redial::Under(dial)) => dial,
            Some(Redial::Alone(held)) => self.begin_dial(wish, Some(held)),
            None => self.begin_dial(wish, None),
        };
        let Poll::Ready((outcome, alone)) = dial.as_mut().poll(cx) else {
            self.redial = Some(Box::new(Redial::Under(dial)));
            return false;
        };
        self.redial = alone.map(|alone| Box::new(Redial::Alone(alone)));
        self.take_dialled(now, outcome);
        true
    }

    fn take_dialled(&mut self, now: Time, outcome: Result<Leg, LegError>) {
        match outcome {
            Ok(leg) => {
                self.relay.handle_leg_up(now, LegUp { received: leg.welcome.client_received });
                self.take_leg(leg.stream, leg.guard);
                self.relay.handle_leg_data(now, &leg.read_ahead);
            }
            Err(LegError::Unauthorized) => {
                self.relay.handle_dial_failed(now, DialFailure::Unauthorized);
            }
            Err(error) => {
                let failure = DialFailure::Mismatch(error.to_string());
                self.relay.handle_dial_failed(now, failure);
            }
        }
    }

    fn begin_dial(&self, wish: DialWish, held: Option<OwnedSemaphorePermit>) -> Dial {
        let plan = LegPlan {
            handle: self.handle.clone(),
            leg: u64::from(self.relay.tally().legs) + 1,
            client_next: self.relay.client_next(),
            server_count: self.relay.server_count(),
        };
        let route = self.route.clone();
        Box::pin(async move {
            let alone = match (wish.alone, held) {
                (false, _) => None,
                (true, Some(held)) => Some(held),
                (true, None) => route.pool.alone().await,
            };
            (route.dial_again(&plan).await, alone)
        })
    }

    fn take_leg(&mut self, stream: TcpStream, guard: SessionGuard) {
        self.handle.backend.store(guard.backend().0, Relaxed);
        // A backend that began to drain while it was being dialled did not find this pipe.
        if !guard.is_wanted() {
            self.relay.handle_move(clock::now());
        }
        self.leg =
            Some(LegSocket { socket: ByteSocket::new(stream), guard, receipt: Receipt::default() });
    }

    fn read_leg(&mut self, cx: &mut Context<'_>, now: Time) -> bool {
        if !self.relay.leg_wish().reads() {
            return false;
        }
        let Some(leg) = &mut self.leg else { return false };
        let relay = &mut self.relay;
        match leg.socket.poll_read(cx, |bytes| relay.handle_leg_data(now, bytes)) {
            Poll::Pending => false,
            Poll::Ready(Ok(count)) if count > 0 => true,
            Poll::Ready(end) => {
                let Poll::Ready(clean) = self.poll_clean(cx, end.is_ok()) else { return false };
                self.lose_leg(now, clean);
                true
            }
        }
    }

    /// Whether the backend took everything before it ended; ready at once if nothing hangs on it.
    fn poll_clean(&mut self, cx: &mut Context<'_>, in_order: bool) -> Poll<bool> {
        match &mut self.leg {
            Some(leg) if in_order && self.relay.is_confirmed_by_end() => {
                leg.receipt.poll(&mut leg.socket, cx)
            }
            _ => Poll::Ready(false),
        }
    }

    fn lose_leg(&mut self, now: Time, clean: bool) {
        if let Some(leg) = self.leg.take() {
            self.handle.backend.store(0, Relaxed);
            if !self.relay.has_left_leg() {
                leg.guard.ended();
            }
            self.relay.handle_leg_end(now, clean);
        }
    }

    fn read_client(&mut self, cx: &mut Context<'_>, now: Time) -> bool {
        if !self.relay.client_wish().reads() {
            return false;
        }
        let Some(client) = &mut self.client else { return false };
        let relay = &mut self.relay;
        match client.poll_read(cx, |bytes| relay.handle_client_data(now, bytes)) {
            Poll::Pending => false,
            Poll::Ready(Ok(count)) if count > 0 => true,
            Poll::Ready(_) => {
                self.client = None;
                relay.handle_client_end(now);
                true
            }
        }
    }

    fn write_client(&mut self, cx: &mut Context<'_>, now: Time) {
        let Some(client) = &mut self.client else { return };
        loop {
            let mut slices: [&[u8]; SLICES_MAX] = [&[]; SLICES_MAX];
            let count = self.relay.client_output(&mut slices);
            if count == 0 {
                break;
            }
            let wanted: usize = slices[..count].iter().map(|slice| slice.len()).sum();
            match client.poll_write(cx, &slices[..count]) {
                Poll::Pending => return self.relay.handle_client_wrote(now, 0, true),
                Poll::Ready(Ok(taken)) if taken > 0 => {
                    self.relay.handle_client_wrote(now, taken, taken < wanted);
                }
                Poll::Ready(_) => {
                    self.client = None;
                    return self.relay.handle_client_end(now);
                }
            }
        }
    }

    fn write_leg(&mut self, cx: &mut Context<'_>, now: Time) {
        let Some(leg) = &mut self.leg else { return };
        if matches!(self.relay.leg_wish(), SocketWish::Drop | SocketWish::Reset) {
            return;
        }
        loop {
            let mut slices: [&[u8]; SLICES_MAX] = [&[]; SLICES_MAX];
            let count = self.relay.leg_output(now, &mut slices);
            if count == 0 {
                break;
            }
            let wanted: usize = slices[..count].iter().map(|slice| slice.len()).sum();
            match leg.socket.poll_write(cx, &slices[..count]) {
                Poll::Pending => return self.relay.handle_leg_wrote(now, 0, true),
                Poll::Ready(Ok(taken)) if taken > 0 => {
                    self.relay.handle_leg_wrote(now, taken, taken < wanted);
                }
                // What the backend sent before it went away is still to be read.
                Poll::Ready(_) => return,
            }
        }
    }

    /// Shuts, drops or resets sockets as wished; gives whether the relay has learnt of one.
    fn drop_sockets(&mut self, cx: &mut Context<'_>, now: Time) -> bool {
        match self.relay.client_wish() {
            SocketWish::Drop | SocketWish::Reset => self.client = None,
            SocketWish::Finish if self.relay.client_output(&mut [&[]]) == 0 => {
                if let Some(client) = &mut self.client {
                    client.poll_finish(cx);
                }
            }
            SocketWish::Finish | SocketWish::Keep { .. } => {}
        }
        match self.relay.leg_wish() {
            SocketWish::Drop => {
                self.leg = None;
                self.handle.backend.store(0, Relaxed);
            }
            SocketWish::Reset => {
                if let Some(leg) = &self.leg {
                    let _ = leg.socket.stream().set_zero_linger();
                    self.lose_leg(now, false);
                    return true;
                }
            }
            SocketWish::Finish if self.relay.leg_output(now, &mut [&[]]) == 0 => {
                if let Some(leg) = &mut self.leg {
                    leg.socket.poll_finish(cx);
                }
            }
            SocketWish::Finish | SocketWish::Keep { .. } => {}
        }
        false
    }

    /// Does what is due; ready with the new instant as long as something was.
    fn poll_timer(&mut self, cx: &mut Context<'_>, now: Time, stale: bool) -> Poll<Time> {
        let Some(at) = self.relay.poll_timeout() else { return Poll::Pending };
        if at <= now {
            self.relay.handle_timeout(now);
            return Poll::Ready(now);
        }
        ready!(self.timer.poll(cx, now, at, stale));
        Poll::Ready(clock::now())
    }

    fn settle_accounts(&mut self, now: Time) {
        let buffered = self.relay.charged();
        self.route.gateway.account(self.handle.buffered(), buffered);
        self.handle.show(&self.relay, buffered);
        let over = buffered > BUFFERED_ALWAYS && self.route.gateway.is_over_budget();
        self.relay.handle_pause(now, over);
        if over && self.relay.is_waiting() {
            self.route.gateway.shed_largest();
        }
        if self.redial.is_some() && !self.relay.is_suspect() {
            self.redial.take_if(|redial| matches!(**redial, Redial::Alone(_)));
        }
        for note in self.relay.take_notes() {
            self.log(&note);
        }
    }

    fn log(&self, note: &Note) {
        self.route.gateway.metrics().note(note);
        let (pipe, route) = (self.handle.id.0, &*self.route.name);
        match note {
            Note::LegLost { loss, code, unconfirmed } => {
                let how = loss.as_str();
                tracing::debug!(pipe, route, how, code, unconfirmed, "backend lost, client kept");
            }
            Note::BackendBrokeRules { reason } => {
                tracing::warn!(pipe, route, reason, "backend broke the WebSocket protocol");
            }
            Note::Unconfirmable => {
                tracing::warn!(pipe, route, "backend answers no Ping: delivery is at most once");
            }
        }
    }

    fn log_end(&self, end: &PipeEnd) {
        tracing::info!(
            pipe = self.handle.id.0,
            route = &*self.route.name,
            client = %self.handle.client,
            path = self.handle.forwarded.path(),
            who = end.who.as_str(),
            why = end.why.as_str(),
            code = end.code,
            reason = &*end.reason,
            seconds = end.duration.as_secs_f64(),
            legs = end.tally.legs,
            client_messages = end.tally.up_messages,
            client_bytes = end.tally.up_bytes,
            backend_messages = end.tally.down_messages,
            backend_bytes = end.tally.down_bytes,
            replayed = end.tally.replayed,
            unconfirmed = end.unconfirmed,
            "pipe closed"
        );
    }

    fn ended(&self, end: &End) -> PipeEnd {
        PipeEnd {
            who: end.who,
            why: end.why,
            code: end.close.reported_code().0,
            reason: end.close.reason.clone(),
            tally: self.relay.tally(),
            unconfirmed: self.relay.unconfirmed(),
            duration: clock::now().saturating_since(self.handle.since),
        }
    }
}

/// A pipe at work; see [`PersistentPipe::run`].
#[must_use = "a pipe does nothing until it is awaited"]
pub struct Running<S>(PersistentPipe<S>);

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Future for Running<S> {
    type Output = PipeEnd;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<PipeEnd> {
        let pipe = &mut self.0;
        let end = ready!(pipe.poll(cx));
        let end = pipe.ended(&end);
        pipe.route.gateway.metrics().closed(&end);
        pipe.log_end(&end);
        Poll::Ready(end)
    }
}

impl<S> Drop for PersistentPipe<S> {
    fn drop(&mut self) {
        self.route.gateway.account(self.handle.buffered(), 0);
        self.route.gateway.forget(&self.handle, self.relay.tally());
    }
}

/// Memory that a pipe may use however much the process holds, in bytes.
const BUFFERED_ALWAYS: usize = 16 * 1024;
