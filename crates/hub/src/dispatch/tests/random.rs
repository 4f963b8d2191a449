//! Any client, any methods, in any order.

use std::collections::HashMap;

use proptest::prelude::*;

use everwire_proto::signalr::message::Headers;

use super::{id as invocation_id, *};

/// Something that happens to a connection; numbers are taken modulo what there is.
#[derive(Debug, Clone)]
enum Event {
    /// The client calls: with or without an id, of few, so that they come again.
    Call {
        id: Option<u8>,
        target: usize,
        streams: Vec<u8>,
    },
    Cancel(u8),
    Item(u8),
    Complete(u8),
    /// A running call does something.
    Produce(usize),
    End(usize, Way),
    Release(usize),
    Ask(u8),
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Well,
    Badly,
}

const TARGETS: [&str; 7] = ["Once", "Once", "Stream", "Upload", "UploadTwo", "Both", "Nobody"];

fn event() -> impl Strategy<Value = Event> {
    let few = || 0_u8..6;
    let call = (prop::option::of(few()), 0..TARGETS.len(), prop::collection::vec(few(), 0..3));
    prop_oneof![
        5 => call.prop_map(|(id, target, streams)| Event::Call { id, target, streams }),
        1 => few().prop_map(Event::Cancel),
        2 => few().prop_map(Event::Item),
        1 => few().prop_map(Event::Complete),
        2 => any::<usize>().prop_map(Event::Produce),
        3 => (any::<usize>(), prop_oneof![Just(Way::Well), Just(Way::Badly)])
            .prop_map(|(call, way)| Event::End(call, way)),
        1 => any::<usize>().prop_map(Event::Release),
        1 => few().prop_map(Event::Ask),
    ]
}

/// What must hold of everything that a connection does.
#[derive(Default)]
struct Judge {
    /// Calls of each id that have not been completed.
    owed: HashMap<String, usize>,
    /// The numbers of the calls that began, which they have for arguments.
    begun: Vec<u64>,
    running: Vec<(CallKey, Answers)>,
    asked: usize,
}

impl Judge {
    fn watch(&mut self, dispatch: &mut Dispatch) {
        while let Some(action) = dispatch.poll_action() {
            self.judge(action);
        }
    }

    fn judge(&mut self, action: Action) {
        match action {
            Action::Start(Start { call, arguments, .. }) => {
                let (number, streams) = arguments.decode::<(u64, bool)>().unwrap();
                assert!(self.begun.last().is_none_or(|last| *last < number), "order is kept");
                self.begun.push(number);
                let answers = if streams { Answers::Stream } else { Answers::Once };
                self.running.push((call, answers));
            }
            Action::Send(HubMessage::Completion(Completion { id, .. })) => {
                let owed = self.owed.get_mut(id.as_str()).expect("a call with this id");
                *owed = owed.checked_sub(1).expect("one completion for each call");
            }
            Action::Send(HubMessage::StreamItem(StreamItem { id, .. })) => {
                assert!(self.owed[id.as_str()] > 0, "no item after the completion");
            }
            Action::Send(other) => panic!("a client is not sent {other:?}"),
            Action::Feed(key, _) | Action::EndUpload(key, _) => {
                assert!(self.running.iter().any(|(call, _)| *call == key.call), "a running call");
            }
            Action::Cancel(call) => assert!(self.running.iter().any(|(there, _)| *there == call)),
            Action::Answer(..) | Action::Unanswered(_) => {
                self.asked = self.asked.checked_sub(1).expect("one answer for each question");
            }
            Action::Closed(_) | Action::Refused(_) | Action::Ignored(_) => {}
        }
    }
}

fn call(number: u64, id: Option<u8>, target: usize, streams: &[u8]) -> HubMessage {
    let target = TARGETS[target];
    let answers_stream = matches!(target, "Stream" | "Both") && id.is_some();
    let arguments = Arguments::encode(Protocol::Json, &(number, answers_stream)).unwrap();
    let streams = streams.iter().map(|stream| invocation_id(&format!("u{stream}"))).collect();
    let call = Call { target: target.into(), arguments, streams };
    let headers = Headers::default();
    match id.map(|name| invocation_id(&name.to_string())) {
        Some(id) if answers_stream => {
            HubMessage::StreamInvocation(StreamInvocation { headers, id, call })
        }
        id => HubMessage::Invocation(Invocation { headers, id, call }),
    }
}

