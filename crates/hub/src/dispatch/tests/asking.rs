//! Questions to the client.

use super::*;

#[test]
fn an_answer_reaches_who_asked_once() {
    let mut connection = Connection::new();
    connection.dispatch.handle_ask(id("s1")).unwrap();
    let result = r#"{"type":3,"invocationId":"s1","result":42}"#;
    assert_eq!(connection.say(result), [format!("answer {result}")]);
    assert_eq!(connection.say(result), ["ignored Completion"]);
    connection.dispatch.handle_ask(id("s2")).unwrap();
    let error = r#"{"type":3,"invocationId":"s2","error":"Client didn't provide a result."}"#;
    assert_eq!(connection.say(error), [format!("answer {error}")]);
}

#[test]
fn a_client_answers_only_what_it_was_asked_itself() {
    let mut asked = Connection::new();
    asked.dispatch.handle_ask(id("s1")).unwrap();
    let mut other = Connection::new();
    assert_eq!(other.say(&complete("s1")), ["ignored Completion"]);
    assert_eq!(asked.say(&complete("s1")), [format!("answer {}", complete("s1"))]);
}

#[test]
fn what_nobody_waits_for_any_more_is_ignored() {
    let mut connection = Connection::new();
    connection.dispatch.handle_ask(id("s1")).unwrap();
    connection.dispatch.handle_unask(&id("s1"));
    assert_eq!(connection.say(&complete("s1")), ["ignored Completion"]);
}

#[test]
fn a_client_that_goes_leaves_its_questions_unanswered() {
    let mut connection = Connection::new();
    connection.dispatch.handle_ask(id("s1")).unwrap();
    connection.dispatch.handle_ask(id("s2")).unwrap();
    assert_eq!(connection.dispatch.handle_ask(id("s2")), Err(AskError::InUse));
    assert_eq!(connection.disconnect(), ["unanswered s1", "unanswered s2"]);
    assert_eq!(connection.dispatch.handle_ask(id("s3")), Err(AskError::Disconnected));
}

#[test]
fn a_call_that_asks_its_own_client_does_not_wait_for_itself() {
    let mut connection = Connection::new();
    connection.say(&[invoke("a", "Once"), invoke("b", "Once"), invoke("c", "Once")].join("\n"));
    connection.dispatch.handle_ask(id("s1")).unwrap();
    assert!(connection.dispatch.handle_release(CallKey(1)));
    assert_eq!(connection.actions(), ["start 2 []"], "its turn is the next call's");
    assert!(connection.dispatch.handle_release(CallKey(1)), "it has only one to give");
    assert_eq!(connection.actions(), [""; 0]);
    assert_eq!(connection.say(&complete("s1")), [format!("answer {}", complete("s1"))]);
    assert_eq!(connection.answer(1, "1"), [r#"{"type":3,"invocationId":"a","result":1}"#]);
    assert_eq!(
        connection.answer(2, "2"),
        [r#"{"type":3,"invocationId":"b","result":2}"#, "start 3 []"]
    );
}

#[test]
fn an_answer_does_not_wait_behind_calls() {
    let mut connection = Connection::new();
    connection.dispatch.handle_ask(id("s1")).unwrap();
    connection.say(&[invoke("a", "Once"), invoke("b", "Once")].join("\n"));
    assert_eq!(connection.say(&complete("s1")), [format!("answer {}", complete("s1"))]);
}
