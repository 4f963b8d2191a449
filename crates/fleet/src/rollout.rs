//! How many do a command at once, and when no more do.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// How a command reaches those whom it is for. Written as `{"all":true}`, `{"at_once":n}` or
/// `{"per_second":r}`, each with `"stop_after":k` if wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Form", into = "Form")]
pub struct Rollout {
    /// How fast.
    pub pace: Pace,
    /// After so many [failures](crate::command::Outcome::is_failure) nobody else is to do it.
    pub stop_after: Option<NonZeroU32>,
}

/// How fast a rollout is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Pace {
    /// All at once.
    #[default]
    All,
    /// So many at any time, of those that are there.
    AtOnce(NonZeroU32),
    /// So many in each second, of those that are there: more than 0, at most [`RATE_MAX`].
    PerSecond(f64),
}

/// The text says no rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a rollout is {{\"all\":true}}, {{\"at_once\":n}} with n > 0 or {{\"per_second\":r}} with \
     0 < r <= {RATE_MAX}, and may have \"stop_after\":k with k > 0"
)]
pub struct NotARollout;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    all: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at_once: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    per_second: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stop_after: Option<u32>,
}

/// How far a rollout is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Who of those that are to do it are there and have not said anything.
    pub busy: u32,
    /// Who of them have failed.
    pub failures: u32,
    /// Those that are not to do it yet, and are there.
    pub waiting: u32,
    /// When the last ones were released, in milliseconds since 1970, and how many.
    pub last: Option<(u64, u32)>,
}

/// What is to be done about a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many more are to do it.
    Release(u32),
    /// Nobody else is to do it.
    Stop,
    /// Nothing, until something happens or this time comes.
    Wait(Option<u64>),
}

impl Rollout {
    /// What is to be done now; milliseconds since 1970.
    pub fn step(&self, progress: &Progress, now: u64) -> Step {
        if self.stop_after.is_some_and(|after| progress.failures >= after.get()) {
            return Step::Stop;
        }
        if progress.waiting == 0 {
            return Step::Wait(None);
        }
        let (room, next) = match self.pace {
            Pace::All => (progress.waiting, None),
            Pace::AtOnce(count) => (count.get().saturating_sub(progress.busy), None),
            Pace::PerSecond(rate) => per_second(rate, progress.last, now),
        };
        match room.min(progress.waiting).min(BATCH_MAX) {
            0 => Step::Wait(next),
            count => Step::Release(count),
        }
    }
}

/// How many may begin now, and when the next may: each has its part of a second for itself. Who looks
/// late lets those of the time since begin together, but no more than those of a second.
fn per_second(rate: f64, last: Option<(u64, u32)>, now: u64) -> (u32, Option<u64>) {
    let Some((at, count)) = last else { return (1, None) };
    let due = at.saturating_add((f64::from(count) / rate * 1000.0).ceil() as u64);
    match now.checked_sub(due) {
        None => (0, Some(due)),
        Some(late) => (1 + (late as f64 / 1000.0 * rate).min(rate) as u32, None),
    }
}

impl TryFrom<Form> for Rollout {
    type Error = NotARollout;

    fn try_from(form: Form) -> Result<Self, NotARollout> {
        let pace = match (form.all, form.at_once, form.per_second) {
            (None | Some(true), None, None) => Pace::All,
            (None, Some(count), None) => Pace::AtOnce(NonZeroU32::new(count).ok_or(NotARollout)?),
            (None, None, Some(rate)) if rate > 0.0 && rate <= RATE_MAX => Pace::PerSecond(rate),
            _ => return Err(NotARollout),
        };
        let stop_after = form.stop_after.map(|after| NonZeroU32::new(after).ok_or(NotARollout));
        Ok(Self { pace, stop_after: stop_after.transpose()? })
    }
}

