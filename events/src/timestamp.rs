//! Timestamps. The caller always passes them: nothing in this crate reads a clock.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Milliseconds since the Unix epoch, UTC. The wire form is RFC 3339 with exactly three decimals,
/// `2026-01-02T03:04:05.678Z`, so that equal instants are equal bytes and text sorts like time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// Text that is not an RFC 3339 date and time between the years 1970 and 9999.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 date and time between 1970 and 9999, such as 2026-01-02T03:04:05Z")]
pub struct InvalidTimestamp;

const LAST_MILLISECOND_OF_9999: i64 = 253_402_300_799_999;

impl Timestamp {
    /// The instant `milliseconds` after the Unix epoch, clamped to the years 1970 to 9999.
    pub fn from_unix_millis(milliseconds: i64) -> Self {
        Self(milliseconds.clamp(0, LAST_MILLISECOND_OF_9999))
    }

    /// The instant `seconds` after the Unix epoch.
    pub fn from_unix_seconds(seconds: i64) -> Self {
        Self::from_unix_millis(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    pub fn unix_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This instant moved later by `duration`.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self::from_unix_millis(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The duration from `earlier` to this instant; zero if this instant is not later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// The hour in UTC as `yyyymmddhh`, by which grants with an Idempotency-Key are assigned to streams.
    pub fn hour(self) -> String {
        self.digits("yyyy-mm-ddThh".len())
    }

    /// The beginning of the ten seconds in UTC as `yyyymmddhhmmss`, by which grants are assigned to streams.
    pub fn ten_seconds(self) -> String {
        self.digits("yyyy-mm-ddThh:mm:s".len()) + "0"
    }

    /// The digits in the first `length` characters of the text form.
    fn digits(self, length: usize) -> String {
        let text = self.text();
        text[..length].iter().filter(|byte| byte.is_ascii_digit()).map(|byte| char::from(*byte)).collect()
    }

    /// Formats `yyyy-mm-ddThh:mm:ss.mmmZ` digit by digit: each response of the API holds several timestamps, and
    /// interpreting a format description for each would take as long as signing.
    fn text(self) -> [u8; 24] {
        let time = self.date_time();
        let mut text = *b"yyyy-mm-ddThh:mm:ss.mmmZ";
        let mut put = |at: usize, digits: usize, mut number: u32| {
            for place in (at..at + digits).rev() {
                text[place] = b'0' + u8::try_from(number % 10).expect("a digit");
                number /= 10;
            }
        };
        put(0, 4, time.year().unsigned_abs());
        put(5, 2, u8::from(time.month()).into());
        put(8, 2, time.day().into());
        put(11, 2, time.hour().into());
        put(14, 2, time.minute().into());
        put(17, 2, time.second().into());
        put(20, 3, time.millisecond().into());
        text
    }

    fn date_time(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .expect("an instant within 1970..=9999 has a date")
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(std::str::from_utf8(&self.text()).expect("digits and separators"))
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    /// Parses any RFC 3339 text. Digits beyond milliseconds are cut off.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(timestamp) = parse_own_form(text.as_bytes()) {
            return Ok(timestamp);
        }
        let parsed = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| InvalidTimestamp)?;
        let milliseconds = i64::try_from(parsed.unix_timestamp_nanos().div_euclid(1_000_000))
            .map_err(|_| InvalidTimestamp)?;
        if (0..=LAST_MILLISECOND_OF_9999).contains(&milliseconds) {
            Ok(Self(milliseconds))
        } else {
            Err(InvalidTimestamp)
        }
    }
}

/// Parses `yyyy-mm-ddThh:mm:ss.mmmZ` digit by digit; `None` for any other form and for what is no time. Each event has several, and
/// a general parser takes as long as all else of a small event.
fn parse_own_form(text: &[u8]) -> Option<Timestamp> {
    let text: &[u8; 24] = text.try_into().ok()?;
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (23, b'Z')];
    if separators.iter().any(|(at, separator)| text[*at] != *separator) {
        return None;
    }
    let number = |from: usize, to: usize| {
        text[from..to]
            .iter()
            .try_fold(0i64, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second, millis) = (number(11, 13)?, number(14, 16)?, number(17, 19)?, number(20, 23)?);
    // The last days of months, and what is no time, are left to the general parser.
    let is_valid = year >= 1970
        && (1..=12).contains(&month)
        && (1..=28).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    is_valid.then(|| {
        // Days since 1970-01-01 in the Gregorian calendar, of years that begin with March.
        let year = if month <= 2 { year - 1 } else { year };
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468;
        Timestamp(((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + millis)
    })
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use time::macros::format_description;

    proptest! {
        #[test]
        fn text_equals_the_output_of_the_time_crate(milliseconds in 0..=LAST_MILLISECOND_OF_9999) {
            let timestamp = Timestamp(milliseconds);
            let text = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
            prop_assert_eq!(timestamp.to_string(), timestamp.date_time().format(text).unwrap());
            let hour = format_description!("[year][month][day][hour]");
            prop_assert_eq!(timestamp.hour(), timestamp.date_time().format(hour).unwrap());
        }

        #[test]
        fn text_round_trips_and_sorts_like_time(a in 0..=LAST_MILLISECOND_OF_9999, b in 0..=LAST_MILLISECOND_OF_9999) {
            let (a, b) = (Timestamp(a), Timestamp(b));
            prop_assert_eq!(a.to_string().parse::<Timestamp>(), Ok(a));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }

        /// The text is parsed digit by digit, or, on the last days of months, by the general parser.
        #[test]
        fn text_is_parsed_as_the_time_crate_parses_it(
            text in "[12][0-9]{3}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]\\.[0-9]{3}Z",
        ) {
            let general = OffsetDateTime::parse(&text, &Rfc3339).ok();
            let millis = general.and_then(|it| i64::try_from(it.unix_timestamp_nanos().div_euclid(1_000_000)).ok());
            let expected = millis.filter(|it| (0..=LAST_MILLISECOND_OF_9999).contains(it)).map(Timestamp);
            prop_assert_eq!(text.parse::<Timestamp>().ok(), expected);
        }

        #[test]
        fn any_text_is_parsed_or_refused_without_a_panic(text in ".*") {
            let _ = text.parse::<Timestamp>();
        }
    }

    #[test]
    fn other_offsets_are_read_as_the_same_instant() {
        assert_eq!("2026-01-02T04:04:05+01:00".parse(), Ok(Timestamp::from_unix_seconds(1_767_323_045)));
        assert_eq!("1969-12-31T23:59:59Z".parse::<Timestamp>(), Err(InvalidTimestamp));
    }

    #[test]
    fn the_hour_is_ten_digits() {
        assert_eq!("2026-01-02T03:04:05Z".parse::<Timestamp>().unwrap().hour(), "2026010203");
    }
}
