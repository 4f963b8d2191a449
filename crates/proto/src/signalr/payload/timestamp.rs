//! Moments: a timestamp in MessagePack, ISO 8601 text in JSON.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A moment of the calendar, for arguments and results: the timestamp of MessagePack and a text in
/// JSON, as other SignalR clients and servers have dates. What is read may have any offset, and
/// none is UTC; what is written is in UTC.
///
/// Other types of dates are read from either too, as serde reads them from text; they are written
/// as text in both.
///
/// ```
/// use everwire_proto::signalr::{Protocol, payload::{Payload, Timestamp}};
///
/// let time: Timestamp = "2000-01-01T01:00:00+01:00".parse().unwrap();
/// let payload = Payload::encode_all(&time).unwrap();
/// assert_eq!(payload.bytes(Protocol::Json).unwrap(), &b"\"2000-01-01T00:00:00Z\""[..]);
/// assert_eq!(payload.bytes(Protocol::MessagePack).unwrap(), &b"\xd6\xff\x38\x6d\x43\x80"[..]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Seconds since 1970, in [`RANGE`].
    seconds: i64,
    /// Less than a second.
    nanoseconds: u32,
}

/// What is no moment, or one of a year that four digits do not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a date and time of a year from 0000 to 9999")]
pub struct NotATime;

/// The extension type of timestamps.
pub(super) const EXTENSION: i8 = -1;

/// What a timestamp is called where it is written.
pub(super) const NAME: &str = "everwire::Timestamp";

const SECONDS_PER_DAY: i64 = 24 * 60 * 60;
const NANOSECONDS_PER_SECOND: u32 = 1_000_000_000;

/// Seconds since 1970 of the first and of the last moment that four digits can name the year of.
const RANGE: std::ops::RangeInclusive<i64> = -62_167_219_200..=253_402_300_799;

impl Timestamp {
    fn new(seconds: i64, nanoseconds: u32) -> Option<Self> {
        let is_named = RANGE.contains(&seconds) && nanoseconds < NANOSECONDS_PER_SECOND;
        is_named.then_some(Self { seconds, nanoseconds })
    }

    /// The moment of a timestamp of 32, 64 or 96 bits; `None` for what is none.
    pub(super) fn from_data(data: &[u8]) -> Option<Self> {
        let (seconds, nanoseconds) = match *data {
            [a, b, c, d] => (i64::from(u32::from_be_bytes([a, b, c, d])), 0),
            [a, b, c, d, e, f, g, h] => {
                let both = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
                ((both & 0x3_ffff_ffff).cast_signed(), u32::try_from(both >> 34).ok()?)
            }
            [a, b, c, d, ref seconds @ ..] => {
                let seconds = i64::from_be_bytes(seconds.try_into().ok()?);
                (seconds, u32::from_be_bytes([a, b, c, d]))
            }
            _ => return None,
        };
        Self::new(seconds, nanoseconds)
    }

    /// The shortest timestamp of this moment.
    pub(super) fn to_data(self) -> Vec<u8> {
        let Self { seconds, nanoseconds } = self;
        match (u32::try_from(seconds), u64::try_from(seconds)) {
            (Ok(seconds), _) if nanoseconds == 0 => seconds.to_be_bytes().to_vec(),
            (_, Ok(seconds)) if seconds < 1 << 34 => {
                (u64::from(nanoseconds) << 34 | seconds).to_be_bytes().to_vec()
            }
            _ => [&nanoseconds.to_be_bytes()[..], &seconds.to_be_bytes()].concat(),
        }
    }
}

impl From<Timestamp> for SystemTime {
    fn from(Timestamp { seconds, nanoseconds }: Timestamp) -> Self {
        let whole = Duration::from_secs(seconds.unsigned_abs());
        let whole = if seconds < 0 { UNIX_EPOCH - whole } else { UNIX_EPOCH + whole };
        whole + Duration::from_nanos(nanoseconds.into())
    }
}

impl TryFrom<SystemTime> for Timestamp {
    type Error = NotATime;

