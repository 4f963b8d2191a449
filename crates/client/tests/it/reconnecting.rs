//! Losing a connection without stateful reconnect, and leaving one.

use std::time::Duration;

use everwire_client::{
    CloseReason, Connection, InvokeError, Loss, ReconnectPolicy, SendError, State,
};
use everwire_testkit::wait::soon;
use tokio_tungstenite::tungstenite::{Message, protocol::frame::coding::CloseCode};

use crate::peer::{PLAIN, Peer};

fn at_once(count: usize) -> ReconnectPolicy {
    ReconnectPolicy::Delays(vec![Duration::ZERO; count])
}

async fn until(client: &Connection, wanted: impl Fn(&State) -> bool) {
    let mut state = client.state();
    soon("a state", state.wait_for(|state| wanted(state))).await.unwrap();
}

#[tokio::test]
async fn a_lost_connection_is_replaced_by_a_stranger() {
    let peer = Peer::bind().await;
    let (client, mut server) = peer.connected(peer.client().reconnect(at_once(1))).await;
    let serve = async {
        server.hear().await;
        server.cut();
        peer.serve(&PLAIN.replace("one", "two")).await
    };
    let (lost, mut server) = tokio::join!(client.invoke::<u32>("Add", &[1]), serve);
    assert!(matches!(lost, Err(InvokeError::Lost)), "{lost:?}");
    until(&client, |state| matches!(state, State::Reconnected { .. })).await;
    assert_eq!(client.connection_id().unwrap().as_str(), "two");
    client.send("Say", &[1]).await.unwrap();
    assert!(server.hear().await.contains("Say"));
}

#[tokio::test]
async fn what_is_said_while_there_is_no_connection_is_refused() {
    let peer = Peer::bind().await;
    let policy = ReconnectPolicy::Delays(vec![Duration::from_secs(3600)]);
    let (client, server) = peer.connected(peer.client().reconnect(policy)).await;
    server.cut();
    until(&client, |state| matches!(state, State::Reconnecting { .. })).await;
    assert_eq!(client.connection_id(), None);
    assert!(matches!(client.send("Say", &[1]).await, Err(SendError::NotConnected)));
    let refused = client.invoke::<u32>("Add", &[1]).await;
    assert!(matches!(refused, Err(InvokeError::Send(SendError::NotConnected))));
    let refused = client.stream::<u32>("Count", &[1]).await.unwrap_err();
    assert!(matches!(refused, InvokeError::Send(SendError::NotConnected)));
    soon("the end of the wait", client.stop()).await;
    assert!(matches!(client.send("Say", &[1]).await, Err(SendError::Closed)));
}

#[tokio::test]
async fn after_the_last_attempt_there_is_an_end_with_its_reason() {
    let peer = Peer::bind().await;
    let (client, server) = peer.connected(peer.client().reconnect(at_once(2))).await;
    drop(peer);
    server.cut();
    let why = soon("the end", client.closed()).await;
    assert!(matches!(*why, CloseReason::GaveUp { attempts: 2, .. }), "{why}");
}

#[tokio::test]
async fn a_policy_of_never_ends_with_the_first_loss() {
    let peer = Peer::bind().await;
    let (client, server) = peer.connected(peer.client().reconnect(ReconnectPolicy::Never)).await;
    server.cut();
    let why = soon("the end", client.closed()).await;
    assert!(matches!(*why, CloseReason::Lost(Loss::Socket(_))), "{why}");
}

#[tokio::test]
async fn a_server_that_restarts_asks_to_be_returned_to() {
    let peer = Peer::bind().await;
    let (client, mut server) = peer.connected(peer.client().reconnect(at_once(1))).await;
    server.say("{\"type\":7,\"allowReconnect\":true}\u{1e}").await;
    let (_server, ()) = tokio::join!(peer.serve(PLAIN), server.ended());
    until(&client, |state| matches!(state, State::Reconnected { .. })).await;
}

#[tokio::test]
async fn a_server_that_closes_is_left_alone() {
    let peer = Peer::bind().await;
    let (client, mut server) = peer.connected(peer.client()).await;
    server.say("{\"type\":7,\"error\":\"enough\"}\u{1e}").await;
    server.ended().await;
    let why = soon("the end", client.closed()).await;
    assert_eq!(why.to_string(), "Server returned an error on close: enough");
}

#[tokio::test]
async fn a_client_that_stops_says_so_and_ends_cleanly() {
    let peer = Peer::bind().await;
    let (client, mut server) = peer.connected(peer.client()).await;
    client.send("Say", &[1]).await.unwrap();
    let serve = async {
        assert!(server.hear().await.contains("Say"), "what was said before is not lost");
        assert_eq!(server.hear().await, "{\"type\":7}\u{1e}");
        let Message::Close(Some(close)) = server.hear_any().await else { panic!("no close") };
        assert_eq!(close.code, CloseCode::Normal);
        server.ended().await;
    };
    tokio::join!(client.stop(), serve);
    assert!(matches!(*client.closed().await, CloseReason::Stopped));
}

#[tokio::test]
async fn the_last_handle_takes_the_socket_with_it() {
    let peer = Peer::bind().await;
    let (client, server) = peer.connected(peer.client()).await;
    let clone = client.clone();
    drop(client);
    clone.send("Say", &[1]).await.unwrap();
    drop(clone);
    server.ended().await;
}
