//! A message that ends its backend must not end everybody's.

use std::time::Duration;

use everwire_testkit::{
    checker::Checker,
    client::Client,
    crowd::{self, Account, Crowd},
    everwire::Everwire,
    foreign::Backend,
    need, tools,
    wait::eventually,
};

use crate::stage::{before, chatting, echoing};

#[tokio::test]
async fn of_200_innocents_and_one_poisoner_exactly_the_poisoner_gets_1011() {
    let node = need!(tools::node());
    let _turn = tools::heavy_turn().await;
    let mut backend = Backend::start(echoing(&node).with("poison", "poison")).await;
    let everwire = Everwire::start(&before(&[&backend])).await;
    let mut deaths = 0;
    let accounts = tokio::select! {
        accounts = poisoned_chat(&everwire) => accounts,
        never = backend.keep_alive(&mut deaths) => match never {},
    };
    println!("the poison ended {deaths} backends");
    assert!(deaths <= 3, "{deaths} backends ended for a message that may be sent 3 times");

    let mut checker = Checker::new();
    crowd::report_said(&accounts, &mut checker);
    for seen in backend.messages().iter().filter(|seen| seen.text != "poison") {
        checker.arrived_on(&seen.leg, seen.mark().as_ref());
    }
    let tally = checker.tally();
    println!("innocents: {tally}");
    tally.assert_unbroken("the innocents");
}

/// 200 chat, one sends the poison until it is told to go; the others must go on undisturbed.
async fn poisoned_chat(everwire: &Everwire) -> Vec<Account> {
    let crowd = Crowd::gather(everwire.address(), &chatting(200, 4)).await;
    crowd.everyone_hears_again().await;
    let mut poisoner = Client::open(everwire.address(), "/", "poisoner").await;
    poisoner.send_text("poison").await;
    let (code, reason) = poisoner.hear_close_within(Duration::from_secs(60)).await;
    assert_eq!(code, 1011, "{reason}");
    eventually("a log line that names the poisoner's end", async || {
        everwire.log().contains("code=1011 ").then_some(())
    })
    .await;
    crowd.everyone_hears_again().await;
    crowd.hush().await;
    everwire.settled().await;
    crowd.part().await
}
