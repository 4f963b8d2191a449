//! What the kernel knows about a process: processor time in nanoseconds, anonymous memory.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// Processor time all threads of the processes have used so far.
///
/// `schedstat` counts nanoseconds where `stat` counts ticks of 10 ms. Threads that have ended are
/// not in it: none of the proxies ends threads while it is being measured.
pub(crate) fn processor_time(pids: &[u32]) -> Result<Duration> {
    let mut nanos = 0;
    for pid in pids {
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            match fs::read_to_string(task?.path().join("schedstat")) {
                Ok(schedstat) => nanos += on_processor(&schedstat)?,
                // The thread has ended since the folder was listed.
                Err(_) => continue,
            }
        }
    }
    Ok(Duration::from_nanos(nanos))
}

/// Anonymous memory of the processes in bytes, pages shared after a fork counted once.
pub(crate) fn anonymous_bytes(pids: &[u32]) -> Result<u64> {
    let mut bytes = 0;
    for pid in pids {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        bytes += 1024 * field(&rollup, "Pss_Anon:").context("no Pss_Anon in smaps_rollup")?;
    }
    Ok(bytes)
}

fn on_processor(schedstat: &str) -> Result<u64> {
    let first = schedstat.split_whitespace().next().context("empty schedstat")?;
    Ok(first.parse()?)
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_processor_time_grows_with_work() {
        let own = [std::process::id()];
        let before = processor_time(&own).unwrap();
        let mut sum = 0_u64;
        while processor_time(&own).unwrap() < before + Duration::from_millis(5) {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(sum > 0);
    }

    #[test]
    fn own_anonymous_memory_grows_with_what_is_kept() {
        let own = [std::process::id()];
        let before = anonymous_bytes(&own).unwrap();
        let kept = std::hint::black_box(vec![1_u8; 16 << 20]);
        assert!(anonymous_bytes(&own).unwrap() >= before + (15 << 20));
        drop(kept);
    }
}
