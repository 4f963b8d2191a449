//! Sessions of a hub with histories that move: each goes on in every channel where it was.

use everwire_hub::{Drained, History, HubBuilder, Retention};
use serde_json::{Value, json};

use super::{Nodes, Session, builder};
use crate::history::Follower;

const ONE_MOVED: Drained = Drained { moved: 1, closed: 0, left: 0 };

/// So many messages of everything are kept.
fn keeping(count_max: u64) -> impl Fn() -> HubBuilder {
    let kept = Retention { count_max, ..Retention::default() };
    move || builder().history(History::new().hub(kept).groups("*", kept))
}

/// What a client that follows the group `room` has heard.
#[derive(Default)]
struct Heard {
    /// Of the group, in order, and where its cursor is behind that.
    room: Vec<u64>,
    cursor: u64,
    /// Of the hub's own channel, which it does not follow.
    all: Vec<u64>,
    gaps: usize,
}

impl Heard {
    /// A session that is in the group and follows it.
    async fn begin(nodes: &Nodes, query: &str) -> (Session, Self) {
        let mut session = Session::start(&nodes.nodes[0], &nodes.nodes[0], query).await;
        session.call("join", "join", json!(["room"])).await;
        assert_eq!(session.next().await["invocationId"], "join");
        session.call("recover", "recover", json!(["room", null])).await;
        let answer = session.next().await;
        assert_eq!(answer["result"]["recovered"], true, "{answer}");
        (session, Self::default())
    }

    async fn hear(&mut self, session: &mut Session) {
        let said = session.next().await;
        let arguments = &said["arguments"];
        match said["target"].as_str() {
            Some("room") => self.room.push(arguments[0].as_u64().unwrap()),
            Some("all") => self.all.push(arguments[0].as_u64().unwrap()),
            Some("Position") => {
                assert_eq!(arguments[0], "room");
                self.cursor = arguments[1]["offset"].as_u64().unwrap();
            }
            Some("Gap") => self.gaps += 1,
            _ => unreachable!("{said}"),
        }
    }

    /// Hears until so many have come of each, and the cursor is behind them.
    async fn until(&mut self, session: &mut Session, count: u64) {
        let is_there = |heard: &[u64]| heard.len() as u64 >= count;
        while !is_there(&self.room) || !is_there(&self.all) || self.cursor < count {
            self.hear(session).await;
        }
        let expected: Vec<u64> = (1..=count).collect();
        assert_eq!((&self.room, &self.all), (&expected, &expected), "each once and in order");
        assert_eq!((self.cursor, self.gaps), (count, 0));
    }
}

/// Says these numbers to the group and to all, from this node.
fn say(nodes: &Nodes, node: usize, numbers: std::ops::RangeInclusive<u64>) {
    let hub = nodes.nodes[node].hub();
    for number in numbers {
        hub.group("room").send("room", &(number,)).unwrap();
        hub.all().send("all", &(number,)).unwrap();
    }
}

