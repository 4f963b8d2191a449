//! Mistakes in a configuration: all at once, with file, line and key, exit 2, nothing started.

use crate::process::{self, everwire, file, run};

const TEN_MISTAKES: &str = include_str!("../ten-mistakes.toml");

#[test]
fn ten_mistakes_show_ten_with_file_line_and_key() {
    let path = file("ten-mistakes.toml", TEN_MISTAKES);
    let path = path.to_str().unwrap();
    let ended = run(&["check", "-c", path]);
    assert_eq!(ended.code, 2);
    for part in [
        ":1: listen: ",
        ":2: log: ",
        ":3: lissen: ",
        ":5: admin.token: ",
        ":7: pools.chat.backends[0]: ",
        ":8: pools.chat.affinity: ",
        ":9: routes[0].pool: ",
        ":11: routes[0].delivery: ",
        ":12: routes[0].buffer_max: ",
        ":14: fleet.path: ",
    ] {
        let wanted = format!("{path}{part}");
        assert!(ended.err.contains(&wanted), "{wanted}\nis missing in\n{}", ended.err);
    }
    assert!(ended.err.contains("10 mistakes"), "{}", ended.err);
}

#[test]
fn the_mistakes_are_data_with_json() {
    let path = file("ten-mistakes-json.toml", TEN_MISTAKES);
    let ended = run(&["check", "--json", "-c", path.to_str().unwrap()]);
    assert_eq!(ended.code, 2);
    let answer: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    let items = answer["items"].as_array().unwrap();
    assert_eq!(items.len(), 10);
    assert_eq!(items[0]["line"], 1);
    assert_eq!(items[0]["key"], "listen");
}

#[test]
fn serve_starts_nothing_on_a_mistake() {
    let path = file("serve-mistake.toml", TEN_MISTAKES);
    let ended = run(&["serve", "-c", path.to_str().unwrap()]);
    assert_eq!(ended.code, 2);
    assert_eq!(ended.out, "", "no listener was opened");
}

#[test]
fn a_good_file_is_fine() {
    let good = "[pools.chat]\nbackends = [\"ws://127.0.0.1:9001\"]\n[[routes]]\npool = \"chat\"\n";
    let path = file("good.toml", good);
    let ended = run(&["check", "-c", path.to_str().unwrap()]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.out.contains("is fine: pools 1, routes 1"), "{}", ended.out);
}

#[test]
fn a_missing_file_is_named() {
    let ended = run(&["check", "-c", "/nowhere/everwire.toml"]);
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("/nowhere/everwire.toml"), "{}", ended.err);
    assert!(ended.err.contains("`everwire config example`"), "{}", ended.err);
    let ended = run(&["check", "--json", "-c", "/nowhere/everwire.toml"]);
    assert_eq!(ended.code, 2);
    let answer: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(answer["items"][0]["file"], "/nowhere/everwire.toml");
}

#[test]
fn the_environment_is_configuration() {
    let mut command = everwire(&["config", "print"]);
    command.env("EVERWIRE_POOLS__CHAT__BACKENDS", "ws://127.0.0.1:9001,ws://127.0.0.1:9002");
    command.env("EVERWIRE_ROUTES__0__POOL", "chat");
    command.env("EVERWIRE_ROUTES__0__OUTAGE_MAX", "5s");
    command.env("EVERWIRE_ADMIN", "http://127.0.0.1:1");
    let ended = process::Ended::of(&command.output().unwrap());
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.out.contains("outage_max = \"5s\""), "{}", ended.out);
    assert!(ended.out.contains("\"ws://127.0.0.1:9002\""), "{}", ended.out);
}

#[test]
fn a_misspelt_variable_is_a_mistake() {
    let mut command = everwire(&["config", "print"]);
    command.env("EVERWIRE_LIMITS__CONECTIONS_MAX", "5");
    let ended = process::Ended::of(&command.output().unwrap());
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("did you mean connections_max?"), "{}", ended.err);
}

#[test]
fn the_reference_and_the_example_are_printed() {
    let reference = run(&["config", "doc"]);
    assert_eq!(reference.code, 0);
    assert!(reference.out.contains("EVERWIRE_ROUTES__0__OUTAGE_MAX"));
    let example = run(&["config", "example"]);
    let path = file("example.toml", &example.out);
    assert_eq!(run(&["check", "-c", path.to_str().unwrap()]).code, 0);
}
