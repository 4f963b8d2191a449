//! Answers to polls that their clients never get.

use everwire_hub::Receipt;
use tokio_tungstenite::connect_async;

use super::*;
use crate::peer::serve;

impl Site {
    /// A client that has shaken hands and has heard so.
    async fn polling(&self) -> String {
        let target = self.target().await;
        assert_eq!(self.poll(&target).await, ok(""));
        assert_eq!(self.post(&target, HELLO).await, ok(""));
        assert_eq!(self.poll(&target).await, ok("{}\u{1e}"));
        target
    }

    /// A poll whose answer is read, and its receipt.
    async fn carried(&self, target: &str) -> (String, Receipt) {
        let response = self.ask(Method::GET, target, &[], "").await;
        let receipt = response.extensions().get::<Receipt>().cloned().unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (String::from_utf8(body.to_vec()).unwrap(), receipt)
    }

    fn say(&self, number: u32) {
        self.hub.all().send("m", &(number,)).unwrap();
    }
}

fn said(numbers: std::ops::Range<u32>) -> String {
    let say = |number| format!("{{\"type\":1,\"target\":\"m\",\"arguments\":[{number}]}}\u{1e}");
    numbers.map(say).collect()
}

/// Waits until so much was delivered.
async fn delivered(site: &Site, count: u64) {
    while site.hub.totals().delivered < count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn fault_b10_an_answer_that_nobody_takes_is_given_again() {
    let site = Site::new(HubConfig::default());
    let target = site.polling().await;
    site.say(0);
    for _ in 0..3 {
        // The client's connection is gone before a byte of it is written.
        let response = site.ask(Method::GET, &target, &[], "").await;
        assert_eq!(response.status(), StatusCode::OK);
        drop(response);
    }
    assert_eq!(site.poll(&target).await, ok(&said(0..1)));
    site.say(1);
    assert_eq!(site.poll(&target).await, ok(&said(1..2)), "and once");
}

#[tokio::test]
async fn fault_b10_an_answer_that_is_known_to_be_lost_is_given_again_before_what_came_later() {
    let site = Site::new(HubConfig::default());
    let target = site.polling().await;
    site.say(0);
    site.say(1);
    delivered(&site, 2).await;
    let (first, receipt) = site.carried(&target).await;
    assert_eq!(first, said(0..2));
    site.say(2);
    delivered(&site, 3).await;
    receipt.lost();
    receipt.lost();
    let (again, lost_again) = site.carried(&target).await;
    assert_eq!(again, said(0..3));
    // The first one is of no use any more: the client has come again since.
    receipt.lost();
    site.say(3);
    assert_eq!(site.poll(&target).await, ok(&said(3..4)));
    lost_again.lost();
    site.say(4);
    assert_eq!(site.poll(&target).await, ok(&said(4..5)));
}

#[tokio::test]
async fn fault_b10_a_lost_answer_wakes_a_poll_and_a_lost_farewell_is_told_again() {
    let site = Site::new(HubConfig::default());
    let target = site.polling().await;
    site.hub.all().end(Some("over")).unwrap();
    let (farewell, receipt) = site.carried(&target).await;
    assert!(farewell.contains("over"), "{farewell}");
    receipt.lost();
    assert_eq!(site.poll(&target).await, ok(&farewell));
    assert_eq!(site.poll(&target).await.0, 204);
    receipt.lost();
    while site.hub.connected() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(site.poll(&target).await.0, 404);
}

#[tokio::test]
async fn in_the_ordinary_case_each_message_comes_once() {
    let site = Site::new(HubConfig::default());
    let target = site.polling().await;
    let (mut heard, count) = (String::new(), 200);
    let publish = async {
        for number in 0..count {
            site.say(number);
            tokio::task::yield_now().await;
        }
    };
    let fetch = async {
        while heard.len() < said(0..count).len() {
            let (status, body) = site.poll(&target).await;
            assert_eq!(status, 200);
            heard.push_str(&body);
        }
    };
    tokio::join!(publish, fetch);
    assert_eq!(heard, said(0..count));
}

#[tokio::test]
async fn fault_b10_who_falls_back_in_the_middle_begins_anew_and_each_connection_hears_once() {
    let site = Site::new(HubConfig::default());
    let served = serve(site.hub.clone()).await;
    let token = served.negotiate("").await;
    let url = format!("ws://{}/hub?id={token}", served.address);
    let (socket, _) = connect_async(url).await.unwrap();
    let mut socket = crate::peer::Peer::new(socket);
    socket.send(r#"{"protocol":"json","version":1}"#).await;
    assert_eq!(socket.next().await.as_deref(), Some("{}"));
    // The same connection is not to be had over another transport.
    let other = site.poll(&format!("/?id={token}")).await;
    assert_eq!(other, (400, "Cannot change transports mid-connection".into()));
    let target = site.polling().await;
    site.say(0);
    let text = said(0..1);
    assert_eq!(socket.next().await.as_deref(), text.strip_suffix('\u{1e}'));
    assert_eq!(site.poll(&target).await, ok(&text));
    drop(socket);
    while site.hub.connected() > 1 {
        tokio::task::yield_now().await;
    }
    site.say(1);
    assert_eq!(site.poll(&target).await, ok(&said(1..2)));
}
