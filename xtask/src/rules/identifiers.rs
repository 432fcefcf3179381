//! Identifiers that must not occur in certain sources.

mod clocks;
mod debug_fields;
mod ignored;
mod pure;
mod sdk;

use super::sources::Source;
use super::tokens;
use super::violation::Violation;

/// Checks one file.
pub(super) fn check(file: &Source) -> Vec<Violation> {
    // A file that cannot be parsed is reported by `layout`.
    let Ok(all) = tokens::read(&file.text) else { return Vec::new() };
    let mut violations = ignored::check(file, &all);
    if !file.is_test() {
        let product = tokens::without_tests(&all);
        violations.extend(clocks::check(file, &product));
        violations.extend(debug_fields::check(file, &product));
        violations.extend(pure::check(file, &product));
        violations.extend(sdk::check(file, &product));
    }
    violations
}

/// Returns the violations in a file `path` with the contents `text`, for the tests of the rules. All rules are checked, so that a
/// test also fails if another rule is violated.
#[cfg(test)]
fn violations(path: &str, text: &str) -> Vec<String> {
    check(&Source { path: path.into(), text: text.into() }).iter().map(ToString::to_string).collect()
}
