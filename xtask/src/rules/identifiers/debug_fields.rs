//! Log lines are text with fields, not Rust values: no field of `tracing`'s macros is written with `Debug`.
//!
//! People and log searches read them, and the form of `Debug` changes with every change of a type.

use crate::rules::sources::Source;
use crate::rules::tokens::{Kind, Token, closing};
use crate::rules::violation::Violation;

const LEVELS: [&str; 10] = [
    "trace",
    "debug",
    "info",
    "warn",
    "error",
    "trace_span",
    "debug_span",
    "info_span",
    "warn_span",
    "error_span",
];

/// Checks one file.
pub(super) fn check(file: &Source, tokens: &[Token]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for open in macros(tokens) {
        let arguments = &tokens[open..closing(tokens, open)];
        violations.extend(debug_fields(arguments).map(|token| {
            let advice = "a log line has a field in the form of `Debug`: use `%` and a `Display`, or name the fields of the value";
            Violation::new(file.place(token.line), advice.to_owned())
        }));
    }
    violations
}

/// The index of the opening bracket of each macro `tracing::<level>!`.
fn macros(tokens: &[Token]) -> impl Iterator<Item = usize> {
    (5..tokens.len()).filter(|&index| {
        let before = |distance: usize| &tokens[index - distance];
        tokens[index].kind == Kind::Open
            && before(1).is("!")
            && LEVELS.iter().any(|level| before(2).is(level))
            && before(3).is(":")
            && before(5).is("tracing")
    })
}

/// The sigils `?` at the beginning of a field's value or of a field, and the format `{:?}`. A `?` after an expression is another
/// operator.
fn debug_fields(arguments: &[Token]) -> impl Iterator<Item = &Token> {
    arguments.windows(2).filter_map(|pair| {
        let begins = ["(", ",", "="].iter().any(|text| pair[0].is(text));
        let is_sigil = begins && pair[1].is("?");
        let is_format = pair[1].kind == Kind::Literal && pair[1].text.contains(":?}");
        (is_sigil || is_format).then_some(&pair[1])
    })
}

#[cfg(test)]
mod tests {
    use super::super::violations;

    #[test]
    fn a_field_in_the_form_of_debug_is_found() {
        for code in [
            "fn a() { tracing::info!(?probe, \"probed\"); }",
            "fn a() { tracing::warn!(id = %id, end = ?end, \"ended\"); }",
            "fn a() { tracing::error!(id, ?end); }",
            "fn a() { tracing::debug!(\"{end:?}\"); }",
            "fn a() { tracing::info_span!(\"a\", ?end); }",
        ] {
            assert_eq!(violations("local/src/a.rs", code).len(), 1, "{code}");
        }
    }

    #[test]
    fn other_fields_and_other_question_marks_are_allowed() {
        for code in [
            "fn a() { tracing::info!(id = %id, bytes = size()?, \"read\"); }",
            "fn a() { let b = c()?; tracing::info!(\"{b}\"); }",
            "#[cfg(test)] mod tests { fn a() { tracing::info!(?probe); } }",
            "fn a() { panic!(\"{probe:?}\"); }",
        ] {
            assert_eq!(violations("local/src/a.rs", code), [""; 0], "{code}");
        }
    }
}
