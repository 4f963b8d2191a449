//! Questions and answers between the benchmark and its helper processes.
//!
//! A helper (load generator, echo server) is this same binary with a hidden subcommand. It prints
//! `ready` once it is, then answers each line it reads with one line of JSON, and ends when its
//! standard input does.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::ChildStdin;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use crate::process::{Process, Talk, Workplace};

/// A running helper process, seen from the benchmark.
pub(crate) struct Helper {
    process: Process,
    questions: ChildStdin,
    answers: Receiver<String>,
}

impl Helper {
    /// Starts a hidden subcommand and waits until it is ready.
    pub(crate) fn start(place: &Workplace, name: &str, args: &[String]) -> Result<Self> {
        let log = place.file(&format!("{name}.log"));
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let mut process = Process::start(&std::env::current_exe()?, &args, log, Talk::Piped)?;
        let (questions, output) = process.pipes().context("a helper without pipes")?;
        let (lines, answers) = sync_channel(LINES_MAX);
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        let helper = Self { process, questions, answers };
        let first = helper.line(READY_MAX)?;
        if first != READY {
            bail!("the helper {name} said {first} instead of {READY}");
        }
        Ok(helper)
    }

    /// The process behind it.
    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The process and those it has forked.
    pub(crate) fn family(&self) -> Vec<u32> {
        self.process.family()
    }

    /// Asks and waits for the answer.
    pub(crate) fn ask<T: DeserializeOwned>(&mut self, question: &str) -> Result<T> {
        writeln!(self.questions, "{question}").context("asking a helper")?;
        let answer = self.line(ANSWER_MAX)?;
        serde_json::from_str(&answer).with_context(|| format!("a helper answered {answer}"))
    }

    fn line(&self, patience: Duration) -> Result<String> {
        self.answers
            .recv_timeout(patience)
            .with_context(|| format!("no word from a helper: {}", self.process.last_words()))
    }
}

/// The helper's side: the questions, in order; `None` once the benchmark has gone.
pub(crate) struct Questions(mpsc::Receiver<String>);

impl Questions {
    /// Says `ready` and starts listening on standard input.
    pub(crate) fn listen() -> Result<Self> {
        let (tx, rx) = mpsc::channel(LINES_MAX);
        thread::spawn(move || {
            for line in std::io::stdin().lines().map_while(Result::ok) {
                if tx.blocking_send(line).is_err() {
                    return;
                }
            }
        });
        say(READY)?;
        Ok(Self(rx))
    }

    /// The next question.
    pub(crate) async fn next(&mut self) -> Option<String> {
        self.0.recv().await
    }
}

/// Answers one question.
pub(crate) fn answer(value: &impl Serialize) -> Result<()> {
    say(&serde_json::to_string(value)?)
}

fn say(line: &str) -> Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}")?;
    Ok(output.flush()?)
}

const READY: &str = "ready";
/// One question is open at a time; more lines than this are never waiting.
const LINES_MAX: usize = 4;
/// Opening 8,000 pipes through a busy proxy takes seconds.
const READY_MAX: Duration = Duration::from_secs(60);
/// The slowest answer is that of 8,000 pipes all being back.
const ANSWER_MAX: Duration = Duration::from_secs(90);
