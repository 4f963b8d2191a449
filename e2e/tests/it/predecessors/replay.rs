//! P1 to P6, P16, P17: what happened to messages that were sent while no backend was there.

use everwire_testkit::{
    client::{Client, Heard},
    everwire::{Everwire, Setup},
    foreign::Backend,
    message::Kind,
    need,
    scripted::{
        Listener, Role,
        frame::{Frame, TEXT},
    },
    tools,
    wait::eventually,
};
use tokio::join;

use crate::stage::{client_of, echoing, in_front_of, silent};

/// The texts that arrived at `backend`, once there are `count`.
async fn texts_at(backend: &Backend, count: usize) -> Vec<String> {
    backend.messages_reach(count).await;
    backend.messages().into_iter().map(|seen| seen.text).collect()
}

/// Kills `backend`, sends `texts` while it is away, and brings it back.
async fn say_during_outage(
    backend: &mut Backend,
    everwire: &Everwire,
    client: &mut Client,
    texts: &[&str],
) {
    everwire.settled().await;
    backend.kill().await;
    everwire.pipes_without_backend_become(1).await;
    for text in texts {
        client.send_text(text).await;
    }
    let held = texts.len() as u64;
    eventually("everything held", async || {
        (everwire.pipes().await[0]["unconfirmed_messages"] == held).then_some(())
    })
    .await;
    backend.revive().await;
}

#[tokio::test]
async fn pred_p1_the_message_after_an_outage_is_not_lost() {
    let node = need!(tools::node());
    let mut backend = Backend::start(silent(&node)).await;
    let everwire = in_front_of(&[&backend]).await;
    let mut client = client_of(&everwire).await;
    say_during_outage(&mut backend, &everwire, &mut client, &["b1", "b2", "b3"]).await;
    client.send_text("after1").await;
    client.send_text("after2").await;
    assert_eq!(texts_at(&backend, 5).await, ["b1", "b2", "b3", "after1", "after2"]);
}

#[tokio::test]
async fn pred_p2_what_is_held_is_sent_without_waiting_for_the_client_to_speak() {
    let node = need!(tools::node());
    let mut backend = Backend::start(silent(&node)).await;
    let everwire = in_front_of(&[&backend]).await;
    let mut client = client_of(&everwire).await;
    say_during_outage(&mut backend, &everwire, &mut client, &["held"]).await;
    assert_eq!(texts_at(&backend, 1).await, ["held"]);
}

#[tokio::test]
async fn pred_p3_messages_of_an_outage_are_not_merged() {
    let node = need!(tools::node());
    let mut backend = Backend::start(echoing(&node)).await;
    let everwire = in_front_of(&[&backend]).await;
    let mut client = client_of(&everwire).await;
    say_during_outage(&mut backend, &everwire, &mut client, &["one", "two", "three"]).await;
    assert_eq!(texts_at(&backend, 3).await, ["one", "two", "three"]);
    for text in ["one", "two", "three"] {
        assert_eq!(client.hear().await.text(), text);
    }
}

#[tokio::test]
async fn pred_p4_a_second_outage_neither_corrupts_nor_reorders() {
    let node = need!(tools::node());
    let mut backend = Backend::start(silent(&node)).await;
    let everwire = in_front_of(&[&backend]).await;
    let mut client = client_of(&everwire).await;
    say_during_outage(&mut backend, &everwire, &mut client, &["A", "B", "C"]).await;
    client.send_text("between").await;
    texts_at(&backend, 4).await;
    say_during_outage(&mut backend, &everwire, &mut client, &["XXXXXX", "YYYYYY", "ZZZZZZ"]).await;
    client.send_text("after3").await;
    client.send_text("after4").await;
    let wanted = ["A", "B", "C", "between", "XXXXXX", "YYYYYY", "ZZZZZZ", "after3", "after4"];
    assert_eq!(texts_at(&backend, 9).await, wanted);
}

#[tokio::test]
async fn pred_p5_a_message_of_100_000_bytes_stays_one_both_ways() {
    let node = need!(tools::node());
    let mut backend = Backend::start(echoing(&node)).await;
    let everwire = in_front_of(&[&backend]).await;
    let mut client = client_of(&everwire).await;
    let sequence = client.say(100_000).await;
    client.hear_echo(sequence).await;
    everwire.settled().await;
    backend.kill().await;
    let sequence = client.say(100_000).await;
    backend.revive().await;
    client.hear_echo(sequence).await;
    backend.messages_reach(2).await;
    assert!(backend.messages().iter().all(|seen| seen.whole && seen.bytes > 100_000));
}

#[tokio::test]
async fn pred_p6_binary_stays_binary() {
    let node = need!(tools::node());
    let mut backend = Backend::start(echoing(&node)).await;
    let everwire = in_front_of(&[&backend]).await;
    let mut client = client_of(&everwire).await;
    let bytes = vec![0xFF, 0xFE, 0x00];
    client.send(Kind::Binary, bytes.clone()).await;
    assert_eq!(client.hear().await, Heard::Message(Kind::Binary, bytes.clone()));
    everwire.settled().await;
    backend.kill().await;
    client.send(Kind::Binary, bytes.clone()).await;
    backend.revive().await;
    assert_eq!(client.hear().await, Heard::Message(Kind::Binary, bytes));
    assert!(backend.messages().iter().all(|seen| seen.binary && seen.bytes == 3));
}

/// The backlog was doubled whenever writing it failed.
#[tokio::test]
async fn pred_p16_legs_that_die_before_reading_do_not_multiply_the_backlog() {
    let backend = Listener::bind().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let (mut client, leg) = join!(Client::open(everwire.address(), "/", "c"), backend.accept_leg());
    for text in ["one", "two", "three"] {
        client.send_text(text).await;
    }
    let held = |pipes: Vec<serde_json::Value>| pipes[0]["buffered_bytes"].as_u64().unwrap();
    leg.reset();
    let refused = backend.accept().await;
    let before = held(everwire.pipes().await);
    refused.reset();
    backend.accept().await.reset();
    let mut last = backend.accept().await;
    assert_eq!(held(everwire.pipes().await), before, "the backlog grew");
    last.welcome(&[]).await;
    for text in ["one", "two", "three"] {
        let message = last.next_message(Role::Server).await;
        assert_eq!(message, Some((TEXT, text.as_bytes().to_vec())));
    }
    client.send_text("four").await;
    let message = last.next_message(Role::Server).await;
    assert_eq!(message, Some((TEXT, b"four".to_vec())));
    last.send_frame(&Frame::new(TEXT, "heard")).await;
    assert_eq!(client.hear().await.text(), "heard");
}

/// The kernel of a stopped process takes bytes that nobody will ever read.
#[tokio::test]
async fn pred_p17_bytes_taken_by_the_kernel_of_a_dying_backend_are_sent_again() {
    let node = need!(tools::node());
    let mut backend = Backend::start(silent(&node)).await;
    let everwire = in_front_of(&[&backend]).await;
    let mut client = client_of(&everwire).await;
    client.send_text("read").await;
    backend.messages_reach(1).await;
    everwire.settled().await;
    backend.process().freeze();
    for text in ["one", "two", "three"] {
        client.send_text(text).await;
    }
    eventually("the messages under way", async || {
        (everwire.pipes().await[0]["client_messages"] == 4).then_some(())
    })
    .await;
    backend.kill().await;
    backend.revive().await;
    assert_eq!(texts_at(&backend, 4).await, ["read", "one", "two", "three"]);
}
