use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::problem::{FieldError, Problem, ProblemKind};

/// The decoded parameters of a query. Each name occurs at most once.
#[derive(Debug)]
pub(crate) struct Query {
    parameters: Vec<(String, String)>,
    known: Vec<&'static str>,
}

impl Query {
    /// Parses `name=value&…` in the encoding of HTML forms: percent-encoded UTF-8, where `+` is a space. Refuses an invalid
    /// encoding rather than guess its meaning.
    pub(crate) fn parse(query: Option<&str>) -> Result<Self, Problem> {
        let mut parameters: Vec<(String, String)> = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |text: &str| percent_decode(&text.replace('+', " ")).map(Cow::into_owned);
            let name = decode(name).ok_or_else(|| Problem::parameter(name, NOT_ENCODED))?;
            let value = decode(value).ok_or_else(|| Problem::parameter(&name, NOT_ENCODED))?;
            if parameters.iter().any(|(other, _)| *other == name) {
                return Err(Problem::parameter(&name, "was sent more than once"));
            }
            parameters.push((name, value));
        }
        Ok(Self { parameters, known: Vec::new() })
    }

    /// Refuses a query that contains the API key, `secret`: URLs are logged, and parameters are recorded in events.
    pub(crate) fn refuse_secret(&self, secret: &str) -> Result<(), Problem> {
        match self.parameters.iter().find(|(name, value)| name.contains(secret) || value.contains(secret)) {
            None => Ok(()),
            Some((name, _)) => {
                let field = if name.contains(secret) { "(a name)" } else { name };
                Err(Problem::parameter(field, "contains the API key: send it in a header only"))
            }
        }
    }

    /// Removes and returns the parameter `name`.
    pub(crate) fn take(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        let index = self.parameters.iter().position(|(other, _)| other == name)?;
        Some(self.parameters.swap_remove(index).1)
    }

    /// Removes and returns the parameters whose names begin with `prefix`, without it.
    pub(crate) fn take_prefixed(
        &mut self,
        prefix: &str,
        described_as: &'static str,
    ) -> Vec<(String, String)> {
        self.known.push(described_as);
        let of = |name: &str| name.strip_prefix(prefix).map(str::to_owned);
        let taken = self.parameters.extract_if(.., |(name, _)| name.starts_with(prefix));
        taken.filter_map(|(name, value)| Some((of(&name)?, value))).collect()
    }

    /// Refuses parameters that were not taken, so that a misspelled one is not ignored.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        if self.parameters.is_empty() {
            return Ok(());
        }
        let detail = match &self.known[..] {
            [] => "is not a parameter of this call, which has none".to_owned(),
            known => format!("is not a parameter of this call, which has: {}", known.join(", ")),
        };
        let errors = self.parameters.iter().map(|(name, _)| FieldError::new(name, &*detail)).collect();
        Err(Problem::fields(ProblemKind::InvalidParameter, errors))
    }
}

const NOT_ENCODED: &str = "is not percent-encoded UTF-8";

/// Decodes `encoded`; `None` if a `%` is not followed by two hexadecimal digits or the bytes are not UTF-8.
pub(crate) fn percent_decode(encoded: &str) -> Option<Cow<'_, str>> {
    let bytes = encoded.as_bytes();
    let well_formed = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%').all(|(index, _)| {
        bytes.get(index + 1..index + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    if well_formed { percent_decode_str(encoded).decode_utf8().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_encoded_text_is_decoded_unchanged(name in ".+", value in ".*") {
            let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            let query = Query::parse(Some(&format!("{}={}", encode(&name), encode(&value)))).unwrap();
            prop_assert_eq!(query.parameters, [(name, value)]);
        }

        #[test]
        fn any_text_is_parsed_or_refused_without_a_panic(text in ".*|([a-z%=&+]|%[0-9a-f]{2}){0,20}") {
            let _ = Query::parse(Some(&text));
        }
    }

    #[test]
    fn a_plus_sign_is_decoded_as_a_space() {
        let mut query = Query::parse(Some("key=a+b%2Bc&&flag")).unwrap();
        assert_eq!(query.take("key").as_deref(), Some("a b+c"));
        assert_eq!(query.take("flag").as_deref(), Some(""));
        assert_eq!(query.take("other"), None);
        assert!(query.finish().is_ok());
    }

    #[test]
    fn invalid_encodings_repeated_names_and_unknown_names_are_refused() {
        for refused in ["a=%", "a=%2", "a=%zz", "a=%+1", "a=%ff", "%=1", "a=1&a=2", "a=1&%61=2"] {
            assert!(Query::parse(Some(refused)).is_err(), "{refused}");
        }
        assert!(Query::parse(Some("a=1")).unwrap().finish().is_err());
        assert!(Query::parse(None).unwrap().finish().is_ok());
    }
}
