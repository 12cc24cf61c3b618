//! Instants and durations as files write them.

use std::time::Duration;

use mimeo_model::Timestamp;
use serde::{Serialize, Serializer};

/// A duration in milliseconds with a fraction; nanoseconds survive up to a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Millis(pub(crate) Duration);

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let nanos = self.0.as_nanos();
        match u64::try_from(nanos / 1_000_000) {
            Ok(whole) if nanos.is_multiple_of(1_000_000) => out.serialize_u64(whole),
            _ => out.serialize_f64(nanos as f64 / 1e6),
        }
    }
}

/// The duration of so many milliseconds; none when they are negative or beyond measure.
pub(crate) fn millis(millis: f64) -> Option<Duration> {
    let nanos = (millis * 1e6).round();
    (0.0..1.8e19).contains(&nanos).then(|| Duration::from_nanos(nanos as u64))
}

/// `at` moved by so many milliseconds, which may be negative.
pub(crate) fn moved(at: Timestamp, millis: f64) -> Timestamp {
    Timestamp::from_unix_micros(at.unix_micros().saturating_add((millis * 1000.0).round() as i64))
}

/// Reads an ISO 8601 instant as HAR writers produce it: RFC 3339, also with a space for the `T`, with
/// any number of fraction digits, with an offset without colon, or without an offset. Tells whether there
/// was an offset; without one the instant is taken as UTC.
pub(crate) fn parse(text: &str) -> Option<(Timestamp, bool)> {
    let mut text = Cursor(text.trim().as_bytes());
    let year = text.digits(4)?;
    text.one(b"-")?;
    let month = text.digits(2)?;
    text.one(b"-")?;
    let day = text.digits(2)?;
    let (mut time, mut micros) = ((0, 0, 0), 0);
    let mut offset = None;
    if !text.0.is_empty() {
        text.one(b"Tt ")?;
        let hour = text.digits(2)?;
        text.one(b":")?;
        let minute = text.digits(2)?;
        let second = if text.one(b":").is_some() { text.digits(2)? } else { 0 };
        time = (hour, minute, second);
        if text.one(b".,").is_some() {
            micros = text.fraction()?;
        }
        if text.0.first() == Some(&b' ') {
            text.one(b" ");
        }
        offset = if text.0.is_empty() { None } else { Some(text.offset()?) };
    }
    let at = civil(year, month, day, time)?;
    let micros = at.checked_add(micros)?.checked_sub(offset.unwrap_or(0) * 60_000_000)?;
    Some((Timestamp::from_unix_micros(micros), offset.is_some()))
}

/// Reads a date of HTTP or of a cookie: `Sun, 06 Nov 1994 08:49:37 GMT`, also with hyphens, two-digit
/// years and the asctime form (RFC 9110, section 5.6.7; RFC 6265, section 5.1.1).
pub(crate) fn parse_http_date(text: &str) -> Option<Timestamp> {
    let (mut day, mut month, mut year, mut time) = (None, None, None, None);
    for word in text.split([' ', ',', '-']).filter(|word| !word.is_empty()) {
        if time.is_none() && word.contains(':') {
            let mut parts = word.split(':').map(|part| part.parse::<i64>().ok());
            time = Some((parts.next()??, parts.next()??, parts.next()??));
        } else if let Ok(number) = word.parse::<i64>() {
            match (day, year) {
                (None, _) if word.len() <= 2 => day = Some(number),
                (_, None) => year = Some(number),
                _ => return None,
            }
        } else if month.is_none() {
            let months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
            let start = word.get(..3)?.to_ascii_lowercase();
            month = months.iter().position(|name| *name == start).map(|at| at as i64 + 1);
        }
    }
    let year = match year? {
        year @ 70..=99 => year + 1900,
        year @ 0..=69 => year + 2000,
        year => year,
    };
    civil(year, month?, day?, time?).map(Timestamp::from_unix_micros)
}

