//! Later legs: the client waits, its session is at stake, and thousands may dial at once.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::*;

fn agreed(protocol: &str) -> Agreed {
    Agreed { protocol: Some(protocol.into()), deflate: None }
}

async fn peers(scripts: Vec<Script>) -> (Vec<Peer>, Client) {
    let mut peers = Vec::new();
    for script in scripts {
        peers.push(Peer::start(script).await);
    }
    let client = Client::new(peers.iter().map(Peer::config).collect());
    (peers, client)
}

/// `count` dials for later legs.
fn dials(client: &Arc<Client>, count: usize) -> JoinSet<Leg> {
    let mut dials = JoinSet::new();
    for _ in 0..count {
        let client = client.clone();
        dials.spawn(async move { client.again(&Agreed::default()).await.expect("a leg") });
    }
    dials
}

#[tokio::test(start_paused = true)]
async fn a_later_leg_offers_what_was_agreed_and_says_how_far_the_pipe_is() {
    let (peers, client) = peers(vec![Script::welcome(&["Sec-WebSocket-Protocol: v2"])]).await;
    let leg = client.again(&agreed("v2")).await.expect("a leg");
    assert_eq!(leg.welcome.agreed, agreed("v2"));
    let head = &peers[0].heads()[0];
    assert!(head.contains("\r\nSec-WebSocket-Protocol: v2\r\n"), "{head}");
    assert!(head.contains("\r\nEverwire-Leg: 2\r\n"), "{head}");
}

#[tokio::test(start_paused = true)]
async fn fault_p8_refused_credentials_end_the_search_at_once() {
    for status in ["401 Unauthorized", "403 Forbidden"] {
        let refuse = Script::lines(&[&format!("HTTP/1.1 {status}"), "Content-Length: 0"]);
        let (peers, client) = peers(vec![refuse.clone(), refuse]).await;
        let error = client.again(&Agreed::default()).await.expect_err("no leg");
        assert_eq!(error, LegError::Unauthorized);
        assert_eq!(peers[0].heads().len() + peers[1].heads().len(), 1);
        client.check_nothing_left();
    }
}

