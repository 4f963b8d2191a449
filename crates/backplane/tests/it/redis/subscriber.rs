//! Plain channels of a Redis, as others publish to them.

use everwire_backplane::redis::{Config, Heard, Subscriber};
use everwire_testkit::{need, tools, wait::soon};

use crate::server::{Server, VOLATILE};

fn message(text: &str) -> Heard {
    Heard::Message(text.to_owned().into())
}

async fn next(subscriber: &mut Subscriber) -> Heard {
    soon("something to hear", subscriber.next()).await
}

#[tokio::test]
async fn what_others_publish_is_heard_in_order() {
    let server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let mut subscriber = Subscriber::start(&Config::new(server.url()), "news").unwrap();
    assert_eq!(next(&mut subscriber).await, Heard::Listening);
    for text in ["one", "two", "", "three\r\n\0"] {
        server.tell(&["PUBLISH", "news", text]).await;
        server.tell(&["PUBLISH", "other", text]).await;
    }
    for text in ["one", "two", "", "three\r\n\0"] {
        assert_eq!(next(&mut subscriber).await, message(text));
    }
}

#[tokio::test]
async fn a_cut_is_told_and_listening_goes_on() {
    let mut server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let mut subscriber = Subscriber::start(&Config::new(server.url()), "news").unwrap();
    assert_eq!(next(&mut subscriber).await, Heard::Listening);
    server.tell(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    assert_eq!(next(&mut subscriber).await, Heard::Missed);
    assert_eq!(next(&mut subscriber).await, Heard::Listening);
    server.tell(&["PUBLISH", "news", "again"]).await;
    assert_eq!(next(&mut subscriber).await, message("again"));
    server.kill_and_restart().await;
    assert_eq!(next(&mut subscriber).await, Heard::Missed);
    assert_eq!(next(&mut subscriber).await, Heard::Listening, "however long it takes");
}

#[tokio::test]
async fn fault_b2_a_server_that_answers_no_more_is_left_and_found_again() {
    let server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let mut subscriber = Subscriber::start(&Config::new(server.url()), "news").unwrap();
    assert_eq!(next(&mut subscriber).await, Heard::Listening);
    server.process.freeze();
    assert_eq!(next(&mut subscriber).await, Heard::Missed, "silence is looked into");
    server.process.wake();
    assert_eq!(next(&mut subscriber).await, Heard::Listening);
}

#[tokio::test]
async fn a_server_that_comes_later_is_found() {
    let mut server = Server::start(&need!(tools::redis()), VOLATILE).await;
    server.process.kill();
    let mut subscriber = Subscriber::start(&Config::new(server.url()), "news").unwrap();
    server.restart().await;
    assert_eq!(next(&mut subscriber).await, Heard::Listening, "nothing was missed before");
    assert!(Subscriber::start(&Config::new("http://localhost"), "news").is_err());
}
