use std::collections::BTreeMap;
use std::fmt::Display;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use mediatype::{MediaType, names};
use serde_json::{Map, Value};
use streamio_events::webhook::replay::FeedBound;

use super::json_search::find_secret;
use super::unique_json::UniqueJson;
use crate::config::Lifetime;
use crate::problem::{FieldError, Problem, ProblemKind};

/// The fields of a JSON body. Each is taken by name with its type. [`Fields::finish`] reports all errors and all fields
/// that were not taken at once.
#[derive(Debug)]
pub(crate) struct Fields {
    object: Map<String, Value>,
    known: Vec<&'static str>,
    errors: Vec<FieldError>,
}

impl Fields {
    /// Parses `body`; an empty one is the same as `{}`. Refuses a body that contains the API key, `secret`, since fields
    /// are recorded in events.
    pub(crate) fn parse(headers: &HeaderMap, body: &[u8], secret: &str) -> Result<Self, Problem> {
        Self::parse_as(&[APPLICATION_JSON], headers, body, secret)
    }

    /// Like [`Self::parse`], for a JSON merge patch (RFC 7396), which may be declared as one.
    pub(crate) fn parse_patch(headers: &HeaderMap, body: &[u8], secret: &str) -> Result<Self, Problem> {
        Self::parse_as(&[APPLICATION_JSON, MERGE_PATCH], headers, body, secret)
    }

    fn parse_as(
        media_types: &[MediaType<'static>],
        headers: &HeaderMap,
        body: &[u8],
        secret: &str,
    ) -> Result<Self, Problem> {
        if body.is_empty() {
            return Ok(Self::from_object(Map::new()));
        }
        check_content_type(media_types, headers)?;
        let malformed = |detail: &dyn Display| {
            Problem::new(ProblemKind::MalformedJson, format!("The body is invalid: {detail}."))
        };
        let UniqueJson(json) = serde_json::from_slice(body).map_err(|error| malformed(&error))?;
        if let Some(field) = find_secret(&json, secret) {
            let detail = "contains the API key: send it in a header only";
            return Err(Problem::at_field(ProblemKind::InvalidBody, &field, detail));
        }
        match json {
            Value::Object(object) => Ok(Self::from_object(object)),
            other => {
                Err(malformed(&format_args!("expected an object such as {{}}, found {}", describe(&other))))
            }
        }
    }

    fn from_object(object: Map<String, Value>) -> Self {
        Self { object, known: Vec::new(), errors: Vec::new() }
    }

    /// Removes and returns a field. `null` counts as absent.
    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.object.remove(name).filter(|value| !value.is_null())
    }

    /// Takes a field whose value is `null`. Returns whether it is; leaves a field with another value.
    pub(crate) fn is_null(&mut self, name: &'static str) -> bool {
        let is_null = self.object.get(name).is_some_and(Value::is_null);
        if is_null {
            self.take(name);
        }
        is_null
    }

    /// Adds an error.
    pub(crate) fn refuse(&mut self, field: &str, detail: impl Into<String>) {
        self.errors.push(FieldError::new(field, detail));
    }

    /// Whether the field has an error.
    pub(crate) fn has_error(&self, field: &str) -> bool {
        self.errors.iter().any(|error| error.field == field)
    }

    fn typed<T>(&mut self, name: &'static str, expected: &str, read: fn(&Value) -> Option<T>) -> Option<T> {
        let value = self.take(name)?;
        let typed = read(&value);
        if typed.is_none() {
            self.refuse(name, format!("must be {expected}, not {}", describe(&value)));
        }
        typed
    }

    /// Takes a string.
    pub(crate) fn text(&mut self, name: &'static str) -> Option<String> {
        self.typed(name, "a string", |value| value.as_str().map(str::to_owned))
    }

    /// Takes a required string. `None` means that an error was added.
    pub(crate) fn required_text(&mut self, name: &'static str) -> Option<String> {
        let text = self.text(name);
        if text.is_none() && !self.has_error(name) {
            self.refuse(name, "is missing");
        }
        text
    }

    /// Takes a boolean.
    pub(crate) fn boolean(&mut self, name: &'static str) -> Option<bool> {
        self.typed(name, "true or false", Value::as_bool)
    }

