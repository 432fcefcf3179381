//! No test and no documentation example is ignored. (Clippy rejects `todo!`, `unimplemented!` and `dbg!`.)

use crate::rules::sources::Source;
use crate::rules::tokens::{Kind, Token, attributes, closing};
use crate::rules::violation::Violation;

/// Checks one file.
pub(super) fn check(file: &Source, tokens: &[Token]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for open in attributes(tokens) {
        let inside = &tokens[open + 1..closing(tokens, open)];
        if ignores_a_test(inside) && !is_started_by_another_test(tokens, open) {
            let message = "an ignored test tests nothing: enable it, delete it, or start it from a test in \
                           this file (as a second process, by its name and `--ignored`)";
            violations.push(Violation::new(file.place(tokens[open].line), message));
        }
        if ignores_an_example(inside) {
            let message = "an ignored example is not tested: enable it, or mark it `text`";
            violations.push(Violation::new(file.place(tokens[open].line), message));
        }
    }
    violations
}

/// Whether the attribute is `#[ignore]`, `#[ignore = "…"]` or `#[cfg_attr(…, ignore)]`.
fn ignores_a_test(inside: &[Token]) -> bool {
    match inside.first() {
        Some(first) if first.is("cfg_attr") => inside.iter().any(|token| token.is("ignore")),
        Some(first) => first.is("ignore"),
        None => false,
    }
}

/// Whether the file contains the test's name and `--ignored` as literals, as a test does that starts this one as a second process.
fn is_started_by_another_test(tokens: &[Token], attribute: usize) -> bool {
    let mut names = tokens[attribute..].windows(2).filter(|pair| pair[0].is("fn")).map(|pair| &pair[1].text);
    let Some(name) = names.next() else { return false };
    let mut literals =
        tokens.iter().filter(|token| token.kind == Kind::Literal).map(|token| token.text.trim_matches('"'));
    let is_named = |text: &str| text == name || text.ends_with(&format!("::{name}"));
    literals.clone().any(is_named) && literals.any(|text| text == "--ignored")
}

/// Whether a doc comment (a `doc = "…"` attribute here) contains a code fence with `ignore`.
fn ignores_an_example(inside: &[Token]) -> bool {
    let [name, .., literal] = inside else { return false };
    let text = literal.text.trim_matches('"').trim();
    name.is("doc")
        && text.strip_prefix("```").is_some_and(|fence| fence.split(',').any(|word| word.trim() == "ignore"))
}

#[cfg(test)]
mod tests {
    use super::super::violations;

    #[test]
    fn an_ignored_test_is_found() {
        for attribute in ["#[ignore]", "#[ignore = \"slow\"]", "#[cfg_attr(windows, ignore)]"] {
            let found = violations(
                "edge/src/a.rs",
                &format!("#[cfg(test)] mod tests {{ #[test] {attribute} fn a() {{}} }}"),
            );
            assert_eq!(found.len(), 1, "{attribute}");
        }
        assert_eq!(violations("edge/src/a.rs", "#[serde(skip, ignore)] struct A;"), [""; 0]);
    }

    #[test]
    fn an_ignored_test_that_another_test_starts_as_a_process_is_allowed() {
        let second = "#[test] #[ignore = \"started below\"] fn writer() {}";
        let started = "#[test] fn a() { run([\"--exact\", \"suite::writer\", \"--ignored\"]); }";
        assert_eq!(violations("edge/tests/a.rs", &format!("{second} {started}")), [""; 0]);
        let other = started.replace("writer", "other_writer");
        assert_eq!(violations("edge/tests/a.rs", &format!("{second} {other}")).len(), 1);
        let not_run = started.replace("--ignored", "--list");
        assert_eq!(violations("edge/tests/a.rs", &format!("{second} {not_run}")).len(), 1);
    }

    #[test]
    fn an_ignored_example_is_found() {
        assert_eq!(violations("edge/src/a.rs", "/// ```rust,ignore\n/// a\n/// ```\nfn a() {}").len(), 1);
        assert_eq!(violations("edge/src/a.rs", "/// ```text\n/// ignore\n/// ```\nfn a() {}"), [""; 0]);
    }
}
