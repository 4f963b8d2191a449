//! What is done with some clients at once: looking, groups, ends; and groups of users.

use std::time::Duration;

use everwire_hub::{
    Context, GroupError, GroupName, Hub, HubBuilder, HubConfig, Identity, Member, SendError, Shard,
    StandingError, UserId,
};
use futures_util::future::join_all;

use crate::peer::{Peer, Served, serve};

/// A hub whose clients name themselves, on more than one shard.
fn builder() -> HubBuilder {
    Hub::builder()
        .shards(3.try_into().unwrap())
        .authenticate(|request| async move {
            let user = request.parameter("user").map(UserId::from);
            Ok(Identity { user, ..Identity::default() })
        })
        .method("Join", |cx: Context, group: String| async move {
            Ok(cx.hub().groups().add(cx.connection_id(), group)?)
        })
}

async fn served() -> Served {
    serve(builder().build().unwrap()).await
}

/// A client of this user who has been greeted.
async fn client(served: &Served, user: &str) -> Peer {
    let mut peer = served.stranger(&format!("?user={user}")).await;
    peer.send(r#"{"protocol":"json","version":1}"#).await;
    assert_eq!(peer.next().await.as_deref(), Some("{}"));
    peer
}

fn groups_of(members: &[Member]) -> Vec<Vec<&str>> {
    members.iter().map(|member| member.groups.iter().map(GroupName::as_str).collect()).collect()
}

#[tokio::test]
async fn pages_have_each_member_once_in_order() {
    let served = served().await;
    let _peers = join_all((0..7).map(|_| client(&served, "ann"))).await;
    served.hub.groups().add_user("ann", "go", None).await.unwrap();
    let all = served.hub.group("go").members_now().await;
    assert_eq!(all.len(), 7);
    assert!(all.is_sorted_by_key(|member| member.id));
    let (mut pages, mut after) = (Vec::new(), None);
    for size in [3, 3, 1, 0] {
        let page = served.hub.group("go").page_now(after, 3).await;
        assert_eq!(page.len(), size);
        after = page.last().map(|member| member.id).or(after);
        pages.extend(page);
    }
    assert_eq!(pages, all);
    assert_eq!(served.hub.group("chess").page_now(None, 1).await, []);
    assert!(served.hub.has(all[0].id));
}

#[tokio::test]
async fn a_connection_leaves_all_groups_at_once() {
    let served = served().await;
    let (mut ann, mut bob) = (client(&served, "ann").await, client(&served, "bob").await);
    for peer in [&mut ann, &mut bob] {
        peer.call("join", r#"["go"]"#).await;
    }
    bob.call("join", r#"["chess"]"#).await;
    let bobs = served.hub.user("bob");
    let members = bobs.members_now().await;
    assert_eq!(groups_of(&members), [["go", "chess"]]);
    assert!(served.hub.groups().remove_from_all(members[0].id).await.value);
    assert_eq!(groups_of(&bobs.members_now().await), [[""; 0]]);
    assert_eq!(served.hub.group("go").members_now().await.len(), 1, "ann stays");
    bob.call("join", r#"["go"]"#).await;
    assert_eq!(groups_of(&bobs.members_now().await), [["go"]], "and it can come back");
}

#[tokio::test]
async fn who_is_ended_hears_what_came_before_and_why() {
    let served = served().await;
    let (mut ann, mut bob) = (client(&served, "ann").await, client(&served, "bob").await);
    served.hub.user("ann").send("Last", &("words",)).unwrap();
    served.hub.user("ann").end(Some("moved away")).unwrap();
    assert_eq!(
        ann.next().await.as_deref(),
        Some(r#"{"type":1,"target":"Last","arguments":["words"]}"#)
    );
    assert_eq!(ann.next().await.as_deref(), Some(r#"{"type":7,"error":"moved away"}"#));
    assert_eq!(ann.code().await, Some(1000));
    served.hub.all().end(None).unwrap();
    assert_eq!(bob.next().await.as_deref(), Some(r#"{"type":7}"#));
}

#[tokio::test]
async fn a_user_is_in_its_groups_with_every_connection_that_comes() {
    let served = served().await;
    let groups = served.hub.groups();
    groups.add_user("ann", "go", None).await.unwrap();
    assert!(groups.has_user("ann", "go").await.value, "before it comes");
    let _first = client(&served, "ann").await;
    groups.add_user("ann", "chess", Some(Duration::from_secs(3600))).await.unwrap();
    let _second = client(&served, "ann").await;
    let _bob = client(&served, "bob").await;
    let anns = served.hub.user("ann");
    assert_eq!(groups_of(&anns.members_now().await), [["go", "chess"]; 2]);
    assert!(!groups.has_user("bob", "go").await.value);

    groups.remove_user("ann", "go").await.unwrap();
    let _third = client(&served, "ann").await;
    assert_eq!(groups_of(&anns.members_now().await), [["chess"]; 3]);
    groups.remove_user_from_all("ann").await.unwrap();
    let _fourth = client(&served, "ann").await;
    assert_eq!(groups_of(&anns.members_now().await), [[""; 0]; 4]);
    assert!(!groups.has_user("ann", "chess").await.value);
}

#[tokio::test(start_paused = true)]
async fn a_user_leaves_when_its_time_is_over() {
    let hub = builder().build().unwrap();
    let groups = hub.groups();
    let shards: tokio::task::JoinSet<()> = hub.take_shards().into_iter().map(Shard::run).collect();
    groups.add_user("ann", "go", Some(Duration::from_secs(60))).await.unwrap();
    tokio::time::advance(Duration::from_secs(59)).await;
    assert!(groups.has_user("ann", "go").await.value);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!groups.has_user("ann", "go").await.value);
    drop(shards);
}

#[tokio::test]
async fn for_no_time_it_is_only_who_is_there() {
    let served = served().await;
    let groups = served.hub.groups();
    let _first = client(&served, "ann").await;
    groups.add_user("ann", "go", Some(Duration::ZERO)).await.unwrap();
    let _second = client(&served, "ann").await;
    let members = served.hub.user("ann").members_now().await;
    assert_eq!(groups_of(&members).concat(), ["go"], "one of the two");
}

#[tokio::test]
async fn what_a_group_has_no_room_for_is_told() {
    let config = HubConfig { groups_max: 1, ..HubConfig::default() };
    let served = serve(builder().config(config).build().unwrap()).await;
    let groups = served.hub.groups();
    let _first = client(&served, "ann").await;
    groups.add_user("ann", "go", None).await.unwrap();
    let full = groups.add_user("ann", "chess", None).await;
    assert_eq!(full, Err(StandingError::Connection(GroupError::TooMany)));
    let long = groups.add_user("bob", "x".repeat(1025), None).await;
    assert_eq!(long, Err(StandingError::Connection(GroupError::TooLong)));
    let _second = client(&served, "ann").await;
    assert_eq!(groups_of(&served.hub.user("ann").members_now().await), [["go"]; 2]);
}

#[tokio::test]
async fn what_waits_for_a_shard_is_limited() {
    let config = HubConfig { inbox_max: 1000, ..HubConfig::default() };
    let served = serve(builder().config(config).build().unwrap()).await;
    let _ann = client(&served, "ann").await;
    // The shards have no turn before this waits for something.
    let nobody = served.hub.group("nobody");
    let is_overloaded = |ended| matches!(ended, Err(SendError::Overloaded));
    assert!((0..100).any(|_| is_overloaded(nobody.end(None))));
    assert!(is_overloaded(served.hub.all().end(None)));
    assert_eq!(served.hub.all().members_now().await.len(), 1, "nobody has been ended");
    assert!(nobody.end(None).is_ok(), "it has been done");
}
