//! MessagePack's timestamps in words, as JSON has them: ISO 8601 in UTC.

/// The extension type of timestamps.
pub(super) const EXTENSION: i8 = -1;

const SECONDS_PER_DAY: i64 = 24 * 60 * 60;

/// Seconds since 1970 of the first and of the last moment that four digits can name the year of.
const RANGE: std::ops::RangeInclusive<i64> = -62_167_219_200..=253_402_300_799;

/// The text of a timestamp of 32, 64 or 96 bits; `None` for what is none.
pub(super) fn to_text(data: &[u8]) -> Option<String> {
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
    if !RANGE.contains(&seconds) || nanoseconds > 999_999_999 {
        return None;
    }
    let (year, month, day) = date(seconds.div_euclid(SECONDS_PER_DAY));
    let second = seconds.rem_euclid(SECONDS_PER_DAY);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if nanoseconds > 0 {
        let fraction = format!(".{nanoseconds:09}");
        text.push_str(fraction.trim_end_matches('0'));
    }
    text.push('Z');
    Some(text)
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
        to_text(&data)
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
        }
    }

    #[test]
    fn what_no_year_of_four_digits_has_is_no_date() {
        for (seconds, nanoseconds) in
            [(RANGE.start() - 1, 0), (RANGE.end() + 1, 0), (i64::MIN, 0), (0, 1_000_000_000)]
        {
            assert_eq!(of(seconds, nanoseconds), None);
        }
        assert_eq!(to_text(&[0; 5]), None);
    }

    #[test]
    fn shorter_forms_say_the_same() {
        assert_eq!(to_text(&[0, 0, 0, 1]).as_deref(), Some("1970-01-01T00:00:01Z"));
        let both = (500_000_000_u64 << 34) | 1;
        assert_eq!(to_text(&both.to_be_bytes()).as_deref(), Some("1970-01-01T00:00:01.5Z"));
    }
}
