//! A message that ends its backend must not end everybody's.

use std::{path::Path, time::Duration};

use everwire_testkit::{
    checker::Checker,
    client::{Client, Heard},
    crowd::{self, Crowd},
    everwire::Everwire,
    foreign::{Backend, Launch},
    need, tools,
    wait::within,
};

use crate::stage::{before, chatting, echoing};

#[tokio::test]
async fn of_200_innocents_and_one_poisoner_exactly_the_poisoner_gets_1011() {
    let node = need!(tools::node());
    let backend = Backend::start(poisonable(&node)).await;
    let everwire = Everwire::start(&before(&[&backend])).await;
    let crowd = Crowd::gather(everwire.address(), &chatting(200, 4)).await;
    crowd.everyone_hears_again().await;

    let mut poisoner = Client::open(everwire.address(), "/", "poisoner").await;
    poisoner.send_text("poison").await;
    let (code, reason, backend) = end_of(&mut poisoner, backend).await;
    assert_eq!(code, 1011, "{reason}");
    assert!(everwire.log().contains("1011"), "one log line names the poisoner's end");

    crowd.everyone_hears_again().await;
    crowd.hush().await;
    everwire.settled().await;
    let accounts = crowd.part().await;
    let mut checker = Checker::new();
    crowd::report_said(&accounts, &mut checker);
    for seen in backend.messages().iter().filter(|seen| seen.text != "poison") {
        checker.arrived_on(&seen.leg, seen.mark().as_ref());
    }
    let tally = checker.tally();
    println!("innocents: {tally}");
    tally.assert_unbroken("the innocents");
}

/// Hears the poisoner's end while the backend is revived whenever the poison has ended it.
async fn end_of(poisoner: &mut Client, mut backend: Backend) -> (u16, String, Backend) {
    let mut deaths = 0;
    let limit = Duration::from_secs(60);
    let end = within(limit, "the poisoner's end", async {
        loop {
            tokio::select! {
                heard = poisoner.listen() => match heard {
                    Heard::Closed(code, reason) => return (code, reason),
                    other => panic!("the poisoner heard {other:?}"),
                },
                _ = backend.process().ended() => {
                    deaths += 1;
                    backend.revive().await;
                }
            }
        }
    })
    .await;
    if backend.process().has_ended() {
        backend.revive().await;
    }
    println!("the poison ended {deaths} backends");
    assert!(deaths <= 4, "{deaths} backends ended for a message that may be replayed 3 times");
    (end.0, end.1, backend)
}

fn poisonable(node: &Path) -> Launch {
    echoing(node).with("poison", "poison")
}
