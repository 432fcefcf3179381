//! Rules about the documentation, size and name of crates and files.

use super::crates::Package;
use super::sources::Source;
use super::tokens;
use super::violation::Violation;

/// The maximum number of lines of a file.
const MAX_LINES: usize = 700;
/// The minimum number of characters of a crate's documentation.
const MIN_DOC_LENGTH: usize = 60;
/// File names that do not describe the contents.
const VAGUE_NAMES: [&str; 6] = ["common", "helpers", "misc", "types", "util", "utils"];

/// Checks that the crate root has documentation.
pub(super) fn check_crate(package: &Package, files: &[Source]) -> Vec<Violation> {
    let roots = [format!("{}/src/lib.rs", package.folder), format!("{}/src/main.rs", package.folder)];
    let found: Vec<&Source> = files.iter().filter(|file| roots.contains(&file.path)).collect();
    if found.is_empty() {
        return vec![Violation::new(&package.name, "has neither src/lib.rs nor src/main.rs")];
    }
    let undocumented = found.into_iter().filter(|file| doc_length(&file.text) < MIN_DOC_LENGTH);
    undocumented
        .map(|file| Violation::new(&file.path, "must begin with `//!` lines that describe the crate"))
        .collect()
}

/// Returns the number of characters of the `//!` documentation at the top of a file.
fn doc_length(text: &str) -> usize {
    let lines = text.lines().skip_while(|line| line.trim().is_empty() || line.starts_with("#!["));
    lines.map_while(|line| line.strip_prefix("//!")).map(|line| line.trim().len()).sum()
}

/// Checks the size and name of a file, and that it is valid Rust.
pub(super) fn check_file(file: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    let lines = file.text.lines().count();
    if lines > MAX_LINES {
        violations.push(Violation::new(
            &file.path,
            format!("has {lines} lines; files of more than {MAX_LINES} must be split"),
        ));
    }
    let name = file.path.rsplit('/').next().unwrap_or_default();
    if name == "mod.rs" {
        violations.push(Violation::new(&file.path, "must be named after its module: `a.rs` beside `a/`"));
    }
    if VAGUE_NAMES.contains(&name.trim_end_matches(".rs")) {
        violations.push(Violation::new(&file.path, "must be named after its contents"));
    }
    if let Err(message) = tokens::read(&file.text) {
        violations.push(Violation::new(&file.path, message));
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::{MAX_LINES, check_crate, check_file};
    use crate::rules::crates::Package;
    use crate::rules::sources::Source;

    fn file(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.into() }
    }

    fn crate_with(text: &str) -> usize {
        let package = Package { name: "a".into(), folder: "a".into(), dependencies: vec![] };
        check_crate(&package, &[file("a/src/lib.rs", text), file("a/src/b.rs", "")]).len()
    }

    #[test]
    fn a_crate_without_documentation_is_found() {
        assert_eq!(crate_with("fn a() {}"), 1);
        assert_eq!(crate_with("//! x\nfn a() {}"), 1);
        assert_eq!(
            crate_with(
                "fn a() {}\n//! Too late: documentation that comes after the code is not the crate's own."
            ),
            1
        );
        assert_eq!(
            crate_with("//! What this crate is for, in a sentence that is worth reading at all.\n"),
            0
        );
        assert_eq!(
            crate_with(
                "#![no_std]\n//! What this crate is for,\n//!\n//! in sentences that are worth reading at all.\n"
            ),
            0
        );
    }

    #[test]
    fn a_crate_without_a_root_is_found() {
        let package = Package { name: "a".into(), folder: "a".into(), dependencies: vec![] };
        assert_eq!(check_crate(&package, &[file("a/src/b.rs", "")]).len(), 1);
    }

    #[test]
    fn a_file_that_is_too_long_is_found() {
        assert_eq!(check_file(&file("a/src/b.rs", &"\n".repeat(MAX_LINES))).len(), 0);
        assert_eq!(check_file(&file("a/src/b.rs", &"\n".repeat(MAX_LINES + 1))).len(), 1);
    }

    #[test]
    fn a_file_with_a_vague_name_is_found() {
        for path in ["a/src/b/mod.rs", "a/src/utils.rs", "a/src/types.rs", "a/tests/common.rs"] {
            assert_eq!(check_file(&file(path, "")).len(), 1, "{path}");
        }
        assert_eq!(check_file(&file("a/src/media_types.rs", "")).len(), 0);
    }

    #[test]
    fn a_file_that_is_not_rust_is_found() {
        assert_eq!(check_file(&file("a/src/b.rs", "fn a( {")).len(), 1);
    }
}
