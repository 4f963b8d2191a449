//! What a client of a node that drains sees.

use std::sync::Arc;

use everwire_hub::{Context, Drained, HubError, method::Opaque};
use serde_json::json;
use tokio::sync::{Notify, mpsc};

use super::{Nodes, Session, builder};
use crate::peer::Peer;

const ONE_MOVED: Drained = Drained { moved: 1, closed: 0, left: 0 };

#[tokio::test]
async fn a_session_goes_on_at_another_node_with_all_that_it_had() {
    let nodes = Nodes::of(2, builder).await;
    let [old, new] = [&nodes.nodes[0], &nodes.nodes[1]];
    let mut session = Session::start(old, old, "&user=ann").await;
    session.call("1", "join", json!(["go"])).await;
    assert_eq!(session.next().await["invocationId"], "1");
    // Neither acknowledged nor read by the time that the session moves.
    old.hub().all().send("m", &(1,)).unwrap();
    new.hub().group("go").send("m", &(2,)).unwrap();
    let (drained, ()) = tokio::join!(old.drain(), session.follow());
    assert_eq!(drained, ONE_MOVED);
    let mut both =
        [session.next().await, session.next().await].map(|said| said["arguments"][0].clone());
    both.sort_by_key(ToString::to_string);
    assert_eq!(both, [1, 2]);
    assert_eq!((old.hub().connected(), new.hub().connected()), (0, 1));
    // It came back to the node that has drained, and is carried to the other.
    assert_eq!(session.resumed, 1);
    session.call("2", "user", json!([])).await;
    assert_eq!(session.next().await["result"], "ann");
    for hub in [old.hub(), new.hub()] {
        hub.group("go").send("m", &("group",)).unwrap();
        assert_eq!(session.next().await["arguments"], json!(["group"]));
        hub.user("ann").send("m", &("user",)).unwrap();
        assert_eq!(session.next().await["arguments"], json!(["user"]));
        let id = session.id().parse().unwrap();
        hub.connection(id).send("m", &("connection",)).unwrap();
        assert_eq!(session.next().await["arguments"], json!(["connection"]));
    }
    assert_eq!((new.hub().totals().moved_in, old.hub().totals().moved_out), (1, 1));
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_while_all_nodes_drain_one_after_another() {
    let mut nodes = Nodes::of(3, builder).await;
    let mut session = Session::start(&nodes.nodes[0], &nodes.nodes[1], "&user=ann").await;
    session.call("join", "join", json!(["go"])).await;
    session.next().await;
    let (mut expected, mut heard) = ([0_u64; 5], [0_u64; 5]);
    let mut echoes = 0_u64;
    for round in 0..6 {
        let at = nodes.nodes.iter().position(|node| node.hub().connected() > 0).unwrap();
        let (drained, publishers) = tokio::join!(nodes.nodes[at].drain(), async {
            let mut said = 0;
            while nodes.nodes[at].hub().connected() > 0 || said < 50 {
                said += 1;
                // Each publisher in its order: nodes, and the client itself.
                for (publisher, node) in nodes.nodes.iter().enumerate() {
                    expected[publisher] += 1;
                    let message = (publisher, expected[publisher]);
                    match said % 4 {
                        0 => node.hub().all().send("m", &message).unwrap(),
                        1 => node.hub().group("go").send("m", &message).unwrap(),
                        2 => node.hub().user("ann").send("m", &message).unwrap(),
                        _ => {
                            let id = session.id().parse().unwrap();
                            node.hub().connection(id).send("m", &message).unwrap();
                        }
                    }
                }
                echoes += 1;
                session.acknowledge().await;
                session.call(&echoes.to_string(), "echo", json!([echoes])).await;
                while heard[3] + 1 < echoes {
                    hear(&mut session, &mut heard).await;
                }
            }
        });
        let () = publishers;
        assert_eq!(drained, ONE_MOVED, "round {round}");
        while heard[..3] != expected[..3] || heard[3] < echoes {
            hear(&mut session, &mut heard).await;
        }
        session.acknowledge().await;
        // The node is replaced by a new one: nobody knows of the session there.
        nodes.end(at).await;
        nodes.add(builder()).await;
        let all: Vec<_> = nodes.nodes.iter().collect();
        session.return_to(&all);
        expected = [0; 5];
        heard[..3].copy_from_slice(&[0; 3]);
        session.come_back().await;
    }
    session.call("last", "user", json!([])).await;
    assert_eq!(session.next().await["result"], "ann");
}

/// Takes one message, which has to be the next of its publisher.
async fn hear(session: &mut Session, heard: &mut [u64; 5]) {
    let message = session.next().await;
    let (publisher, number) = match message["type"].as_u64() {
        Some(1) => {
            let arguments = &message["arguments"];
            (arguments[0].as_u64().unwrap(), arguments[1].as_u64().unwrap())
        }
        _ => (3, message["result"].as_u64().unwrap()),
    };
    let last = &mut heard[usize::try_from(publisher).unwrap()];
    assert_eq!(number, *last + 1, "of publisher {publisher}");
    *last = number;
}

#[tokio::test]
async fn a_client_without_a_session_is_told_to_reconnect_and_negotiates_elsewhere() {
    let nodes = Nodes::of(2, builder).await;
    let [old, new] = [&nodes.nodes[0], &nodes.nodes[1]];
    let mut peer = old.served.peer().await;
    let (drained, ()) = tokio::join!(old.drain(), async {
        let close: serde_json::Value = serde_json::from_str(&peer.next().await.unwrap()).unwrap();
        assert_eq!(close, json!({ "type": 7, "allowReconnect": true }));
        assert_eq!(peer.next().await, None);
        assert_eq!(peer.code().await, Some(1001));
    });
    assert_eq!(drained, Drained { moved: 0, closed: 1, left: 0 });
    let mut session = Session::start(old, old, "").await;
    session.call("1", "echo", json!([1])).await;
    assert_eq!(session.next().await["result"], 1);
    let mut bare: Peer = old.served.peer().await;
    assert!(bare.call("echo", "[2]").await.contains(r#""result":2"#));
    assert_eq!((old.hub().connected(), new.hub().connected()), (0, 2));
}

#[tokio::test]
async fn with_no_other_node_everybody_is_told_to_reconnect() {
    let nodes = Nodes::of(1, builder).await;
    let node = &nodes.nodes[0];
    let mut peer = node.served.stranger(&format!("?id={}", node.served.negotiate("").await)).await;
    peer.send(r#"{"protocol":"json","version":2}"#).await;
    assert_eq!(peer.next().await.as_deref(), Some("{}"));
    let (drained, ()) = tokio::join!(node.drain(), async {
        assert!(peer.next().await.unwrap().contains(r#""allowReconnect":true"#));
        assert_eq!(peer.next().await, None);
        assert_eq!(peer.code().await, Some(1001));
    });
    assert_eq!(drained, Drained { moved: 0, closed: 1, left: 0 });
}

#[tokio::test]
async fn a_node_that_drains_takes_no_sessions_of_another() {
    let nodes = Nodes::of(3, builder).await;
    nodes.nodes[1].drain().await;
    let mut session = Session::start(&nodes.nodes[0], &nodes.nodes[0], "").await;
    let (drained, ()) = tokio::join!(nodes.nodes[0].drain(), session.follow());
    assert_eq!(drained, ONE_MOVED);
    assert_eq!([0, 1, 2].map(|at| nodes.nodes[at].hub().connected()), [0, 0, 1]);
}

#[tokio::test]
async fn a_call_that_is_at_work_ends_before_its_session_moves() {
    let (begin, mut began) = mpsc::channel::<()>(1);
    let release = Arc::new(Notify::new());
    let held = Arc::clone(&release);
    let hub = move || {
        let (begin, held) = (begin.clone(), Arc::clone(&held));
        builder().method("Slow", move |_: Context, answer: Opaque| {
            let (begin, held) = (begin.clone(), Arc::clone(&held));
            async move {
                let _ = begin.send(()).await;
                held.notified().await;
                answer
            }
        })
    };
    let nodes = Nodes::of(2, hub).await;
    let [old, new] = [&nodes.nodes[0], &nodes.nodes[1]];
    let mut session = Session::start(old, old, "").await;
    session.call("1", "slow", json!(["done"])).await;
    began.recv().await.unwrap();
    let (drained, ()) = tokio::join!(old.drain(), async {
        while !old.hub().is_draining() {
            tokio::task::yield_now().await;
        }
        // Said while the call is at work: the next node does it.
        session.call("2", "echo", json!([2])).await;
        release.notify_one();
        assert_eq!(session.next().await["result"], "done");
        assert_eq!(session.next().await["result"], 2);
    });
    assert_eq!(drained, ONE_MOVED);
    assert_eq!(new.hub().connected(), 1);
}

#[tokio::test]
async fn a_stream_that_does_not_end_ends_with_an_error_that_is_not_lost() {
    let endless = || {
        builder().stream("Endless", |_: Context| async {
            Ok(futures_util::stream::pending::<Result<u32, HubError>>())
        })
    };
    let nodes = Nodes::of(2, endless).await;
    let old = &nodes.nodes[0];
    let mut session = Session::start(old, old, "").await;
    session
        .say(json!({ "type": 4, "invocationId": "s", "target": "endless", "arguments": [] }))
        .await;
    session.call("1", "echo", json!([1])).await;
    assert_eq!(session.next().await["result"], 1);
    let (drained, ()) = tokio::join!(old.drain(), async {
        let end = session.next().await;
        assert_eq!((&end["type"], &end["invocationId"]), (&json!(3), &json!("s")));
        assert!(end["error"].as_str().unwrap().contains("when its connection moved"), "{end}");
    });
    assert_eq!(drained, ONE_MOVED);
}

#[tokio::test]
async fn a_session_without_a_socket_moves_too_and_is_found_through_any_node() {
    let mut nodes = Nodes::of(3, builder).await;
    let mut session = Session::start(&nodes.nodes[0], &nodes.nodes[0], "").await;
    session.lose().await;
    nodes.nodes[0].hub().all().send("m", &(1,)).unwrap();
    assert_eq!(nodes.nodes[0].drain().await, ONE_MOVED);
    // Its token was issued by a node that is gone; whichever of the others has it.
    nodes.end(0).await;
    for at in [0, 1, 0] {
        session.return_to(&[&nodes.nodes[at]]);
        session.come_back().await;
        session.call(&at.to_string(), "echo", json!([at])).await;
    }
    assert_eq!(session.next().await["arguments"], json!([1]));
    for at in [0, 1, 0] {
        assert_eq!(session.next().await["result"], at);
    }
}
