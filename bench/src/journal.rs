//! `everwire-bench journal`: how many appends a second the journal commits, each synced to the disk.
//!
//! The disk is what limits it: a loop of plain writes, each with its fdatasync, is measured in turn with
//! one writer and with many, into the same folder; the median of the rounds counts.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use everwire_backplane::journal::Journal;
use everwire_backplane::{Append, Channel, Expected, Log};

use crate::{clock, stats::Spread, table};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Seconds of each figure and round.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Rounds, of which the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// On which disk; the system's folder for temporary files if it is not given.
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// Appends a second of one round.
struct Round {
    plain: f64,
    writers: [f64; WRITERS.len()],
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<()> {
    let folder = options.folder.clone().unwrap_or_else(std::env::temp_dir);
    let folder = folder.join(format!("everwire-journal-{}", std::process::id()));
    std::fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
    let result = measure(options, &folder);
    std::fs::remove_dir_all(&folder)?;
    print(&result?);
    Ok(())
}

fn measure(options: &Options, folder: &Path) -> Result<Vec<Round>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let time = Duration::from_secs(options.seconds.max(1));
    let mut rounds = Vec::new();
    for round in 0..options.rounds.max(1) {
        let path = |name: &str| folder.join(format!("{name}-{round}"));
        let plain = plain(&path("plain"), time)?;
        let mut writers = [0.0; WRITERS.len()];
        for (rate, count) in writers.iter_mut().zip(WRITERS) {
            *rate = runtime.block_on(journal(&path(&count.to_string()), count, time))?;
        }
        rounds.push(Round { plain, writers });
    }
    Ok(rounds)
}

/// One write and one fdatasync after another, of the bytes that the journal writes for an entry.
fn plain(path: &Path, time: Duration) -> Result<f64> {
    let (mut file, bytes) = (File::create(path)?, vec![b'x'; PAYLOAD + ENVELOPE]);
    let (begun, mut count) = (clock::now(), 0_u64);
    while begun.elapsed() < time {
        file.write_all(&bytes)?;
        file.sync_data()?;
        count += 1;
    }
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

async fn journal(path: &Path, writers: usize, time: Duration) -> Result<f64> {
    let (journal, _) = Journal::open(path)?;
    let (payload, begun) = (Bytes::from(vec![b'x'; PAYLOAD]), clock::now());
    let journal = Arc::new(journal);
    let write = async |writer: usize| {
        let log = Channel::new(format!("log {writer}"))?;
        let mut count = 0_u64;
        while begun.elapsed() < time {
            let appended = journal.append(&log, Expected::Any, payload.clone()).await;
            ensure!(matches!(appended, Append::Committed(_)), "not committed: {appended:?}");
            count += 1;
        }
        anyhow::Ok(count)
    };
    let counts = futures_util::future::try_join_all((0..writers).map(write)).await?;
    Ok(counts.iter().sum::<u64>() as f64 / begun.elapsed().as_secs_f64())
}

fn print(rounds: &[Round]) {
    let row = |name: &str, figure: &dyn Fn(&Round) -> f64| {
        let spread = Spread::of(rounds.iter().map(figure));
        let text = spread.map_or_else(String::new, |spread| {
            format!("{:.0} ({:.0} to {:.0})", spread.median, spread.min, spread.max)
        });
        let ratio = Spread::of(rounds.iter().map(|round| figure(round) / round.plain));
        vec![name.to_owned(), text, ratio.map_or_else(String::new, |r| format!("{:.2}", r.median))]
    };
    let mut rows = vec![
        ["appends a second, each synced", "median (of rounds)", "of plain"]
            .map(String::from)
            .into(),
        row("write and fdatasync in a loop", &|round| round.plain),
    ];
    for (at, writers) in WRITERS.iter().enumerate() {
        rows.push(row(&format!("journal, writers: {writers}"), &|round| round.writers[at]));
    }
    #[expect(clippy::print_stdout, reason = "this is the program's output")]
    {
        println!("{}", table::render(&rows));
    }
}

/// Who append at once.
const WRITERS: [usize; 2] = [1, 64];

/// Bytes of an entry.
const PAYLOAD: usize = 256;

/// Bytes that the journal writes around one that is alone.
const ENVELOPE: usize = 44;
