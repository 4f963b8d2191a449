//! Hubs that the binary serves without a program, and clients of all makes.

use everwire_testkit::{
    everwire::{Everwire, Setup, everwire_command},
    foreign::Launch,
    need,
    signalr::Peer,
    tools,
};
use serde_json::{Value, json};

use super::{each_way, npm, pages::pages, pythons::pythons};

/// The status board of the project that came before, which pages of any origin may open.
const BOARD: &str = r#"
[hubs.status]
path = "/statusHub"
origins = ["*"]
[hubs.status.presence]
joined = "online"
left = "offline"
[hubs.status.methods]
SendPing = { present = "{0}" }
RemoveDisplay = { absent = "{0}" }
"#;

/// A hub that lets nobody in without a token.
const GUARDED: &str = r#"
[hubs.chat]
path = "/chat"
origins = ["*"]
access_key = "an-access-key-of-32-bytes-or-more"
[hubs.chat.methods]
WhoAmI = { send = "caller", target = "YouAre", arguments = ["{user}"] }
Whisper = { send = "user:{0}", target = "Heard" }
"#;

/// A client that listens to what it is called, and has been let in.
async fn listening(launch: &Launch, methods: &[&str]) -> Peer {
    let mut peer = Peer::unconnected(launch);
    methods.iter().for_each(|method| peer.on(method));
    assert_eq!(peer.try_connect().await["event"], "started");
    peer
}

/// A display comes, is removed, comes again and goes; whoever watches is told each time.
async fn a_display_is_seen(everwire: &Everwire, launch: &Launch) {
    let node = tools::node().expect("it has been asked for");
    let url = everwire.url("/statusHub");
    let watching = ["online", "offline"];
    let mut watchers = vec![listening(launch, &watching).await];
    watchers.push(listening(&npm(&node, &url), &watching).await);
    let mut display = Peer::start(&npm(&node, &url)).await;
    display.call("SendPing", json!(["lobby"])).await;
    for watcher in &mut watchers {
        watcher.called_with("online", &[json!(["lobby"])]).await;
    }
    watchers[0].call("RemoveDisplay", json!(["lobby"])).await;
    // Who removes it has not to be the display, and a name that nobody has is removed in vain.
    display.call("RemoveDisplay", json!(["lobby"])).await;
    for watcher in &mut watchers {
        watcher.called_with("offline", &[json!(["lobby"])]).await;
    }
    display.call("SendPing", json!(["hall"])).await;
    display.stop().await;
    for watcher in &mut watchers {
        watcher.called_with("online", &[json!(["lobby"]), json!(["hall"])]).await;
        watcher.called_with("offline", &[json!(["lobby"]), json!(["hall"])]).await;
    }
}

#[tokio::test]
async fn a_status_board_needs_no_program() {
    let node = need!(tools::node());
    let everwire = Everwire::start(&Setup::new().hubs(BOARD)).await;
    for launch in each_way(&node, &everwire.url("/statusHub")) {
        a_display_is_seen(&everwire, &launch).await;
    }
}

#[tokio::test]
async fn a_status_board_is_watched_from_python() {
    let (_node, python) = (need!(tools::node()), need!(tools::python()));
    let everwire = Everwire::start(&Setup::new().hubs(BOARD)).await;
    for launch in pythons(&python, &everwire.url("/statusHub")) {
        a_display_is_seen(&everwire, &launch).await;
    }
}

#[tokio::test]
async fn a_status_board_is_watched_on_pages() {
    let (node, browser) = (need!(tools::node()), need!(tools::chromium()));
    let everwire = Everwire::start(&Setup::new().hubs(BOARD)).await;
    for launch in pages(&node, &browser, &everwire.url("/statusHub")) {
        a_display_is_seen(&everwire, &launch).await;
    }
}

