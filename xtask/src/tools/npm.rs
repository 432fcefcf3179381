//! npm packages of test folders, exactly as their lockfiles say.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use xshell::cmd;

use super::{announce, path, sha256};
use crate::process::capture_ok;
use crate::workspace::Workspace;

/// Folders with a committed `package-lock.json`.
const FOLDERS: &[&str] = &["edge/tests/oracle"];
/// In `node_modules`: the hash of the lockfile that it was installed from.
const STAMP: &str = ".installed-from";

/// Installs the packages of each folder whose lockfile has changed since.
pub(super) fn ensure(workspace: &Workspace) -> Result<()> {
    FOLDERS.iter().try_for_each(|folder| ensure_folder(workspace, folder))
}

fn ensure_folder(workspace: &Workspace, folder: &str) -> Result<()> {
    let place = workspace.root.join(folder);
    let lockfile = place.join("package-lock.json");
    let lock = fs::read(&lockfile).with_context(|| format!("no lockfile {}", lockfile.display()))?;
    let wanted = sha256::hex(&lock);
    if is_installed(&place, &wanted) {
        return Ok(());
    }
    for program in ["node", "npm"] {
        if path::find(program).is_none() {
            bail!(
                "`{program}` is not on PATH: install Node.js 20 or later, with npm (tests of {folder} run it)"
            );
        }
    }
    announce(&format!("installing the npm packages of {folder}"));
    let shell = &workspace.shell;
    capture_ok(cmd!(shell, "npm ci --no-audit --no-fund --ignore-scripts --prefix {place}"))
        .with_context(|| format!("could not install the npm packages of {folder}"))?;
    fs::write(place.join("node_modules").join(STAMP), wanted)?;
    Ok(())
}

fn is_installed(place: &Path, wanted: &str) -> bool {
    fs::read_to_string(place.join("node_modules").join(STAMP)).is_ok_and(|stamp| stamp == wanted)
}

#[cfg(test)]
mod tests {
    use super::{STAMP, is_installed, sha256};
    use std::fs;

    #[test]
    fn packages_are_installed_again_when_the_lockfile_changes() {
        let place = tempfile::tempdir().unwrap();
        let (first, second) = (sha256::hex(b"lock 1"), sha256::hex(b"lock 2"));
        assert!(!is_installed(place.path(), &first));
        fs::create_dir(place.path().join("node_modules")).unwrap();
        fs::write(place.path().join("node_modules").join(STAMP), &first).unwrap();
        assert!(is_installed(place.path(), &first));
        assert!(!is_installed(place.path(), &second));
    }
}
