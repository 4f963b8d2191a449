//! Who is present, on all nodes together: what the predecessor's users were never told right.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use everwire_backplane::Bus;
use everwire_hub::{
    Context, Hub, HubBuilder, HubConfig, HubError,
    declared::{Action, Declaration, Presence},
};

use super::{Node, Nodes, call};
use crate::peer::Peer;

/// A status hub: whoever pings is present.
fn declared() -> HubBuilder {
    let action = |present: &str| Action { present: present.parse().ok(), ..Action::default() };
    let mut declaration = Declaration::default();
    declaration.methods.insert("SendPing".into(), action("{0}"));
    let absent = Action { absent: "{0}".parse().ok(), ..Action::default() };
    declaration.methods.insert("RemoveDisplay".into(), absent);
    let join = Action { join: "{0}".parse().ok(), ..action("{1}") };
    declaration.methods.insert("Enter".into(), join);
    let leave = Action { leave: "{0}".parse().ok(), ..Action::default() };
    declaration.methods.insert("Leave".into(), leave);
    declaration.presence = Some(told());
    declaration.declare(Hub::builder().config(HubConfig::default()))
}

fn told() -> Presence {
    Presence {
        joined: Some("online".into()),
        left: Some("offline".into()),
        roster: Some("roster".into()),
        ..Presence::default()
    }
}

/// The same as a program, whose clients are greeted and taken leave of too.
fn written(gone: &Arc<AtomicUsize>) -> HubBuilder {
    let gone = Arc::clone(gone);
    Hub::builder()
        .presence(told())
        .method("SendPing", async |cx: Context, name: String| cx.present(&name))
        .method("RemoveDisplay", async |cx: Context, name: String| cx.absent(&name))
        .connected(async |cx| cx.present("somebody"))
        .disconnected(move |_, _| {
            gone.fetch_add(1, Relaxed);
            async {}
        })
}

/// A client of a node, and who it is told is there.
async fn tab(node: &Node) -> (Peer, String) {
    let mut peer = node.served.peer().await;
    let roster = peer.next().await.unwrap();
    (peer, roster)
}

fn roster(names: &str) -> String {
    call("roster", &format!("[[{names}]]"))
}

