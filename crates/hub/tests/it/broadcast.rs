//! Who receives what, and in which order.

use everwire_hub::ConnectionId;

use crate::peer::{Peer, Served, builder, serve};

async fn id_of(peer: &mut Peer) -> ConnectionId {
    let completion: serde_json::Value = serde_json::from_str(&peer.call("id", "[]").await).unwrap();
    completion["result"].as_str().unwrap().parse().unwrap()
}

fn call(target: &str, argument: u32) -> String {
    format!(r#"{{"type":1,"target":"{target}","arguments":[{argument}]}}"#)
}

async fn named(served: &Served, user: &str) -> Peer {
    let mut peer = served.stranger(&format!("?user={user}")).await;
    peer.send(r#"{"protocol":"json","version":1}"#).await;
    assert_eq!(peer.next().await.as_deref(), Some("{}"));
    peer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_audience_is_reached_and_nobody_else() {
    let served = serve(builder().build().unwrap()).await;
    let mut ann = named(&served, "Ann").await;
    let mut other_ann = named(&served, "Ann").await;
    let mut bob = named(&served, "Bob").await;
    let (ann_id, bob_id) = (id_of(&mut ann).await, id_of(&mut bob).await);
    ann.call("join", r#"["go"]"#).await;
    bob.call("join", r#"["go"]"#).await;
    bob.call("join", r#"["chess"]"#).await;

    let hub = &served.hub;
    hub.all().send("m", &(1,)).unwrap();
    hub.all().except([bob_id]).send("m", &(2,)).unwrap();
    hub.group("go").send("m", &(3,)).unwrap();
    hub.group("go").except([ann_id]).send("m", &(4,)).unwrap();
    hub.members(["go", "chess"]).send("m", &(5,)).unwrap();
    hub.user("Ann").send("m", &(6,)).unwrap();
    hub.users(["Ann", "ann", "Bob"]).send("m", &(7,)).unwrap();
    hub.connection(ann_id).send("m", &(8,)).unwrap();
    hub.connections([ann_id, bob_id]).send("m", &(9,)).unwrap();
    hub.groups().remove(bob_id, "go").unwrap();
    hub.group("go").send("m", &(10,)).unwrap();
    hub.all().send("m", &(11,)).unwrap();

    for (peer, expected) in [
        (&mut ann, &[1, 2, 3, 5, 6, 7, 8, 9, 10, 11][..]),
        (&mut other_ann, &[1, 2, 6, 7, 11]),
        (&mut bob, &[1, 3, 4, 5, 7, 9, 11]),
    ] {
        for argument in expected {
            assert_eq!(peer.next().await, Some(call("m", *argument)));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_does_not_overtake_what_was_published_before_it() {
    let served = serve(builder().build().unwrap()).await;
    let mut peer = served.peer().await;
    for round in 0..200 {
        peer.send(&format!(
            r#"{{"type":1,"invocationId":"a","target":"Say","arguments":[{round}]}}"#
        ))
        .await;
        assert_eq!(peer.next().await, Some(call("said", round)));
        assert_eq!(
            peer.next().await.as_deref(),
            Some(r#"{"type":3,"invocationId":"a","result":null}"#)
        );
    }
}

#[tokio::test]
async fn what_is_published_at_once_arrives_in_order() {
    let served = serve(builder().build().unwrap()).await;
    let mut peers = [served.peer().await, served.peer().await];
    for number in 0..1000 {
        served.hub.all().send("m", &(number,)).unwrap();
    }
    for peer in &mut peers {
        for number in 0..1000 {
            assert_eq!(peer.next().await, Some(call("m", number)));
        }
    }
}

#[tokio::test]
async fn nobody_is_nobodys_fault() {
    let served = serve(builder().build().unwrap()).await;
    served.hub.all().send("m", &1).unwrap_err();
    served.hub.all().send("m", &()).unwrap();
    served.hub.group("empty").send("m", &(1,)).unwrap();
    let mut peer = served.peer().await;
    assert_eq!(
        peer.call("nothing", "[]").await,
        r#"{"type":3,"invocationId":"7","error":"Failed to invoke 'nothing' due to an error on the server. HubException: Method does not exist."}"#
    );
}
