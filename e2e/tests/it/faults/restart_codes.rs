//! P3: which ends of a leg mean *restarted*, and which are a goodbye that passes through.

use everwire_testkit::{
    client::Client,
    everwire::{Everwire, Setup},
    scripted::{
        Backend, Wire,
        frame::{Frame, TEXT},
    },
};

use crate::stage::echo;

/// On its first leg it does what the path says once it has heard something: `/close/CODE`, `/fin`
/// or `/reset`. On later legs it echoes.
async fn start_backend() -> Backend {
    Backend::start(|mut leg, _| async move {
        leg.welcome(&[]).await;
        if leg.header("Everwire-Leg") != Some("1") {
            return echo(leg).await;
        }
        let path = leg.head.split(' ').nth(1).unwrap_or_default().to_owned();
        while leg.next_frame().await.is_some_and(|frame| frame.opcode != TEXT) {}
        end_as_told(leg, &path).await;
    })
    .await
}

async fn end_as_told(mut leg: Wire, path: &str) {
    match path {
        "/reset" => leg.reset(),
        "/fin" => leg.finish().await,
        close => {
            let code = close.trim_start_matches("/close/").parse().expect("a code in the path");
            leg.send_frame(&Frame::close(code, "as told")).await;
            leg.next_close().await;
        }
    }
}

#[tokio::test]
async fn fault_p3_restart_codes_are_not_noticed_by_the_client() {
    let backend = start_backend().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    for path in [
        "/close/1001",
        "/close/1011",
        "/close/1012",
        "/close/1013",
        "/close/1014",
        "/fin",
        "/reset",
    ] {
        let legs = backend.legs();
        let mut client = Client::open(everwire.address(), path, "c").await;
        client.send_text("go").await;
        backend.legs_reach(legs + 2).await;
        client.send_text("still here").await;
        // "go" may come again: the first leg ended without having confirmed it.
        let mut heard = client.hear().await;
        if heard.text() == "go" {
            heard = client.hear().await;
        }
        assert_eq!(heard.text(), "still here", "{path}");
        assert_eq!(client.close().await.0, 1000, "{path}");
    }
}

#[tokio::test]
async fn fault_p3_goodbyes_pass_through_with_code_and_reason() {
    let backend = start_backend().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    for code in [1000, 1002, 1003, 1007, 1008, 1009, 1010, 3000, 4000, 4999] {
        let legs = backend.legs();
        let mut client = Client::open(everwire.address(), &format!("/close/{code}"), "c").await;
        client.send_text("go").await;
        assert_eq!(client.hear_close_at_last().await, (code, "as told".to_owned()));
        everwire.pipes_become(0).await;
        assert_eq!(backend.legs(), legs + 1, "{code}: nothing is dialled after a goodbye");
    }
}

#[tokio::test]
async fn fault_p3_the_table_of_restart_codes_is_configuration() {
    let backend = start_backend().await;
    let setup = Setup::new().backend(backend.url()).route("restart_codes", "[4000]");
    let everwire = Everwire::start(&setup).await;

    let mut client = Client::open(everwire.address(), "/close/4000", "c").await;
    client.send_text("go").await;
    backend.legs_reach(2).await;
    client.close().await;

    let mut client = Client::open(everwire.address(), "/close/1012", "c").await;
    client.send_text("go").await;
    assert_eq!(client.hear_close_at_last().await, (1012, "as told".to_owned()));

    let mut client = Client::open(everwire.address(), "/reset", "c").await;
    client.send_text("go").await;
    let (code, reason) = client.hear_close_at_last().await;
    assert!([1011, 1012].contains(&code), "the end without a Close is announced: {code} {reason}");
    everwire.pipes_become(0).await;
    assert_eq!(backend.legs(), 4, "only the code in the table was followed by a dial");
}