fn online(name: &str) -> String {
    call("online", &format!(r#"["{name}"]"#))
}

fn offline(name: &str) -> String {
    call("offline", &format!(r#"["{name}"]"#))
}

async fn says(peer: &mut Peer, target: &str, arguments: &str) {
    peer.send(&format!(r#"{{"type":1,"target":"{target}","arguments":{arguments}}}"#)).await;
}

/// Waits until a newcomer to the node is told this roster.
async fn comes_to_know(node: &Node, names: &str) {
    while tab(node).await.1 != roster(names) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn pred_s4_a_newcomer_to_any_node_is_told_who_is_there() {
    let nodes = Nodes::of(3, declared).await;
    let (mut one, empty) = tab(&nodes.nodes[0]).await;
    assert_eq!(empty, roster(""));
    let mut others = [tab(&nodes.nodes[1]).await.0, tab(&nodes.nodes[2]).await.0];
    says(&mut one, "SendPing", r#"["tv"]"#).await;
    assert_eq!(one.next().await, Some(online("tv")));
    for other in &mut others {
        assert_eq!(other.next().await, Some(online("tv")));
    }
    for node in &nodes.nodes {
        assert_eq!(tab(node).await.1, roster(r#""tv""#));
    }
}

#[tokio::test]
async fn pred_s4_a_node_that_comes_later_learns_who_is_there() {
    let mut nodes = Nodes::of(2, declared).await;
    let (mut one, _) = tab(&nodes.nodes[0]).await;
    let (mut two, _) = tab(&nodes.nodes[1]).await;
    says(&mut one, "SendPing", r#"["tv"]"#).await;
    says(&mut one, "Enter", r#"["hall","lamp"]"#).await;
    assert_eq!(two.next().await, Some(online("tv")));
    nodes.add(declared()).await;
    comes_to_know(&nodes.nodes[2], r#""tv""#).await;
    let (mut three, _) = tab(&nodes.nodes[2]).await;
    says(&mut three, "Enter", r#"["hall","door"]"#).await;
    assert_eq!(three.next().await, Some(call("roster", r#"[["lamp"],"hall"]"#)));
    assert_eq!(three.next().await, Some(call("online", r#"["door","hall"]"#)));
}

#[tokio::test]
async fn pred_s5_whoever_is_cut_off_is_announced_as_gone_on_every_node() {
    let nodes = Nodes::of(3, declared).await;
    let (mut one, _) = tab(&nodes.nodes[0]).await;
    let (mut two, _) = tab(&nodes.nodes[1]).await;
    says(&mut one, "SendPing", r#"["tv"]"#).await;
    assert_eq!(two.next().await, Some(online("tv")));
    // Without any farewell.
    drop(one);
    assert_eq!(two.next().await, Some(offline("tv")));
    comes_to_know(&nodes.nodes[2], "").await;
}

#[tokio::test]
async fn pred_s5_what_was_present_on_a_killed_node_is_announced_as_gone_once() {
    let lost = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&lost);
    let builder = move || {
        let counted = Arc::clone(&counted);
        declared().node_lost(move |_, lost| {
            assert_eq!(lost.names.len(), 3);
            counted.fetch_add(1, Relaxed);
            async {}
        })
    };
    let mut nodes = Nodes::of(4, builder).await;
    let (mut victim, _) = tab(&nodes.nodes[0]).await;
    let mut others = Vec::new();
    for node in &nodes.nodes[1..] {
        others.push(tab(node).await.0);
    }
    says(&mut others[0], "SendPing", r#"["both"]"#).await;
    for name in ["both", "tv", "lamp"] {
        says(&mut victim, "SendPing", &format!(r#"["{name}"]"#)).await;
    }
    for other in &mut others {
        for name in ["both", "tv", "lamp"] {
            assert_eq!(other.next().await, Some(online(name)));
        }
    }
    let _killed = nodes.kill(0);
    for other in &mut others {
        // What somebody else has stays.
        assert_eq!(other.next().await, Some(offline("lamp")));
        assert_eq!(other.next().await, Some(offline("tv")));
    }
    // The end of the victim's client means nothing to anybody any more.
    drop(victim);
    says(&mut others[0], "RemoveDisplay", r#"["both"]"#).await;
    for other in &mut others {
        assert_eq!(other.next().await, Some(offline("both")));
    }
    assert_eq!(lost.load(Relaxed), 1, "one of the three that are left is told");
}

#[tokio::test]
async fn pred_s6_the_same_name_twice_is_one_as_long_as_either_is_there() {
    let nodes = Nodes::of(3, declared).await;
    let (mut one, _) = tab(&nodes.nodes[0]).await;
    let (mut two, _) = tab(&nodes.nodes[1]).await;
    let (mut looks_on, _) = tab(&nodes.nodes[2]).await;
    says(&mut one, "SendPing", r#"["tv"]"#).await;
    assert_eq!(two.next().await, Some(online("tv")));
    says(&mut two, "SendPing", r#"["tv"]"#).await;
    says(&mut two, "SendPing", r#"["lamp"]"#).await;
    assert_eq!(two.next().await, Some(online("lamp")), "tv is there already");
    says(&mut one, "RemoveDisplay", r#"["tv"]"#).await;
    says(&mut one, "SendPing", r#"["door"]"#).await;
    for name in ["tv", "lamp", "door"] {
        assert_eq!(looks_on.next().await, Some(online(name)));
    }
    says(&mut two, "RemoveDisplay", r#"["tv"]"#).await;
    assert_eq!(looks_on.next().await, Some(offline("tv")));
}

#[tokio::test]
async fn pred_s7_nobody_takes_away_what_is_somebody_elses() {
    let nodes = Nodes::of(2, declared).await;
    let (mut one, _) = tab(&nodes.nodes[0]).await;
    let (mut two, _) = tab(&nodes.nodes[1]).await;
    says(&mut one, "SendPing", r#"["tv"]"#).await;
    assert_eq!(two.next().await, Some(online("tv")));
    says(&mut two, "RemoveDisplay", r#"["tv"]"#).await;
    says(&mut two, "SendPing", r#"["lamp"]"#).await;
    assert_eq!(two.next().await, Some(online("lamp")));
    assert_eq!(one.next().await, Some(online("tv")));
    assert_eq!(one.next().await, Some(online("lamp")), "nothing went offline before");
    assert_eq!(tab(&nodes.nodes[0]).await.1, roster(r#""lamp","tv""#));
}

/// The old page began a second connection before the first had ended, which threw.
#[tokio::test]
async fn pred_s8_who_comes_again_before_the_old_connection_has_ended_stays_present() {
    let nodes = Nodes::of(2, declared).await;
    let (mut looks_on, _) = tab(&nodes.nodes[1]).await;
    let (mut old, _) = tab(&nodes.nodes[0]).await;
    says(&mut old, "SendPing", r#"["tv"]"#).await;
    assert_eq!(looks_on.next().await, Some(online("tv")));
    for node in [&nodes.nodes[0], &nodes.nodes[0], &nodes.nodes[1]] {
        let (mut new, there) = tab(node).await;
        assert_eq!(there, roster(r#""tv""#));
        says(&mut new, "SendPing", r#"["tv"]"#).await;
        // A round trip: the new connection has the name before the old one lets go of it.
        assert!(new.call("SendPing", r#"["tv"]"#).await.contains(r#""type":3"#));
        drop(std::mem::replace(&mut old, new));
    }
    says(&mut old, "SendPing", r#"["lamp"]"#).await;
    assert_eq!(looks_on.next().await, Some(online("lamp")), "nothing went offline before");
    says(&mut old, "RemoveDisplay", r#"["tv"]"#).await;
    assert_eq!(looks_on.next().await, Some(offline("tv")));
}

#[tokio::test]
async fn pred_s10_nobody_is_announced_as_gone_while_the_backplane_is_away() {
    let nodes = Nodes::of(3, declared).await;
    let (mut one, _) = tab(&nodes.nodes[0]).await;
    let (mut two, _) = tab(&nodes.nodes[1]).await;
    says(&mut one, "SendPing", r#"["tv"]"#).await;
    assert_eq!(two.next().await, Some(online("tv")));
    nodes.cluster.cut();
    tokio::time::pause();
    // Both stay alive meanwhile, and local changes are told at once.
    for _ in 0..6 {
        tokio::time::advance(std::time::Duration::from_secs(5)).await;
        for peer in [&mut one, &mut two] {
            says(peer, "SendPing", r#"["here"]"#).await;
            says(peer, "RemoveDisplay", r#"["here"]"#).await;
        }
        assert_eq!(two.next().await, Some(online("here")));
        assert_eq!(two.next().await, Some(offline("here")));
    }
    assert_eq!(tab(&nodes.nodes[1]).await.1, roster(r#""tv""#));
    nodes.cluster.heal();
    says(&mut one, "SendPing", r#"["lamp"]"#).await;
    loop {
        let told = two.next().await.unwrap();
        assert_ne!(told, offline("tv"));
        if told == online("lamp") {
            break;
        }
    }
}

#[tokio::test]
async fn a_node_that_was_taken_for_dead_is_known_again() {
    let nodes = Nodes::of(3, declared).await;
    let (mut one, _) = tab(&nodes.nodes[0]).await;
    let (mut two, _) = tab(&nodes.nodes[1]).await;
    says(&mut one, "SendPing", r#"["tv"]"#).await;
    assert_eq!(two.next().await, Some(online("tv")));
    nodes.cluster.expire(nodes.nodes[0].bus.member().node);
    // Whether the end of its old life or its new one is heard of first, its names are there again.
    says(&mut one, "SendPing", r#"["lamp"]"#).await;
    let (mut has_tv, mut has_lamp) = (true, false);
    while !(has_tv && has_lamp) {
        let told = two.next().await.unwrap();
        has_lamp |= told == online("lamp");
        has_tv = if has_tv { told != offline("tv") } else { told == online("tv") };
    }
    says(&mut one, "RemoveDisplay", r#"["tv"]"#).await;
    assert_eq!(two.next().await, Some(offline("tv")));
}

#[tokio::test]
async fn pred_s11_two_tabs_on_two_nodes_are_told_the_same() {
    let nodes = Nodes::of(2, declared).await;
    let (mut one, _) = tab(&nodes.nodes[0]).await;
    let (mut two, _) = tab(&nodes.nodes[1]).await;
    for round in 0..50 {
        let (from, other) =
            if round % 2 == 0 { (&mut one, &mut two) } else { (&mut two, &mut one) };
        says(from, "Enter", &format!(r#"["hall","n{round}"]"#)).await;
        says(from, "SendPing", &format!(r#"["n{round}"]"#)).await;
        says(from, "Leave", r#"["hall"]"#).await;
        assert_eq!(other.next().await, Some(online(&format!("n{round}"))));
        while from.next().await != Some(online(&format!("n{round}"))) {}
    }
}

#[tokio::test]
async fn a_program_says_who_is_present_and_greets_them_too() {
    let gone = Arc::default();
    let nodes = Nodes::of(2, || written(&gone)).await;
    let (mut one, empty) = tab(&nodes.nodes[0]).await;
    assert_eq!((empty, one.next().await), (roster(""), Some(online("somebody"))));
    let (mut two, there) = tab(&nodes.nodes[1]).await;
    assert_eq!(there, roster(r#""somebody""#));
    says(&mut one, "SendPing", r#"["tv"]"#).await;
    says(&mut one, "SendPing", r#"["lamp"]"#).await;
    says(&mut one, "RemoveDisplay", r#"["tv"]"#).await;
    for told in [online("tv"), online("lamp"), offline("tv")] {
        assert_eq!(two.next().await, Some(told));
    }
    for node in 0..2 {
        let present = nodes.hub(node).present();
        assert_eq!(present.iter().map(|name| &**name).collect::<Vec<_>>(), ["lamp", "somebody"]);
    }
    drop(one);
    assert_eq!(two.next().await, Some(offline("lamp")), "and the other is still somebody");
    assert_eq!(gone.load(Relaxed), 1);
}

#[tokio::test]
async fn who_is_turned_away_is_present_no_longer() {
    let hub = Hub::builder().presence(told()).connected(async |cx| {
        cx.present("somebody")?;
        if cx.hub().connected() > 1 { Err(HubError::new("It is full.")) } else { Ok(()) }
    });
    let served = crate::peer::serve(hub.build().unwrap()).await;
    let mut first = served.peer().await;
    for told in [roster(""), online("somebody")] {
        assert_eq!(first.next().await, Some(told));
    }
    let mut second = served.peer().await;
    while second.next().await.is_some() {}
    drop(first);
    while !served.hub.present().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_may_not_be_present_is_told_why() {
    let served = crate::peer::serve(written(&Arc::default()).build().unwrap()).await;
    let mut peer = served.peer().await;
    for told in [roster(""), online("somebody")] {
        assert_eq!(peer.next().await, Some(told));
    }
    let too_long = format!("[{:?}]", "x".repeat(256));
    assert!(peer.call("SendPing", &too_long).await.contains("longer than 255 bytes"));
    assert!(peer.call("SendPing", r#"[""]"#).await.contains("A name is empty."));
    // With the one that it has from the beginning a connection has as many as it may.
    for name in 0..99 {
        says(&mut peer, "SendPing", &format!(r#"["{name}"]"#)).await;
        assert_eq!(peer.next().await, Some(online(&name.to_string())));
    }
    assert!(peer.call("SendPing", r#"["more"]"#).await.contains("as many groups and names"));

    let without = Hub::builder().method("Here", async |cx: Context| cx.present("x"));
    let served = crate::peer::serve(without.build().unwrap()).await;
    assert!(served.hub.present().is_empty());
    let answer = served.peer().await.call("Here", "[]").await;
    assert!(answer.contains(r#""error""#), "{answer}");
}

#[tokio::test]
async fn a_name_may_say_which_node_it_is_on() {
    let mut declaration = Declaration::default();
    let here = Action { present: "{node} {0}".parse().ok(), ..Action::default() };
    declaration.methods.insert("Here".into(), here);
    declaration.presence = Some(told());
    let nodes = Nodes::of(2, || declaration.clone().declare(Hub::builder())).await;
    let (mut one, _) = tab(&nodes.nodes[0]).await;
    let (mut two, _) = tab(&nodes.nodes[1]).await;
    says(&mut one, "Here", r#"["tv"]"#).await;
    let id = nodes.nodes[0].bus.member().node;
    assert_eq!(two.next().await, Some(online(&format!("{id} tv"))));
    assert_eq!(nodes.hub(0).node(), id);
    assert_ne!(nodes.hub(1).node(), id);
}
