//! F13: clients that say too much, and that join too much.

use std::num::NonZeroU32;

use everwire_hub::{Context, Hub, HubConfig, RawSocket};
use tokio_tungstenite::tungstenite::Message;

use crate::peer::{Peer, Served, serve};

/// Ten seconds' worth of this may be said at once.
const RATE: u32 = 20;
const BURST: usize = 200;

const PING: &str = "{\"type\":6}\u{1e}";
const ECHO: &str = "{\"type\":1,\"target\":\"echo\",\"arguments\":[1]}\u{1e}";
const ITEM: &str = "{\"type\":2,\"invocationId\":\"none\",\"item\":1}\u{1e}";

async fn hub(rate_max: Option<NonZeroU32>) -> Served {
    let config = HubConfig { rate_max, groups_max: 3, ..HubConfig::default() };
    let hub = Hub::builder()
        .config(config)
        .method("Echo", |_: Context, number: u32| async move { number })
        .method("Join", |cx: Context, group: String| async move {
            Ok(cx.hub().groups().add(cx.connection_id(), group)?)
        })
        .method("Leave", |cx: Context, group: String| async move {
            cx.hub().groups().remove(cx.connection_id(), group);
        });
    serve(hub.build().unwrap()).await
}

/// What a flooding client is told.
async fn is_cut_off(peer: &mut Peer) {
    let told = peer.next().await.expect("a goodbye");
    assert!(told.contains("sends more messages than it may"), "{told}");
    assert!(!told.contains("allowReconnect"), "{told}");
    assert_eq!(peer.code().await, Some(1008));
}

#[tokio::test]
async fn attack_f13_a_flood_of_any_messages_ends_with_1008_and_the_others_go_on() {
    let served = hub(NonZeroU32::new(RATE)).await;
    let mut other = served.peer().await;
    let in_one_frame = Message::text(PING.repeat(10 * BURST));
    let floods = [
        vec![Message::text(PING); 10 * BURST],
        vec![Message::text(ECHO); 10 * BURST],
        vec![Message::text(ITEM); 10 * BURST],
        vec![Message::Ping("p".into()); 10 * BURST],
        vec![in_one_frame],
    ];
    for (count, flood) in (1..).zip(floods) {
        let mut peer = served.peer().await;
        peer.pour(flood).await;
        is_cut_off(&mut peer).await;
        assert!(other.call("echo", "[7]").await.contains(r#""result":7"#));
        drop(peer);
        while served.hub.connected() > 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(served.hub.totals().floods, count);
    }
}

#[tokio::test]
async fn attack_f13_connections_without_a_hub_protocol_have_the_same_limit() {
    let config = HubConfig { rate_max: NonZeroU32::new(RATE), ..HubConfig::default() };
    let echo = |mut socket: RawSocket| async move {
        while let Some(message) = socket.receive().await {
            socket.send(message).await?;
        }
        Ok(())
    };
    let served = serve(Hub::builder().config(config).raw(echo).build().unwrap()).await;
    let mut peer = served.stranger("").await;
    peer.pour(vec![Message::binary(&b"x"[..]); 10 * BURST]).await;
    assert_eq!(peer.code().await, Some(1008));
}

#[tokio::test]
async fn what_may_be_said_at_once_is_answered_and_by_default_that_is_much() {
    let served = hub(NonZeroU32::new(RATE)).await;
    let mut peer = served.peer().await;
    for _ in 0..BURST {
        assert!(peer.call("echo", "[7]").await.contains(r#""result":7"#));
    }
    let served = hub(HubConfig::default().rate_max).await;
    let mut peer = served.peer().await;
    peer.pour(vec![Message::text(PING.repeat(1000)); 90]).await;
    assert!(peer.call("echo", "[7]").await.contains(r#""result":7"#));
}

#[tokio::test]
async fn attack_f13_a_connection_is_in_so_many_groups_and_in_no_more() {
    let served = hub(None).await;
    let mut peer = served.peer().await;
    for group in ["a", "b", "c", "a"] {
        assert!(!peer.call("join", &format!("[{group:?}]")).await.contains("error"), "{group}");
    }
    assert!(peer.call("join", r#"["d"]"#).await.contains("error"));
    let long = format!("[{:?}]", "x".repeat(1025));
    assert!(peer.call("leave", r#"["c"]"#).await.contains("7"));
    assert!(peer.call("join", &long).await.contains("error"));
    assert!(!peer.call("join", r#"["d"]"#).await.contains("error"));
    served.hub.group("c").send("m", &("gone",)).unwrap();
    served.hub.group("d").send("m", &("there",)).unwrap();
    assert!(peer.next().await.unwrap().contains("there"));
}

#[tokio::test]
async fn attack_f13_joining_and_leaving_without_end_leaves_nothing_behind() {
    let served = hub(None).await;
    let (mut peer, mut other) = (served.peer().await, served.peer().await);
    assert!(!other.call("join", r#"["go"]"#).await.contains("error"));
    let step = |number: u32| {
        let call = |target| {
            format!("{{\"type\":1,\"target\":{target:?},\"arguments\":[\"g{number}\"]}}\u{1e}")
        };
        Message::text(call("join") + &call("leave"))
    };
    peer.pour((0..10_000).map(step)).await;
    assert!(peer.call("echo", "[7]").await.contains(r#""result":7"#));
    let members = served.hub.members_now().await;
    let groups: Vec<_> = members.into_iter().flat_map(|member| member.groups).collect();
    assert_eq!(groups, ["go".into()]);
    served.hub.group("go").send("m", &("still",)).unwrap();
    assert!(other.next().await.unwrap().contains("still"));
}
