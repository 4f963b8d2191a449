//! Many clients are asked at once.

use std::{collections::HashMap, num::NonZeroUsize, time::Duration};

use everwire_hub::{
    ConnectionId, Context, Hub, HubConfig, InvokeError, Replies, dispatch::AskError,
    dispatch::Limits,
};

use crate::{
    asking::{answer, question},
    peer::{Peer, Served, serve},
};

/// Longer than any answer takes, and soon over where the clock is paused.
const PATIENCE: Duration = Duration::from_secs(10);

async fn served(config: HubConfig) -> Served {
    let hub = Hub::builder()
        .config(config)
        .shards(NonZeroUsize::new(2).unwrap())
        .method("Id", |cx: Context| async move { cx.connection_id().to_string() });
    serve(hub.build().unwrap()).await
}

/// A client, and what it is called.
async fn named(served: &Served) -> (Peer, ConnectionId) {
    let mut peer = served.peer().await;
    let completion: serde_json::Value = serde_json::from_str(&peer.call("id", "[]").await).unwrap();
    let id = completion["result"].as_str().unwrap().parse().unwrap();
    (peer, id)
}

async fn all<const N: usize>(served: &Served) -> ([Peer; N], [ConnectionId; N]) {
    let mut peers = Vec::new();
    for _ in 0..N {
        peers.push(named(served).await);
    }
    let (peers, ids): (Vec<_>, Vec<_>) = peers.into_iter().unzip();
    (peers.try_into().ok().unwrap(), ids.try_into().unwrap())
}

/// What became of the question at each client, in words.
async fn outcomes(mut replies: Replies<u32>) -> HashMap<ConnectionId, Result<u32, String>> {
    let mut outcomes = HashMap::new();
    while let Some(reply) = replies.next().await {
        let answer = reply.answer.map_err(|error| error.to_string());
        assert!(outcomes.insert(reply.connection, answer).is_none(), "one reply each");
    }
    outcomes
}

#[tokio::test(start_paused = true)]
async fn each_client_answers_or_is_told_of() {
    let served = served(HubConfig::default()).await;
    let ([mut one, mut two, gone, mut wrong, silent, outside], ids) = all(&served).await;
    // Who has not shaken hands is not there yet.
    let _stranger = served.stranger("").await;
    for id in &ids[..5] {
        served.hub.groups().add(*id, "asked").expect("room in the group");
    }
    let replies = served.hub.group("asked").invoke::<u32>("m", &(1,), PATIENCE).unwrap();
    let answered = async {
        let (first, second) = (question(&mut one).await, question(&mut two).await);
        assert_eq!(first, second, "all are sent the same frame");
        one.send(&answer(&first, r#""result":1"#)).await;
        two.send(&answer(&first, r#""error":"not now""#)).await;
        question(&mut wrong).await;
        wrong.send(&answer(&first, r#""result":"three""#)).await;
        drop(gone);
    };
    let (outcomes, ()) = tokio::join!(outcomes(replies), answered);
    assert_eq!(outcomes[&ids[0]], Ok(1));
    assert_eq!(outcomes[&ids[1]], Err("not now".into()));
    assert_eq!(outcomes[&ids[2]], Err(format!("Connection '{}' disconnected.", ids[2])));
    assert!(outcomes[&ids[3]].as_ref().unwrap_err().starts_with("Error binding arguments."));
    assert_eq!(outcomes[&ids[4]], Err(format!("Connection '{}' did not answer in time.", ids[4])));
    assert_eq!(outcomes.len(), 5);
    drop((silent, outside));
}

#[tokio::test(start_paused = true)]
async fn answers_come_as_they_are_given_and_not_all_at_the_end() {
    let served = served(HubConfig::default()).await;
    let ([mut quick, mut slow], ids) = all(&served).await;
    let mut replies = served.hub.connections(ids).invoke::<u32>("m", &(), PATIENCE).unwrap();
    let id = question(&mut quick).await;
    quick.send(&answer(&id, r#""result":1"#)).await;
    let first = replies.next().await.unwrap();
    assert_eq!((first.connection, first.answer.unwrap()), (ids[0], 1));
    question(&mut slow).await;
    slow.send(&answer(&id, r#""result":2"#)).await;
    let second = replies.next().await.unwrap();
    assert_eq!((second.connection, second.answer.unwrap()), (ids[1], 2));
    assert!(replies.next().await.is_none());
    assert!(replies.next().await.is_none());
}

#[tokio::test]
async fn nobody_is_asked_where_nobody_is() {
    let served = served(HubConfig::default()).await;
    let (_peers, [id]) = all(&served).await;
    for nobody in [served.hub.group("empty"), served.hub.all().except([id])] {
        assert!(outcomes(nobody.invoke("m", &(), PATIENCE).unwrap()).await.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_is_asked_no_more_than_it_may_leave_unanswered() {
    let calls = Limits { asked_max: 2, ..Limits::default() };
    let served = served(HubConfig { calls, ..HubConfig::default() }).await;
    let ([mut peer], [id]) = all(&served).await;
    let ask = || served.hub.all().invoke::<u32>("m", &(), PATIENCE).unwrap();
    let (mut first, second) = (ask(), ask());
    let asked = question(&mut peer).await;
    question(&mut peer).await;
    let refused = ask().next().await.unwrap();
    assert_eq!(refused.connection, id);
    assert!(matches!(refused.answer, Err(InvokeError::Refused(AskError::TooMany))));
    // An answer makes room, and so does giving up.
    peer.send(&answer(&asked, r#""result":1"#)).await;
    assert_eq!(first.next().await.unwrap().answer.unwrap(), 1);
    drop(second);
    let both = [ask(), ask()];
    for _ in 0..2 {
        question(&mut peer).await;
    }
    for replies in both {
        assert!(outcomes(replies).await[&id].as_ref().unwrap_err().ends_with("in time."));
    }
}

#[tokio::test(start_paused = true)]
async fn a_hub_awaits_no_more_answers_than_it_may() {
    let served = served(HubConfig { asked_max: 3, ..HubConfig::default() }).await;
    let (_peers, ids) = all::<2>(&served).await;
    let ask = || served.hub.all().invoke::<u32>("m", &(), PATIENCE).unwrap();
    let first = ask();
    let (first, second) = tokio::join!(outcomes(first), outcomes(ask()));
    let both = first.values().chain(second.values());
    let (late, refused): (Vec<_>, Vec<_>) = both
        .map(|outcome| outcome.as_ref().unwrap_err())
        .partition(|error| error.ends_with("did not answer in time."));
    assert_eq!((late.len(), refused.len()), (3, 1));
    assert_eq!(refused[0], "Too many answers of clients are awaited.");
    // Nobody waits any more.
    let again = outcomes(ask()).await;
    assert!(ids.iter().all(|id| again[id].as_ref().unwrap_err().ends_with("in time.")));
}

#[tokio::test]
async fn a_hub_that_may_await_nothing_asks_nobody() {
    let served = served(HubConfig { asked_max: 0, ..HubConfig::default() }).await;
    let (_peers, [id]) = all(&served).await;
    let one = served.hub.connection(id).invoke::<u32>("m", &()).await;
    assert!(matches!(one, Err(InvokeError::TooMany)));
    let all = served.hub.all().invoke::<u32>("m", &(), PATIENCE).unwrap().next().await.unwrap();
    assert!(matches!(all.answer, Err(InvokeError::TooMany)));
}
