//! P1: a backend is killed between messages and comes back.

use std::time::Duration;

use everwire_testkit::{
    checker::Checker,
    client::Client,
    foreign::{Backend, Launch},
    need, tools,
    wait::{now, within},
};

use crate::stage::{arrived_at, echoing, in_front_of};

/// The row's promise is "redial + 50 ms"; the rest is for a machine that builds meanwhile.
const RECOVERY_MAX: Duration = Duration::from_secs(8);

#[tokio::test]
async fn fault_p1_node_killed_between_messages_loses_and_doubles_nothing() {
    let node = need!(tools::node());
    killed_between_messages(Backend::start(echoing(&node)).await).await;
}

#[tokio::test]
async fn fault_p1_python_killed_between_messages_loses_and_doubles_nothing() {
    let python = need!(tools::python());
    killed_between_messages(Backend::start(Launch::python(&python, "backend.py")).await).await;
}

async fn killed_between_messages(mut backend: Backend) {
    let everwire = in_front_of(&[&backend]).await;
    let mut clients = Vec::new();
    for number in 0..20 {
        let mut client = Client::open(everwire.address(), "/", &format!("c{number}")).await;
        client.round_trip().await;
        clients.push(client);
    }
    everwire.settled().await;

    backend.kill().await;
    for client in &mut clients {
        client.say(100).await;
        client.say(100).await;
    }
    backend.revive().await;
    let back = now();
    for client in &mut clients {
        within(RECOVERY_MAX, "an echo after the restart", client.hear_echo(2)).await;
        client.hear_echo(3).await;
    }
    println!("all 20 clients answered {:?} after the backend was back", back.elapsed());

    for client in &mut clients {
        assert_eq!(client.close().await.0, 1000);
    }
    let said = |checker: &mut Checker| {
        clients.iter().for_each(|client| checker.sent(client.name(), client.said()));
    };
    arrived_at(&[&backend], said).await.assert_exact("at the backend");
    everwire.pipes_become(0).await;
}
