//! A session under a virtual clock.

mod world;

use everwire_proto::signalr::{
    Reader,
    message::{Invocation, Outcome},
    payload::Arguments,
};

use super::*;
use crate::state::ConnectionId;

const SECOND: Duration = Duration::from_secs(1);

fn config() -> SessionConfig {
    SessionConfig {
        protocol: Protocol::Json,
        reconnect: ReconnectPolicy::default(),
        connect_timeout: 15 * SECOND,
        server_timeout: 30 * SECOND,
        keep_alive: 15 * SECOND,
        message_max: 1 << 20,
        calls_max: 3,
    }
}

/// A session, its clock, and what a test does with them.
struct Rig {
    session: Session,
    now: Time,
}

impl Rig {
    fn new(config: SessionConfig) -> Self {
        Self { session: Session::new(config, Time::default(), 7), now: Time::default() }
    }

    /// A session that is open and has said its first ping.
    fn open(is_stateful: bool) -> Self {
        let mut rig = Self::new(config());
        rig.shake(is_stateful);
        assert!(matches!(rig.event(), Some(Event::State(State::Connected { .. }))));
        rig
    }

    fn shake(&mut self, is_stateful: bool) {
        let connection_id = Some(ConnectionId::new("one"));
        let upkeep = if is_stateful { Upkeep::Kept } else { Upkeep::Pinged };
        self.session.handle_dialled(self.now, Linked { connection_id, upkeep });
        let version = if is_stateful { 2 } else { 1 };
        let handshake = format!("{{\"protocol\":\"json\",\"version\":{version}}}\u{1e}");
        assert_eq!(self.said(), [handshake]);
        self.hear("{}\u{1e}");
        assert_eq!(self.said(), ["{\"type\":6}\u{1e}"]);
    }

    fn hear(&mut self, text: &str) {
        self.session.handle_data(self.now, text.into());
    }

    fn said(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.session.poll_output())
            .map(|output| String::from_utf8(output.bytes.into()).unwrap())
            .collect()
    }

    fn event(&mut self) -> Option<Event> {
        self.session.poll_event()
    }

    fn say(&mut self, length: usize) -> Result<(), SendError> {
        let message = Bytes::from(vec![b'x'; length]);
        self.session.handle_call(self.now, message, None)
    }

    fn call(&mut self, id: u64, kind: CallKind) -> Result<(), SendError> {
        let message = Bytes::from_static(b"call");
        self.session.handle_call(self.now, message, Some((CallId(id), kind)))
    }

    /// Goes to the next deadline; gives how long that took.
    fn wait(&mut self) -> Duration {
        let deadline = self.session.poll_timeout().unwrap();
        let waited = deadline.saturating_since(self.now);
        self.now = self.now.max(deadline);
        self.session.handle_timeout(self.now);
        waited
    }

    fn lose(&mut self) {
        self.session.handle_socket_end(self.now, "cut".into());
    }

    fn fail(&mut self) {
        self.session.handle_dial_failed(self.now, ConnectError::Status(503));
    }

    fn ended(&self) -> CloseReason {
        match self.session.wish() {
            Wish::End(why) => why,
            other => panic!("not ended: {other:?}"),
        }
    }

    fn assert_reconnecting(&mut self) {
        assert!(matches!(self.event(), Some(Event::CallsLost)));
        assert!(matches!(self.event(), Some(Event::State(State::Reconnecting { .. }))));
        assert!(matches!(self.session.wish(), Wish::Rest));
    }
}

const CALLED: &str = "{\"type\":1,\"target\":\"m\",\"arguments\":[]}\u{1e}";

#[test]
fn messages_may_follow_the_handshake_in_the_same_bytes() {
    let mut rig = Rig::new(config());
    let linked = Linked { connection_id: None, upkeep: Upkeep::Pinged };
    rig.session.handle_dialled(rig.now, linked);
    rig.hear("{");
    rig.hear(&format!("}}\u{1e}{CALLED}"));
    assert!(matches!(rig.event(), Some(Event::State(State::Connected { .. }))));
    assert!(matches!(rig.event(), Some(Event::Invocation(Epoch(1), _))));
}

