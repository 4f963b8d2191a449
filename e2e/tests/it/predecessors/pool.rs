//! P11 to P14: which backends could be dialled, for how long, and at what cost.

use std::net::{Ipv6Addr, SocketAddr};

use everwire_testkit::{
    client::Client,
    everwire::{Everwire, Setup, everwire_command},
    foreign::Backend,
    need,
    scripted::{Backend as Scripted, Recorder, frame::TEXT},
    tools,
};

use crate::stage::{client_of, echo, echoing, in_front_of};

#[tokio::test]
async fn pred_p11_backends_are_dialled_by_address_and_by_name() {
    let node = need!(tools::node());
    let at = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
    let six = Backend::start_at(echoing(&node), at).await;
    let four = Backend::start_on_localhost(echoing(&node)).await;
    let port = four.address().port();
    for url in [six.url(), four.url(), format!("ws://localhost:{port}"), four.url() + "/listener"] {
        let everwire = Everwire::start(&Setup::new().backend(&url)).await;
        let mut client = Client::open(everwire.address(), "/a?b=c", "c").await;
        client.round_trip().await;
    }
    let paths: Vec<_> = four.legs().into_iter().map(|leg| leg.path).collect();
    assert_eq!(paths, ["/a?b=c", "/a?b=c", "/listener?b=c"]);
}

#[test]
fn pred_p11_a_backend_without_a_port_is_a_valid_one() {
    let folder = everwire_testkit::everwire::Folder::new();
    let file = folder.0.join("everwire.toml");
    let setup = Setup::new()
        .backend("ws://localhost/x")
        .backend("ws://10-0-0-5.svc:1/x")
        .backend("ws://[::1]/x");
    std::fs::write(&file, setup.to_toml()).unwrap();
    let output = everwire_command().arg("check").arg("-c").arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn pred_p12_a_removed_backend_can_be_added_again() {
    let node = need!(tools::node());
    let backend = Backend::start(echoing(&node)).await;
    let other = Backend::start(echoing(&node)).await;
    let everwire = in_front_of(&[&backend, &other]).await;
    for _ in 0..3 {
        let removed = everwire.remove_backend(&backend.url()).await;
        assert!(removed.status < 300, "{removed:?}");
        let added = everwire.add_backend(&backend.url()).await;
        assert!(added.status < 300, "{added:?}");
        let twice = everwire.add_backend(&backend.url()).await;
        assert!((400..500).contains(&twice.status), "the same backend twice: {twice:?}");
    }
    let legs = backend.legs().len();
    let mut client = client_of(&everwire).await;
    let mut another = client_of(&everwire).await;
    client.round_trip().await;
    another.round_trip().await;
    backend.legs_reach(legs + 1).await;
}

#[tokio::test]
async fn pred_p13_a_backend_is_not_given_up_for_the_interruptions_of_its_life() {
    let backend = Scripted::start(|mut leg, _| async move {
        leg.welcome(&[]).await;
        let number: u32 = leg.header("Everwire-Leg").and_then(|leg| leg.parse().ok()).unwrap();
        if number > INTERRUPTIONS {
            return echo(leg).await;
        }
        while leg.next_frame().await.is_some_and(|frame| frame.opcode != TEXT) {}
        leg.send_frame(&everwire_testkit::scripted::frame::Frame::close(1012, "again")).await;
        leg.next_close().await;
    })
    .await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let mut client = client_of(&everwire).await;
    for leg in 1..=INTERRUPTIONS {
        backend.legs_reach(leg as usize).await;
        client.send_text("go").await;
    }
    backend.legs_reach(INTERRUPTIONS as usize + 1).await;
    client.send_text("last").await;
    while client.hear().await.text() != "last" {}
}

/// More than any count of errors that a pool might allow a backend in its life.
const INTERRUPTIONS: u32 = 15;

#[tokio::test]
async fn pred_p14_an_idle_pipe_does_not_allocate_its_limit() {
    let backend = Recorder::start().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let mut pipes = vec![client_of(&everwire).await];
    let memory = everwire.memory();
    for _ in 0..200 {
        pipes.push(client_of(&everwire).await);
    }
    let each = everwire.memory().saturating_sub(memory) / 200;
    println!("{each} bytes of anonymous memory for an idle pipe in this build");
    assert!(each < 64 * 1024, "{each} bytes for an idle pipe");
}
