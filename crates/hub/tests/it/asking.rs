//! What a client is asked, and what is done when it comes and goes.

use everwire_hub::{ConnectionId, Context, Hub, HubBuilder, HubError, InvokeError};
use tokio::sync::mpsc;

use crate::peer::{Peer, serve};

/// A hub that tells of everybody who comes, and asks its callers.
fn builder() -> (HubBuilder, mpsc::Receiver<ConnectionId>) {
    let (tx, come) = mpsc::channel(10);
    let builder = Hub::builder()
        .connected(move |cx| {
            let tx = tx.clone();
            async move {
                if cx.request().parameter("bad").is_some() {
                    return Err(HubError::new("Go away."));
                }
                cx.hub().groups().add(cx.connection_id(), "come")?;
                tx.send(cx.connection_id()).await?;
                Ok(())
            }
        })
        .method("AskMe", |cx: Context, what: String| async move {
            let answer: u32 = cx.caller().invoke("asked", &(what,)).await?;
            Ok(answer)
        })
        .method("Add", |_: Context, a: u32, b: u32| async move { a + b });
    (builder, come)
}

/// The id of the question that the client is asked next.
pub(crate) async fn question(peer: &mut Peer) -> String {
    let asked: serde_json::Value = serde_json::from_str(&peer.next().await.unwrap()).unwrap();
    assert_eq!(asked["type"], 1);
    asked["invocationId"].as_str().unwrap().to_owned()
}

pub(crate) fn answer(id: &str, rest: &str) -> String {
    format!(r#"{{"type":3,"invocationId":"{id}",{rest}}}"#)
}

#[tokio::test]
async fn a_client_answers_what_it_is_asked() {
    let (builder, mut come) = builder();
    let served = serve(builder.build().unwrap()).await;
    let mut peer = served.peer().await;
    let client = served.hub.connection(come.recv().await.unwrap());
    let (asked, ()) = tokio::join!(client.invoke::<u32>("m", &(1,)), async {
        let id = question(&mut peer).await;
        peer.send(&answer(&id, r#""result":7"#)).await;
    });
    assert_eq!(asked.unwrap(), 7);
    let (asked, ()) = tokio::join!(client.invoke::<u32>("m", &(1,)), async {
        let id = question(&mut peer).await;
        peer.send(&answer(&id, r#""error":"Client didn't provide a result.""#)).await;
    });
    assert_eq!(asked.unwrap_err().to_string(), "Client didn't provide a result.");
    let (asked, ()) = tokio::join!(client.invoke::<u32>("m", &(1,)), async {
        question(&mut peer).await;
        drop(peer);
    });
    assert!(matches!(asked, Err(InvokeError::Disconnected(_))));
    assert!(matches!(client.invoke::<u32>("m", &(1,)).await, Err(InvokeError::Unknown(_))));
}

#[tokio::test]
async fn nobody_answers_for_another() {
    let (builder, mut come) = builder();
    let served = serve(builder.build().unwrap()).await;
    let mut asked = served.peer().await;
    let client = served.hub.connection(come.recv().await.unwrap());
    let mut other = served.peer().await;
    let (result, ()) = tokio::join!(client.invoke::<u32>("m", &(1,)), async {
        let id = question(&mut asked).await;
        other.send(&answer(&id, r#""result":1"#)).await;
        // Once this is answered the other's claim has been heard.
        other.call("add", "[1,1]").await;
        asked.send(&answer(&id, r#""result":2"#)).await;
    });
    assert_eq!(result.unwrap(), 2);
}

#[tokio::test]
async fn a_method_that_asks_its_own_caller_does_not_hold_up_the_next() {
    let (builder, _come) = builder();
    let served = serve(builder.build().unwrap()).await;
    let mut peer = served.peer().await;
    peer.send(r#"{"type":1,"invocationId":"a","target":"askMe","arguments":["?"]}"#).await;
    let id = question(&mut peer).await;
    let added = peer.call("add", "[1,2]").await;
    assert_eq!(added, r#"{"type":3,"invocationId":"7","result":3}"#);
    peer.send(&answer(&id, r#""result":9"#)).await;
    assert_eq!(peer.next().await.as_deref(), Some(r#"{"type":3,"invocationId":"a","result":9}"#));
}

#[tokio::test]
async fn a_client_is_greeted_before_its_first_call_or_turned_away() {
    let (builder, mut come) = builder();
    let served = serve(builder.build().unwrap()).await;
    let mut peer = served.peer().await;
    come.recv().await.unwrap();
    served.hub.group("come").send("m", &(1,)).unwrap();
    assert_eq!(peer.next().await.as_deref(), Some(r#"{"type":1,"target":"m","arguments":[1]}"#));
    let mut bad = served.stranger("?bad=1").await;
    bad.send(r#"{"protocol":"json","version":1}"#).await;
    assert_eq!(bad.next().await.as_deref(), Some("{}"));
    let close = r#"{"type":7,"error":"Connection closed with an error. HubException: Go away."}"#;
    assert_eq!(bad.next().await.as_deref(), Some(close));
    assert_eq!(bad.code().await, Some(1000));
}
