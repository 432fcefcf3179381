//! npm packages of the folders of tests and benches, exactly as their lockfiles say.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result, bail};
use xshell::cmd;

use super::{announce, path, sha256};
use crate::process::capture_ok;
use crate::workspace::Workspace;

/// Folders with a committed `package-lock.json` that builds and tests use.
const FOLDERS: &[&str] = &["edge/package", "edge/tests/oracle", "edge/worker", "emulator"];
/// The folder of the benches.
const BENCH: &str = "edge/bench";

/// Installs the packages of each folder that builds and tests use.
pub(super) fn ensure(workspace: &Workspace) -> Result<()> {
    FOLDERS.iter().try_for_each(|folder| ensure_folder(workspace, folder))
}

/// Installs the packages of the benches.
pub(super) fn ensure_bench(workspace: &Workspace) -> Result<()> {
    ensure_folder(workspace, BENCH)
}

/// Makes `node_modules` of the folder a link to packages in the cache that are exactly those of its lockfile: hundreds of
/// megabytes, which all checkouts share.
fn ensure_folder(workspace: &Workspace, folder: &str) -> Result<()> {
    let place = workspace.root.join(folder);
    let lockfile = place.join("package-lock.json");
    let lock = fs::read(&lockfile).with_context(|| format!("no lockfile {}", lockfile.display()))?;
    let name = format!("npm/{}-{}", folder.replace('/', "-"), &sha256::hex(&lock)[..16]);
    let installed = workspace.cache.join(name);
    if !installed.is_dir() {
        install(workspace, folder, &place, &installed)?;
    }
    link(&place.join("node_modules"), &installed.join("node_modules"))
}

/// In a folder beside, which gets its name when it is complete.
fn install(workspace: &Workspace, folder: &str, place: &Path, installed: &Path) -> Result<()> {
    for program in ["node", "npm"] {
        if path::find(program).is_none() {
            bail!("`{program}` is not on PATH: install Node.js 20 or later, with npm ({folder} needs it)");
        }
    }
    announce(&format!("installing the npm packages of {folder}"));
    let parent = workspace.cache.join("npm");
    fs::create_dir_all(&parent)?;
    let begun = tempfile::Builder::new().prefix(".begun-").tempdir_in(&parent)?;
    for file in ["package.json", "package-lock.json"] {
        fs::copy(place.join(file), begun.path().join(file))?;
    }
    let (shell, prefix) = (&workspace.shell, begun.path());
    capture_ok(cmd!(shell, "npm ci --no-audit --no-fund --ignore-scripts --prefix {prefix}"))
        .with_context(|| format!("could not install the npm packages of {folder}"))?;
    match fs::rename(begun.path(), installed) {
        // Another checkout was faster, with the same packages.
        Err(_) if installed.is_dir() => Ok(()),
        renamed => renamed.with_context(|| format!("could not keep the npm packages of {folder}")),
    }
}

/// Makes `link` a link to `target`, in place of a folder or of a link to somewhere else.
fn link(link: &Path, target: &Path) -> Result<()> {
    if fs::read_link(link).is_ok_and(|found| found == target) {
        return Ok(());
    }
    match fs::symlink_metadata(link) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(link)?,
        Ok(_) => fs::remove_file(link)?,
        Err(_) => {}
    }
    symlink(target, link).with_context(|| format!("could not link {} to the cache", link.display()))
}

#[cfg(test)]
mod tests {
    use super::link;
    use std::fs;

    #[test]
    fn a_link_takes_the_place_of_whatever_was_there() {
        let place = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| place.path().join(name));
        fs::create_dir(&first).unwrap();
        fs::create_dir(&second).unwrap();
        fs::write(second.join("package"), "").unwrap();
        let modules = place.path().join("node_modules");
        fs::create_dir_all(modules.join("an/older/install")).unwrap();
        link(&modules, &first).unwrap();
        link(&modules, &second).unwrap();
        link(&modules, &second).unwrap();
        assert_eq!(fs::read_link(&modules).unwrap(), second);
        assert!(modules.join("package").is_file());
    }
}
