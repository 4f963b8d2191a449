//! The examples of docs/fleet-clients.md for stock SignalR clients, as they stand there.

use std::{fs, net::SocketAddr, path::Path, process::Command, time::Duration};

use everwire_testkit::{
    need,
    process::Process,
    tools::{self, workspace},
};
use serde_json::{Value, json};
use tokio::net::TcpSocket;

use super::{
    manager::{Known, Manager},
    says,
};

/// The only example in this language.
fn example(language: &str) -> String {
    let page = fs::read_to_string(workspace().join("docs/fleet-clients.md")).unwrap();
    let (_, rest) = page.split_once(&format!("```{language}\n")).expect("the page has it");
    let (code, rest) = rest.split_once("\n```").expect("it ends");
    assert!(!rest.contains(&format!("```{language}\n")), "and no other");
    code.to_owned()
}

fn javascript(node: &Path, manager: &str) -> Process {
    let mut command = Command::new(node);
    // Packages are looked for where the process is.
    command.current_dir(workspace().join("e2e/node")).env("MANAGER", manager);
    Process::start("the example", command.args(["--input-type=module", "-e", &example("js")]))
}

fn python(python: &Path, manager: &str) -> Process {
    let mut command = Command::new(python);
    Process::start("the example", command.env("MANAGER", manager).args(["-c", &example("python")]))
}

/// What an instance has to do that joined at last, as one that is called `name`.
async fn obeys(manager: &Manager, example: &Process, name: &str) {
    assert_eq!(manager.joined(1).await.1, name);
    says(example, r#"configuration {"A":"1"}"#, 1).await;
    assert_eq!(manager.command("1", "refresh", Value::Null).await, Ok(json!("refreshed")));
    let refused = manager.command("2", "launch", Value::Null).await;
    assert_eq!(refused, Ok(json!({"outcome": "refused"})));
    manager.change("shop/prod", &[("A", None), ("B", Some("2"))]);
    says(example, r#"configuration {"B":"2"}"#, 1).await;
}

/// A manager that goes and comes meets the same instance, which hears everything once.
async fn returns(manager: Manager, example: &Process, name: &str) {
    let (address, mut known) = manager.stop().await;
    known.joined.clear();
    let manager = Manager::start_at(address, known).await;
    assert_eq!(manager.joined(1).await.1, name);
    says(example, r#"configuration {"B":"2"}"#, 2).await;
    manager.change("shop/prod", &[("C", Some("3"))]);
    says(example, r#"configuration {"B":"2","C":"3"}"#, 1).await;
    let told = example.stdout().all();
    assert_eq!(told.iter().filter(|line| line.contains("\"C\"")).count(), 1, "{told:?}");
}

async fn manager_of_a() -> Manager {
    let manager = Manager::start().await;
    manager.change("shop/prod", &[("A", Some("1"))]);
    manager
}

#[tokio::test]
async fn the_example_in_javascript_joins_obeys_and_returns() {
    let node = need!(tools::node());
    let manager = manager_of_a().await;
    let example = javascript(&node, &manager.url());
    obeys(&manager, &example, "shop:0:js").await;
    returns(manager, &example, "shop:0:js").await;
}

#[tokio::test]
async fn the_example_in_python_joins_obeys_and_returns() {
    let interpreter = need!(tools::python());
    let manager = manager_of_a().await;
    let example = python(&interpreter, &manager.url());
    obeys(&manager, &example, "shop:0:py").await;
    returns(manager, &example, "shop:0:py").await;
}

#[tokio::test]
async fn patience_the_examples_find_a_manager_that_is_away_for_90_s() {
    let (node, interpreter) = (need!(tools::node()), need!(tools::python()));
    // Nobody listens, and nobody else gets the port.
    let port = TcpSocket::new_v4().unwrap();
    port.set_reuseaddr(true).unwrap();
    port.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = port.local_addr().unwrap();
    let url = format!("http://{address}/fleet");
    let examples = [javascript(&node, &url), python(&interpreter, &url)];
    // This promise is about a time.
    tokio::time::sleep(Duration::from_secs(90)).await;
    drop(port);
    let known = Known { cluster: "one".into(), ..Known::default() };
    let manager = Manager::start_at(address, known).await;
    manager.change("shop/prod", &[("A", Some("1"))]);
    manager.joined(2).await;
    for example in &examples {
        says(example, r#"configuration {"A":"1"}"#, 1).await;
    }
}
