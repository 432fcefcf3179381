//! The Rust files of one crate.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// A source file.
#[derive(Debug)]
pub(super) struct Source {
    /// Relative to the root of the workspace, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

impl Source {
    /// Returns the folder of the crate, such as `edge` in `edge/src/route.rs`.
    pub(super) fn crate_folder(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }

    /// Returns the path with a line number, such as `edge/src/route.rs:3`.
    pub(super) fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.path)
    }

    /// Whether the path shows that the whole file is test code.
    pub(super) fn is_test(&self) -> bool {
        let mut parts = self.path.trim_end_matches(".rs").split('/');
        parts.any(|part| part == "tests" || part == "testing" || part.ends_with("_tests"))
    }
}

/// Returns every `.rs` file in `folder` and its subfolders, sorted by path. Skips build output and other packages.
pub(super) fn read(root: &Path, folder: &str) -> Result<Vec<Source>> {
    let mut files = Vec::new();
    collect(root, &root.join(folder), &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<Source>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("could not list {}", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            let skipped = name == "target"
                || name == "node_modules"
                || name.as_encoded_bytes().starts_with(b".")
                // A nested package, which is read separately.
                || path.join("Cargo.toml").is_file();
            if !skipped {
                collect(root, &path, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text =
                fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
            files.push(Source { path: path.strip_prefix(root)?.to_string_lossy().into_owned(), text });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Source, read};
    use std::fs;

    #[test]
    fn sources_are_found_at_any_depth_but_not_in_build_output() {
        let root = tempfile::tempdir().unwrap();
        for file in [
            "a/src/lib.rs",
            "a/src/b/c.rs",
            "a/target/x.rs",
            "a/node_modules/y.rs",
            "a/.z/z.rs",
            "a/inner/Cargo.toml",
            "a/inner/src/lib.rs",
            "a/README.md",
        ] {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let paths: Vec<String> = read(root.path(), "a").unwrap().into_iter().map(|file| file.path).collect();
        assert_eq!(paths, ["a/src/b/c.rs", "a/src/lib.rs"]);
    }

    #[test]
    fn test_code_is_recognised_by_its_path() {
        let is_test = |path: &str| Source { path: path.into(), text: String::new() }.is_test();
        assert!(
            is_test("edge/tests/suite.rs")
                && is_test("edge/src/sign/tests.rs")
                && is_test("edge/src/a_tests.rs")
        );
        assert!(!is_test("edge/src/attests.rs") && !is_test("edge/src/sign.rs"));
    }
}
