//! Days in UTC, by which usage is counted.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::timestamp::Timestamp;

const MILLISECONDS: i64 = 86_400_000;

/// A day in UTC. The wire form is `2026-01-02`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day {
    /// Days since the Unix epoch.
    number: i64,
}

/// Text that is not a day between the years 1970 and 9999.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a day between 1970 and 9999, such as 2026-01-02")]
pub struct InvalidDay;

impl Day {
    /// The day of `time`.
    pub fn of(time: Timestamp) -> Self {
        Self { number: time.unix_millis().div_euclid(MILLISECONDS) }
    }

    /// Its first instant.
    pub fn start(self) -> Timestamp {
        Timestamp::from_unix_millis(self.number * MILLISECONDS)
    }

    /// Its end, which is the first instant of the next day.
    pub fn end(self) -> Timestamp {
        self.start().plus(Duration::from_hours(24))
    }

    /// The day that is `days` earlier, not before 1970.
    #[must_use]
    pub fn minus(self, days: u32) -> Self {
        Self { number: (self.number - i64::from(days)).max(0) }
    }

    /// How many days there are from `first` to this day, counting both; 0 if `first` is later.
    pub fn days_from(self, first: Self) -> u64 {
        u64::try_from(self.number - first.number + 1).unwrap_or(0)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.start().to_string();
        text.truncate("yyyy-mm-dd".len());
        formatter.write_str(&text)
    }
}

impl FromStr for Day {
    type Err = InvalidDay;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let start: Timestamp = [text, "T00:00:00Z"].concat().parse().map_err(|_| InvalidDay)?;
        Ok(Self::of(start))
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_time_is_within_its_day_and_text_round_trips(milliseconds in 0i64..253_402_214_400_000) {
            let time = Timestamp::from_unix_millis(milliseconds);
            let day = Day::of(time);
            prop_assert!(day.start() <= time && time < day.end());
            prop_assert!(time.to_string().starts_with(&day.to_string()));
            prop_assert_eq!(day.to_string().parse(), Ok(day));
        }

        #[test]
        fn any_text_is_parsed_or_refused_without_a_panic(text in ".{0,30}") {
            prop_assert!(text.parse::<Day>().is_ok_and(|day| day.to_string() == text) || text.parse::<Day>().is_err());
        }
    }

    #[test]
    fn days_are_counted_with_both_ends() {
        let day = |text: &str| text.parse::<Day>().unwrap();
        assert_eq!(day("2026-03-01").minus(1), day("2026-02-28"));
        assert_eq!(day("2026-03-01").days_from(day("2026-02-28")), 2);
        assert_eq!(day("2026-03-01").days_from(day("2026-03-02")), 0);
        for wrong in ["", "2026-02-29", "2026-2-1", "1969-12-31", "2026-01-02T", "2026-01-02T00:00:00Z"] {
            assert_eq!(wrong.parse::<Day>(), Err(InvalidDay), "{wrong}");
        }
    }
}