#[test]
fn a_first_connection_that_fails_is_not_tried_again() {
    let mut dialling = Rig::new(config());
    dialling.fail();
    assert!(matches!(dialling.ended(), CloseReason::NeverConnected(ConnectError::Status(503))));

    let mut refused = Rig::new(config());
    let linked = Linked { connection_id: None, upkeep: Upkeep::Pinged };
    refused.session.handle_dialled(refused.now, linked.clone());
    refused.hear("{\"error\":\"no\"}\u{1e}");
    let CloseReason::NeverConnected(ConnectError::Handshake(error)) = refused.ended() else {
        panic!("{:?}", refused.ended());
    };
    assert_eq!(&*error, "no");

    let mut silent = Rig::new(config());
    assert_eq!(silent.wait(), 15 * SECOND);
    assert!(matches!(silent.ended(), CloseReason::NeverConnected(ConnectError::Timeout { .. })));

    let mut shaking = Rig::new(config());
    shaking.session.handle_dialled(shaking.now, linked);
    assert_eq!(shaking.wait(), 15 * SECOND);
    assert!(matches!(shaking.ended(), CloseReason::NeverConnected(ConnectError::Timeout { .. })));
}

#[test]
fn a_quiet_client_pings_and_a_silent_server_is_given_up() {
    let mut rig = Rig::open(false);
    assert_eq!(rig.wait(), 15 * SECOND);
    assert_eq!(rig.said(), ["{\"type\":6}\u{1e}"]);
    rig.now = rig.now + SECOND;
    rig.say(1).unwrap();
    rig.hear("{\"type\":6}\u{1e}");
    assert!(rig.event().is_none());
    assert_eq!(rig.wait(), 15 * SECOND);
    assert_eq!(rig.said().len(), 2, "what was said, and a ping 15 s after it");
    assert_eq!(rig.wait(), 15 * SECOND);
    assert!(matches!(rig.event(), Some(Event::CallsLost)));
    let Some(Event::State(State::Reconnecting { loss })) = rig.event() else { panic!() };
    assert_eq!(loss, Loss::ServerTimeout);
}

#[test]
fn polls_are_their_own_sign_of_life() {
    let mut rig = Rig::new(config());
    rig.session.handle_dialled(rig.now, Linked { connection_id: None, upkeep: Upkeep::Polled });
    assert_eq!(rig.said(), ["{\"protocol\":\"json\",\"version\":1}\u{1e}"]);
    rig.hear("{}\u{1e}");
    assert!(matches!(rig.event(), Some(Event::State(State::Connected { .. }))));
    assert_eq!(rig.session.poll_timeout(), None);
    rig.now = rig.now + 3600 * SECOND;
    rig.session.handle_timeout(rig.now);
    assert!(rig.said().is_empty() && rig.event().is_none());
    rig.hear(CALLED);
    assert!(matches!(rig.event(), Some(Event::Invocation(..))));
    rig.session.handle_blocked(rig.now, Blocker::Handlers);
    assert_eq!(rig.wait(), 30 * SECOND, "handlers have no more time than elsewhere");
    assert!(matches!(rig.ended(), CloseReason::HandlersStalled(_)));
}

#[test]
fn attempts_follow_the_policy_and_then_no_more() {
    let mut rig = Rig::open(false);
    rig.lose();
    rig.assert_reconnecting();
    for least in [0, 2, 10, 30] {
        let waited = rig.wait();
        assert!(least * SECOND <= waited && waited <= least * SECOND * 11 / 10, "{waited:?}");
        assert!(matches!(rig.session.wish(), Wish::Dial));
        assert!(matches!(rig.say(1), Err(SendError::NotConnected)));
        rig.fail();
    }
    assert!(matches!(rig.ended(), CloseReason::GaveUp { attempts: 4, .. }));
    assert!(matches!(rig.say(1), Err(SendError::Closed)));
}

#[test]
fn a_new_connection_is_a_stranger() {
    let mut rig = Rig::open(false);
    rig.hear(CALLED);
    let Some(Event::Invocation(epoch, _)) = rig.event() else { panic!() };
    rig.call(1, CallKind::Once).unwrap();
    rig.lose();
    rig.assert_reconnecting();
    rig.wait();
    rig.shake(false);
    assert!(matches!(rig.event(), Some(Event::State(State::Reconnected { .. }))));
    rig.session.handle_answer(rig.now, epoch, Bytes::from_static(b"late"));
    assert!(rig.said().is_empty(), "the new connection has asked nothing");
    rig.hear("{\"type\":3,\"invocationId\":\"1\",\"result\":1}\u{1e}");
    assert!(rig.event().is_none(), "a call of the old connection is over");
}

