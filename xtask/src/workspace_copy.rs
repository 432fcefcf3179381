//! A copy of the workspace, to change it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use xshell::cmd;

use crate::process::capture_ok;
use crate::workspace::Workspace;

/// Copies all files that belong to the workspace to the folder `root`, each with the content that `change` makes of its path in the
/// workspace and its own content. Files that are equal are left alone, so that they are not built again. Files that the workspace does not
/// have are removed, except in a build directory.
pub(crate) fn update(
    workspace: &Workspace,
    root: &Path,
    change: impl Fn(&str, Vec<u8>) -> Result<Vec<u8>>,
) -> Result<()> {
    let shell = &workspace.shell;
    let listed = capture_ok(cmd!(shell, "git ls-files --cached --others --exclude-standard"))?;
    let files: BTreeSet<&str> = listed.lines().filter(|file| workspace.root.join(file).is_file()).collect();
    if root.is_dir() {
        remove_others(root, root, &files)?;
    }
    for file in files {
        let content =
            fs::read(workspace.root.join(file)).with_context(|| format!("could not read {file}"))?;
        write_changed(&root.join(file), &change(file, content)?)?;
    }
    Ok(())
}

/// Removes the files below `folder` whose paths in `root` are not among `files`.
fn remove_others(root: &Path, folder: &Path, files: &BTreeSet<&str>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("could not list {}", folder.display()))? {
        let path = entry?.path();
        let relative = path.strip_prefix(root).ok().and_then(Path::to_str).unwrap_or_default();
        if path.is_dir() && !path.is_symlink() {
            if relative != "target" {
                remove_others(root, &path, files)?;
            }
        } else if !files.contains(relative) {
            fs::remove_file(&path).with_context(|| format!("could not remove {}", path.display()))?;
        }
    }
    Ok(())
}

fn write_changed(path: &Path, content: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|present| present == content) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, content).with_context(|| format!("could not write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::update;
    use crate::workspace::Workspace;

    #[test]
    fn a_copy_has_the_changed_files_and_no_others_and_equal_files_are_not_written_again() {
        let workspace = Workspace::find().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let change = |file: &str, content: Vec<u8>| {
            Ok(if file == "Cargo.toml" { b"changed".to_vec() } else { content })
        };
        for file in ["target/kept", "events/src/removed.rs"] {
            fs::create_dir_all(folder.path().join(file).parent().unwrap()).unwrap();
            fs::write(folder.path().join(file), "").unwrap();
        }
        update(&workspace, folder.path(), change).unwrap();
        let written = || fs::metadata(folder.path().join("events/src/lib.rs")).unwrap().modified().unwrap();
        let first = written();
        update(&workspace, folder.path(), change).unwrap();
        assert_eq!(written(), first);
        assert_eq!(fs::read(folder.path().join("Cargo.toml")).unwrap(), b"changed");
        assert!(folder.path().join("target/kept").is_file());
        assert!(!folder.path().join("events/src/removed.rs").exists());
    }
}
