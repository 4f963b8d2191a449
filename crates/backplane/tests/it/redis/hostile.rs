//! Entries that no node of this version wrote.

use bytes::Bytes;
use everwire_backplane::{Bus, Envelope, Item, Kind, Origin};
use everwire_testkit::{need, tools, wait::eventually};
use redis::{Cmd, aio::MultiplexedConnection};

use super::{channel, follow, next};
use crate::server::{Server, VOLATILE, connect};

const STREAM: &str = "everwire:channel:7:channel";

async fn store(connection: &mut MultiplexedConnection, key: &str, entry: &[u8]) {
    let mut command = Cmd::new();
    command.arg("XADD").arg(key).arg("*").arg("e").arg(entry);
    let _: String = command.query_async(connection).await.unwrap();
}

#[tokio::test]
async fn fault_b15_attack_s8_entries_of_strangers_are_counted_and_the_node_lives() {
    let server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let (one, two) = (server.node(), server.node());
    let mut subscription = follow(&two).await;
    let mut connection = connect(&server.url()).await;
    let inbox = format!("everwire:inbox:{}", two.member().node);
    let long = vec![b'{'; 5 << 20];
    let cut: &[u8] = b"EW\x01\x01\x00\xff";
    let later: &[u8] = b"EW\x09\x01\x00\x00";
    for key in [STREAM, &inbox] {
        for entry in [b"".as_slice(), b"{\"a\":[[[[", cut, later, &long] {
            store(&mut connection, key, entry).await;
        }
    }
    let origin = Origin { member: one.member(), sequence: 1 };
    let payload = Bytes::from_static(&[255; 7]);
    for kind in [Kind::Question, Kind::Answer] {
        let envelope = Envelope { origin, kind, payload: payload.clone() };
        store(&mut connection, &inbox, &envelope.encode()).await;
    }
    let mut odd = Cmd::new();
    odd.arg(&["XADD", STREAM, "*", "one", "1", "two", "2", "three", "3"]);
    let _: String = odd.query_async(&mut connection).await.unwrap();
    drop(one.publish(&channel(), Bytes::from("alive")));
    let Item::Message(message) = next(&mut subscription).await else { panic!("no message") };
    assert_eq!(message.payload, "alive");
    eventually("all being counted", async || (two.health().counts.foreign >= 12).then_some(()))
        .await;
}

#[tokio::test]
async fn fault_b14_what_a_newer_node_says_beside_messages_leaves_no_hole() {
    let server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let node = server.node();
    let mut subscription = follow(&node).await;
    let mut connection = connect(&server.url()).await;
    let newer = everwire_backplane::NodeId::random();
    let member = everwire_backplane::Member { node: newer, ..node.member() };
    let kinds = [Kind::Message, Kind::Newer(77), Kind::Aside(200), Kind::Message];
    for (kind, sequence) in kinds.into_iter().zip([1, 2, 0, 3]) {
        let origin = Origin { member, sequence };
        let envelope = Envelope { origin, kind, payload: Bytes::from("x") };
        store(&mut connection, STREAM, &envelope.encode()).await;
    }
    for expected in [1, 3] {
        let Item::Message(message) = next(&mut subscription).await else { panic!("no message") };
        assert_eq!(message.origin, Origin { member, sequence: expected });
    }
}
