//! What comes over the backplane and is not what this node says.

use bytes::Bytes;
use everwire_backplane::{Bus, PAYLOAD_MAX};
use everwire_hub::Hub;

use super::{Nodes, builder, call, channel};

#[tokio::test]
async fn fault_b15_attack_s8_hostile_old_newer_and_huge_envelopes_are_counted_and_dropped() {
    let nodes = Nodes::of(2, builder).await;
    let (mut peer, _) = nodes.nodes[0].client("Ann").await;
    let attacker = nodes.cluster.node();
    let deep = [&b"\x01\x01\0\0\0\x05\0\0\0\0\0\0\0\0\x01m\x01\0\x01\0\0"[..], &[b'['; 65_536]];
    let to_nobody_known = b"\x01\x01\0\0\0\x05\x07\0\0\0\0\0\0\0\x01m\x01\0\0\0\x02[]";
    let envelopes: Vec<Bytes> = vec![
        Bytes::new(),
        "garbage".into(),
        Bytes::from_static(&[0, 1, 2, 3]),
        Bytes::from_static(&[2, 1, 0, 0, 0, 0]),
        Bytes::from_static(&[1, 99, 0, 0, 0, 0]),
        Bytes::from_static(&[1, 1, 0xff, 0xff, 0xff, 0xff]),
        Bytes::from_static(to_nobody_known),
        deep.concat().into(),
        Bytes::from(vec![1; PAYLOAD_MAX]),
    ];
    let before = nodes.hub(0).exchanged().unwrap();
    for envelope in &envelopes {
        drop(attacker.publish(&channel(), envelope.clone()));
    }
    nodes.hub(1).all().send("m", &()).unwrap();
    assert_eq!(peer.next().await, Some(call("m", "[]")), "the node lives");
    let after = nodes.hub(0).exchanged().unwrap();
    assert_eq!(after.unreadable - before.unreadable, envelopes.len() as u64);
}

#[tokio::test]
async fn fault_b14_attack_s8_what_a_newer_node_adds_does_no_harm() {
    let nodes = Nodes::of(2, builder).await;
    let (mut peer, _) = nodes.nodes[0].client("Ann").await;
    let newer = nodes.cluster.node();
    // A header and a message with something behind each that this node does not know.
    let envelope = b"\x01\x01\0\0\0\x08\0\0\0\0\0new\0\0\0\x01m\x01\0\0\0\x02[]and more";
    drop(newer.publish(&channel(), Bytes::from_static(envelope)));
    assert_eq!(peer.next().await, Some(call("m", "[]")));
}

#[tokio::test]
async fn attack_s8_hostile_questions_are_answered_with_nothing() {
    let nodes = Nodes::of(2, builder).await;
    let attacker = nodes.cluster.node();
    let node = nodes.nodes[0].bus.member().node;
    let within = std::time::Duration::from_secs(5);
    for question in [&b""[..], b"garbage", b"\x01\x63", b"\x01\x08\xff\xff\xff\xff", &[1; 70_000]] {
        let answer = attacker.ask(node, &channel(), Bytes::copy_from_slice(question), within).await;
        assert_eq!(answer, everwire_backplane::Answer::Reply(Bytes::new()));
    }
    assert_eq!(nodes.hub(0).exchanged().unwrap().unreadable, 5);
}

#[tokio::test]
async fn attack_s7_no_name_reaches_anybody_but_who_has_it() {
    let nodes = Nodes::of(2, builder).await;
    let names = ["a", "a\0", "a\r\n", "*", "a*", ">", "{a}", "A", "\u{430}", "a.b", "a b"];
    let mut clients = Vec::new();
    for name in names {
        let (peer, id) = nodes.nodes[1].client("x").await;
        nodes.hub(0).groups().add(id, name).unwrap();
        clients.push(peer);
    }
    for name in names {
        nodes.hub(0).group(name).send("m", &(name,)).unwrap();
    }
    nodes.hub(0).all().send("end", &()).unwrap();
    for (name, peer) in names.into_iter().zip(&mut clients) {
        let said: serde_json::Value = serde_json::from_str(&peer.next().await.unwrap()).unwrap();
        assert_eq!(said["arguments"][0], name);
        assert_eq!(peer.next().await, Some(call("end", "[]")));
    }
    let hub: &Hub = nodes.hub(0);
    let long = "x".repeat(1 << 20);
    hub.group(&*long).send("m", &()).unwrap();
    assert_eq!(hub.group(&*long).count().await.value, 0);
}