/// The running call that a number stands for.
fn chosen(judge: &Judge, number: usize) -> Option<(CallKey, Answers)> {
    let count = judge.running.len();
    (count > 0).then(|| judge.running[number % count])
}

fn end(judge: &mut Judge, dispatch: &mut Dispatch, call: CallKey, answers: Answers, way: Way) {
    judge.running.retain(|(running, _)| *running != call);
    let end = match (way, answers) {
        (Way::Badly, _) => Err(Failure::Invoking(HubError::new("no"))),
        (Way::Well, Answers::Once) => Ok(Some(payload("1"))),
        (Way::Well, Answers::Stream) => Ok(None),
    };
    dispatch.handle_end(call, end);
}

fn happen(judge: &mut Judge, dispatch: &mut Dispatch, number: u64, event: Event) {
    let say = |dispatch: &mut Dispatch, json: &str| {
        messages(json).into_iter().for_each(|message| dispatch.handle_message(message, find));
    };
    match event {
        Event::Call { id, target, streams } => {
            if let Some(id) = id {
                *judge.owed.entry(id.to_string()).or_default() += 1;
            }
            dispatch.handle_message(call(number, id, target, &streams), find);
        }
        Event::Cancel(id) => say(dispatch, &cancel(&id.to_string())),
        Event::Item(stream) => say(dispatch, &item(&format!("u{stream}"), "1")),
        Event::Complete(stream) => say(dispatch, &complete(&format!("u{stream}"))),
        Event::Produce(at) => {
            if let Some((call, Answers::Stream)) = chosen(judge, at) {
                dispatch.handle_item(call, payload("1"));
            }
        }
        Event::End(at, way) => {
            if let Some((call, answers)) = chosen(judge, at) {
                end(judge, dispatch, call, answers, way);
            }
        }
        Event::Release(at) => {
            if let Some((call, _)) = chosen(judge, at) {
                dispatch.handle_release(call);
            }
        }
        Event::Ask(name) => {
            let asked = dispatch.handle_ask(invocation_id(&format!("u{name}")));
            judge.asked += usize::from(asked.is_ok());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn each_call_with_an_id_is_completed_once_and_all_begin_in_order(
        events in prop::collection::vec(event(), 0..200),
        parallel_max in 1_usize..4,
    ) {
        let parallel_max = std::num::NonZeroUsize::new(parallel_max).unwrap();
        let limits = Limits { parallel_max, streams_max: 5, uploads_max: 4, ..Limits::default() };
        let mut dispatch = Dispatch::new(limits, ErrorDetail::Hidden);
        let mut judge = Judge::default();
        for (number, event) in events.into_iter().enumerate() {
            happen(&mut judge, &mut dispatch, number as u64, event);
            judge.watch(&mut dispatch);
            let turns = dispatch.running.iter().filter(|it| it.pace == Pace::Turn).count();
            prop_assert_eq!(turns, dispatch.turns_taken);
            prop_assert!(turns <= parallel_max.get());
            prop_assert_eq!(dispatch.running.len(), judge.running.len());
        }
        while let Some((call, answers)) = chosen(&judge, 0) {
            end(&mut judge, &mut dispatch, call, answers, Way::Well);
            judge.watch(&mut dispatch);
        }
        prop_assert!(dispatch.is_idle(), "nothing is left behind");
        prop_assert!(judge.owed.values().all(|owed| *owed == 0), "{:?}", judge.owed);
        dispatch.handle_disconnect();
        judge.watch(&mut dispatch);
        prop_assert_eq!(judge.asked, 0);
    }
}

#[test]
#[should_panic(expected = "one completion for each call")]
fn a_second_completion_would_be_noticed() {
    let mut judge = Judge { owed: HashMap::from([("a".into(), 1)]), ..Judge::default() };
    for _ in 0..2 {
        judge.judge(Action::Send(HubMessage::completion(id("a"), Outcome::Void)));
    }
}

#[test]
#[should_panic(expected = "order is kept")]
fn a_call_that_overtakes_another_would_be_noticed() {
    let mut judge = Judge::default();
    for number in [2_u64, 1] {
        let arguments = Arguments::encode(Protocol::Json, &(number, false)).unwrap();
        judge.judge(Action::Start(Start { call: CallKey(number), method: MethodId(0), arguments }));
    }
}