#[tokio::test(start_paused = true)]
async fn fault_p8_what_does_not_fit_is_tried_once_on_each_backend() {
    for (script, why) in [
        (Script::lines(&["HTTP/1.1 404 Not Found", "Content-Length: 0"]), "404"),
        (Script::lines(&["HTTP/1.1 200 OK", "Content-Length: 0"]), "200"),
        (Script::lines(&["HTTP/1.1 101 Switching Protocols"]), "upgrade"),
        (Script::welcome(&[]), "subprotocol"),
        (Script::welcome(&["Sec-WebSocket-Protocol: v3"]), "subprotocol"),
        (
            Script::welcome(&[
                "Sec-WebSocket-Protocol: v2",
                "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover",
            ]),
            "extension",
        ),
        (Script::welcome(&["Sec-WebSocket-Protocol: v2", "Everwire-Client-Received: x"]), "number"),
    ] {
        let (peers, client) = peers(vec![script.clone(), script.clone(), script.clone()]).await;
        let (error, took) = timed(client.again(&agreed("v2"))).await;
        let Err(LegError::Mismatch(said)) = error else { panic!("{script:?}: {error:?}") };
        assert!(said.contains(why), "{said} for {script:?}");
        assert!(peers.iter().all(|peer| peer.heads().len() == 1), "no retry storm");
        assert!(took < Duration::from_millis(100), "{took:?}");
        assert_eq!(client.failures(), [0, 0, 0], "they do answer");
        client.check_nothing_left();
        for peer in &peers {
            peer.left_alone().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_backend_that_fits_is_enough() {
    let other = Script::lines(&["HTTP/1.1 404 Not Found", "Content-Length: 0"]);
    let (_peers, client) = peers(vec![other.clone(), Script::welcome(&[]), other]).await;
    let leg = client.again(&Agreed::default()).await.expect("the one that fits");
    assert_eq!(leg.guard.backend(), BackendId(2));
}

#[tokio::test(start_paused = true)]
async fn exactly_once_waits_for_a_backend_that_counts() {
    let counts = Script::welcome(&["Everwire-Client-Received: 7"]);
    let (_peers, mut client) = peers(vec![Script::welcome(&[]), counts]).await;
    client.counting = true;
    let leg = client.again(&Agreed::default()).await.expect("the one that counts");
    assert_eq!(leg.welcome.client_received, Some(7));
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_cannot_serve_is_tried_until_it_can() {
    for script in unreachable_scripts() {
        let (peers, client) = peers(vec![script]).await;
        let agreed = Agreed::default();
        let mut dial = std::pin::pin!(client.again(&agreed));
        let waits = tokio::time::timeout(Duration::from_secs(20), dial.as_mut()).await;
        assert!(waits.is_err(), "it goes on as long as the caller waits");
        let asked = peers[0].heads().len();
        assert!((30..=90).contains(&asked), "asked {asked} times in 20 s");
        peers[0].change(Script::welcome(&[]));
        let (leg, took) = timed(dial).await;
        leg.expect("a leg");
        assert!(took <= Duration::from_secs(1), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn fault_p4_a_silent_backend_is_given_up_where_another_is_well() {
    let (peers, client) = peers(vec![Script::silent(), Script::welcome(&[])]).await;
    let (leg, took) = timed(client.again(&Agreed::default())).await;
    assert_eq!(leg.expect("the other").guard.backend(), BackendId(2));
    assert!((2_400..2_600).contains(&took.as_millis()), "{took:?}");
    peers[0].left_alone().await;
}

#[tokio::test(start_paused = true)]
async fn a_lone_backend_may_take_ten_seconds_to_answer() {
    let slow = Script::welcome(&[]).after(Duration::from_millis(9_900));
    let (peers, client) = peers(vec![slow]).await;
    drop(client.again(&Agreed::default()).await.expect("a leg"));
    peers[0].change(Script::silent());
    let agreed = Agreed::default();
    let waits = tokio::time::timeout(Duration::from_millis(10_100), client.again(&agreed)).await;
    assert!(waits.is_err(), "nobody answers");
    assert_eq!(client.failures(), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_dies_behind_its_101_is_chosen_last() {
    let dies = Script::welcome(&[]).then(Then::Close);
    let (_peers, client) = peers(vec![dies, Script::welcome(&[])]).await;
    let leg = client.again(&Agreed::default()).await.expect("a leg");
    assert_eq!(leg.guard.backend(), BackendId(1));
    leg.guard.ended();
    for _ in 0..3 {
        let leg = client.again(&Agreed::default()).await.expect("a leg");
        assert_eq!(leg.guard.backend(), BackendId(2));
    }
}

#[tokio::test(start_paused = true)]
async fn attack_h14_a_dial_that_is_dropped_leaves_nothing() {
    let (peers, client) = peers(vec![Script::silent()]).await;
    for millis in [0, 1, 100, 3_000] {
        let agreed = Agreed::default();
        let dial = client.again(&agreed);
        assert!(tokio::time::timeout(Duration::from_millis(millis), dial).await.is_err());
        client.check_nothing_left();
        let first = tokio::time::timeout(Duration::from_millis(millis), client.first()).await;
        assert!(first.is_err());
        client.check_nothing_left();
    }
    peers[0].left_alone().await;
    assert_eq!(client.failures(), [0], "who is not waited for has not failed");
}

#[tokio::test(start_paused = true)]
async fn at_most_128_dials_are_in_flight_to_one_backend() {
    let (peers, client) = peers(vec![Script::welcome(&[]).after(Duration::from_millis(20))]).await;
    let client = Arc::new(client);
    let mut dials = dials(&client, 500);
    // Legs are given back as they come, so that a connection that is open is a dial.
    let mut opened = 0;
    while let Some(leg) = dials.join_next().await {
        drop(leg.expect("not cancelled"));
        let in_flight = client.pool.backends()[0].dials_in_flight;
        assert!(in_flight <= 128, "{in_flight} dials in flight");
        opened += 1;
    }
    assert_eq!(opened, 500);
    assert!((100..=400).contains(&peers[0].most()), "{} connections at a time", peers[0].most());
    client.check_nothing_left();
}

#[tokio::test(start_paused = true)]
async fn fault_p6_many_dials_wait_for_a_dead_address_and_all_come_back() {
    let address: SocketAddr = dead_address().await;
    let client = Arc::new(Client::new(vec![config(address)]));
    let mut dials = dials(&client, 400);
    let early = tokio::time::timeout(Duration::from_secs(30), dials.join_next()).await;
    assert!(early.is_err(), "nobody answers");
    assert_eq!(client.pool.waiting(), 400);
    let failures = client.failures()[0];
    assert!(failures <= 128 + 30 * 4 + 6, "{failures} connects in 30 s");
    let peer = Peer::at(address, Script::welcome(&[])).await;
    let (legs, took) = timed(dials.join_all()).await;
    assert_eq!((legs.len(), peer.open()), (400, 400));
    assert!(took <= Duration::from_secs(1), "{took:?}");
    assert!(client.failures()[0] <= failures + 2);
    drop(legs);
    client.check_nothing_left();
    peer.left_alone().await;
}
