use serde_json::{Map, Value};
use streamio_events::timestamp::Timestamp;

use super::Refused;

/// The options of one call. What is absent is not given; null is, and is never right.
pub(super) struct Options(Map<String, Value>);

impl Options {
    /// Reads a JSON object that has no other names than `known`.
    pub(super) fn read(json: &str, known: &[&str]) -> Result<Self, Refused> {
        let fields = serde_json::from_str::<Map<String, Value>>(json).map_err(|_| {
            Refused(
                "the options must be an object, all of whose texts are Unicode (no lone surrogates)"
                    .to_owned(),
            )
        })?;
        match fields.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(Self(fields)),
            Some(name) => Err(Refused::option(name, format!("is not known; there are {}", known.join(", ")))),
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A text that must be there.
    pub(super) fn text(&mut self, name: &str) -> Result<String, Refused> {
        self.optional_text(name)?.ok_or_else(|| Refused::option(name, "is missing; it is a string"))
    }

    pub(super) fn optional_text(&mut self, name: &str) -> Result<Option<String>, Refused> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Refused::option(name, "must be a string")),
        }
    }

    /// False where it is not there.
    pub(super) fn flag(&mut self, name: &str) -> Result<bool, Refused> {
        match self.0.remove(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(Refused::option(name, "must be true or false")),
        }
    }

    /// A number of seconds that must be there.
    pub(super) fn duration(&mut self, name: &str) -> Result<u32, Refused> {
        let seconds = self
            .0
            .remove(name)
            .as_ref()
            .and_then(Value::as_u64)
            .and_then(|number| u32::try_from(number).ok());
        seconds.ok_or_else(|| Refused::option(name, "must be a whole number of seconds"))
    }

    /// A moment that must be there, in Unix seconds.
    pub(super) fn moment(&mut self, name: &str) -> Result<i64, Refused> {
        self.optional_moment(name)?
            .ok_or_else(|| Refused::option(name, "is missing; it is a Date or a number of Unix seconds"))
    }

    /// A `Date`, which comes as text, or a number of Unix seconds; fractions are dropped, as signatures know none.
    pub(super) fn optional_moment(&mut self, name: &str) -> Result<Option<i64>, Refused> {
        let value = match self.0.remove(name) {
            None => return Ok(None),
            Some(Value::String(text)) => text.parse::<Timestamp>().ok().map(Timestamp::unix_seconds),
            Some(Value::Number(number)) => number.as_f64().and_then(whole_seconds),
            Some(_) => None,
        };
        let refused = || {
            Refused::option(
                name,
                "must be a Date or a number of Unix seconds (not of milliseconds), from 1970 on",
            )
        };
        value.map(Some).ok_or_else(refused)
    }

    /// An object of texts, empty where it is not there.
    pub(super) fn texts(&mut self, name: &str) -> Result<Vec<(String, String)>, Refused> {
        let refused = || Refused::option(name, "must be an object whose values are strings");
        let entries = match self.0.remove(name) {
            None => return Ok(Vec::new()),
            Some(Value::Object(entries)) => entries,
            Some(_) => return Err(refused()),
        };
        let text = |(name, value)| match value {
            Value::String(text) => Ok((name, text)),
            _ => Err(refused()),
        };
        entries.into_iter().map(text).collect()
    }
}

/// The whole seconds of a time before the year 10000: whoever gives milliseconds is told so.
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
    fn a_moment_is_a_date_or_unix_seconds_and_never_milliseconds() {
        let moment = |json: &str| options(&format!(r#"{{"a":{json}}}"#)).moment("a").ok();
        assert_eq!(moment(r#""2026-01-02T03:04:05.999Z""#), Some(1_767_323_045));
        assert_eq!(moment("1767323045"), Some(1_767_323_045));
        assert_eq!(moment("1767323045.999"), Some(1_767_323_045));
        assert_eq!(moment("0"), Some(0));
        for refused in ["1767323045000", "-1", "null", "\"soon\"", "\"\"", "{}", "1e300"] {
            assert_eq!(moment(refused), None, "{refused}");
        }
    }

    #[test]
    fn what_is_no_object_and_what_is_unknown_is_refused_without_repeating_a_value() {
        for json in ["", "[]", "\"hidden\"", "null", r#"{"a":"\ud800 hidden"}"#, r#"{"A":"hidden"}"#] {
            let refused = Options::read(json, &["a", "b"]).err().unwrap().to_string();
            assert!(!refused.contains("hidden"), "{refused}");
        }
    }

    #[test]
    fn a_value_of_another_type_is_refused_by_its_options_name() {
        let mut given = options(r#"{"a":{"hidden":1},"b":null}"#);
        assert_eq!(
            given.texts("a").unwrap_err().to_string(),
            "option `a`: must be an object whose values are strings"
        );
        assert_eq!(given.text("b").unwrap_err().to_string(), "option `b`: must be a string");
        assert_eq!(given.text("b").unwrap_err().to_string(), "option `b`: is missing; it is a string");
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
