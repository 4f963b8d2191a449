//! Calls of the client: their order, their answers, and why some do not begin.

use std::num::NonZeroUsize;

use super::*;

#[test]
fn a_call_is_answered_under_its_id() {
    let mut connection = Connection::new();
    let call = r#"{"type":1,"invocationId":"7","target":"Once","arguments":[1,"two"]}"#;
    assert_eq!(connection.say(call), [r#"start 1 [1,"two"]"#]);
    assert!(!connection.dispatch.is_idle());
    assert_eq!(
        connection.answer(1, r#"{"x":1}"#),
        [r#"{"type":3,"invocationId":"7","result":{"x":1}}"#]
    );
    assert!(connection.dispatch.is_idle());
}

#[test]
fn a_call_without_an_id_is_never_answered() {
    let mut connection = Connection::new();
    assert_eq!(connection.say(&send("Once")), ["start 1 []"]);
    assert_eq!(connection.answer(1, "1"), [""; 0]);
    assert_eq!(connection.say(&send("Once")), ["start 2 []"]);
    let failure = Failure::Invoking(HubError::new("no"));
    assert_eq!(connection.fail(2, failure), [""; 0]);
    assert_eq!(connection.say(&send("Nobody")), ["refused UnknownMethod"]);
    assert_eq!(connection.say(&send("Secret")), ["refused Unauthorized"]);
    assert_eq!(connection.say(&send("Stream")), ["refused Streaming"]);
}

#[test]
fn a_failure_is_told_in_the_words_of_its_stage() {
    let mut connection = Connection::new();
    connection.say(&invoke("1", "Once"));
    let failure = Failure::Invoking(HubError::new("Not now."));
    assert_eq!(
        connection.fail(1, failure),
        [
            r#"{"type":3,"invocationId":"1","error":"An unexpected error occurred invoking 'Once' on the server. HubException: Not now."}"#
        ]
    );
    connection.say(&invoke("2", "Once"));
    let failure = Failure::Binding(HubError::binding("Two."));
    assert_eq!(
        connection.fail(2, failure),
        [
            r#"{"type":3,"invocationId":"2","error":"Failed to invoke 'Once' due to an error on the server. InvalidDataException: Two."}"#
        ]
    );
}

#[test]
fn a_call_that_cannot_be_is_refused_in_the_official_server_s_words() {
    let cases = [
        (invoke("1", "Nobody"), "Unknown hub method 'Nobody'", "UnknownMethod"),
        (
            invoke("1", "Secret"),
            "Failed to invoke 'Secret' because user is unauthorized",
            "Unauthorized",
        ),
        (
            invoke("1", "Stream"),
            "The client attempted to invoke the streaming 'Stream' method with a non-streaming \
             invocation.",
            "Streaming",
        ),
        (
            stream("1", "Once"),
            "The client attempted to invoke the non-streaming 'Once' method with a streaming \
             invocation.",
            "NotStreaming",
        ),
        (
            upload("1", "Once", &["2", "3"]),
            "An unexpected error occurred invoking 'Once' on the server. HubException: Client sent \
             2 stream(s), Hub method expects 0.",
            "Uploads { sent: 2, expected: 0 }",
        ),
        (
            invoke("1", "Upload"),
            "An unexpected error occurred invoking 'Upload' on the server. HubException: Client \
             sent 0 stream(s), Hub method expects 1.",
            "Uploads { sent: 0, expected: 1 }",
        ),
    ];
    for (call, error, refusal) in cases {
        let completion = format!(r#"{{"type":3,"invocationId":"1","error":"{error}"}}"#);
        let refused = format!("refused {refusal}");
        assert_eq!(Connection::new().say(&call), [completion, refused]);
    }
}

#[test]
fn calls_take_turns_in_the_order_in_which_they_came() {
    let mut connection = Connection::new();
    let calls = [invoke("a", "Once"), send("Once"), invoke("c", "Once")].join("\n");
    assert_eq!(connection.say(&calls), ["start 1 []"]);
    assert_eq!(
        connection.answer(1, "1"),
        [r#"{"type":3,"invocationId":"a","result":1}"#, "start 2 []"]
    );
    assert_eq!(connection.answer(2, "2"), ["start 3 []"]);
    assert_eq!(connection.answer(3, "3"), [r#"{"type":3,"invocationId":"c","result":3}"#]);
}

#[test]
fn as_many_calls_run_as_the_limit_says() {
    let parallel_max = NonZeroUsize::new(2).unwrap();
    let mut connection = Connection::with(Limits { parallel_max, ..Limits::default() });
    let calls = ["a", "b", "c"].map(|id| invoke(id, "Once")).join("\n");
    assert_eq!(connection.say(&calls), ["start 1 []", "start 2 []"]);
    assert_eq!(
        connection.answer(2, "2"),
        [r#"{"type":3,"invocationId":"b","result":2}"#, "start 3 []"]
    );
}

#[test]
fn streams_run_beside_calls_but_do_not_overtake_them() {
    let mut connection = Connection::new();
    assert_eq!(connection.say(&stream("s", "Stream")), ["start 1 []"]);
    assert_eq!(connection.say(&invoke("a", "Once")), ["start 2 []"]);
    assert_eq!(connection.say(&stream("t", "Stream")), ["start 3 []"]);
    assert_eq!(connection.say(&invoke("b", "Once")), [""; 0]);
    assert_eq!(connection.say(&stream("u", "Stream")), [""; 0]);
    assert_eq!(
        connection.answer(2, "0"),
        [r#"{"type":3,"invocationId":"a","result":0}"#, "start 4 []", "start 5 []"]
    );
}

#[test]
fn a_stream_s_items_and_its_end_go_under_its_id() {
    let mut connection = Connection::new();
    connection.say(&stream("s", "Stream"));
    assert_eq!(connection.item(1, "1"), [r#"{"type":2,"invocationId":"s","item":1}"#]);
    assert_eq!(connection.end(1), [r#"{"type":3,"invocationId":"s"}"#]);
    assert_eq!(connection.item(1, "2"), [""; 0], "nothing comes after the end");
    assert_eq!(connection.end(1), [""; 0]);
}

#[test]
fn a_failing_stream_ends_in_an_error() {
    let mut connection = Connection::new();
    connection.say(&stream("s", "Stream"));
    let failure = Failure::Streaming(HubError::unexpected("Oops", "Broken."));
    assert_eq!(
        connection.fail(1, failure),
        [
            r#"{"type":3,"invocationId":"s","error":"An error occurred on the server while streaming results. Oops: Broken."}"#
        ]
    );
}

#[test]
fn a_canceled_stream_gives_no_more_items_and_is_still_completed() {
    let mut connection = Connection::new();
    connection.say(&stream("s", "Stream"));
    assert_eq!(connection.say(&cancel("s")), ["cancel 1"]);
    assert_eq!(connection.say(&cancel("s")), [""; 0], "once is enough");
    assert_eq!(connection.item(1, "1"), [""; 0]);
    assert_eq!(connection.end(1), [r#"{"type":3,"invocationId":"s"}"#]);
    assert_eq!(connection.say(&cancel("s")), ["ignored Cancellation"]);
}

#[test]
fn a_canceled_call_is_completed_as_its_method_ends() {
    let mut connection = Connection::new();
    connection.say(&invoke("a", "Once"));
    assert_eq!(connection.say(&cancel("a")), ["cancel 1"]);
    assert_eq!(connection.answer(1, "1"), [r#"{"type":3,"invocationId":"a","result":1}"#]);
}

#[test]
fn a_call_that_is_canceled_while_it_waits_never_begins() {
    let mut connection = Connection::new();
    connection.say(&invoke("a", "Once"));
    connection.say(&[invoke("b", "Once"), stream("s", "Stream"), stream("t", "Stream")].join("\n"));
    assert_eq!(connection.say(&cancel("s")), [r#"{"type":3,"invocationId":"s"}"#]);
    assert_eq!(
        connection.say(&cancel("b")),
        [
            r#"{"type":3,"invocationId":"b","error":"An unexpected error occurred invoking 'Once' on the server. OperationCanceledException: The operation was canceled."}"#,
            "start 2 []",
        ],
        "what was behind it goes on"
    );
    assert_eq!(connection.say(&cancel("nobody")), ["ignored Cancellation"]);
}

#[test]
fn an_id_that_runs_is_not_given_to_another_call() {
    let mut connection = Connection::new();
    connection.say(&stream("s", "Stream"));
    let in_use = r#"{"type":3,"invocationId":"s","error":"Invocation ID 's' is already in use."}"#;
    assert_eq!(connection.say(&stream("s", "Stream")), [in_use, "refused IdInUse"]);
    assert_eq!(connection.say(&invoke("s", "Once")), [in_use, "refused IdInUse"]);
    connection.end(1);
    assert_eq!(connection.say(&stream("s", "Stream")), ["start 2 []"], "it is free again");
}

#[test]
fn an_id_may_come_again_while_its_first_call_has_yet_to_end_before_it() {
    let mut connection = Connection::new();
    let calls = [invoke("a", "Once"), invoke("a", "Once")].join("\n");
    assert_eq!(connection.say(&calls), ["start 1 []"]);
    let answer = |result| format!(r#"{{"type":3,"invocationId":"a","result":{result}}}"#);
    assert_eq!(connection.answer(1, "1"), [answer(1), "start 2 []".into()]);
    assert_eq!(connection.answer(2, "2"), [answer(2)]);
}

#[test]
fn the_client_s_close_is_passed_on() {
    let mut connection = Connection::new();
    let close = r#"{"type":7,"error":"bye","allowReconnect":true}"#;
    assert_eq!(connection.say(close), [r#"closed Some("bye") true"#]);
    let others = "{\"type\":6}\n{\"type\":8,\"sequenceId\":1}\n{\"type\":9,\"sequenceId\":1}";
    assert_eq!(connection.say(others), [""; 0]);
}

#[test]
fn when_the_client_is_gone_all_is_canceled_and_nothing_told() {
    let mut connection = Connection::new();
    connection.say(&stream("s", "Stream"));
    connection.say(&upload("u", "UploadTwo", &["x", "y"]));
    connection.say(&complete("x"));
    connection.say(&[invoke("a", "Once"), invoke("b", "Once")].join("\n"));
    assert_eq!(
        connection.disconnect(),
        [
            "cancel 1",
            "fail upload 2.1 OperationCanceledException: The underlying connection was closed.",
            "cancel 2",
            "cancel 3",
        ]
    );
    assert_eq!(connection.item(1, "1"), [""; 0]);
    assert_eq!(connection.end(1), [""; 0]);
    assert_eq!(connection.answer(2, "1"), [""; 0]);
    assert_eq!(connection.answer(3, "1"), [""; 0], "what waited does not begin");
    assert_eq!(connection.say(&invoke("c", "Once")), [""; 0]);
    assert!(connection.dispatch.is_idle());
}

#[test]
fn a_connection_that_does_nothing_keeps_no_memory() {
    let mut connection = Connection::new();
    connection.say(&[invoke("a", "Once"), upload("b", "Upload", &["x"])].join("\n"));
    connection.answer(1, "1");
    connection.say(&item("x", "1"));
    connection.answer(2, "1");
    let Dispatch { running, actions, waiting, .. } = &connection.dispatch;
    assert_eq!((running.capacity(), actions.capacity(), waiting.capacity()), (0, 0, 0));
    assert!(size_of::<Dispatch>() <= 256, "{}", size_of::<Dispatch>());
}
