//! S4, S5 and S8 between nodes: tokens that are of no use anywhere, and who is no node.

use std::time::Duration;

use everwire_hub::{Cluster, ClusterError, HubConfig, SecretsError};

use super::{SECRET, ask, hub, node, node_of, three};

#[tokio::test]
async fn attack_s4_no_node_lets_a_forged_or_foreign_token_in() {
    let nodes = three().await;
    let foreign = node(&["what nobody here knows of, at all"]).await.served.negotiate("").await;
    let token = nodes[0].served.negotiate("").await;
    let id = &token[..22];
    let forged = [
        id.to_owned(),
        format!("{id}{}", &foreign[22..]),
        format!("{}{}", &foreign[..22], &token[22..]),
        token[..token.len() - 1].to_owned(),
        format!("{token}A"),
        foreign.clone(),
        "A".repeat(5000),
    ];
    for forged in &forged {
        for node in &nodes {
            let query = format!("?id={forged}");
            assert_eq!(node.served.refused(&query).await, 404, "{forged}");
            assert_eq!(node.ask("GET", &query, "").await.0, 404, "{forged}");
            assert_eq!(node.ask("POST", &query, "x").await.0, 404, "{forged}");
        }
    }
    let asked = nodes.iter().map(|node| node.cluster.totals());
    assert!(asked.into_iter().all(|totals| totals.passed + totals.unreachable == 0));
    assert_eq!(nodes[1].ask("GET", &format!("?id={token}"), "").await.0, 200, "it is good still");
}

#[tokio::test]
async fn attack_s5_a_token_is_its_user_s_at_every_node() {
    let nodes = three().await;
    let token = nodes[0].served.negotiate("&user=ann").await;
    for round in ["before", "after"] {
        for node in &nodes {
            for thief in ["", "&user=bob", "&user=Ann"] {
                let query = format!("?id={token}{thief}");
                assert_eq!(node.served.refused(&query).await, 403, "{round}");
                assert_eq!(node.ask("GET", &query, "").await.0, 403, "{round}");
                assert_eq!(node.ask("DELETE", &query, "").await.0, 403, "{round}");
            }
        }
        let own = format!("?id={token}&user=ann");
        assert_eq!(nodes[1].ask("POST", &own, "").await.0, 200, "{round}");
    }
}

#[tokio::test]
async fn attack_s5_a_token_that_was_used_at_one_node_is_of_no_use_at_another() {
    let nodes = three().await;
    let query = format!("?id={}", nodes[0].served.negotiate("").await);
    let mut peer = nodes[1].served.stranger(&query).await;
    peer.close(Some(1000)).await;
    peer.code().await;
    while nodes[1].served.hub.connected() > 0 {
        tokio::task::yield_now().await;
    }
    for node in &nodes {
        assert_eq!(node.served.refused(&query).await, 404);
        assert!([400, 404].contains(&node.ask("GET", &query, "").await.0));
    }
}

#[tokio::test]
async fn attack_s5_a_token_that_is_too_old_begins_nothing_at_any_node() {
    let config = HubConfig { disconnect_timeout: Duration::ZERO, ..HubConfig::default() };
    let brief = || hub().config(config.clone());
    let nodes = [node_of(brief(), &[SECRET]).await, node_of(brief(), &[SECRET]).await];
    let query = format!("?id={}", nodes[0].served.negotiate("").await);
    for node in &nodes {
        assert_eq!(node.served.refused(&query).await, 404);
        assert_eq!(node.ask("GET", &query, "").await.0, 404);
    }
}

#[tokio::test]
async fn attack_s5_a_token_is_of_no_use_to_a_node_that_was_started_anew() {
    let first = node(&[SECRET]).await;
    let query = format!("?id={}", first.served.negotiate("").await);
    // Another run of the node, at the same address.
    let cluster = Cluster::new(first.cluster.advertise(), [SECRET]).unwrap();
    let hub = hub().cluster(&cluster, "chat").build().unwrap();
    let served = crate::peer::serve(hub).await;
    assert_eq!(served.refused(&query).await, 404);
}

#[tokio::test]
async fn attack_s8_who_is_no_node_is_not_heard() {
    let nodes = three().await;
    let to = nodes[0].cluster.advertise().parse().unwrap();
    let query = format!("?id={}", nodes[0].served.negotiate("").await);
    let forged = "Everwire-Node: p.Y2hhdA.1.1.1.AAAAAAAAAAAAAAAAAAAAAA\r\n";
    for headers in ["", forged, "Everwire-Node: \r\n", "Everwire-Node: ....\r\n"] {
        for line in [
            format!("GET /hub{query}"),
            format!("POST /claim{query}&node=127.0.0.1:9"),
            "POST /review".into(),
        ] {
            assert_eq!(ask(to, &line, headers, "").await.0, 421, "{line} {headers}");
        }
    }
    let totals = nodes[0].cluster.totals();
    assert_eq!((totals.refused, totals.stale), (12, 0));
    // A client that writes such a header itself is served as any other.
    let line = format!("GET /hub{query}");
    assert_eq!(ask(nodes[1].served.address, &line, forged, "").await.0, 200);
}

#[test]
fn a_node_is_somewhere_and_has_secrets() {
    for nowhere in ["", "host", "host:", "a b:1", "user@host:1", "host:99999", "http://a:1"] {
        let made = Cluster::new(nowhere, [SECRET]);
        assert_eq!(made.unwrap_err(), ClusterError::Address, "{nowhere}");
    }
    let none: [&str; 0] = [];
    let made = Cluster::new("[::1]:80", none);
    assert_eq!(made.unwrap_err(), ClusterError::Secrets(SecretsError::Missing));
    let shown = format!("{:?}", Cluster::new("node-1.test:80", [SECRET]).unwrap());
    assert!(shown.contains("node-1.test") && !shown.contains("common"), "{shown}");
}
