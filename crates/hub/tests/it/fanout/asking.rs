//! Clients of other nodes are asked.

use std::{collections::HashMap, time::Duration};

use everwire_hub::{InvokeError, dispatch::Limits};

use super::{Nodes, builder};
use crate::asking::{answer, question};

const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_client_of_another_node_answers_what_it_is_asked() {
    let nodes = Nodes::of(3, builder).await;
    let (mut peer, id) = nodes.nodes[2].client("Ann").await;
    let client = nodes.hub(0).connection(id);
    let asked = client.invoke::<u32>("m", &(1,));
    let (asked, ()) = tokio::join!(asked, async {
        let id = question(&mut peer).await;
        peer.send(&answer(&id, r#""result":7"#)).await;
    });
    assert_eq!(asked.unwrap(), 7);
    let (failed, ()) = tokio::join!(client.invoke::<u32>("m", &(1,)), async {
        let id = question(&mut peer).await;
        peer.send(&answer(&id, r#""error":"not now""#)).await;
    });
    assert!(matches!(failed, Err(InvokeError::Failed(why)) if &*why == "not now"));
    let (gone, ()) = tokio::join!(client.invoke::<u32>("m", &(1,)), async {
        question(&mut peer).await;
        drop(peer);
    });
    assert!(matches!(gone, Err(InvokeError::Disconnected(_))));
    let unknown = client.invoke::<u32>("m", &(1,)).await;
    assert!(matches!(unknown, Err(InvokeError::Unknown(_))), "{unknown:?}");
}

#[tokio::test]
async fn who_cannot_be_asked_is_not_said_to_be_unknown() {
    let mut nodes = Nodes::of(2, builder).await;
    let (mut peer, id) = nodes.nodes[1].client("Ann").await;
    let client = nodes.hub(0).connection(id);
    // Its node is killed while the answer is awaited.
    let (ended, _) = tokio::join!(client.invoke::<u32>("m", &()), async {
        question(&mut peer).await;
        nodes.kill(1)
    });
    assert!(matches!(ended, Err(InvokeError::Disconnected(_))), "{ended:?}");
    let nodes = Nodes::of(2, builder).await;
    let (_peer, id) = nodes.nodes[1].client("Ann").await;
    nodes.cluster.cut();
    tokio::time::pause();
    let unreached = nodes.hub(0).connection(id).invoke::<u32>("m", &()).await;
    assert!(matches!(unreached, Err(InvokeError::Unreached(_))), "{unreached:?}");
}

#[tokio::test]
async fn clients_of_all_nodes_are_asked_at_once_and_answer_or_are_told_of() {
    let nodes = Nodes::of(3, builder).await;
    let mut clients = Vec::new();
    for number in 0..6 {
        clients.push(nodes.nodes[number % 3].client("Ann").await);
    }
    let mut replies = nodes.hub(0).user("Ann").invoke::<u32>("m", &(), PATIENCE).unwrap();
    for (number, (peer, _)) in clients.iter_mut().enumerate().take(4) {
        let id = question(peer).await;
        peer.send(&answer(&id, &format!(r#""result":{number}"#))).await;
    }
    let mut outcomes = HashMap::new();
    for _ in 0..4 {
        let reply = replies.next().await.unwrap();
        assert!(outcomes.insert(reply.connection, reply.answer.unwrap()).is_none());
    }
    for (number, (_, id)) in clients.iter().enumerate().take(4) {
        assert_eq!(outcomes[id], number as u32);
    }
    // One goes, one says nothing.
    let (silent, silent_id) = clients.pop().unwrap();
    let (gone, gone_id) = clients.pop().unwrap();
    drop(gone);
    let reply = replies.next().await.unwrap();
    assert_eq!(reply.connection, gone_id);
    assert!(matches!(reply.answer, Err(InvokeError::Disconnected(_))));
    tokio::time::pause();
    let reply = replies.next().await.unwrap();
    assert_eq!(reply.connection, silent_id);
    assert!(matches!(reply.answer, Err(InvokeError::Late(_))));
    assert!(replies.next().await.is_none() && replies.unreached() == 0);
    drop(silent);
}

#[tokio::test]
async fn a_client_elsewhere_is_asked_no_more_than_it_may_leave_unanswered() {
    let calls = Limits { asked_max: 1, ..Limits::default() };
    let config = everwire_hub::HubConfig { calls, ..Default::default() };
    let nodes = Nodes::of(2, || builder().config(config.clone())).await;
    let (mut peer, id) = nodes.nodes[1].client("Ann").await;
    let client = nodes.hub(0).connection(id);
    let first = client.invoke::<u32>("m", &());
    let (first, second) = tokio::join!(first, async {
        let asked = question(&mut peer).await;
        let refused = client.invoke::<u32>("m", &()).await;
        peer.send(&answer(&asked, r#""result":1"#)).await;
        refused
    });
    assert_eq!(first.unwrap(), 1);
    assert!(matches!(second, Err(InvokeError::Refused(_))), "{second:?}");
}

#[tokio::test]
async fn a_question_that_nobody_waits_for_any_more_is_forgotten_on_its_node() {
    let calls = Limits { asked_max: 1, ..Limits::default() };
    let config = everwire_hub::HubConfig { calls, ..Default::default() };
    let nodes = Nodes::of(2, || builder().config(config.clone())).await;
    let (mut peer, id) = nodes.nodes[1].client("Ann").await;
    let client = nodes.hub(0).connection(id);
    tokio::select! {
        _ = client.invoke::<u32>("m", &()) => unreachable!("nobody answers"),
        _ = question(&mut peer) => {}
    }
    tokio::time::pause();
    loop {
        tokio::select! {
            refused = client.invoke::<u32>("m", &()) => assert!(refused.is_err()),
            _ = question(&mut peer) => break,
        }
        tokio::time::advance(Duration::from_secs(1)).await;
    }
}
