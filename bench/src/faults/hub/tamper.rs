//! What a control does wrong on purpose: a receiver's diary in which one message is missing, one is
//! there twice, and one comes after its successor.

use super::judge::{Event, Evidence, Verdict};

/// How often each was done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    lost: u64,
    doubled: u64,
    reordered: u64,
}

/// Tampers with the first receiver's diary, from the moment at which everybody was there.
pub(super) fn tamper(evidence: &mut Evidence) -> Done {
    let (mut done, mut heard) = (Done::default(), 0_u64);
    let Some(diary) = evidence.diaries.first_mut() else { return done };
    let mut out = Vec::new();
    let mut late = None;
    for (at, event) in std::mem::take(&mut diary.0) {
        let is_first = matches!(event, Event::Got(stream, _) if stream.publisher == 0);
        if !is_first || at < evidence.opened + MARGIN {
            out.push((at, event));
            continue;
        }
        heard += 1;
        match heard % 100 {
            20 => done.lost += 1,
            40 => {
                done.doubled += 1;
                out.extend([(at, event.clone()), (at, event)]);
            }
            60 => late = Some((at, event)),
            _ => {
                out.push((at, event));
                // What is held comes behind the next one, and only then is it out of order.
                done.reordered += u64::from(late.is_some());
                out.extend(late.take().map(|(_, event)| (at, event)));
            }
        }
    }
    // What was held to the end is put back where it was.
    out.extend(late);
    diary.0 = out;
    done
}

impl Done {
    /// What the checker missed or made up.
    pub(super) fn missed(&self, verdict: &Verdict) -> Vec<String> {
        let pairs = [
            ("lost", self.lost, verdict.silent),
            ("doubled", self.doubled, verdict.doubled),
            ("reordered", self.reordered, verdict.reordered),
        ];
        let wrong = pairs.into_iter().filter(|(_, done, found)| *done == 0 || done != found);
        wrong
            .map(|(what, done, found)| format!("{done} {what} on purpose, {found} found"))
            .collect()
    }
}

/// What is said before everybody is there does not count, and may still be on its way then.
const MARGIN: u64 = 200_000_000;

#[cfg(test)]
mod tests {
    use super::super::judge::{Diary, Fate, Said, Stream, judge};
    use super::*;

    /// A quiet play of so many messages, one each millisecond.
    fn quiet(messages: u64) -> Evidence {
        let stream = Stream { publisher: 0, node: 0, life: 0 };
        let at = |number| number * 1_000_000;
        let said = |number| Said { stream, number, at: at(number), fate: Fate::Accepted };
        let got = (1..=messages).map(|number| (at(number), Event::Got(stream, number)));
        let diary = Diary(std::iter::once((0, Event::Joined(0))).chain(got).collect());
        let said = (1..=messages).map(said).collect();
        Evidence { said, diaries: vec![diary], ..Evidence::default() }
    }

    #[test]
    fn the_checker_finds_exactly_what_was_done() {
        let mut evidence = quiet(700);
        let done = tamper(&mut evidence);
        assert_eq!(done, Done { lost: 5, doubled: 5, reordered: 5 });
        assert_eq!(done.missed(&judge(&evidence)), Vec::<String>::new());
    }

    #[test]
    fn a_checker_that_sees_nothing_is_found_out() {
        let mut evidence = quiet(700);
        let done = tamper(&mut evidence);
        assert_eq!(done.missed(&Verdict::default()).len(), 3);
        assert_eq!(Done::default().missed(&Verdict::default()).len(), 3, "nothing was done");
    }
}
