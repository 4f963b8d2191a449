//! Streams that the client uploads.

use super::*;

#[test]
fn items_reach_their_upload_and_the_call_is_answered_after_them() {
    let mut connection = Connection::new();
    assert_eq!(connection.say(&upload("u", "UploadTwo", &["x", "y"])), ["start 1 []"]);
    assert_eq!(connection.say(&item("y", "1")), ["feed 1.1 1"]);
    assert_eq!(connection.say(&item("x", r#""a""#)), [r#"feed 1.0 "a""#]);
    assert_eq!(connection.say(&complete("x")), ["end upload 1.0"]);
    assert_eq!(connection.say(&item("x", "2")), ["ignored Item"]);
    let error = r#"{"type":3,"invocationId":"y","error":"out of paper"}"#;
    assert_eq!(connection.say(error), ["fail upload 1.1 HubException: out of paper"]);
    assert_eq!(connection.answer(1, "3"), [r#"{"type":3,"invocationId":"u","result":3}"#]);
}

#[test]
fn a_result_ends_an_upload_like_nothing() {
    let mut connection = Connection::new();
    connection.say(&upload("u", "Upload", &["x"]));
    let result = r#"{"type":3,"invocationId":"x","result":1}"#;
    assert_eq!(connection.say(result), ["end upload 1.0"]);
}

#[test]
fn what_nobody_uploads_is_ignored() {
    let mut connection = Connection::new();
    assert_eq!(connection.say(&item("x", "1")), ["ignored Item"]);
    assert_eq!(connection.say(&complete("x")), ["ignored Completion"]);
    connection.say(&upload("u", "Upload", &["x"]));
    connection.answer(1, "1");
    assert_eq!(connection.say(&item("x", "1")), ["ignored Item"], "its call has ended");
    connection.say(&upload("v", "Nobody", &["x"]));
    assert_eq!(connection.say(&item("x", "1")), ["ignored Item"], "its call was refused");
}

#[test]
fn a_call_that_uploads_needs_no_turn() {
    let mut connection = Connection::new();
    connection.say(&upload("u", "Upload", &["x"]));
    assert_eq!(connection.say(&invoke("a", "Once")), ["start 2 []"]);
    assert_eq!(connection.say(&upload("v", "Upload", &["y"])), ["start 3 []"]);
    let both = upload("w", "Both", &["z"]).replace("\"type\":1", "\"type\":4");
    assert_eq!(connection.say(&both), ["start 4 []"]);
    assert_eq!(connection.say(&item("z", "1")), ["feed 4.0 1"]);
    assert_eq!(connection.item(4, "1"), [r#"{"type":2,"invocationId":"w","item":1}"#]);
}

#[test]
fn an_upload_waits_with_its_call() {
    let mut connection = Connection::new();
    connection.say(&[invoke("a", "Once"), invoke("b", "Once")].join("\n"));
    connection.say(&upload("u", "Upload", &["x"]));
    let items = [item("x", "1"), item("x", "2"), complete("x")].join("\n");
    assert_eq!(connection.say(&items), [""; 0]);
    assert_eq!(
        connection.answer(1, "0"),
        [
            r#"{"type":3,"invocationId":"a","result":0}"#,
            "start 2 []",
            "start 3 []",
            "feed 3.0 1",
            "feed 3.0 2",
            "end upload 3.0",
        ]
    );
}

#[test]
fn what_an_upload_says_while_a_call_waits_is_not_held_up() {
    let mut connection = Connection::new();
    connection.say(&upload("u", "Upload", &["x"]));
    connection.say(&[invoke("a", "Once"), invoke("b", "Once")].join("\n"));
    assert_eq!(connection.say(&item("x", "1")), ["feed 1.0 1"]);
    assert_eq!(connection.say(&complete("x")), ["end upload 1.0"]);
}

#[test]
fn a_stream_id_is_one_upload_s() {
    let mut connection = Connection::new();
    connection.say(&upload("u", "Upload", &["x"]));
    let refused = |id, target| {
        let error = format!("A stream ID of '{target}' is already in use.");
        let completion = format!(r#"{{"type":3,"invocationId":"{id}","error":"{error}"}}"#);
        [completion, "refused StreamIdInUse".into()]
    };
    assert_eq!(connection.say(&upload("v", "Upload", &["x"])), refused("v", "Upload"));
    assert_eq!(connection.say(&upload("w", "UploadTwo", &["y", "y"])), refused("w", "UploadTwo"));
    connection.say(&complete("x"));
    assert_eq!(connection.say(&upload("v", "Upload", &["x"])), ["start 2 []"], "it is free again");
}
