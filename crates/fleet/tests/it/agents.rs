//! The agent as an instance: what it promises, it keeps towards the fleet as it is.

use std::sync::Arc;

use everwire_agent::{Agent, AgentBuilder, Command, Rejection, Status};
use everwire_fleet::{command::Outcome, fleet::Progress};
use everwire_testkit::{
    everwire::Folder,
    wait::{eventually, soon},
};
use tokio::sync::{Semaphore, mpsc};

use crate::fixture::{Node, Site, command, outcome};

/// An agent of `shop:0:a`, whose name is not in the address that it is given.
fn agent(node: &Node) -> AgentBuilder {
    Agent::builder(format!("http://{}/fleet", node.address)).app("shop").id("a")
}

/// Has it say what it was told to do.
fn obedient(agent: AgentBuilder) -> AgentBuilder {
    agent.on_command("do", |command: Command| async move {
        match command.args.as_str() {
            Some("fail") => Err("no disk".to_owned()),
            Some(what) => Ok(format!("did {what}")),
            None => Ok("nothing".to_owned()),
        }
    })
}

#[tokio::test]
async fn pred_m8_an_agent_joins_obeys_and_reports_through_any_node() {
    let site = Site::of(2).await;
    let agent = obedient(agent(&site.nodes[0]).index(3)).start().await.unwrap();
    site.until_known(1, 0).await;
    for (what, kind, detail) in
        [("this", Outcome::Done, "did this"), ("fail", Outcome::Failed, "no disk")]
    {
        let id = site.nodes[1].fleet.send(command("shop:3", what)).await.unwrap().id;
        let state = site.until_finished(id).await;
        assert_eq!(outcome(&state, "shop:3:a"), (kind, Some(detail.to_owned())));
    }
    let unknown =
        everwire_fleet::fleet::NewCommand { name: "launch".into(), ..command("shop", "x") };
    let id = site.fleet().send(unknown).await.unwrap().id;
    let state = site.until_finished(id).await;
    assert_eq!(outcome(&state, "shop:3:a").0, Outcome::Refused);
    soon("goodbye", agent.stop()).await;
    // Who says goodbye is gone, and not away.
    site.until_known(0, 0).await;
}

#[tokio::test]
async fn a_command_in_whose_middle_an_agent_ended_is_interrupted_and_the_next_is_carried_out() {
    let (site, folder) = (Site::of(1).await, Folder::new());
    let (begin, mut begun) = mpsc::channel(10);
    let never = Arc::new(Semaphore::new(0));
    let hanging = agent(&site.nodes[0]).state_dir(&folder.0);
    let hanging = hanging.on_command("do", move |_| {
        let (begin, never) = (begin.clone(), never.clone());
        async move {
            begin.send(()).await.unwrap();
            never.acquire().await.map(drop)
        }
    });
    let hanging = hanging.start().await.unwrap();
    site.until_known(1, 0).await;
    let first = site.fleet().send(command("shop", "first")).await.unwrap().id;
    let second = site.fleet().send(command("shop", "second")).await.unwrap().id;
    soon("the first", begun.recv()).await.unwrap();
    // Without a goodbye, as a process that is killed.
    drop(hanging);
    site.until_known(0, 1).await;
    let _back = eventually("the directory to be free", async || {
        obedient(agent(&site.nodes[0]).state_dir(&folder.0)).start().await.ok()
    })
    .await;
    let state = site.until_finished(first).await;
    assert_eq!(outcome(&state, "shop:0:a").0, Outcome::Interrupted);
    let state = site.until_finished(second).await;
    assert_eq!(outcome(&state, "shop:0:a"), (Outcome::Done, Some("did second".to_owned())));
    assert_eq!(state.summary.state, Progress::Finished);
    assert!(begun.try_recv().is_err());
}

#[tokio::test]
async fn an_agent_whose_name_another_takes_hears_so_and_stays_away() {
    let site = Site::of(2).await;
    let first = obedient(agent(&site.nodes[0])).start().await.unwrap();
    site.until_known(1, 0).await;
    let _second = obedient(agent(&site.nodes[1])).start().await.unwrap();
    let taken = async || match &*first.status().borrow() {
        Status::StaysAway { why: Rejection::TakenOver(name) } => Some(name.to_string()),
        _ => None,
    };
    assert_eq!(eventually("a takeover", taken).await, "shop:0:a");
    site.until_known(1, 0).await;
    let id = site.fleet().send(command("shop", "this")).await.unwrap().id;
    let state = site.until_finished(id).await;
    assert_eq!(outcome(&state, "shop:0:a"), (Outcome::Done, Some("did this".to_owned())));
}
