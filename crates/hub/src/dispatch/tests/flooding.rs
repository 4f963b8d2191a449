//! Clients that want too much.

use super::*;

#[test]
fn attack_s11_waiting_calls_stop_the_reading_of_more() {
    let limits = Limits { waiting_max: 3, ..Limits::default() };
    let mut connection = Connection::with(limits);
    connection.say(&invoke("0", "Once"));
    for name in ["1", "2", "3"] {
        assert!(!connection.dispatch.is_full());
        connection.say(&invoke(name, "Once"));
    }
    assert!(connection.dispatch.is_full());
    connection.answer(1, "1");
    assert!(!connection.dispatch.is_full());
}

#[test]
fn attack_s11_waiting_bytes_stop_the_reading_of_more() {
    let mut connection = Connection::new();
    connection.say(&invoke("0", "Once"));
    let large = "x".repeat(MESSAGE_MAX - 100);
    let call = format!(r#"{{"type":1,"target":"Once","arguments":["{large}"]}}"#);
    connection.say(&call);
    connection.say(&call);
    assert!(!connection.dispatch.is_full());
    connection.say(&call);
    assert!(connection.dispatch.is_full());
    (1..=4).for_each(|call| drop(connection.answer(call, "1")));
    assert_eq!(connection.dispatch.waiting.bytes(), 0, "all of it is given back");
}

#[test]
fn attack_s11_items_for_an_upload_that_waits_count() {
    let mut connection = Connection::new();
    connection.say(&[invoke("a", "Once"), invoke("b", "Once")].join("\n"));
    connection.say(&upload("u", "Upload", &["x"]));
    while !connection.dispatch.is_full() {
        connection.say(&item("x", "1"));
    }
    assert_eq!(connection.dispatch.waiting.len(), limits::WAITING_MAX);
}

#[test]
fn attack_s11_streams_that_never_end_are_limited() {
    let limits = Limits { streams_max: 2, ..Limits::default() };
    let mut connection = Connection::with(limits);
    connection.say(&stream("a", "Stream"));
    connection.say(&upload("b", "Upload", &["x"]));
    let error = "Failed to invoke 'Stream': too many streams at once.";
    let completion = format!(r#"{{"type":3,"invocationId":"c","error":"{error}"}}"#);
    let refused = [completion, "refused TooManyStreams".into()];
    assert_eq!(connection.say(&stream("c", "Stream")), refused);
    assert_eq!(connection.say(&invoke("d", "Once")), ["start 3 []"], "calls are let in");
    connection.end(1);
    assert_eq!(connection.say(&stream("c", "Stream")), ["start 4 []"]);
}

#[test]
fn attack_s11_uploads_that_never_end_are_limited() {
    let limits = Limits { uploads_max: 2, ..Limits::default() };
    let mut connection = Connection::with(limits);
    connection.say(&upload("a", "Upload", &["x"]));
    let error = "Failed to invoke 'UploadTwo': too many uploads at once.";
    let completion = format!(r#"{{"type":3,"invocationId":"b","error":"{error}"}}"#);
    let refused = [completion, "refused TooManyUploads".into()];
    assert_eq!(connection.say(&upload("b", "UploadTwo", &["y", "z"])), refused);
    connection.say(&complete("x"));
    assert_eq!(connection.say(&upload("b", "UploadTwo", &["y", "z"])), ["start 2 []"]);
}

#[test]
fn attack_s11_questions_that_are_never_answered_are_limited() {
    let limits = Limits { asked_max: 1, ..Limits::default() };
    let mut connection = Connection::with(limits);
    connection.dispatch.handle_ask(id("s1")).unwrap();
    assert_eq!(connection.dispatch.handle_ask(id("s2")), Err(AskError::TooMany));
    connection.say(&[invoke("a", "Once"), invoke("b", "Once"), invoke("c", "Once")].join("\n"));
    assert!(connection.dispatch.handle_release(CallKey(1)));
    assert!(!connection.dispatch.handle_release(CallKey(2)), "nor may more calls wait for them");
    connection.say(&complete("s1"));
    assert_eq!(connection.dispatch.handle_ask(id("s2")), Ok(()));
}

#[test]
fn attack_s11_a_flood_of_ids_leaves_nothing_behind() {
    let mut connection = Connection::new();
    for number in 0..10_000 {
        let name = number.to_string();
        connection.say(&[cancel(&name), item(&name, "1"), complete(&name)].join("\n"));
        connection.say(&invoke(&name, "Nobody"));
    }
    assert!(connection.dispatch.is_idle());
    assert_eq!(connection.dispatch.actions.capacity(), 0);
}

#[test]
fn a_result_of_no_call_is_nothing() {
    let mut connection = Connection::new();
    assert_eq!(connection.answer(1, "1"), [""; 0]);
    assert_eq!(connection.item(1, "1"), [""; 0]);
    assert!(connection.dispatch.handle_release(CallKey(1)));
}
