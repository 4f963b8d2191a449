//! What becomes of a session when something fails while it moves: one node has it, or none, and its
//! client is told.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::{body::Body, extract::Request, http::StatusCode, response::IntoResponse};
use everwire_hub::{Drained, PeerService};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{Nodes, Session, builder};

/// Answers of a node that are lost: how many more, by the path of the question. And questions that
/// come late.
#[derive(Clone, Default)]
pub(super) struct Losses(Arc<Mutex<HashMap<&'static str, u32>>>, Arc<Mutex<Option<Late>>>);

/// The next question with this path: who is told that it has come, and what it waits for.
type Late = (&'static str, oneshot::Sender<()>, oneshot::Receiver<()>);

impl Losses {
    /// The next question with this path waits: gives what tells that it has come, and what lets it go
    /// on.
    pub(super) fn hold(&self, path: &'static str) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
        let ((tell, told), (go, going)) = (oneshot::channel(), oneshot::channel());
        *self.1.lock().unwrap() = Some((path, tell, going));
        (told, go)
    }

    async fn wait(&self, path: &str) {
        let late = self.1.lock().unwrap().take_if(|(held, _, _)| *held == path);
        if let Some((_, tell, going)) = late {
            let _ = tell.send(());
            let _ = going.await;
        }
    }

    /// The next so many answers to this are lost.
    fn lose(&self, path: &'static str, answers: u32) {
        self.0.lock().unwrap().insert(path, answers);
    }

    fn is_lost(&self, path: &str) -> bool {
        let mut all = self.0.lock().unwrap();
        let Some(left) = all.get_mut(path).filter(|left| **left > 0) else { return false };
        *left -= 1;
        true
    }

    /// What a node answers to the others, but for what is lost.
    pub(super) async fn answer(self, service: PeerService, request: Request) -> impl IntoResponse {
        let path = request.uri().path().to_owned();
        self.wait(&path).await;
        let answer = service.handle(request).await.map(Body::new);
        if self.is_lost(&path) { StatusCode::BAD_GATEWAY.into_response() } else { answer }
    }
}

/// The next node hears late of what the old one has told the session. Unless it waits for that, it has
/// the session by then, and tells it again.
#[tokio::test]
async fn what_the_next_node_hears_late_is_not_told_to_a_session_again() {
    let (nodes, mut session) = nodes().await;
    let [old, new] = [&nodes.nodes[0], &nodes.nodes[1]];
    nodes.bus.hold_back(new.hub().node());
    old.hub().group("go").send("m", &("early",)).unwrap();
    assert_eq!(session.next().await["arguments"], json!(["early"]));
    let (asked, go) = new.losses.hold("/move/take");
    let (drained, ()) = tokio::join!(old.drain(), async {
        asked.await.unwrap();
        go.send(()).unwrap();
        // Far more turns than it takes to take the session in.
        for _ in 0..10_000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(new.hub().connected(), 0, "it does not know yet what the session has");
        nodes.bus.let_through(new.hub().node());
        session.follow().await;
    });
    assert_eq!(drained, Drained { moved: 1, closed: 0, left: 0 });
    old.hub().group("go").send("m", &("late",)).unwrap();
    assert_eq!(session.next().await["arguments"], json!(["late"]), "and not the early one again");
}

async fn nodes() -> (Nodes, Session) {
    let nodes = Nodes::of(2, builder).await;
    let mut session = Session::start(&nodes.nodes[0], &nodes.nodes[0], "").await;
    session.call("1", "join", json!(["go"])).await;
    session.next().await;
    (nodes, session)
}

/// The session goes on, wherever it is.
async fn goes_on(nodes: &Nodes, session: &mut Session) {
    for (at, node) in nodes.nodes.iter().enumerate() {
        node.hub().group("go").send("m", &(at,)).unwrap();
        assert_eq!(session.next().await["arguments"], json!([at]));
    }
    session.call("last", "echo", json!(["x"])).await;
    assert_eq!(session.next().await["result"], "x");
}

#[tokio::test]
async fn a_session_has_moved_even_if_nobody_says_so_at_first() {
    for (path, answers) in [("/move/take", 1), ("/move/end", 2)] {
        let (nodes, mut session) = nodes().await;
        nodes.nodes[1].losses.lose(path, answers);
        let (drained, ()) = tokio::join!(nodes.nodes[0].drain(), session.follow());
        assert_eq!(drained, Drained { moved: 1, closed: 0, left: 0 }, "{path}");
        assert_eq!([0, 1].map(|at| nodes.nodes[at].hub().connected()), [0, 1]);
        goes_on(&nodes, &mut session).await;
    }
}

#[tokio::test]
async fn a_session_stays_until_another_node_takes_it() {
    let (nodes, mut session) = nodes().await;
    nodes.nodes[1].losses.lose("/move/begin", 2);
    let (drained, ()) = tokio::join!(nodes.nodes[0].drain(), async {
        // Each time it stays its client comes back to where it was.
        for _ in 0..3 {
            session.follow().await;
        }
    });
    assert_eq!(drained, Drained { moved: 1, closed: 0, left: 0 });
    assert_eq!(nodes.nodes[0].hub().totals().moves_failed, 2);
    goes_on(&nodes, &mut session).await;
}

#[tokio::test]
async fn a_client_whose_session_may_be_anywhere_is_told_to_begin_anew() {
    let (nodes, session) = nodes().await;
    nodes.nodes[1].losses.lose("/move/end", u32::MAX);
    let mut peer = session.into_peer();
    let (drained, ()) = tokio::join!(nodes.nodes[0].drain(), async {
        let close: Value = serde_json::from_str(&peer.next().await.unwrap()).unwrap();
        assert_eq!(close, json!({ "type": 7, "allowReconnect": true }));
        assert_eq!(peer.next().await, None);
        assert_eq!(peer.code().await, Some(1001));
    });
    assert_eq!((drained.moved, drained.left), (0, 0));
    assert_eq!(nodes.nodes[0].hub().connected(), 0, "only the one that nobody comes for is left");
    assert_eq!(nodes.nodes[0].hub().totals().moves_failed, 1);
}

#[tokio::test]
async fn a_session_that_no_node_takes_ends_with_its_node() {
    let (nodes, session) = nodes().await;
    nodes.nodes[1].losses.lose("/move/begin", u32::MAX);
    let mut session = session;
    let (drained, ()) = tokio::join!(nodes.nodes[0].drain(), async {
        for _ in 0..3 {
            session.follow().await;
        }
        let mut peer = session.into_peer();
        let mut last = String::new();
        while let Some(next) = peer.next().await {
            last = next;
        }
        assert!(last.contains(r#""allowReconnect":true"#), "{last}");
        assert_eq!(peer.code().await, Some(1001));
    });
    assert_eq!(drained, Drained { moved: 0, closed: 1, left: 0 });
    assert_eq!([0, 1].map(|at| nodes.nodes[at].hub().connected()), [0, 0]);
}
