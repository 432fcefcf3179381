//! Event patterns of EventBridge.
//! <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html>

use serde_json::{Map, Value};

/// An event pattern: members with lists of alternatives, nested as in the event.
///
/// An alternative is a literal, `{"prefix": …}`, `{"suffix": …}`, `{"equals-ignore-case": …}`, `{"exists": …}` or
/// `{"anything-but": …}` with literals. [`EventPattern::new`] fails for other comparisons.
#[derive(Debug, Clone, PartialEq)]
pub struct EventPattern(Vec<(String, Member)>);

#[derive(Debug, Clone, PartialEq)]
enum Member {
    Nested(EventPattern),
    AnyOf(Vec<Alternative>),
}

#[derive(Debug, Clone, PartialEq)]
enum Alternative {
    Literal(Value),
    Prefix(String),
    Suffix(String),
    IgnoringCase(String),
    Exists(bool),
    AnythingBut(Vec<Value>),
}

/// A pattern that is invalid or uses a comparison that is not emulated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct PatternError {
    text: String,
}

fn error(text: impl Into<String>) -> PatternError {
    PatternError { text: text.into() }
}

impl EventPattern {
    /// Parses the JSON of a pattern.
    pub fn new(pattern: &Value) -> Result<Self, PatternError> {
        let members = pattern.as_object().ok_or_else(|| error("a pattern must be an object"))?;
        if members.is_empty() {
            return Err(error("a pattern must have at least one member"));
        }
        let members = members.iter().map(|(name, value)| {
            let member = match value {
                Value::Object(_) => Member::Nested(Self::new(value)?),
                Value::Array(alternatives) => {
                    let alternatives: Result<Vec<_>, _> = alternatives.iter().map(Alternative::new).collect();
                    Member::AnyOf(alternatives?)
                }
                _ => return Err(error(format!("{name} must be an object or a list of alternatives"))),
            };
            Ok((name.clone(), member))
        });
        members.collect::<Result<Vec<_>, _>>().map(Self)
    }

    /// Whether the event matches.
    pub fn matches(&self, event: &Value) -> bool {
        self.0.iter().all(|(name, member)| {
            let value = event.get(name);
            match member {
                Member::Nested(pattern) => pattern.matches(value.unwrap_or(&Value::Null)),
                Member::AnyOf(alternatives) => alternatives.iter().any(|it| it.matches(value)),
            }
        })
    }
}

impl Alternative {
    fn new(value: &Value) -> Result<Self, PatternError> {
        let Value::Object(comparison) = value else {
            return if value.is_array() {
                Err(error("an alternative must not be a list"))
            } else {
                Ok(Self::Literal(value.clone()))
            };
        };
        let (name, operand) = only(comparison)?;
        let text = || {
            operand
                .as_str()
                .map(str::to_owned)
                .ok_or_else(|| error(format!("the operand of {name} must be a string")))
        };
        match name {
            "prefix" => text().map(Self::Prefix),
            "suffix" => text().map(Self::Suffix),
            "equals-ignore-case" => text().map(Self::IgnoringCase),
            "exists" => operand
                .as_bool()
                .map(Self::Exists)
                .ok_or_else(|| error("the operand of exists must be true or false")),
            "anything-but" => match operand {
                Value::Array(values) if !values.iter().any(|it| it.is_object() || it.is_array()) => {
                    Ok(Self::AnythingBut(values.clone()))
                }
                Value::Array(_) | Value::Object(_) => {
                    Err(error("the operand of anything-but must be a literal or a list of literals"))
                }
                literal => Ok(Self::AnythingBut(vec![literal.clone()])),
            },
            other => Err(error(format!("the comparison {other} is not emulated"))),
        }
    }

    /// Whether a value matches. A list matches if one of its elements does.
    fn matches(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Self::Exists(exists), value) => value.is_some() == *exists,
            (_, None) => false,
            (_, Some(Value::Array(elements))) => elements.iter().any(|element| self.matches_one(element)),
            (_, Some(value)) => self.matches_one(value),
        }
    }

    fn matches_one(&self, value: &Value) -> bool {
        let text = |matches: &dyn Fn(&str) -> bool| value.as_str().is_some_and(matches);
        match self {
            Self::Literal(literal) => literal == value,
            Self::Prefix(prefix) => text(&|it| it.starts_with(prefix)),
            Self::Suffix(suffix) => text(&|it| it.ends_with(suffix)),
            Self::IgnoringCase(other) => text(&|it| it.to_lowercase() == other.to_lowercase()),
            Self::AnythingBut(values) => !values.contains(value),
            Self::Exists(exists) => *exists,
        }
    }
}

fn only(comparison: &Map<String, Value>) -> Result<(&str, &Value), PatternError> {
    let mut members = comparison.iter();
    match (members.next(), members.next()) {
        (Some((name, operand)), None) => Ok((name, operand)),
        _ => Err(error("a comparison must have exactly one member")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn matches(pattern: &Value, event: &Value) -> bool {
        EventPattern::new(pattern).unwrap().matches(event)
    }

    #[test]
    fn all_members_must_match_and_one_alternative_of_each() {
        let event =
            json!({"source": "aws.ecs", "detail": {"lastStatus": "STOPPED", "group": "family:a", "n": 1}});
        for (pattern, expected) in [
            (json!({"source": ["aws.s3", "aws.ecs"]}), true),
            (json!({"source": ["aws.s3"]}), false),
            (json!({"source": ["aws.ecs"], "detail": {"lastStatus": ["RUNNING", "STOPPED"]}}), true),
            (json!({"source": ["aws.ecs"], "detail": {"lastStatus": ["RUNNING"]}}), false),
            (json!({"detail": {"group": [{"prefix": "family:"}]}}), true),
            (json!({"detail": {"group": [{"suffix": ":b"}]}}), false),
            (json!({"detail": {"group": [{"equals-ignore-case": "FAMILY:A"}]}}), true),
            (json!({"detail": {"stopCode": [{"exists": false}]}}), true),
            (json!({"detail": {"lastStatus": [{"exists": false}]}}), false),
            (json!({"detail": {"lastStatus": [{"anything-but": ["STOPPED"]}]}}), false),
            (json!({"detail": {"lastStatus": [{"anything-but": "RUNNING"}]}}), true),
            (json!({"detail": {"n": [1]}}), true),
            (json!({"detail": {"missing": {"deeper": ["a"]}}}), false),
        ] {
            assert_eq!(matches(&pattern, &event), expected, "{pattern}");
        }
    }

    #[test]
    fn a_list_in_the_event_matches_by_any_of_its_elements() {
        let event = json!({"resources": ["a", "b"]});
        assert!(matches(&json!({"resources": ["b", "c"]}), &event));
        assert!(!matches(&json!({"resources": ["c"]}), &event));
    }

    #[test]
    fn unknown_comparisons_are_refused() {
        for pattern in [
            json!({}),
            json!([]),
            json!({"source": "aws.s3"}),
            json!({"source": [["aws.s3"]]}),
            json!({"source": [{"wildcard": "*"}]}),
            json!({"source": [{"prefix": 1}]}),
            json!({"source": [{"prefix": "a", "suffix": "b"}]}),
        ] {
            assert!(EventPattern::new(&pattern).is_err(), "{pattern}");
        }
    }
}