#[test]
fn a_stateful_session_is_resumed_once_and_at_once() {
    let mut rig = Rig::open(true);
    rig.say(3).unwrap();
    assert_eq!(rig.said(), ["xxx"]);
    rig.lose();
    assert!(matches!(rig.session.wish(), Wish::Resume));
    rig.say(2).unwrap();
    assert!(rig.said().is_empty());
    rig.session.handle_resumed(rig.now);
    assert_eq!(rig.said(), ["{\"type\":9,\"sequenceId\":1}\u{1e}", "xxx", "xx"]);
    assert!(rig.event().is_none(), "nobody notices");
    rig.lose();
    rig.assert_reconnecting();
}

#[test]
fn what_a_socket_left_unfinished_is_not_part_of_the_next() {
    let mut rig = Rig::open(true);
    rig.say(3).unwrap();
    rig.hear("{\"type\":1,\"tar");
    assert!(rig.event().is_none());
    rig.lose();
    rig.session.handle_resumed(rig.now);
    assert_eq!(rig.said(), ["{\"type\":9,\"sequenceId\":1}\u{1e}", "xxx"]);
    rig.hear(&format!("{{\"type\":9,\"sequenceId\":1}}\u{1e}{CALLED}"));
    assert!(matches!(rig.event(), Some(Event::Invocation(..))));
}

#[test]
fn a_session_that_cannot_be_resumed_is_replaced() {
    let mut rig = Rig::open(true);
    rig.lose();
    rig.fail();
    rig.assert_reconnecting();

    let mut slow = Rig::open(true);
    slow.lose();
    assert_eq!(slow.wait(), 15 * SECOND);
    slow.assert_reconnecting();
}

#[test]
fn a_server_that_breaks_the_session_gets_another() {
    for (said, wanted) in [
        ("{\"type\":8,\"sequenceId\":1}\u{1e}", Loss::NeverSent),
        (
            "{\"type\":9,\"sequenceId\":2}\u{1e}",
            Loss::Sequence(everwire_proto::signalr::reconnect::SequenceError::Missing),
        ),
        (
            "{\"type\":3}\u{1e}",
            Loss::Read(everwire_proto::signalr::ReadError::Missing("invocationId")),
        ),
    ] {
        let mut rig = Rig::open(true);
        rig.hear(said);
        assert!(matches!(rig.event(), Some(Event::CallsLost)), "{said}");
        let Some(Event::State(State::Reconnecting { loss })) = rig.event() else { panic!() };
        assert_eq!(loss, wanted);
    }
}

#[test]
fn a_close_says_whether_to_return() {
    let mut stay = Rig::open(true);
    stay.hear("{\"type\":7,\"allowReconnect\":true}\u{1e}");
    stay.assert_reconnecting();

    let mut leave = Rig::open(true);
    leave.hear("{\"type\":7,\"error\":\"why\"}\u{1e}");
    assert!(matches!(leave.event(), Some(Event::CallsLost)));
    let why = leave.ended().to_string();
    assert_eq!(why, "Server returned an error on close: why");
}

#[test]
fn a_client_that_stops_says_close() {
    let mut rig = Rig::open(true);
    rig.session.handle_stop(CloseReason::Stopped);
    assert_eq!(rig.said(), ["{\"type\":7}\u{1e}"]);
    assert!(matches!(rig.ended(), CloseReason::Stopped));

    let mut waiting = Rig::open(false);
    waiting.lose();
    waiting.session.handle_stop(CloseReason::Stopped);
    assert!(waiting.said().is_empty());
    assert!(matches!(waiting.ended(), CloseReason::Stopped));
}

