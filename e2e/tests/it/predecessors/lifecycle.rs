//! P7 to P10, P15, P19 to P22: clients that came, went and came again.

use std::time::Duration;

use everwire_testkit::{
    client::Client,
    crowd::{self, Crowd},
    everwire::{Everwire, Folder, Setup, everwire_command},
    foreign::Backend,
    message, need,
    scripted::{Listener, Recorder, Wire, upgrade_request},
    tools,
    wait::{eventually, soon, until_equal},
};
use tokio::join;

use crate::stage::{arrived_at, before, chatting, client_of, echoing, in_front_of, silent};

#[tokio::test]
async fn pred_p7_a_client_that_leaves_is_noticed_and_its_leg_closed() {
    let node = need!(tools::node());
    let backend = Backend::start(echoing(&node)).await;
    let everwire = in_front_of(&[&backend]).await;
    let mut polite = client_of(&everwire).await;
    let rude = client_of(&everwire).await;
    let silent = Wire::upgrade(everwire.address(), "/", &[]).await;
    backend.legs_reach(3).await;
    polite.close().await;
    rude.reset();
    drop(silent);
    everwire.pipes_become(0).await;
    until_equal("closed legs", 3, async || backend.closes().len()).await;
}

#[tokio::test]
async fn pred_p8_the_same_client_can_come_again_at_once() {
    let node = need!(tools::node());
    let backend = Backend::start(echoing(&node)).await;
    let everwire = in_front_of(&[&backend]).await;
    let path = "/6f2c1f6e-7d0c-4b58-93c5-0f1f3f0d8a11";
    for _ in 0..10 {
        let mut client = Client::open(everwire.address(), path, "c").await;
        client.round_trip().await;
        client.reset();
    }
    everwire.pipes_become(0).await;
}

#[tokio::test]
async fn pred_p9_one_backend_serves_any_number_of_clients() {
    let node = need!(tools::node());
    let backend = Backend::start(echoing(&node)).await;
    let everwire = in_front_of(&[&backend]).await;
    for _ in 0..2 {
        let crowd = Crowd::gather(everwire.address(), &chatting(100, 5)).await;
        crowd.everyone_hears_again().await;
        crowd.hush().await;
        let accounts = crowd.part().await;
        assert!(accounts.iter().all(|account| account.dropped.is_none() && account.said > 0));
    }
    everwire.pipes_become(0).await;
}

#[tokio::test]
async fn pred_p10_a_client_beyond_the_limit_is_told_and_dropped() {
    let node = need!(tools::node());
    let mut backend = Backend::start(silent(&node)).await;
    let everwire = Everwire::start(&before(&[&backend]).route("buffer_max", r#""64KiB""#)).await;
    let mut client = client_of(&everwire).await;
    backend.kill().await;
    everwire.pipes_without_backend_become(1).await;
    let (kind, payload) = message::write("c", 1, 10_000);
    let flood = async { while client.try_send(kind, payload.clone()).await.is_ok() {} };
    soon("the end of a flood", flood).await;
    let (code, reason) = client.hear_close_at_last().await;
    assert_eq!(code, 1013, "{reason}");
    everwire.pipes_become(0).await;
}

/// A limit of 0, the predecessor's default, killed a direction silently.
#[test]
fn pred_p15_a_limit_too_small_to_work_with_is_a_mistake_and_nothing_starts() {
    let folder = Folder::new();
    let file = folder.0.join("everwire.toml");
    let setup = Setup::new().backend("ws://127.0.0.1:9").route("buffer_max", r#""0B""#);
    std::fs::write(&file, setup.to_toml()).unwrap();
    for command in ["check", "serve"] {
        let output = everwire_command().arg(command).arg("-c").arg(&file).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{command}: {told}");
        assert!(told.contains("buffer_max"), "{command}: {told}");
    }
}

/// Both sides failing at once left a goroutine spinning and another stuck.
#[tokio::test]
async fn pred_p19_both_sides_failing_at_once_leaves_nothing_running() {
    let node = need!(tools::node());
    let mut backend = Backend::start(echoing(&node)).await;
    let everwire = in_front_of(&[&backend]).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(client_of(&everwire).await);
    }
    backend.process().crash();
    clients.into_iter().for_each(Client::reset);
    everwire.pipes_become(0).await;
    let used = everwire.processor_time();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let spun = everwire.processor_time() - used;
    assert!(spun < Duration::from_millis(200), "{spun:?} of processor time in an idle second");
}

#[tokio::test]
async fn pred_p20_two_clients_with_the_same_id_are_two_clients() {
    let node = need!(tools::node());
    let backend = Backend::start(echoing(&node)).await;
    let everwire = in_front_of(&[&backend]).await;
    let path = "/6f2c1f6e-7d0c-4b58-93c5-0f1f3f0d8a11";
    let (mut one, mut two) = join!(
        Client::open(everwire.address(), path, "one"),
        Client::open(everwire.address(), path, "two")
    );
    for _ in 0..5 {
        one.round_trip().await;
        two.round_trip().await;
    }
    assert_eq!(backend.legs().len(), 2);
}

#[tokio::test]
async fn pred_p21_a_client_that_hangs_up_before_it_has_a_backend_is_noticed() {
    let backend = Listener::bind().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let mut wire = Wire::connect(everwire.address()).await;
    wire.send(upgrade_request(everwire.address(), "/", &[]).as_bytes()).await;
    let mut unanswered = backend.accept().await;
    wire.reset();
    // Without the hang-up it would be given up after 5 s.
    unanswered.ends_within(Duration::from_millis(4500)).await;
    everwire.pipes_become(0).await;
}

/// `idleConnCount` drifted to -1.
#[tokio::test]
async fn pred_p22_accounts_return_to_zero_after_any_coming_and_going() {
    let backend = Recorder::start().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let descriptors = everwire.descriptors();
    for round in 0..30 {
        let mut wire = Wire::upgrade(everwire.address(), "/", &[]).await;
        match round % 3 {
            0 => wire.reset(),
            1 => wire.finish().await,
            _ => drop(wire),
        }
    }
    everwire.pipes_become(0).await;
    let sessions = async || everwire.backends().await[0]["sessions"].clone();
    until_equal("sessions of the backend", serde_json::json!(0), sessions).await;
    eventually("no descriptor kept", async || {
        (everwire.descriptors() <= descriptors + 2).then_some(())
    })
    .await;
}

/// Everything at once, from many clients: the predecessor's fields were raced on.
#[tokio::test]
async fn pred_p18_concurrent_kills_additions_and_removals_stay_unbroken() {
    let node = need!(tools::node());
    let _turn = tools::heavy_turn().await;
    let mut backends = [
        Backend::start(echoing(&node)).await,
        Backend::start(echoing(&node)).await,
        Backend::start(echoing(&node)).await,
    ];
    let everwire = in_front_of(&backends.each_ref()).await;
    let crowd = Crowd::gather(everwire.address(), &chatting(50, 20)).await;
    for round in 0..6 {
        let url = backends[(round + 1) % 3].url();
        backends[round % 3].kill().await;
        let (removed, ()) =
            join!(everwire.remove_backend(&url), async { backends[round % 3].revive().await });
        assert!(removed.status < 300, "{removed:?}");
        let added = everwire.add_backend(&url).await;
        assert!(added.status < 300, "{added:?}");
        crowd.everyone_hears_again().await;
    }
    crowd.hush().await;
    everwire.settled().await;
    let accounts = crowd.part().await;
    let said = |checker: &mut _| crowd::report_said(&accounts, checker);
    arrived_at(&backends.each_ref(), said).await.assert_unbroken("at the backends");
}