    /// Takes a whole number from 0 to 2^64 - 1.
    pub(crate) fn whole_number(&mut self, name: &'static str) -> Option<u64> {
        self.typed(name, "a whole number of at least 0", Value::as_u64)
    }

    /// Takes a bound of a part of the project's feed: a whole number or a time.
    pub(crate) fn feed_bound(&mut self, name: &'static str) -> Option<FeedBound> {
        let value = self.take(name)?;
        let bound = serde_json::from_value(value).ok();
        if bound.is_none() {
            let expected =
                "must be the `seq` of a message, a whole number, or a time such as 2026-01-02T03:04:05Z";
            self.refuse(name, expected);
        }
        bound
    }

    /// Takes a number of seconds within `bounds`; the default if it is absent or an error was added.
    pub(crate) fn lifetime(&mut self, name: &'static str, bounds: Lifetime) -> u32 {
        let Some(seconds) = self.whole_number(name) else { return bounds.default };
        if let Some(seconds) = u32::try_from(seconds).ok().filter(|seconds| bounds.allows(*seconds)) {
            return seconds;
        }
        self.refuse(name, format!("must be {bounds}"));
        bounds.default
    }

    /// Takes an array of strings.
    pub(crate) fn list_of_texts(&mut self, name: &'static str) -> Option<Vec<String>> {
        let items = self.typed(name, "an array of strings", |value| value.as_array().cloned())?;
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Value::String(text) => texts.push(text),
                other => {
                    self.refuse(name, format!("must have only strings, not {}", describe(&other)));
                    return None;
                }
            }
        }
        Some(texts)
    }

    /// Takes an object whose values are strings.
    pub(crate) fn texts(&mut self, name: &'static str) -> Option<BTreeMap<String, String>> {
        let object = self.typed(name, "an object", |value| value.as_object().cloned())?;
        let mut texts = BTreeMap::new();
        for (key, value) in object {
            match value {
                Value::String(text) => {
                    texts.insert(key, text);
                }
                other => {
                    self.refuse(
                        &format!("{name}.{key}"),
                        format!("must be a string, not {}", describe(&other)),
                    );
                }
            }
        }
        Some(texts)
    }

    /// Takes an object whose values are strings or `null`.
    pub(crate) fn texts_or_null(&mut self, name: &'static str) -> Option<BTreeMap<String, Option<String>>> {
        let object = self.typed(name, "an object", |value| value.as_object().cloned())?;
        let mut texts = BTreeMap::new();
        for (key, value) in object {
            match value {
                Value::String(text) => {
                    texts.insert(key, Some(text));
                }
                Value::Null => {
                    texts.insert(key, None);
                }
                other => {
                    let detail = format!("must be a string or null, not {}", describe(&other));
                    self.refuse(&format!("{name}.{key}"), detail);
                }
            }
        }
        Some(texts)
    }

    /// The value of `result`; adds its error to the field's.
    pub(crate) fn checked<T, E: Display>(&mut self, field: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.refuse(field, error.to_string())).ok()
    }

    /// Fails with all errors, including one for every field that was not taken.
    pub(crate) fn finish(mut self) -> Result<(), Problem> {
        let detail = match &self.known[..] {
            [] => "is not a field of this call, which has none".to_owned(),
            known => format!("is not a field of this call, which has: {}", known.join(", ")),
        };
        for name in self.object.keys() {
            self.errors.push(FieldError::new(name, &*detail));
        }
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(Problem::fields(ProblemKind::InvalidBody, self.errors))
        }
    }
}

