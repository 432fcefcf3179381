//! The npm packages of builds, tests and benchmarks, as in their lockfiles.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::cmd;

use super::announce::announce;
use super::{path, sha256};
use crate::process::capture_ok;
use crate::workspace::Workspace;

/// The folders of builds and tests that have a `package-lock.json`.
const FOLDERS: &[&str] =
    &["cli/tests/clients", "edge/contract", "edge/package", "edge/tests/oracle", "edge/worker", "emulator"];
/// The folder of the benchmarks.
const BENCH: &str = "edge/bench";

/// Installs the packages of builds and tests.
pub(super) fn ensure(workspace: &Workspace) -> Result<()> {
    FOLDERS.iter().try_for_each(|folder| ensure_folder(workspace, folder).map(drop))
}

/// Installs the packages of the benchmarks.
pub(super) fn ensure_bench(workspace: &Workspace) -> Result<()> {
    ensure_folder(workspace, BENCH).map(drop)
}

/// Makes `node_modules` of the folder a link to the cache, where the packages of its lockfile are installed. All checkouts
/// share them, because they have hundreds of megabytes. Returns the folder in the cache, which is of this lockfile only.
pub(super) fn ensure_folder(workspace: &Workspace, folder: &str) -> Result<PathBuf> {
    let project = workspace.root.join(folder);
    let lockfile = project.join("package-lock.json");
    let lock = fs::read(&lockfile).with_context(|| format!("no lockfile {}", lockfile.display()))?;
    let name = format!("npm/{}-{}", folder.replace('/', "-"), &sha256::hex(&lock)[..16]);
    let installed = workspace.cache.join(name);
    if !installed.is_dir() {
        install(workspace, folder, &project, &installed)?;
    }
    link(&project.join("node_modules"), &installed.join("node_modules"))?;
    Ok(installed)
}

/// Installs the packages in a temporary folder, and renames it to `installed` when it is complete.
fn install(workspace: &Workspace, folder: &str, project: &Path, installed: &Path) -> Result<()> {
    for program in ["node", "npm"] {
        if path::find(program).is_none() {
            bail!("`{program}` is not on PATH: install Node.js 20 or later, with npm ({folder} needs it)");
        }
    }
    announce(&format!("installing the npm packages of {folder}"));
    let parent = workspace.cache.join("npm");
    fs::create_dir_all(&parent)?;
    let incomplete = tempfile::Builder::new().prefix(".incomplete-").tempdir_in(&parent)?;
    for file in ["package.json", "package-lock.json"] {
        fs::copy(project.join(file), incomplete.path().join(file))?;
    }
    let (shell, prefix) = (&workspace.shell, incomplete.path());
    capture_ok(cmd!(shell, "npm ci --no-audit --no-fund --ignore-scripts --prefix {prefix}"))
        .with_context(|| format!("could not install the npm packages of {folder}"))?;
    match fs::rename(incomplete.path(), installed) {
        // Another process has installed the same packages in the meantime.
        Err(_) if installed.is_dir() => Ok(()),
        renamed => {
            renamed.with_context(|| format!("could not move the npm packages of {folder} to the cache"))
        }
    }
}

/// Makes `link` a symbolic link to `target`. Replaces an existing folder or link.
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
    fn a_link_replaces_a_folder_and_another_link() {
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
