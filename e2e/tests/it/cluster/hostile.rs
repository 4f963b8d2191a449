//! Rows B9, B12, B14 and B15 with processes: storms, nodes of another version, poison.

use everwire_testkit::{
    everwire::Setup,
    http::request,
    need,
    redis::{Server, VOLATILE},
    talker::Call,
    tools,
    wait::eventually,
};
use serde_json::json;

use super::three::{ROOM, SECRET, Three, heard};

/// The stream of the hub, and what is written to it by somebody who is no node of this version.
const STREAM: &str = "everwire:channel:9:hubs/room";

async fn store(redis: &Server, entry: &[u8]) {
    redis.tell(&[b"XADD", STREAM.as_bytes(), b"*", b"e", entry]).await;
}

#[tokio::test]
async fn fault_b15_attack_s8_poison_in_the_stream_is_counted_and_the_nodes_live() {
    let redis = Server::start(&need!(tools::redis()), VOLATILE).await;
    let mut three = Three::on(&redis).await;
    assert_eq!(redis.tell(&["TYPE", STREAM]).await, "+stream", "it is what the nodes read");
    let deep = vec![b'['; 1 << 20];
    let long = vec![b'{'; 5 << 20];
    let poison: [&[u8]; 6] =
        [b"", b"{\"a\":[[[[", b"EW\x01\x01\x00\xff", b"EW\x09\x01\x00\x00", &deep, &long];
    for entry in poison {
        store(&redis, entry).await;
    }
    redis.tell(&["XADD", STREAM, "*", "neither", "name", "nor", "shape"]).await;
    three.all_have_heard_all().await;
    three.nobody_was_dropped();
    for node in &three.nodes {
        eventually("all being counted", async || {
            (node.metric("everwire_backplane_foreign_total").await >= 7.0).then_some(())
        })
        .await;
        assert!(!node.log().contains("panicked"));
    }
}

/// Who publishes more than the nodes can pass on is told so, and what was taken arrives in order.
#[tokio::test]
async fn fault_b12_a_storm_that_redis_does_not_take_is_shed_with_an_error_and_order_is_kept() {
    let redis = Server::start(&need!(tools::redis()), VOLATILE).await;
    // Clients have room for all that is taken.
    let room = ROOM.replace("/room\"", "/room\"\nqueue_max = \"64MiB\"");
    let node = || Setup::new().cluster(SECRET).hubs(&room).backplane(redis.url());
    let three = Three::of([node(), node(), node()]).await;
    redis.process.freeze();
    let padding = "x".repeat(500_000);
    let publisher = three.nodes[0].admin();
    let publish = async |number: u32| {
        let body = json!({ "target": "Storm", "arguments": [number, padding] });
        request(publisher, "POST", "/api/hubs/room/:send", Some(&body)).await
    };
    let mut taken = 0;
    let refused = loop {
        let answer = publish(taken).await;
        if answer.status != 202 {
            break answer;
        }
        taken += 1;
        assert!(taken < 1000, "nothing is refused");
    };
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.body.contains("waiting for the backplane"), "{refused:?}");
    let memory = three.nodes[0].memory();
    assert!(memory < 256 << 20, "{memory} bytes");
    redis.process.wake();
    let last = eventually("room again", async || {
        let answer = publish(1000).await;
        (answer.status == 202).then_some(())
    });
    last.await;
    for client in &three.clients[1..] {
        client.hears(&Call::of("Storm", json!([1000, padding]))).await;
        let numbers = heard(client, "Storm").into_iter().map(|said| said[0].clone());
        let numbers: Vec<_> = numbers.collect();
        let expected: Vec<_> = (0..taken).chain([1000]).map(|number| json!(number)).collect();
        assert_eq!(numbers, expected);
    }
}