/// Microseconds since the epoch of a civil time in UTC (proleptic Gregorian calendar).
fn civil(year: i64, month: i64, day: i64, (hour, minute, second): (i64, i64, i64)) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    // A leap second counts as the first of the next minute.
    let valid = (0..=9999).contains(&year)
        && (1..=length).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    if !valid {
        return None;
    }
    // Years are counted from March so that the leap day ends its year.
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60_000_000 + second * 1_000_000)
}

struct Cursor<'t>(&'t [u8]);

impl Cursor<'_> {
    fn digits(&mut self, count: usize) -> Option<i64> {
        let digits = self.0.get(..count)?;
        let value = digits.iter().try_fold(0, |value, digit| {
            digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0'))
        })?;
        self.0 = &self.0[count..];
        Some(value)
    }

    fn one(&mut self, of: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        of.contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }

    /// Microseconds of the digits after the point; finer ones are cut off.
    fn fraction(&mut self) -> Option<i64> {
        let length = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let digits = &self.0[..length];
        self.0 = &self.0[length..];
        (length > 0).then(|| {
            (0..6).fold(0, |value, at| value * 10 + digits.get(at).map_or(0, |digit| i64::from(digit - b'0')))
        })
    }

    /// Minutes east of UTC.
    fn offset(&mut self) -> Option<i64> {
        let sign = match self.one(b"Zz+-")? {
            b'+' => 1,
            b'-' => -1,
            _ => return self.0.is_empty().then_some(0),
        };
        let hours = self.digits(2)?;
        let _ = self.one(b":");
        let minutes = if self.0.is_empty() { 0 } else { self.digits(2)? };
        (self.0.is_empty() && hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_dialects_of_har_writers_are_read() {
        let noon = Timestamp::from_unix_micros(1_711_972_800_123_456);
        for (text, expected) in [
            ("2024-04-01T12:00:00.123456Z", Some((noon, true))),
            ("2024-04-01T12:00:00.1234567Z", Some((noon, true))),
            ("2024-04-01T14:00:00.123456+02:00", Some((noon, true))),
            ("2024-04-01T06:30:00.123456-0530", Some((noon, true))),
            ("2024-04-01 12:00:00.123456", Some((noon, false))),
            ("2024-04-01t12:00:00,123456z", Some((noon, true))),
            ("2024-04-01T12:00Z", Some((Timestamp::from_unix_micros(1_711_972_800_000_000), true))),
            ("2024-04-01", Some((Timestamp::from_unix_micros(1_711_929_600_000_000), false))),
            ("2024-02-30T12:00:00Z", None),
            ("2024-04-01T25:00:00Z", None),
            ("2024-04-01T12:00:00+2", None),
            ("Mon Apr 01 2024", None),
            ("", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn dates_of_http_and_cookies_are_read() {
        let expected = Some(Timestamp::from_unix_micros(784_111_777_000_000));
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06-Nov-1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse_http_date(text), expected, "{text}");
        }
        for text in ["", "soon", "Sun, 06 Nov 1994", "1:2", "99 99 99 1:1:1", "é, 06 Nov 1994 08:49:37"] {
            let _ = parse_http_date(text);
        }
        assert_eq!(parse_http_date("Session"), None);
    }

    proptest! {
        #[test]
        fn printed_instants_are_read_back(micros in -62_167_219_200_000_000i64..253_402_300_800_000_000) {
            let at = Timestamp::from_unix_micros(micros);
            prop_assert_eq!(parse(&at.to_string()), Some((at, true)));
        }

        #[test]
        fn printed_durations_are_read_back(nanos in 0u64..4_000_000_000_000_000) {
            let duration = Duration::from_nanos(nanos);
            let printed = serde_json::to_string(&Millis(duration)).expect("a number has a JSON form");
            prop_assert_eq!(millis(printed.parse().expect("it is a number")), Some(duration));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _ = parse(&text);
            let _ = parse_http_date(&text);
        }
    }
}
