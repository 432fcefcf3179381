//! Words that must not be in sources, or not in these sources.

mod clocks;
mod pure;
mod sdk;
mod unfinished;

use super::Violation;
use super::sources::Source;
use super::tokens;

/// All rules about words, over one file.
pub(super) fn check(file: &Source) -> Vec<Violation> {
    // A file that cannot be read is a violation of its own, in `layout`.
    let Ok(all) = tokens::read(&file.text) else { return Vec::new() };
    let mut violations = unfinished::check(file, &all);
    if !file.is_test() {
        let product = tokens::without_tests(&all);
        violations.extend(clocks::check(file, &product));
        violations.extend(pure::check(file, &product));
        violations.extend(sdk::check(file, &product));
    }
    violations
}

/// The place of a token in a file.
fn place(file: &Source, token: &tokens::Token) -> String {
    format!("{}:{}", file.path, token.line)
}

/// The violations that `text` has as the file `path`, for tests of the rules.
#[cfg(test)]
fn violations(path: &str, text: &str) -> Vec<String> {
    check(&Source { path: path.into(), text: text.into() }).iter().map(ToString::to_string).collect()
}