impl From<Rollout> for Form {
    fn from(rollout: Rollout) -> Self {
        let mut form = Self {
            all: None,
            at_once: None,
            per_second: None,
            stop_after: rollout.stop_after.map(NonZeroU32::get),
        };
        match rollout.pace {
            Pace::All => form.all = Some(true),
            Pace::AtOnce(count) => form.at_once = Some(count.get()),
            Pace::PerSecond(rate) => form.per_second = Some(rate),
        }
        form
    }
}

/// Instances that begin within a second, at most.
pub const RATE_MAX: f64 = 10_000.0;

/// Instances that are released by one event.
pub const BATCH_MAX: u32 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn rollout(text: &str) -> Rollout {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn it_reads_as_it_was_written_and_only_if_it_makes_sense() {
        for text in [
            r#"{"all":true}"#,
            r#"{"at_once":3,"stop_after":1}"#,
            r#"{"per_second":0.5}"#,
            r#"{"all":true,"stop_after":2}"#,
        ] {
            assert_eq!(serde_json::to_string(&rollout(text)).unwrap(), text);
        }
        assert_eq!(rollout("{}"), Rollout::default());
        for wrong in [
            r#"{"all":false}"#,
            r#"{"at_once":0}"#,
            r#"{"per_second":0}"#,
            r#"{"per_second":10001}"#,
            r#"{"at_once":1,"per_second":1}"#,
            r#"{"stop_after":0}"#,
            r#"{"atonce":1}"#,
        ] {
            let error = serde_json::from_str::<Rollout>(wrong).unwrap_err();
            assert!(
                wrong.contains("atonce") || error.to_string().contains("a rollout is"),
                "{error}"
            );
        }
    }

    #[test]
    fn so_many_at_once_and_no_more() {
        let three = rollout(r#"{"at_once":3}"#);
        let progress = |waiting, busy| Progress { busy, waiting, ..Progress::default() };
        assert_eq!(three.step(&progress(10, 0), 0), Step::Release(3));
        assert_eq!(three.step(&progress(10, 3), 0), Step::Wait(None));
        assert_eq!(three.step(&progress(10, 1), 0), Step::Release(2));
        assert_eq!(three.step(&progress(1, 0), 0), Step::Release(1));
        assert_eq!(three.step(&progress(0, 0), 0), Step::Wait(None));
        let all = Progress { waiting: BATCH_MAX + 1, ..Progress::default() };
        assert_eq!(Rollout::default().step(&all, 0), Step::Release(BATCH_MAX));
    }

    #[test]
    fn so_many_a_second_wherever_one_looks() {
        for (text, rate) in [(r#"{"per_second":4}"#, 4.0), (r#"{"per_second":0.5}"#, 0.5)] {
            let rollout = rollout(text);
            let (mut released, mut last, mut now, since) = (0, None, 1000, 1000);
            while released < 20 {
                let progress = Progress { last, waiting: 20 - released, ..Progress::default() };
                match rollout.step(&progress, now) {
                    Step::Release(count) => {
                        released += count;
                        last = Some((now, count));
                    }
                    Step::Wait(next) => now = next.expect("a time").max(now + 1),
                    Step::Stop => panic!("nothing failed"),
                }
                let seconds = (now - since) as f64 / 1000.0;
                assert!(
                    f64::from(released) <= 1.0 + seconds * rate,
                    "{released} after {seconds} s"
                );
            }
            let seconds = (now - since) as f64 / 1000.0;
            assert!((seconds - 19.0 / rate).abs() < 0.05, "{seconds}");
        }
        // Nobody was there for an hour, and then many are.
        let progress = Progress { last: Some((0, 1)), waiting: 500, ..Progress::default() };
        assert_eq!(rollout(r#"{"per_second":4}"#).step(&progress, 3_600_000), Step::Release(5));
    }

    #[test]
    fn it_stops_after_so_many_failures() {
        let stops = rollout(r#"{"at_once":1,"stop_after":2}"#);
        let progress = Progress { failures: 1, waiting: 5, ..Progress::default() };
        assert_eq!(stops.step(&progress, 0), Step::Release(1));
        assert_eq!(stops.step(&Progress { failures: 2, ..progress }, 0), Step::Stop);
    }
}
