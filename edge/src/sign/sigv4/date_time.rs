use time::OffsetDateTime;

use super::SigningError;

/// A timestamp in the format of Signature Version 4: `yyyymmddThhmmssZ`.
pub(super) struct DateTime([u8; 16]);

impl DateTime {
    pub(super) fn from_unix_seconds(seconds: i64) -> Result<Self, SigningError> {
        let time = OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| SigningError::TimeOutOfRange)?;
        let year = u16::try_from(time.year()).map_err(|_| SigningError::TimeOutOfRange)?;
        if seconds < 0 || year > 9999 {
            return Err(SigningError::TimeOutOfRange);
        }
        let mut text = *b"yyyymmddThhmmssZ";
        put_two_digits(&mut text, 0, u8::try_from(year / 100).expect("below 100"));
        put_two_digits(&mut text, 2, u8::try_from(year % 100).expect("below 100"));
        put_two_digits(&mut text, 4, time.month().into());
        put_two_digits(&mut text, 6, time.day());
        put_two_digits(&mut text, 9, time.hour());
        put_two_digits(&mut text, 11, time.minute());
        put_two_digits(&mut text, 13, time.second());
        Ok(Self(text))
    }

    /// `yyyymmddThhmmssZ`.
    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("ASCII")
    }

    /// `yyyymmdd`: the date of the credential scope.
    pub(super) fn date(&self) -> &str {
        &self.as_str()[..8]
    }
}

fn put_two_digits(text: &mut [u8; 16], at: usize, number: u8) {
    text[at] = b'0' + number / 10;
    text[at + 1] = b'0' + number % 10;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_formatted_for_signature_version_4() {
        let date_time = DateTime::from_unix_seconds(1_369_353_600).unwrap();
        assert_eq!((date_time.as_str(), date_time.date()), ("20130524T000000Z", "20130524"));
        assert_eq!(DateTime::from_unix_seconds(0).unwrap().as_str(), "19700101T000000Z");
        assert_eq!(DateTime::from_unix_seconds(253_402_300_799).unwrap().as_str(), "99991231T235959Z");
    }

    #[test]
    fn timestamps_outside_the_years_1970_to_9999_are_refused() {
        for seconds in [-1, 253_402_300_800, i64::MIN, i64::MAX] {
            assert!(matches!(DateTime::from_unix_seconds(seconds), Err(SigningError::TimeOutOfRange)));
        }
    }
}
