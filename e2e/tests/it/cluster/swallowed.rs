//! Answers of Redis that never come, and connections to it that end with them.

use everwire_testkit::{
    need,
    redis::{Server, VOLATILE},
    swallow::Swallower,
    tools,
};

use super::three::Three;

/// Each append is executed, and its node cannot know: it says it again, and nobody may hear it twice.
#[tokio::test]
async fn fault_b4_an_answer_swallowed_a_thousand_times_under_three_processes_doubles_and_loses_nothing()
 {
    let redis = Server::start(&need!(tools::redis()), VOLATILE).await;
    let mut cables = Vec::new();
    for _ in 0..3 {
        cables.push(Swallower::start(redis.address()).await);
    }
    let urls: Vec<_> = cables.iter().map(Swallower::url).collect();
    let mut three = Three::over([&urls[0], &urls[1], &urls[2]]).await;
    cables.iter().for_each(|cable| cable.swallow(true));
    while cables.iter().map(Swallower::swallowed).sum::<u64>() < 1000 {
        three.say(1);
        three.all_have_heard().await;
    }
    cables.iter().for_each(|cable| cable.swallow(false));
    three.all_have_heard_all().await;
    three.nobody_was_dropped();
    let (mut resent, mut duplicates, mut lost) = (0.0, 0.0, 0.0);
    for node in &three.nodes {
        resent += node.metric("everwire_backplane_resent_total").await;
        duplicates += node.metric("everwire_backplane_duplicates_total").await;
        lost += node.metric("everwire_backplane_lost_total").await;
    }
    // Now and then what was swallowed was the answer to an announcement alone.
    assert!(resent >= 900.0, "{resent} were sent again");
    assert!(duplicates > 0.0, "what was swallowed had been stored");
    assert_eq!(lost, 0.0);
}
