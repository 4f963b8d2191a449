//! The same over a real Redis, through what can happen to it.

use std::{path::Path, sync::Arc};

use everwire_backplane::{
    memory,
    redis::{Config, Redis},
};
use everwire_fleet::{
    FleetConfig,
    command::CommandId,
    fleet::{NewCommand, SendError},
};
use everwire_testkit::{
    need,
    redis::{DURABLE, Server},
    tools,
    wait::{eventually_within, until_equal},
};

use crate::fixture::{Instance, Site, command, counts};

/// Three nodes over a Redis that forgets nothing it has confirmed, with an instance each.
async fn three(program: &Path) -> (Server, Site, Vec<Instance>) {
    let server = Server::start(program, DURABLE).await;
    let mut site = Site { backplane: memory::Cluster::default(), nodes: Vec::new() };
    let mut instances = Vec::new();
    for number in 0..3 {
        let redis = Arc::new(Redis::start(Config::new(server.url())).unwrap());
        site.add_over(Arc::clone(&redis) as _, redis, FleetConfig::default()).await;
        instances.push(site.nodes[number].join(&format!("shop:{number}:a")).await);
    }
    site.until_known(3, 0).await;
    (server, site, instances)
}

/// Sends until the log takes it; one key makes it one command.
async fn send(site: &Site, node: usize, arg: &str) -> CommandId {
    let fleet = &site.nodes[node].fleet;
    eventually_within(std::time::Duration::from_secs(40), "a command that is taken", async || {
        let new = NewCommand { key: Some(arg.into()), ..command("shop", arg) };
        match fleet.send(new).await {
            Err(SendError::Refused(_)) => None,
            sent => Some(sent.unwrap().id),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_command_and_no_outcome_is_lost_or_doubled_when_redis_is_killed_and_comes_back() {
    let program = need!(tools::redis());
    let (mut server, site, instances) = three(&program).await;
    let mut ids = Vec::new();
    for number in 0..6 {
        ids.push(send(&site, number % 3, &number.to_string()).await);
        if number % 2 == 1 {
            server.kill_and_restart().await;
        }
    }
    for id in ids {
        assert_eq!(counts(&site.until_finished(id).await), [("done", 3)].into());
    }
    for instance in &instances {
        until_equal("each once and in order", 6, async || instance.args().len()).await;
        assert_eq!(instance.args(), ["0", "1", "2", "3", "4", "5"]);
    }
    site.until_known(3, 0).await;
    let listed = |at: usize| site.nodes[at].fleet.commands(None, 100).items;
    assert_eq!(listed(0).len(), 6, "a key that was sent again is the same command");
    assert_eq!((listed(0), listed(0)), (listed(1), listed(2)));
}
