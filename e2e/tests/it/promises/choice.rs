//! Which backend a new session is given.

use everwire_testkit::{
    everwire::{Everwire, Setup},
    scripted::Recorder,
};

use crate::stage::client_of;

/// Were a leg that a client has left held against its backend, sessions would come to lie with
/// whatever backend clients had not left for a while.
#[tokio::test]
async fn a_client_that_leaves_does_not_speak_against_its_backend() {
    let backends = [Recorder::start().await, Recorder::start().await];
    let setup = backends.iter().fold(Setup::new(), |setup, backend| setup.backend(backend.url()));
    let everwire = Everwire::start(&setup).await;
    client_of(&everwire).await.close().await;
    everwire.pipes_become(0).await;
    let clients = [client_of(&everwire).await, client_of(&everwire).await];
    let sessions: Vec<u64> = (everwire.backends().await.iter())
        .map(|backend| backend["sessions"].as_u64().expect("a count"))
        .collect();
    assert_eq!(sessions, [1, 1]);
    drop(clients);
}
