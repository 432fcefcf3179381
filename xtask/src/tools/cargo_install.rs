//! Programs of crates.io at pinned versions, which cargo builds into the cache.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use xshell::cmd;

use super::announce::announce;
use super::path;
use crate::process::{capture, capture_ok};
use crate::workspace::Workspace;

/// A program to build.
pub(super) struct Program<'a> {
    /// The name of the crate.
    pub(super) package: &'a str,
    /// The name of the program's file.
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    /// How long the build takes, for the message.
    pub(super) takes: &'a str,
    /// Whether the build uses the crate's own lockfile.
    pub(super) is_locked: bool,
    /// The optimisation level. An unoptimised build takes a quarter of the time of a release.
    pub(super) opt_level: u8,
}

impl Program<'_> {
    /// Returns the program on PATH if it has this version, otherwise the one in the cache, which is built if it is missing.
    pub(super) fn ensure(&self, workspace: &Workspace) -> Result<PathBuf> {
        if let Some(program) = path::find(self.name).filter(|program| self.is_version_of(program)) {
            return Ok(program);
        }
        Ok(self.ensure_folder(workspace)?.join(self.name))
    }

    /// Returns the folder of the program in the cache, which is built if it is missing. With this folder on PATH, cargo finds its
    /// subcommands.
    pub(super) fn ensure_folder(&self, workspace: &Workspace) -> Result<PathBuf> {
        let Self { package, name, version, .. } = *self;
        let folder = workspace.cache.join(format!("tools/{package}-{version}"));
        let bin = folder.join("bin");
        if bin.join(name).is_file() {
            return Ok(bin);
        }
        announce(&format!("building {name} {version} (once; {})", self.takes));
        // The build directory is in the cache folder, because /tmp is often in memory.
        let build = folder.join("build");
        let (shell, cargo) = (&workspace.shell, env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
        let locked = self.is_locked.then_some("--locked");
        capture_ok(
            cmd!(
                shell,
                "{cargo} install {package} --version ={version} --bin {name} --debug --force {locked...}"
            )
            .args(["--root".as_ref(), folder.as_os_str(), "--target-dir".as_ref(), build.as_os_str()])
            .env("CARGO_PROFILE_DEV_DEBUG", "false")
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", self.opt_level.to_string())
            .env("CARGO_INCREMENTAL", "0"),
        )
        .with_context(|| format!("could not build {name}"))?;
        fs::remove_dir_all(&build).with_context(|| format!("could not remove {}", build.display()))?;
        Ok(bin)
    }

    fn is_version_of(&self, program: &Path) -> bool {
        let mut command = Command::new(program);
        command.arg("--version");
        capture(command).is_ok_and(|output| {
            String::from_utf8_lossy(&output.stdout).trim() == format!("{} {}", self.name, self.version)
        })
    }
}