#[test]
fn handlers_that_hold_up_reading_are_not_the_servers_silence_and_not_for_ever() {
    let mut rig = Rig::open(false);
    rig.hear(&CALLED.repeat(2));
    assert!(matches!(rig.event(), Some(Event::Invocation(..))));
    rig.session.handle_blocked(rig.now, Blocker::Handlers);
    assert!(rig.event().is_none());
    assert!(matches!(rig.session.wish(), Wish::Keep { read: false }));
    rig.now = rig.now + 29 * SECOND;
    rig.session.handle_timeout(rig.now);
    assert_eq!(rig.said().len(), 1, "pings go on");
    rig.session.handle_unblocked(rig.now);
    assert!(matches!(rig.event(), Some(Event::Invocation(..))));
    rig.session.handle_blocked(rig.now, Blocker::Handlers);
    assert_eq!(rig.wait(), 15 * SECOND);
    assert_eq!(rig.wait(), 15 * SECOND);
    assert!(matches!(rig.ended(), CloseReason::HandlersStalled(_)));
    assert_eq!(rig.said().last().unwrap(), "{\"type\":7}\u{1e}");
}

#[test]
fn a_stream_that_nobody_takes_is_cancelled() {
    let mut rig = Rig::open(false);
    rig.call(5, CallKind::Stream).unwrap();
    rig.hear("{\"type\":2,\"invocationId\":\"5\",\"item\":1}\u{1e}");
    assert!(matches!(rig.event(), Some(Event::Item(CallId(5), _))));
    rig.session.handle_blocked(rig.now, Blocker::Stream(CallId(5)));
    rig.now = rig.now + 30 * SECOND;
    rig.session.handle_timeout(rig.now);
    assert!(matches!(rig.event(), Some(Event::Overrun(CallId(5), _))));
    assert_eq!(rig.said().last().unwrap(), "{\"type\":5,\"invocationId\":\"5\"}\u{1e}");
    assert!(matches!(rig.session.wish(), Wish::Keep { read: true }));
}

#[test]
fn senders_wait_for_acknowledgements_and_handlers_longer() {
    let mut rig = Rig::open(true);
    rig.say(100_000).unwrap();
    assert!(rig.session.takes_calls(0), "what crosses the limit is taken");
    rig.say(1).unwrap();
    assert!(!rig.session.takes_calls(0));
    assert!(rig.session.takes_answers(0));
    rig.session.handle_blocked(rig.now, Blocker::Handlers);
    assert!(rig.session.takes_calls(0), "a handler may wait for this room");
    rig.say(300_000).unwrap();
    assert!(!rig.session.takes_calls(0) && !rig.session.takes_answers(0));
    rig.session.handle_unblocked(rig.now);
    rig.hear("{\"type\":8,\"sequenceId\":2}\u{1e}");
    assert!(rig.event().is_none());
    assert!(!rig.session.takes_calls(0));
    rig.hear("{\"type\":8,\"sequenceId\":3}\u{1e}");
    assert!(rig.event().is_none());
    assert!(rig.session.takes_calls(0) && !rig.session.takes_calls(64 * 1024));
}

#[test]
fn what_comes_is_acknowledged_after_a_second_or_a_quarter_of_the_buffer() {
    let mut rig = Rig::open(true);
    rig.hear(&CALLED.repeat(2));
    while rig.event().is_some() {}
    assert_eq!(rig.wait(), SECOND);
    assert_eq!(rig.said(), ["{\"type\":8,\"sequenceId\":2}\u{1e}"]);
    let count = 25_000_usize.div_ceil(CALLED.len());
    rig.hear(&CALLED.repeat(count));
    while rig.event().is_some() {}
    assert_eq!(rig.wait(), Duration::ZERO);
    assert_eq!(rig.said(), [format!("{{\"type\":8,\"sequenceId\":{}}}\u{1e}", count + 2)]);
}

#[test]
fn calls_in_flight_are_limited() {
    let mut rig = Rig::open(false);
    (1..=3).for_each(|id| rig.call(id, CallKind::Once).unwrap());
    assert!(matches!(rig.call(4, CallKind::Once), Err(SendError::TooManyCalls(3))));
    rig.session.handle_cancel(rig.now, CallId(1));
    rig.session.handle_cancel(rig.now, CallId(1));
    assert_eq!(rig.said().len(), 4, "three calls and one cancellation");
    rig.hear("{\"type\":3,\"invocationId\":\"2\"}\u{1e}");
    assert!(matches!(rig.event(), Some(Event::Completed(CallId(2), Outcome::Void))));
    (4..=5).for_each(|id| rig.call(id, CallKind::Once).unwrap());
}
