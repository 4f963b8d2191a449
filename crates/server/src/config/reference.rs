//! The reference of all keys and the example file, both written from the table of keys.

use std::fmt::Write;

use super::keys::{Key, SECTIONS, Section, State};

/// What `everwire config doc` says.
pub(super) fn text() -> String {
    let mut out = INTRODUCTION.to_owned();
    for section in SECTIONS {
        let heading = if section.heading.is_empty() { "(top)" } else { section.heading };
        push(&mut out, &format!("\n{heading}\n"));
        for line in wrap(section.doc, WIDTH - 2) {
            push(&mut out, &format!("  {line}\n"));
        }
        for key in ready(section) {
            push(&mut out, &describe(section, key));
        }
    }
    out
}

/// A file with every key at its default.
pub(super) fn example() -> String {
    let mut out = EXAMPLE_HEAD.to_owned();
    for section in SECTIONS.iter().filter(|section| is_in_example(section)) {
        out.push('\n');
        if !section.example.is_empty() {
            for line in wrap(section.doc, WIDTH - 2) {
                push(&mut out, &format!("# {line}\n"));
            }
            push(&mut out, &format!("{}\n", section.example));
        }
        for key in ready(section) {
            for line in wrap(key.doc, WIDTH - 2) {
                push(&mut out, &format!("# {line}\n"));
            }
            push(&mut out, &assignment(key));
        }
    }
    out
}

fn describe(section: &Section, key: &Key) -> String {
    let default = match key.default {
        "" => String::new(),
        default => format!("  [default: {default}]"),
    };
    let mut out = format!("\n  {}  {}{default}\n", key.name, key.takes);
    for line in wrap(key.doc, WIDTH - 6) {
        push(&mut out, &format!("      {line}\n"));
    }
    if !section.heading.contains("[]") {
        push(&mut out, &format!("      {}\n", variable(section, key)));
    }
    out
}

fn variable(section: &Section, key: &Key) -> String {
    let path = match section.heading {
        "" => String::new(),
        "routes" | "bridges" => format!("{}__0__", section.heading.to_uppercase()),
        heading => heading.to_uppercase().replace('.', "__") + "__",
    };
    format!("EVERWIRE_{path}{}", key.name.to_uppercase())
}

fn assignment(key: &Key) -> String {
    match key.default {
        "" => format!("# {} = … ({})\n", key.name, key.takes),
        default => format!("{} = {default}\n", key.name),
    }
}

/// Tables inside a value are shown where they are used, not as a section of their own.
fn is_in_example(section: &Section) -> bool {
    section.heading.is_empty() || !section.example.is_empty()
}

fn ready(section: &Section) -> impl Iterator<Item = &Key> {
    section.keys.iter().filter(|key| key.state == State::Ready)
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn push(out: &mut String, text: &str) {
    let written = out.write_str(text);
    debug_assert!(written.is_ok(), "a String takes every text");
}

const WIDTH: usize = 96;

const INTRODUCTION: &str = "\
The configuration is TOML: `everwire serve -c everwire.toml`. Durations are written 30s, 500ms, 2m;
sizes 5MiB, 64KiB. Every key is also an environment variable, given below it, which wins over the
file; a list may be written a,b and an element of [[routes]] is named by its number. Flags win over
both. Unknown keys are mistakes; `everwire check` lists all mistakes at once.
";

const EXAMPLE_HEAD: &str = "\
# Everwire: every key at its default. Written by `everwire config example`.
";
