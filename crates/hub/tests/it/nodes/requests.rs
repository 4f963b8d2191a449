//! Polls and what they bring, each request at another node.

use super::three;

const HELLO: &str = "{\"protocol\":\"json\",\"version\":1}\u{1e}";
const ECHO: &str =
    "{\"type\":1,\"invocationId\":\"0\",\"target\":\"echo\",\"arguments\":[\"a\"]}\u{1e}";
const ECHOED: &str = "{\"type\":3,\"invocationId\":\"0\",\"result\":\"a\"}\u{1e}";

fn ok(text: &str) -> (u16, String) {
    (200, text.to_owned())
}

#[tokio::test]
async fn each_request_of_a_client_that_polls_may_come_to_another_node() {
    let nodes = three().await;
    let query = format!("?id={}", nodes[0].served.negotiate("").await);
    assert_eq!(nodes[1].ask("GET", &query, "").await, ok(""));
    assert_eq!(nodes[2].ask("POST", &query, &HELLO[..10]).await, ok(""));
    assert_eq!(nodes[0].ask("POST", &query, &HELLO[10..]).await, ok(""));
    assert_eq!(nodes[2].ask("GET", &query, "").await, ok("{}\u{1e}"));
    let (polled, _) =
        tokio::join!(nodes[1].ask("GET", &query, ""), nodes[2].ask("POST", &query, ECHO));
    assert_eq!(polled, ok(ECHOED));
    assert_eq!([0, 1, 2].map(|at| nodes[at].served.hub.connected()), [1, 0, 0], "it is at home");
    // A later poll takes the place of an earlier one, wherever the two have come to.
    let superseded = async {
        let (one, _) = tokio::join!(nodes[1].ask("GET", &query, ""), async {
            while nodes[1].cluster.totals().passed < 3 {
                tokio::task::yield_now().await;
            }
            nodes[2].ask("GET", &query, "").await
        });
        one
    };
    let (superseded, ended) = tokio::join!(superseded, async {
        while nodes[2].cluster.totals().passed < 4 {
            tokio::task::yield_now().await;
        }
        nodes[1].ask("DELETE", &query, "").await
    });
    assert!([200, 204].contains(&superseded.0), "{superseded:?}");
    assert_eq!(ended.0, 202);
    let refused = nodes[1].served.refused(&query).await;
    assert!([400, 404].contains(&refused), "it is no WebSocket, and ends: {refused}");
}

#[tokio::test]
async fn what_a_client_brings_may_be_large_and_what_is_wrong_with_it_is_told() {
    let nodes = three().await;
    let query = format!("?id={}", nodes[0].served.negotiate("").await);
    assert_eq!(nodes[1].ask("GET", &query, "").await, ok(""));
    let brought = format!("{HELLO}{}", ECHO.repeat(10_000));
    let bring = nodes[2].ask("POST", &query, &brought);
    let fetch = async {
        let (mut answers, mut at) = (0, 0);
        while answers < 10_000 {
            let (status, text) = nodes[at % 3].ask("GET", &query, "").await;
            assert_eq!(status, 200);
            answers += text.matches(ECHOED).count();
            at += 1;
        }
        answers
    };
    let (brought, answers) = tokio::join!(bring, fetch);
    assert_eq!((brought, answers), (ok(""), 10_000));
    assert_eq!(nodes[1].ask("POST", &query, "nonsense\u{1e}").await, ok(""));
    assert!(nodes[2].ask("GET", &query, "").await.1.contains("InvalidDataException"));
    assert_eq!(nodes[1].ask("PUT", &query, "").await.0, 405);
}