    fn try_from(time: SystemTime) -> Result<Self, NotATime> {
        let since = match time.duration_since(UNIX_EPOCH) {
            Ok(since) => i128::try_from(since.as_nanos()),
            Err(before) => i128::try_from(before.duration().as_nanos()).map(|before| -before),
        };
        let since = since.map_err(|_| NotATime)?;
        let seconds = since.div_euclid(NANOSECONDS_PER_SECOND.into());
        let nanoseconds = since.rem_euclid(NANOSECONDS_PER_SECOND.into());
        let (seconds, nanoseconds) = (i64::try_from(seconds), u32::try_from(nanoseconds));
        Self::new(seconds.map_err(|_| NotATime)?, nanoseconds.map_err(|_| NotATime)?)
            .ok_or(NotATime)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date(self.seconds.div_euclid(SECONDS_PER_DAY));
        let second = self.seconds.rem_euclid(SECONDS_PER_DAY);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        if self.nanoseconds > 0 {
            let fraction = format!(".{:09}", self.nanoseconds);
            f.write_str(fraction.trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

impl FromStr for Timestamp {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        parse(text.as_bytes()).ok_or(NotATime)
    }
}

/// `YYYY-MM-DDTHH:MM:SS`, a fraction or none, `Z`, an offset, or neither.
fn parse(text: &[u8]) -> Option<Timestamp> {
    let (fixed, rest) = text.split_at_checked(19)?;
    let seps = [fixed[4], fixed[7], fixed[10] | 0x20, fixed[13], fixed[16]];
    if seps != *b"--t::" {
        return None;
    }
    let (year, month, day) = (number(&fixed[..4])?, number(&fixed[5..7])?, number(&fixed[8..10])?);
    let (hour, minute) = (number(&fixed[11..13])?, number(&fixed[14..16])?);
    let second = number(&fixed[17..19])?;
    let days = days(year, month, day);
    if date(days) != (year, month, day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (nanoseconds, rest) = fraction(rest)?;
    let seconds = days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second - offset(rest)?;
    Timestamp::new(seconds, nanoseconds)
}

/// A fraction of a second in nanoseconds, as far as those go, and what follows it.
fn fraction(text: &[u8]) -> Option<(u32, &[u8])> {
    let Some(text) = text.strip_prefix(b".") else { return Some((0, text)) };
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut digits = [b'0'; 9];
    let kept = count.min(digits.len());
    digits[..kept].copy_from_slice(&text[..kept]);
    let nanoseconds = u32::try_from(number(&digits)?).ok()?;
    (count > 0).then_some((nanoseconds, &text[count..]))
}

/// How many seconds local time is ahead.
fn offset(text: &[u8]) -> Option<i64> {
    match *text {
        [] | [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), ref hours_and_minutes @ ..] => {
            let [a, b, b':', c, d] = *hours_and_minutes else { return None };
            let (hours, minutes) = (number(&[a, b])?, number(&[c, d])?);
            let ahead = hours * 3600 + minutes * 60;
            (hours < 24 && minutes < 60).then_some(if sign == b'-' { -ahead } else { ahead })
        }
        _ => None,
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0'))
    })
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(NAME, &self.to_string())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// The day of a year, month and day, counted from 1970-01-01; of a month of no year a wrong one.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March here, as in `date`.
    let year = year - (month <= 2) as i64;
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month and day of a day counted from 1970-01-01.
const fn date(days: i64) -> (i64, i64, i64) {
    // Years begin in March here, so that the leap day is the last; an era is 400 years.
    let from_march_of_0000 = days + 719_468;
    let era = from_march_of_0000.div_euclid(146_097);
    let day_of_era = from_march_of_0000.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let is_next_year = month_from_march > 9;
    (era * 400 + year_of_era + is_next_year as i64, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(seconds: i64, nanoseconds: u32) -> Option<String> {
        let mut data = nanoseconds.to_be_bytes().to_vec();
        data.extend_from_slice(&seconds.to_be_bytes());
        Timestamp::from_data(&data).map(|time| time.to_string())
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, nanoseconds, text) in [
            (0, 0, "1970-01-01T00:00:00Z"),
            (951_782_400, 0, "2000-02-29T00:00:00Z"),
            (1_735_689_599, 120_000_000, "2024-12-31T23:59:59.12Z"),
            (1_735_689_600, 1, "2025-01-01T00:00:00.000000001Z"),
            (-1, 999_000_000, "1969-12-31T23:59:59.999Z"),
            (-2_203_891_200, 0, "1900-03-01T00:00:00Z"),
            (*RANGE.start(), 0, "0000-01-01T00:00:00Z"),
            (*RANGE.end(), 0, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(of(seconds, nanoseconds).as_deref(), Some(text));
            let time: Timestamp = text.parse().unwrap();
            assert_eq!(time, Timestamp { seconds, nanoseconds });
            assert_eq!(Timestamp::from_data(&time.to_data()), Some(time));
            assert_eq!(Timestamp::try_from(SystemTime::from(time)), Ok(time));
        }
    }

    #[test]
    fn every_day_is_found_again() {
        for day in (-719_528..2_932_897).step_by(13) {
            let (year, month, of_month) = date(day);
            assert_eq!(days(year, month, of_month), day);
        }
    }

    #[test]
    fn what_no_year_of_four_digits_has_is_no_date() {
        for (seconds, nanoseconds) in
            [(RANGE.start() - 1, 0), (RANGE.end() + 1, 0), (i64::MIN, 0), (0, 1_000_000_000)]
        {
            assert_eq!(of(seconds, nanoseconds), None);
        }
        assert_eq!(Timestamp::from_data(&[0; 5]), None);
    }

    #[test]
    fn shorter_forms_say_the_same() {
        let text = |data: &[u8]| Timestamp::from_data(data).unwrap().to_string();
        assert_eq!(text(&[0, 0, 0, 1]), "1970-01-01T00:00:01Z");
        let both = (500_000_000_u64 << 34) | 1;
        assert_eq!(text(&both.to_be_bytes()), "1970-01-01T00:00:01.5Z");
        let data = |text: &str| text.parse::<Timestamp>().unwrap().to_data();
        assert_eq!(data("1970-01-01T00:00:01Z"), [0, 0, 0, 1]);
        assert_eq!(data("1970-01-01T00:00:01.5Z"), both.to_be_bytes());
        assert_eq!(data("1969-12-31T23:59:59Z"), [&[0; 4][..], &[0xff; 8]].concat());
    }

    #[test]
    fn text_may_have_an_offset_and_a_fraction_or_not() {
        for (text, utc) in [
            ("2000-02-29T12:30:00", "2000-02-29T12:30:00Z"),
            ("2000-02-29t12:30:00.25z", "2000-02-29T12:30:00.25Z"),
            ("2000-02-29T00:30:00+02:00", "2000-02-28T22:30:00Z"),
            ("2000-02-28T23:30:00.1234567-01:30", "2000-02-29T01:00:00.1234567Z"),
            ("2000-02-29T12:30:00.12345678999Z", "2000-02-29T12:30:00.123456789Z"),
        ] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), utc);
        }
        for text in [
            "",
            "2000-02-29",
            "2001-02-29T00:00:00Z",
            "2000-13-01T00:00:00Z",
            "2000-00-01T00:00:00Z",
            "2000-01-01T24:00:00Z",
            "2000-01-01T00:60:00Z",
            "2000-01-01T00:00:60Z",
            "2000-01-01 00:00:00Z",
            "2000-01-01T00:00:00.Z",
            "2000-01-01T00:00:00+1:00",
            "2000-01-01T00:00:00+24:00",
            "2000-01-01T00:00:00ZZ",
            "0000-01-01T00:00:00+00:01",
            "+000-01-01T00:00:00Z",
            "2000-01-01T00:00:\u{e9}",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(NotATime), "{text}");
        }
    }
}
