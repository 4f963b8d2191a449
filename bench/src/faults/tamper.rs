//! What a control run does wrong on purpose, so that the checker can be seen to notice.
//!
//! Sender and replying backend share it: most messages pass, and at fixed numbers one is sent
//! twice, left out, sent after its successor, or changed after its hash was made. Each is written
//! down, so that a control run knows exactly what the checker has to find.

use std::io;

use super::judge::Verdict;
use super::record::{Record, Recorder, What};

/// One wrong thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// Sent twice, as by a replay that nobody compares with what has arrived.
    Doubled = 1,
    /// Said to be sent and not sent.
    Lost = 2,
    /// Sent after the next message.
    Reordered = 3,
    /// One byte changed.
    Torn = 4,
}

impl Wrong {
    const ALL: [Self; 4] = [Self::Doubled, Self::Lost, Self::Reordered, Self::Torn];

    fn at(number: u64) -> Option<Self> {
        match number % 40 {
            8 => Some(Self::Doubled),
            16 => Some(Self::Lost),
            24 => Some(Self::Reordered),
            32 => Some(Self::Torn),
            _ => None,
        }
    }
}

/// One side's tampering with its stream of messages; without a recorder it passes everything.
pub(crate) struct Tamper {
    recorder: Option<Recorder>,
    held: Option<Vec<u8>>,
}

impl Tamper {
    /// Tampers if `recorder` is given.
    pub(crate) fn new(recorder: Option<Recorder>) -> Self {
        Self { recorder, held: None }
    }

    /// Turns the message with this number into what is really sent, in order.
    pub(crate) fn pass(&mut self, number: u64, mut message: Vec<u8>) -> io::Result<Vec<Vec<u8>>> {
        let Some(recorder) = &self.recorder else { return Ok(vec![message]) };
        let wrong = Wrong::at(number);
        // What is held goes out with the message after it, and only then has it been reordered.
        let late = self.held.take();
        let done = match late {
            Some(_) => Some(Wrong::Reordered),
            None => wrong.filter(|wrong| *wrong != Wrong::Reordered),
        };
        if let Some(done) = done {
            recorder.write(Record::new(What::Tampered, 0, number).on_leg(0, done as u64))?;
        }
        let mut out = match wrong {
            None => vec![message],
            Some(Wrong::Doubled) => vec![message.clone(), message],
            Some(Wrong::Lost) => Vec::new(),
            Some(Wrong::Reordered) => {
                self.held = Some(message);
                Vec::new()
            }
            Some(Wrong::Torn) => {
                if let Some(last) = message.last_mut() {
                    *last ^= 0x40;
                }
                vec![message]
            }
        };
        out.extend(late);
        Ok(out)
    }
}

/// What the checker missed or made up in a run that was tampered with.
pub(crate) fn missed(records: &[Record], verdict: &Verdict) -> Vec<String> {
    let tampered = |wrong: Wrong| {
        let matching = records.iter().filter(|record| record.what == What::Tampered);
        matching.filter(|record| record.leg_number == wrong as u64).count() as u64
    };
    let mut missed = Vec::new();
    for wrong in Wrong::ALL {
        let found = match wrong {
            Wrong::Doubled => verdict.doubled,
            Wrong::Lost => verdict.lost(),
            Wrong::Reordered => verdict.reordered,
            Wrong::Torn => verdict.torn,
        };
        let done = tampered(wrong);
        if done == 0 || done != found {
            missed.push(format!("{wrong:?}: {done} on purpose, {found} found"));
        }
    }
    missed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(numbers: std::ops::RangeInclusive<u64>) -> Vec<u8> {
        let path = std::env::temp_dir().join(format!("bench-tamper-{}", std::process::id()));
        let mut tamper = Tamper::new(Some(Recorder::open(&path).unwrap()));
        let sent = numbers
            .flat_map(|number| tamper.pass(number, vec![u8::try_from(number).unwrap()]).unwrap());
        let sent = sent.flatten().collect();
        std::fs::remove_file(&path).unwrap();
        sent
    }

    #[test]
    fn one_is_doubled_one_left_out_one_late_and_one_changed() {
        assert_eq!(check(7..=9), [7, 8, 8, 9]);
        assert_eq!(check(15..=17), [15, 17]);
        assert_eq!(check(23..=25), [23, 25, 24]);
        assert_eq!(check(31..=33), [31, 32 ^ 0x40, 33]);
    }
}
