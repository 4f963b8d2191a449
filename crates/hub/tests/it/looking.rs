//! What an operator sees of a hub, and how it is emptied a few clients at a time.

use everwire_hub::{Context, Hub, HubBuilder, Identity, UserId};
use everwire_proto::signalr::negotiate::Transport;
use futures_util::future::join_all;
use tokio_tungstenite::{connect_async, tungstenite::Error};

use crate::peer::{Served, serve};

fn builder() -> HubBuilder {
    Hub::builder()
        .authenticate(|request| async move {
            let user = request.parameter("user").map(UserId::from);
            Ok(Identity { user, ..Identity::default() })
        })
        .method("Join", |cx: Context, group: String| async move {
            Ok(cx.hub().groups().add(cx.connection_id(), group)?)
        })
}

#[tokio::test]
async fn members_are_shown_with_their_users_and_groups() {
    let served = serve(builder().build().unwrap()).await;
    assert_eq!(served.hub.members_now().await, []);
    let mut ann = served.stranger("?user=Ann").await;
    ann.send(r#"{"protocol":"json","version":1}"#).await;
    assert_eq!(ann.next().await.as_deref(), Some("{}"));
    ann.call("join", r#"["go"]"#).await;
    let _nobody = served.peer().await;
    let mut members = served.hub.members_now().await;
    members.sort_by_key(|member| member.user.clone());
    assert_eq!(members.len(), 2);
    assert_eq!((&members[0].user, &*members[0].groups), (&None, &[][..]));
    assert_eq!(members[1].user, Some("Ann".into()));
    assert_eq!(members[1].groups, ["go".into()]);
    assert_eq!(members[1].transport, Transport::WebSockets);
    assert_eq!(served.hub.totals().received, 1, "the handshake is no message");
}

/// The status of the answer to who wants to come in.
async fn refused(served: &Served) -> u16 {
    match connect_async(format!("ws://{}/hub", served.address)).await {
        Err(Error::Http(response)) => response.status().as_u16(),
        other => {
            drop(other.expect_err("it is turned away"));
            0
        }
    }
}

#[tokio::test]
async fn a_hub_that_takes_no_more_is_emptied_bit_by_bit() {
    let served = serve(builder().build().unwrap()).await;
    let mut peers = join_all((0..3).map(|_| served.peer())).await;
    served.hub.refuse_new();
    assert_eq!(refused(&served).await, 503);
    for peer in &mut peers {
        let answer = peer.call("join", r#"["go"]"#).await;
        assert_eq!(answer, r#"{"type":3,"invocationId":"7","result":null}"#, "they stay");
    }
    served.hub.stop_some(1);
    let told: Vec<_> = peers.iter_mut().map(|peer| Box::pin(peer.next())).collect();
    let (close, index, _) = futures_util::future::select_all(told).await;
    assert_eq!(close.as_deref(), Some(r#"{"type":7,"allowReconnect":true}"#));
    drop(peers.remove(index));
    assert!(peers[0].call("join", r#"["chess"]"#).await.contains("null"), "the others stay");
    served.hub.stop_some(5);
    let closes = join_all(peers.iter_mut().map(|peer| peer.code())).await;
    assert_eq!(closes, [Some(1001), Some(1001)]);
    drop(peers);
    served.hub.stop();
    served.hub.stopped().await;
    assert_eq!(served.hub.connected(), 0);
}