#[tokio::test]
async fn clients_of_all_makes_hear_each_other_and_the_operator() {
    let (node, python) = (need!(tools::node()), need!(tools::python()));
    let everwire = Everwire::serve(&["--hub", "/chat"]).await;
    let url = everwire.url("/chat");
    let mut crowd = Vec::new();
    for launch in each_way(&node, &url).iter().chain(&pythons(&python, &url)) {
        crowd.push(listening(launch, &["Receive"]).await);
    }
    let mut said: Vec<Value> = Vec::new();
    for (at, peer) in crowd.iter_mut().enumerate() {
        let words = json!([format!("你好 from {at}"), { "at": at, "all": [null, 1.5, true] }]);
        peer.call("Broadcast", words.clone()).await;
        said.push(words);
    }
    let sent = everwire.command(&["hub", "send", "default", "Receive", "closing at six"]).await;
    assert!(sent.status.success(), "{sent:?}");
    said.push(json!(["closing at six"]));
    for peer in &crowd {
        peer.called_with("Receive", &said).await;
    }
    let missing = crowd[0].fail("Nothing", json!([])).await;
    assert!(missing.contains("Method does not exist"), "{missing}");
}

/// A token for a user, as something that clients can fetch.
fn token(key: &str, user: &str) -> String {
    let mut command = everwire_command();
    command.args(["token", "mint", "--user", user]).env("EVERWIRE_ACCESS_KEY", key);
    let minted = command.output().expect("the binary can be run");
    assert!(minted.status.success(), "{minted:?}");
    format!("data:text/plain,{}", String::from_utf8_lossy(&minted.stdout).trim())
}

const KEY: &str = "an-access-key-of-32-bytes-or-more";

#[tokio::test]
async fn a_token_makes_a_client_a_user() {
    let (node, python) = (need!(tools::node()), need!(tools::python()));
    let everwire = Everwire::start(&Setup::new().hubs(GUARDED)).await;
    let url = everwire.url("/chat");
    let mut crowd = Vec::new();
    let launches = each_way(&node, &url).into_iter().chain(pythons(&python, &url));
    for (at, launch) in launches.enumerate() {
        let user = format!("user-{at}");
        let launch = launch.with("token", token(KEY, &user));
        let mut peer = listening(&launch, &["YouAre", "Heard"]).await;
        peer.call("WhoAmI", json!([])).await;
        peer.called_with("YouAre", &[json!([user])]).await;
        crowd.push((user, peer));
    }
    let mut operator = Peer::start(&npm(&node, &url).with("token", token(KEY, "operator"))).await;
    for (user, _) in &crowd {
        operator.call("Whisper", json!([user, format!("for {user}")])).await;
    }
    for (user, peer) in &crowd {
        peer.called_with("Heard", &[json!([format!("for {user}")])]).await;
    }
}

#[tokio::test]
async fn pages_bring_tokens_over_each_transport() {
    let (node, browser) = (need!(tools::node()), need!(tools::chromium()));
    let everwire = Everwire::start(&Setup::new().hubs(GUARDED)).await;
    for launch in pages(&node, &browser, &everwire.url("/chat")) {
        let launch = launch.with("token", token(KEY, "anna"));
        let mut peer = listening(&launch, &["YouAre"]).await;
        peer.call("WhoAmI", json!([])).await;
        peer.called_with("YouAre", &[json!(["anna"])]).await;
    }
}

#[tokio::test]
async fn nobody_comes_in_without_a_token_of_the_right_key() {
    let node = need!(tools::node());
    let everwire = Everwire::start(&Setup::new().hubs(GUARDED)).await;
    let other = token("another-access-key-of-32-bytes-or-more", "anna");
    for launch in each_way(&node, &everwire.url("/chat")) {
        for stranger in [launch.clone(), launch.with("token", &other)] {
            let failed = Peer::unconnected(&stranger).try_connect().await;
            let error = "Failed to complete negotiation with the server: Error: Unauthorized: \
                         Status code '401'";
            assert_eq!(failed["error"], error);
        }
    }
}
