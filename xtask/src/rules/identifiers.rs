//! Identifiers that must not occur in certain sources.

mod clocks;
mod ignored;
mod pure;
mod sdk;

use super::Violation;
use super::sources::Source;
use super::tokens;

/// Checks one file.
pub(super) fn check(file: &Source) -> Vec<Violation> {
    // A file that cannot be parsed is reported by `layout`.
    let Ok(all) = tokens::read(&file.text) else { return Vec::new() };
    let mut violations = ignored::check(file, &all);
    if !file.is_test() {
        let product = tokens::without_tests(&all);
        violations.extend(clocks::check(file, &product));
        violations.extend(pure::check(file, &product));
        violations.extend(sdk::check(file, &product));
    }
    violations
}

/// Returns the file and line of a token.
fn place(file: &Source, token: &tokens::Token) -> String {
    format!("{}:{}", file.path, token.line)
}

/// Returns the violations of `text` as the file `path`, for tests of the rules.
#[cfg(test)]
fn violations(path: &str, text: &str) -> Vec<String> {
    check(&Source { path: path.into(), text: text.into() }).iter().map(ToString::to_string).collect()
}
