//! The bounds of a part of the log.

use std::str::FromStr;

use streamio_events::log::ReadError;
use streamio_events::sqlite::StoredReader;
use streamio_events::timestamp::Timestamp;

/// A bound of a part of the log. A part begins at its bound. It ends at a position, or before a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogBound {
    /// The position of a commit.
    Position(u64),
    /// The time at which commits were recorded.
    Time(Timestamp),
}

/// A text that is neither a position nor a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a position in the log, such as 41, or a time, such as 2026-01-02T03:04:05Z")]
pub struct InvalidLogBound;

impl LogBound {
    /// The first position of a part that begins here; `None` if nothing was recorded since the time.
    pub(crate) fn first(self, log: &StoredReader) -> Result<Option<u64>, ReadError> {
        match self {
            Self::Position(position) => Ok(Some(position)),
            Self::Time(time) => log.first_since(time),
        }
    }

    /// The last position of a part that ends here; `u64::MAX` if nothing was recorded since the time.
    pub(crate) fn last(self, log: &StoredReader) -> Result<u64, ReadError> {
        match self {
            Self::Position(position) => Ok(position),
            Self::Time(time) => Ok(log.first_since(time)?.map_or(u64::MAX, |first| first.saturating_sub(1))),
        }
    }
}

impl FromStr for LogBound {
    type Err = InvalidLogBound;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(Self::Position).map_err(|_| InvalidLogBound);
        }
        text.parse().map(Self::Time).map_err(|_| InvalidLogBound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_a_position_or_a_time() {
        assert_eq!("41".parse(), Ok(LogBound::Position(41)));
        let time = Timestamp::from_unix_seconds(1_767_323_045);
        assert_eq!("2026-01-02T03:04:05Z".parse(), Ok(LogBound::Time(time)));
        for text in ["", "-1", "soon", "99999999999999999999"] {
            assert_eq!(text.parse::<LogBound>(), Err(InvalidLogBound), "{text}");
        }
    }
}