/// Accepts `media_types`. An empty header counts as absent. Several headers count as one list, as servers in front
/// may join them (RFC 9110, section 5.3), and a list is not a media type.
fn check_content_type(media_types: &[MediaType<'static>], headers: &HeaderMap) -> Result<(), Problem> {
    let refused =
        |detail: String| Problem::at_field(ProblemKind::UnsupportedMediaType, "content-type", detail);
    let values: Vec<&[u8]> = headers.get_all(CONTENT_TYPE).iter().map(HeaderValue::as_bytes).collect();
    let list = values.join(&b", "[..]);
    if list.is_empty() {
        return Ok(());
    }
    match std::str::from_utf8(&list).ok().and_then(|text| MediaType::parse(text).ok()) {
        Some(found) if media_types.iter().any(|media_type| *media_type == found.essence()) => Ok(()),
        found => {
            let names: Vec<String> = media_types.iter().map(ToString::to_string).collect();
            let mistake = if found.is_some() { "must be" } else { "is not a media type; it must be" };
            Err(refused(format!("{mistake} {}", names.join(" or "))))
        }
    }
}

const APPLICATION_JSON: MediaType<'static> = MediaType::new(names::APPLICATION, names::JSON);
/// <https://www.rfc-editor.org/rfc/rfc7396>
const MERGE_PATCH: MediaType<'static> =
    MediaType::from_parts(names::APPLICATION, MERGE_PATCH_NAME, Some(names::JSON), &[]);
const MERGE_PATCH_NAME: mediatype::Name<'static> = mediatype::Name::new_unchecked("merge-patch");

/// The type of `value`, for error messages.
fn describe(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_f64() => "a number with decimals",
        Value::Number(number) if number.is_i64() && !number.is_u64() => "a negative number",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn fields(body: &str) -> Fields {
        Fields::parse(&HeaderMap::new(), body.as_bytes(), "sio_secret").unwrap()
    }

    fn detail(problem: &Problem) -> String {
        format!("{problem:?}")
    }

    #[test]
    fn all_errors_are_reported_at_once() {
        let mut fields = fields(r#"{"a": 1, "b": "x", "c": -1, "d": {"e": 1, "f": "x"}, "g": 1, "n": null}"#);
        assert_eq!(fields.text("a"), None);
        assert_eq!(fields.boolean("b"), None);
        assert_eq!(fields.whole_number("c"), None);
        assert_eq!(fields.texts("d").unwrap().into_iter().collect::<Vec<_>>(), [("f".into(), "x".into())]);
        assert_eq!(fields.required_text("n"), None);
        assert_eq!(fields.required_text("a"), None);
        let errors: Vec<String> = {
            let Fields { errors, .. } = &fields;
            errors.iter().map(|error| format!("{} {}", error.field, error.detail)).collect()
        };
        insta::assert_debug_snapshot!(errors, @r#"
[
    "a must be a string, not a number",
    "b must be true or false, not a string",
    "c must be a whole number of at least 0, not a negative number",
    "d.e must be a string, not a number",
    "n is missing",
]
"#);
        assert!(detail(&fields.finish().unwrap_err()).contains("which has: a, b, c, d, n"));
    }

    #[test]
    fn a_body_that_is_not_a_json_object_is_refused() {
        for body in [
            "{",
            "[]",
            "1",
            "null",
            "\"x\"",
            "{\"a\":1,\"a\":2}",
            "{\"a\":NaN}",
            "{} {}",
            "\u{feff}{}",
            "{\"a\":1e999}",
        ] {
            assert!(Fields::parse(&HeaderMap::new(), body.as_bytes(), "s").is_err(), "{body}");
        }
        assert!(Fields::parse(&HeaderMap::new(), b"{\"a\":\"\xff\"}", "s").is_err());
        let deep = "[".repeat(1000) + &"]".repeat(1000);
        assert!(Fields::parse(&HeaderMap::new(), deep.as_bytes(), "s").is_err());
        assert!(Fields::parse(&HeaderMap::new(), b"", "s").unwrap().finish().is_ok());
    }

    #[test]
    fn the_api_key_is_refused_in_a_field_even_when_it_is_escaped() {
        for body in [r#"{"a": "x sio_secret"}"#, r#"{"a": "\u0073io_secret"}"#, r#"{"sio_secret": 1}"#] {
            let problem = Fields::parse(&HeaderMap::new(), body.as_bytes(), "sio_secret").unwrap_err();
            assert!(detail(&problem).contains("contains the API key"), "{body}");
        }
    }

    #[test]
    fn the_content_type_is_json_or_absent() {
        let parse = |content_type: &'static str| {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
            Fields::parse(&headers, b"{}", "s")
        };
        for accepted in ["application/json", "Application/JSON", "application/json; charset=utf-8", ""] {
            assert!(parse(accepted).is_ok(), "{accepted}");
        }
        let mut twice = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        twice.append(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        assert!(Fields::parse(&twice, b"{}", "s").is_err());
        for refused in ["text/json", "application/x-www-form-urlencoded", "application/jsonp", "json"] {
            assert!(parse(refused).is_err(), "{refused}");
        }
    }
}
