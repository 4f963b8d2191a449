//! What a client gets when it calls methods.

use std::time::Duration;

use everwire_hub::{Context, Hub, HubBuilder, HubError, Upload, method::produce};
use futures_util::StreamExt;

use tokio::sync::mpsc;

use crate::peer::{Peer, serve};

fn builder() -> HubBuilder {
    Hub::builder()
        .method("Add", |_: Context, a: i32, b: i32| async move { a + b })
        .method("Fail", |_: Context| async { Err::<(), _>(HubError::new("Told.")) })
        .method("Remember", |cx: Context, word: String| async move { cx.items().insert(word) })
        .stream("Count", |_: Context, to: u32| futures_util::stream::iter(1..=to).map(Ok))
        .stream("Tick", |cx: Context| {
            produce(move |out| async move {
                let _told = Told(cx);
                for number in 0.. {
                    out.send(number).await?;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Ok(())
            })
        })
        .method("Concat", |_: Context, mut words: Upload<String>| async move {
            let mut text = String::new();
            while let Some(word) = words.next().await {
                text.push_str(&word?);
            }
            Ok(text)
        })
        .method("Secret", |_: Context| async {})
        .authorize("Secret", |client| client.user.is_some())
}

/// Tells its caller when it is dropped.
struct Told(Context);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.caller().send("Stopped", &()).unwrap();
    }
}

/// Says something and hears this.
async fn check(peer: &mut Peer, says: &str, hears: &[&str]) {
    peer.send(says).await;
    for message in hears {
        assert_eq!(peer.next().await.as_deref(), Some(*message));
    }
}

#[tokio::test]
async fn a_method_answers_with_its_result_or_error() {
    let served = serve(builder().build().unwrap()).await;
    let mut peer = served.peer().await;
    let result = r#"{"type":3,"invocationId":"7","result":5}"#;
    assert_eq!(peer.call("add", "[2,3]").await, result);
    let error = "An unexpected error occurred invoking 'Fail' on the server. HubException: Told.";
    let failed = format!(r#"{{"type":3,"invocationId":"7","error":"{error}"}}"#);
    assert_eq!(peer.call("Fail", "[]").await, failed);
    let error = "Failed to invoke 'Secret' because user is unauthorized";
    let refused = format!(r#"{{"type":3,"invocationId":"7","error":"{error}"}}"#);
    assert_eq!(peer.call("Secret", "[]").await, refused);
}

#[tokio::test]
async fn what_is_kept_for_a_connection_is_its_own() {
    let served = serve(builder().build().unwrap()).await;
    let (mut one, mut other) = (served.peer().await, served.peer().await);
    let nothing = r#"{"type":3,"invocationId":"7","result":null}"#;
    assert_eq!(one.call("Remember", r#"["red"]"#).await, nothing);
    assert_eq!(other.call("Remember", r#"["blue"]"#).await, nothing);
    let red = r#"{"type":3,"invocationId":"7","result":"red"}"#;
    assert_eq!(one.call("Remember", r#"["green"]"#).await, red);
}

#[tokio::test]
async fn a_stream_gives_its_items_and_then_its_completion() {
    let served = serve(builder().build().unwrap()).await;
    let mut peer = served.peer().await;
    check(
        &mut peer,
        r#"{"type":4,"invocationId":"s","target":"Count","arguments":[2]}"#,
        &[
            r#"{"type":2,"invocationId":"s","item":1}"#,
            r#"{"type":2,"invocationId":"s","item":2}"#,
            r#"{"type":3,"invocationId":"s"}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn a_canceled_stream_is_dropped_and_completed() {
    let served = serve(builder().build().unwrap()).await;
    let mut peer = served.peer().await;
    let first = r#"{"type":2,"invocationId":"s","item":0}"#;
    check(&mut peer, r#"{"type":4,"invocationId":"s","target":"Tick","arguments":[]}"#, &[first])
        .await;
    peer.send(r#"{"type":5,"invocationId":"s"}"#).await;
    let mut last = Vec::new();
    while last.len() < 2 {
        let message = peer.next().await.unwrap();
        if !message.starts_with(r#"{"type":2,"#) {
            last.push(message);
        }
    }
    last.sort();
    let stopped = r#"{"type":1,"target":"Stopped","arguments":[]}"#;
    assert_eq!(last, [stopped, r#"{"type":3,"invocationId":"s"}"#]);
}

#[tokio::test]
async fn an_upload_of_any_length_reaches_its_method() {
    let served = serve(builder().build().unwrap()).await;
    let mut peer = served.peer().await;
    peer.send(
        r#"{"type":1,"invocationId":"u","target":"Concat","arguments":[],"streamIds":["w"]}"#,
    )
    .await;
    for _ in 0..1000 {
        peer.send(r#"{"type":2,"invocationId":"w","item":"x"}"#).await;
    }
    let text = "x".repeat(1000);
    let completion = format!(r#"{{"type":3,"invocationId":"u","result":"{text}"}}"#);
    check(&mut peer, r#"{"type":3,"invocationId":"w"}"#, &[&completion]).await;
}

#[tokio::test]
async fn calls_are_answered_in_the_order_in_which_they_were_made() {
    let served = serve(builder().build().unwrap()).await;
    let mut peer = served.peer().await;
    for number in 0..500 {
        let call = r#"{"type":1,"invocationId":"ID","target":"Add","arguments":[1,1]}"#;
        peer.send(&call.replace("ID", &number.to_string())).await;
    }
    for number in 0..500 {
        let expected = format!(r#"{{"type":3,"invocationId":"{number}","result":2}}"#);
        assert_eq!(peer.next().await, Some(expected));
    }
}

#[tokio::test]
async fn a_method_whose_client_leaves_is_told_and_goes_on_to_its_end() {
    let (tx, mut rx) = mpsc::channel(2);
    let work = move |cx: Context| {
        let tx = tx.clone();
        async move {
            tx.send("begun").await?;
            cx.canceled().await;
            tokio::task::yield_now().await;
            tx.send("done").await?;
            Ok(())
        }
    };
    let served = serve(Hub::builder().method("Work", work).build().unwrap()).await;
    let mut peer = served.peer().await;
    peer.send(r#"{"type":1,"target":"Work","arguments":[]}"#).await;
    assert_eq!(rx.recv().await, Some("begun"));
    drop(peer);
    assert_eq!(rx.recv().await, Some("done"));
}
