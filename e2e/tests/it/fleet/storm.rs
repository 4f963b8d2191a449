//! Row C2: instances are away while commands are accepted, and come back all at once.

use everwire_testkit::{everwire::Everwire, instance::Instance};

use super::stage::{alone, change, crew, done_by, present_become, send, state};

#[tokio::test]
async fn fault_c2_instances_that_return_as_a_storm_get_each_pending_command_once_and_in_order() {
    let manager = Everwire::start(&alone()).await;
    let crew = crew(&manager, 300).await;
    let before = send(&manager, "shop", "before").await;
    done_by(&manager, &before, crew.len()).await;
    crew.iter().for_each(Instance::vanish);
    present_become(&manager, 0).await;
    let mut ids = Vec::new();
    for name in ["first", "second", "third"] {
        ids.push(send(&manager, "shop", name).await);
    }
    let known = state(&manager, &ids[0]).await;
    assert_eq!(known["missing"].as_array().map(Vec::len), Some(crew.len()), "by name: {known}");
    crew.iter().for_each(Instance::come_back);
    for id in &ids {
        done_by(&manager, id, crew.len()).await;
    }
    for one in &crew {
        let record = one.record();
        assert_eq!(record.names, ["before", "first", "second", "third"]);
        assert_eq!(record.handed[1..], ids, "each once");
    }
}

/// The manager itself is away meanwhile, and knows afterwards what it has accepted.
#[tokio::test]
async fn fault_c2_a_storm_after_the_managers_own_death_finds_commands_and_sets_as_they_were() {
    let mut manager = Everwire::start(&alone()).await;
    let crew = crew(&manager, 200).await;
    crew.iter().for_each(Instance::vanish);
    present_become(&manager, 0).await;
    let id = send(&manager, "shop", "refresh").await;
    let version = change(&manager, "shop/prod", serde_json::json!({ "COLOR": "red" })).await;
    manager.kill_and_restart().await;
    crew.iter().for_each(Instance::come_back);
    done_by(&manager, &id, crew.len()).await;
    assert_eq!(super::stage::set(&manager, "shop/prod").await["version"], version);
}