#[tokio::test]
async fn a_session_goes_on_where_it_was_at_a_node_that_is_ahead_of_it() {
    for has_others_there in [true, false] {
        let nodes = Nodes::of(2, keeping(1000)).await;
        let [old, new] = [&nodes.nodes[0], &nodes.nodes[1]];
        let (mut session, mut heard) = Heard::begin(&nodes, "").await;
        let mut other = Follower::new(new.served.peer().await);
        if has_others_there {
            other.peer.call("Join", r#"["room"]"#).await;
            assert!(other.recover(&json!("room")).await);
        }
        say(&nodes, 0, 1..=3);
        heard.until(&mut session, 3).await;
        let (asked, go) = new.losses.hold("/move/take");
        let (drained, ()) = tokio::join!(old.drain(), async {
            asked.await.unwrap();
            // The session stands still, and its next node goes ahead.
            say(&nodes, 1, 4..=6);
            while has_others_there && other.cursor["offset"] != 6 {
                other.peer.next().await.into_iter().for_each(|said| {
                    let said: Value = serde_json::from_str(&said).unwrap();
                    if said["target"] == "Position" {
                        other.cursor = said["arguments"][1].clone();
                    }
                });
            }
            go.send(()).unwrap();
            session.follow().await;
        });
        assert_eq!(drained, ONE_MOVED);
        heard.until(&mut session, 6).await;
        assert_eq!(new.hub().totals().replayed, 6);
        say(&nodes, 0, 7..=8);
        say(&nodes, 1, 9..=9);
        heard.until(&mut session, 9).await;
        assert_eq!(session.resumed, 1);
    }
}

#[tokio::test]
async fn a_session_that_was_told_nothing_yet_misses_nothing_either() {
    let nodes = Nodes::of(2, keeping(1000)).await;
    let [old, new] = [&nodes.nodes[0], &nodes.nodes[1]];
    // What was said before it came is not for it.
    say(&nodes, 1, 100..=120);
    nodes.meet().await;
    let mut session = Session::start(old, old, "").await;
    session.call("join", "join", json!(["room"])).await;
    assert_eq!(session.next().await["invocationId"], "join");
    let (asked, go) = new.losses.hold("/move/take");
    let (drained, ()) = tokio::join!(old.drain(), async {
        asked.await.unwrap();
        say(&nodes, 1, 1..=3);
        go.send(()).unwrap();
        session.follow().await;
    });
    assert_eq!(drained, ONE_MOVED);
    say(&nodes, 0, 4..=5);
    let mut heard = Heard::default();
    while heard.room.len() < 5 || heard.all.len() < 5 {
        heard.hear(&mut session).await;
    }
    assert_eq!((heard.room, heard.all), ((1..=5).collect(), (1..=5).collect()));
}

#[tokio::test]
async fn nothing_recorded_is_lost_or_doubled_while_all_nodes_drain_one_after_another() {
    let mut nodes = Nodes::of(3, keeping(1000)).await;
    let (mut session, mut heard) = Heard::begin(&nodes, "").await;
    let mut said = 0;
    for _ in 0..6 {
        let at = nodes.nodes.iter().position(|node| node.hub().connected() > 0).unwrap();
        let (drained, ()) = tokio::join!(nodes.nodes[at].drain(), async {
            let before = said;
            while nodes.nodes[at].hub().connected() > 0 || said < before + 50 {
                said += 1;
                // One publisher at a time: its order is the channel's.
                say(&nodes, (at + 1) % 3, said..=said);
                session.acknowledge().await;
                while heard.room.len() as u64 + 2 < said {
                    heard.hear(&mut session).await;
                }
            }
        });
        assert_eq!(drained, ONE_MOVED);
        heard.until(&mut session, said).await;
        session.acknowledge().await;
        nodes.end(at).await;
        nodes.add(keeping(1000)()).await;
        let all: Vec<_> = nodes.nodes.iter().collect();
        session.return_to(&all);
        session.come_back().await;
    }
}

#[tokio::test]
async fn what_a_session_missed_and_the_history_does_not_keep_is_announced() {
    let nodes = Nodes::of(2, keeping(2)).await;
    let [old, new] = [&nodes.nodes[0], &nodes.nodes[1]];
    let (mut session, mut heard) = Heard::begin(&nodes, "").await;
    say(&nodes, 0, 1..=3);
    heard.until(&mut session, 3).await;
    let (asked, go) = new.losses.hold("/move/take");
    let (drained, ()) = tokio::join!(old.drain(), async {
        asked.await.unwrap();
        say(&nodes, 1, 4..=9);
        go.send(()).unwrap();
        session.follow().await;
    });
    assert_eq!(drained, ONE_MOVED);
    while heard.gaps == 0 {
        heard.hear(&mut session).await;
    }
    say(&nodes, 0, 10..=10);
    while heard.cursor < 10 {
        heard.hear(&mut session).await;
    }
    assert_eq!(heard.room, [1, 2, 3, 10], "and what follows is complete again");
    assert_eq!((heard.gaps, new.hub().totals().gaps), (1, 1));
    assert_eq!([old, new].map(|node| node.hub().totals().recorded), [8, 12]);
}

#[tokio::test]
async fn who_recovers_first_is_sent_nothing_before_at_the_next_node_either() {
    let nodes = Nodes::of(2, keeping(1000)).await;
    let [old, new] = [&nodes.nodes[0], &nodes.nodes[1]];
    let mut session = Session::start(old, old, "&recover=first").await;
    session.call("join", "join", json!(["room"])).await;
    assert_eq!(session.next().await["invocationId"], "join");
    say(&nodes, 0, 1..=3);
    let (drained, ()) = tokio::join!(old.drain(), session.follow());
    assert_eq!(drained, ONE_MOVED);
    say(&nodes, 0, 4..=6);
    session.call("recover", "recover", json!(["room", null])).await;
    let answer = session.next().await;
    assert_eq!(answer["invocationId"], "recover", "nothing comes before it");
    let from = answer["result"]["cursor"]["offset"].as_u64().unwrap();
    say(&nodes, 1, 7..=9);
    let mut heard = Heard::default();
    while heard.cursor < 9 {
        heard.hear(&mut session).await;
    }
    assert_eq!(heard.room, (from + 1..=9).collect::<Vec<_>>());
    assert_eq!(heard.all, [0; 0]);
    assert_eq!(new.hub().connected(), 1);
}

#[tokio::test]
async fn a_session_that_joins_a_channel_while_it_moves_moves_with_the_next_try() {
    let nodes = Nodes::of(2, keeping(1000)).await;
    let [old, new] = [&nodes.nodes[0], &nodes.nodes[1]];
    let (mut session, mut heard) = Heard::begin(&nodes, "").await;
    let id = session.id().parse().unwrap();
    let (asked, go) = new.losses.hold("/move/take");
    let (drained, ()) = tokio::join!(old.drain(), async {
        asked.await.unwrap();
        old.hub().groups().add(id, "late").unwrap();
        old.hub().group("late").send("room", &(1,)).unwrap();
        go.send(()).unwrap();
        session.follow().await;
        session.follow().await;
    });
    assert_eq!(drained, ONE_MOVED);
    new.hub().group("late").send("room", &(2,)).unwrap();
    while heard.room.len() < 2 {
        heard.hear(&mut session).await;
    }
    assert_eq!(heard.room, [1, 2]);
    assert_eq!(new.hub().connected(), 1);
}
