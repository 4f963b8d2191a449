//! The demo proves what it says, and shows the losses without Everwire.

use crate::process::run;

#[test]
fn the_demo_drops_loses_and_doubles_nothing() {
    let ended = run(&["demo", "--once"]);
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    for name in ["dropped sockets", "lost messages", "doubled messages", "reordered, damaged"] {
        assert_eq!(count(&ended.out, name), 0, "{}", ended.out);
    }
    assert!(ended.out.contains("everwire serve --listen"), "{}", ended.out);
}

#[test]
fn unprotected_shows_losses_and_ends_with_0() {
    let ended = run(&["demo", "gateway", "--unprotected", "--once"]);
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    assert!(count(&ended.out, "dropped sockets") > 0, "{}", ended.out);
}

fn count(out: &str, name: &str) -> u64 {
    let line = out.lines().find_map(|line| line.trim().strip_prefix(name));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or_else(|| panic!("no {name}: {out}"))
}
