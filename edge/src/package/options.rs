use serde_json::{Map, Value};
use streamio_events::timestamp::Timestamp;

use super::InvalidOptions;

/// The options of one call. `null` is not the same as absent: it is invalid for every option.
pub(super) struct Options(Map<String, Value>);

impl Options {
    /// Parses a JSON object. Fails if it has a member that is not in `known`.
    pub(super) fn read(json: &str, known: &[&str]) -> Result<Self, InvalidOptions> {
        let fields = serde_json::from_str::<Map<String, Value>>(json).map_err(|_| {
            InvalidOptions(
                "the options must be an object whose strings are valid Unicode (no lone surrogates)"
                    .to_owned(),
            )
        })?;
        match fields.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(Self(fields)),
            Some(name) => {
                Err(InvalidOptions::option(name, format!("is unknown; the options are {}", known.join(", "))))
            }
        }
    }

    /// Whether the option is present.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Returns a required string.
    pub(super) fn text(&mut self, name: &str) -> Result<String, InvalidOptions> {
        self.optional_text(name)?
            .ok_or_else(|| InvalidOptions::option(name, "is missing; it must be a string"))
    }

    /// Returns an optional string.
    pub(super) fn optional_text(&mut self, name: &str) -> Result<Option<String>, InvalidOptions> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(InvalidOptions::option(name, "must be a string")),
        }
    }

    /// Returns an optional boolean, false if it is absent.
    pub(super) fn flag(&mut self, name: &str) -> Result<bool, InvalidOptions> {
        match self.0.remove(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(InvalidOptions::option(name, "must be true or false")),
        }
    }

    /// Returns a required number of seconds.
    pub(super) fn duration(&mut self, name: &str) -> Result<u32, InvalidOptions> {
        let seconds = self
            .0
            .remove(name)
            .as_ref()
            .and_then(Value::as_u64)
            .and_then(|number| u32::try_from(number).ok());
        seconds.ok_or_else(|| InvalidOptions::option(name, "must be a whole number of seconds"))
    }

    /// Returns a required time, in Unix seconds.
    pub(super) fn moment(&mut self, name: &str) -> Result<i64, InvalidOptions> {
        self.optional_moment(name)?.ok_or_else(|| {
            InvalidOptions::option(name, "is missing; it must be a Date or a number of Unix seconds")
        })
    }

    /// Returns an optional time, in Unix seconds. The JSON has a string for a `Date`, or a number of Unix seconds. Fractions are
    /// truncated, because signatures have a resolution of one second.
    pub(super) fn optional_moment(&mut self, name: &str) -> Result<Option<i64>, InvalidOptions> {
        let value = match self.0.remove(name) {
            None => return Ok(None),
            Some(Value::String(text)) => text.parse::<Timestamp>().ok().map(Timestamp::unix_seconds),
            Some(Value::Number(number)) => number.as_f64().and_then(whole_seconds),
            Some(_) => None,
        };
        let invalid = || {
            InvalidOptions::option(
                name,
                "must be a Date or a number of Unix seconds (not of milliseconds), from 1970 on",
            )
        };
        value.map(Some).ok_or_else(invalid)
    }

    /// Returns an optional object of strings, empty if it is absent.
    pub(super) fn texts(&mut self, name: &str) -> Result<Vec<(String, String)>, InvalidOptions> {
        let invalid = || InvalidOptions::option(name, "must be an object whose values are strings");
        let entries = match self.0.remove(name) {
            None => return Ok(Vec::new()),
            Some(Value::Object(entries)) => entries,
            Some(_) => return Err(invalid()),
        };
        let text = |(name, value)| match value {
            Value::String(text) => Ok((name, text)),
            _ => Err(invalid()),
        };
        entries.into_iter().map(text).collect()
    }
}

/// Truncates a number of Unix seconds. Returns `None` for times from the year 10000 on, which are probably milliseconds.
#[expect(clippy::cast_possible_truncation, reason = "the number is within the bounds")]
fn whole_seconds(number: f64) -> Option<i64> {
    const YEAR_10000: f64 = 253_402_300_800.0;
    (0.0..YEAR_10000).contains(&number).then(|| number.floor() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(json: &str) -> Options {
        Options::read(json, &["a", "b"]).unwrap()
    }

    #[test]
    fn a_time_is_a_date_or_unix_seconds_and_not_milliseconds() {
        let moment = |json: &str| options(&format!(r#"{{"a":{json}}}"#)).moment("a").ok();
        assert_eq!(moment(r#""2026-01-02T03:04:05.999Z""#), Some(1_767_323_045));
        assert_eq!(moment("1767323045"), Some(1_767_323_045));
        assert_eq!(moment("1767323045.999"), Some(1_767_323_045));
        assert_eq!(moment("0"), Some(0));
        for invalid in ["1767323045000", "-1", "null", "\"soon\"", "\"\"", "{}", "1e300"] {
            assert_eq!(moment(invalid), None, "{invalid}");
        }
    }

    #[test]
    fn errors_about_other_json_and_unknown_options_do_not_contain_values() {
        for json in ["", "[]", "\"hidden\"", "null", r#"{"a":"\ud800 hidden"}"#, r#"{"A":"hidden"}"#] {
            let error = Options::read(json, &["a", "b"]).err().unwrap().to_string();
            assert!(!error.contains("hidden"), "{error}");
        }
    }

    #[test]
    fn the_error_for_a_wrong_type_names_the_option() {
        let mut given = options(r#"{"a":{"hidden":1},"b":null}"#);
        assert_eq!(
            given.texts("a").unwrap_err().to_string(),
            "option `a`: must be an object whose values are strings"
        );
        assert_eq!(given.text("b").unwrap_err().to_string(), "option `b`: must be a string");
        assert_eq!(given.text("b").unwrap_err().to_string(), "option `b`: is missing; it must be a string");
        assert_eq!(
            options(r#"{"a":1.5}"#).duration("a").unwrap_err().to_string(),
            "option `a`: must be a whole number of seconds"
        );
        assert_eq!(
            options(r#"{"a":1}"#).flag("a").unwrap_err().to_string(),
            "option `a`: must be true or false"
        );
    }
}
