//! What is declared of a hub is what its clients see.

use serde_json::{Value, json};

use super::{client::Client, with_hub};
use crate::process::{Node, everwire};

/// The predecessor's status hub, and a chat.
const METHODS: &str = "\
[hubs.status.presence]
joined = \"online\"
left = \"offline\"
[hubs.status.methods]
SendPing = { present = \"{0}\" }
RemoveDisplay = { absent = \"{0}\" }
Broadcast = { send = \"all\", target = \"Receive\" }
Tell = { send = \"others\" }
Echo = { send = \"caller\", arguments = [\"{1}\", \"you said {0}\", \"{connection}\"] }
JoinGroup = { join = \"{0}\" }
Enter = { join = \"room-{0}\", present = \"{1}\", send = \"group:room-{0}\", target = \"Entered\" }
LeaveGroup = { leave = \"{0}\" }
LeaveRoom = { leave = \"room-{0}\" }
SendToGroup = { send = \"group:{0}\", target = \"Receive\" }
";

fn node(name: &str) -> Node {
    Node::with_file(&with_hub(name, METHODS))
}

async fn client(node: &Node) -> Client {
    Client::connect(node.gateway, "/statusHub").await
}

#[tokio::test]
async fn a_hub_without_a_file_broadcasts() {
    let node = Node::start(everwire(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--hub",
        "/chat",
    ]));
    let mut ann = Client::connect(node.gateway, "/chat").await;
    let mut bob = Client::connect(node.gateway, "/CHAT?user=bob").await;
    ann.invoke("broadcast", json!(["hello", { "n": 1.50, "big": 12345678901234567890_u64 }])).await;
    for client in [&mut ann, &mut bob] {
        let arguments = json!(["hello", { "n": 1.50, "big": 12345678901234567890_u64 }]);
        client.is_called("Receive", arguments).await;
    }
    let unknown = ann.call("Nothing", json!([])).await.expect("it fails");
    assert!(unknown.contains("'Nothing'"), "{unknown}");
}

#[tokio::test]
async fn everybody_hears_what_is_meant_for_them() {
    let node = node("audiences.toml");
    let (mut ann, mut bob) = (client(&node).await, client(&node).await);
    ann.invoke("Tell", json!([1, [2]])).await;
    bob.is_called("Tell", json!([1, [2]])).await;
    bob.invoke("Echo", json!(["x", { "y": null }])).await;
    let (target, arguments) = bob.called().await;
    assert_eq!(
        (&*target, &arguments[0], &arguments[1]),
        ("Echo", &json!({ "y": null }), &json!("you said x"))
    );
    assert_eq!(arguments[2].as_str().map(str::len), Some(22), "a connection id");
    bob.invoke("Broadcast", json!([])).await;
    ann.is_called("Receive", json!([])).await;
    bob.is_called("Receive", json!([])).await;
}

#[tokio::test]
async fn only_members_of_a_group_hear_what_is_said_there() {
    let node = node("groups.toml");
    let (mut ann, mut bob) = (client(&node).await, client(&node).await);
    ann.invoke("JoinGroup", json!(["go"])).await;
    bob.invoke("SendToGroup", json!(["go", "for Ann", 7])).await;
    ann.is_called("Receive", json!(["for Ann", 7])).await;
    bob.invoke("JoinGroup", json!(["go"])).await;
    ann.invoke("LeaveGroup", json!(["go"])).await;
    ann.invoke("SendToGroup", json!(["go", "for Bob"])).await;
    bob.is_called("Receive", json!(["for Bob"])).await;
    ann.invoke("Broadcast", json!(["both"])).await;
    ann.is_called("Receive", json!(["both"])).await;
}

#[tokio::test]
async fn a_call_with_the_wrong_arguments_does_nothing_and_is_told_why() {
    let node = node("arguments.toml");
    let mut ann = client(&node).await;
    for (target, arguments, why) in [
        ("JoinGroup", json!([]), "Argument 0 is missing."),
        ("JoinGroup", json!([""]), "A name is empty."),
        ("JoinGroup", json!([[1]]), "Argument 0 is neither text nor a number."),
        ("JoinGroup", json!(["x".repeat(256)]), "A name is longer than 255 bytes."),
        ("Enter", json!(["red"]), "Argument 1 is missing."),
    ] {
        let told = ann.call(target, arguments).await.expect("it fails");
        assert!(told.ends_with(&format!("HubException: {why}")), "{told}");
    }
    ann.invoke("SendToGroup", json!(["room-red", "nobody is there"])).await;
    ann.invoke("Broadcast", json!(["end"])).await;
    ann.is_called("Receive", json!(["end"])).await;
}

/// What the predecessor's page needs, with its own methods and events: who is online is known to
/// a new tab, and who vanishes without a word is offline.
#[tokio::test]
async fn displays_are_online_until_their_last_connection_is_gone() {
    let node = node("displays.toml");
    let mut first = client(&node).await;
    first.invoke("SendPing", json!(["lobby"])).await;
    first.is_called("online", json!(["lobby"])).await;
    let mut second = client(&node).await;
    second.is_called("online", json!(["lobby"])).await;
    second.invoke("SendPing", json!(["hall"])).await;
    second.invoke("SendPing", json!(["lobby"])).await;
    for client in [&mut first, &mut second] {
        client.is_called("online", json!(["hall"])).await;
    }
    first.invoke("RemoveDisplay", json!(["lobby"])).await;
    first.invoke("Broadcast", json!(["the second still has the name"])).await;
    first.is_called("Receive", json!(["the second still has the name"])).await;
    drop(second);
    let mut gone = vec![first.called().await, first.called().await];
    gone.sort_by_key(|(_, name)| name.to_string());
    let offline = |name: &str| ("offline".to_owned(), json!([name]));
    assert_eq!(gone, [offline("hall"), offline("lobby")]);
}

#[tokio::test]
async fn a_room_knows_who_is_there() {
    let roster = METHODS.replace("left = ", "roster = \"there\"\nleft = ");
    let node = Node::with_file(&with_hub("rooms.toml", &roster));
    let mut ann = client(&node).await;
    ann.is_called("there", json!([[]])).await;
    ann.invoke("Enter", json!(["red", "Ann"])).await;
    ann.is_called("there", json!([[], "room-red"])).await;
    ann.is_called("online", json!(["Ann", "room-red"])).await;
    ann.is_called("Entered", json!(["Ann"])).await;
    let mut bob = client(&node).await;
    bob.is_called("there", json!([[]])).await;
    bob.invoke("Enter", json!(["red", "Bob"])).await;
    bob.is_called("there", json!([["Ann"], "room-red"])).await;
    for client in [&mut ann, &mut bob] {
        client.is_called("online", json!(["Bob", "room-red"])).await;
        client.is_called("Entered", json!(["Bob"])).await;
    }
    ann.invoke("LeaveRoom", json!(["red"])).await;
    bob.is_called("offline", json!(["Ann", "room-red"])).await;
    bob.invoke("Broadcast", json!(["to Ann too"])).await;
    ann.is_called("Receive", json!(["to Ann too"])).await;
}

#[tokio::test]
async fn nobody_joins_more_than_may_be() {
    let lines = format!("memberships_max = 2\n{METHODS}");
    let node = Node::with_file(&with_hub("memberships.toml", &lines));
    let mut ann = client(&node).await;
    ann.invoke("JoinGroup", json!(["a"])).await;
    ann.invoke("SendPing", json!(["b"])).await;
    let told = ann.call("JoinGroup", json!(["c"])).await.expect("it fails");
    assert!(told.contains("as many groups and names as it may"), "{told}");
    ann.invoke("LeaveGroup", json!(["a"])).await;
    ann.invoke("JoinGroup", json!(["c"])).await;
}

#[tokio::test]
async fn a_stopping_node_lets_the_clients_of_its_hubs_reconnect() {
    for signal in ["TERM", "INT"] {
        let node = node(&format!("stop-{signal}.toml"));
        let mut ann = client(&node).await;
        node.signal(signal);
        let close: Option<Value> = ann.next().await;
        assert_eq!(close, Some(json!({ "type": 7, "allowReconnect": true })), "{signal}");
        assert_eq!(ann.next().await, None);
        assert_eq!(ann.code, Some(1001), "{signal}");
        drop(ann);
        let ended = node.ended();
        assert_eq!(ended.code, 0, "{}", ended.err);
        assert!(!ended.err.contains("cut off"), "{}", ended.err);
    }
}
