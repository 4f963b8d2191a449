//! Who may come in, who may call what, and what a method knows of who calls it.

use everwire_hub::{Context, Hub, HubBuilder, Identity, UserId, method::Claims};
use tokio_tungstenite::{connect_async, tungstenite};

use crate::peer::{Peer, Served, serve};

/// A hub for users with a name, which they get from their claims, and one method for admins.
fn builder() -> HubBuilder {
    Hub::builder()
        .authenticate(|request| async move {
            let mut claims = Claims::default();
            for name in ["sub", "role"] {
                request.parameter(name).into_iter().for_each(|value| claims.add(name, value));
            }
            let user = claims.first("sub").map(UserId::from);
            Ok(Identity { user, claims, ..Identity::default() })
        })
        .authorize_hub(|client| client.user.is_some() && !client.claims.has("role", "banned"))
        .authorize("Ban", |client| client.claims.has("role", "admin"))
        .method("Ban", |_: Context, user: String| async move { user })
        .method(
            "WhoAmI",
            |cx: Context| async move { cx.user_id().map(|user| user.as_str().to_owned()) },
        )
        .method("Tell", |cx: Context, text: String| async move {
            cx.caller().send("told", &())?;
            cx.others().send("heard", &(text,))?;
            Ok(())
        })
}

async fn named(served: &Served, query: &str) -> Peer {
    let mut peer = served.stranger(query).await;
    peer.send(r#"{"protocol":"json","version":1}"#).await;
    assert_eq!(peer.next().await.as_deref(), Some("{}"));
    peer
}

#[tokio::test]
async fn only_who_may_comes_in() {
    let served = serve(builder().build().unwrap()).await;
    for (query, status) in [("", 401), ("?sub=Ann&role=banned", 403)] {
        let refused = connect_async(format!("ws://{}/hub{query}", served.address)).await;
        let Err(tungstenite::Error::Http(answer)) = refused else { panic!("{query} is let in") };
        assert_eq!(answer.status(), status);
    }
    let mut ann = named(&served, "?sub=Ann").await;
    let me = ann.call("whoami", "[]").await;
    assert_eq!(me, r#"{"type":3,"invocationId":"7","result":"Ann"}"#);
}

#[tokio::test]
async fn a_method_is_called_by_those_who_may() {
    let served = serve(builder().build().unwrap()).await;
    let mut ann = named(&served, "?sub=Ann").await;
    assert_eq!(
        ann.call("ban", r#"["Bob"]"#).await,
        r#"{"type":3,"invocationId":"7","error":"Failed to invoke 'ban' because user is unauthorized"}"#
    );
    let mut admin = named(&served, "?sub=Eve&role=admin").await;
    let banned = admin.call("ban", r#"["Bob"]"#).await;
    assert_eq!(banned, r#"{"type":3,"invocationId":"7","result":"Bob"}"#);
}

#[tokio::test]
async fn a_method_reaches_its_caller_and_all_others() {
    let served = serve(builder().build().unwrap()).await;
    let mut peers = [named(&served, "?sub=Ann").await, named(&served, "?sub=Ann").await];
    let mut teller = named(&served, "?sub=Bob").await;
    let told = teller.call("tell", r#"["hi"]"#).await;
    assert_eq!(told, r#"{"type":1,"target":"told","arguments":[]}"#);
    let ended = r#"{"type":3,"invocationId":"7","result":null}"#;
    assert_eq!(teller.next().await.as_deref(), Some(ended), "it is none of the others");
    for peer in &mut peers {
        let heard = r#"{"type":1,"target":"heard","arguments":["hi"]}"#;
        assert_eq!(peer.next().await.as_deref(), Some(heard));
    }
}
