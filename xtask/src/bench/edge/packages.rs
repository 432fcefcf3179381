//! The pinned npm packages of `edge/bench`: the runtime, the bundler and the peers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::process::{capture, capture_ok};
use crate::workspace::Workspace;

/// The installed packages.
pub(super) struct Packages {
    /// `edge/bench`.
    pub(super) folder: PathBuf,
    /// The executable. npm's wrapper script is not used because it starts a Node.js process.
    pub(super) workerd: PathBuf,
    pub(super) esbuild: PathBuf,
}

impl Packages {
    /// Finds the packages that npm installed. Fails if an executable is missing.
    pub(super) fn find(workspace: &Workspace) -> Result<Self> {
        let folder = workspace.root.join("edge/bench");
        let modules = folder.join("node_modules");
        let workerd = platform_variant(&modules.join("@cloudflare"), "workerd-")?.join("bin/workerd");
        let esbuild = platform_variant(&modules.join("@esbuild"), "")?.join("bin/esbuild");
        for program in [&workerd, &esbuild] {
            if !program.is_file() {
                bail!(
                    "{} does not exist: remove {} and run this again",
                    program.display(),
                    modules.display()
                );
            }
        }
        Ok(Self { folder, workerd, esbuild })
    }

    /// Returns the names and versions of the measured programs.
    pub(super) fn versions(&self) -> Result<String> {
        let workerd = capture_ok(version_command(&self.workerd))?;
        let wrk = capture(version_command(Path::new("wrk")))?;
        // wrk prints its version and exits with the status of wrong usage.
        let wrk = String::from_utf8_lossy(&wrk.stdout).lines().next().unwrap_or_default().to_owned();
        let wrk = wrk.split(" [").next().unwrap_or_default().to_owned();
        let peers = ["aws4fetch", "@aws-sdk/cloudfront-signer", "m3u8-parser"]
            .map(|name| Ok(format!("{name} {}", self.version(name)?)))
            .into_iter()
            .collect::<Result<Vec<_>>>()?;
        Ok([vec![workerd.trim().to_owned(), wrk], peers].concat().join(", "))
    }

    fn version(&self, package: &str) -> Result<String> {
        let file = self.folder.join("node_modules").join(package).join("package.json");
        let text = fs::read(&file).with_context(|| format!("could not read {}", file.display()))?;
        let manifest: Value = serde_json::from_slice(&text)?;
        Ok(manifest["version"].as_str().with_context(|| format!("{package} has no version"))?.to_owned())
    }
}

fn version_command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("--version");
    command
}

/// Returns the folder of a package's variant for this platform, the only variant that npm installs.
fn platform_variant(scope: &Path, prefix: &str) -> Result<PathBuf> {
    let entries =
        fs::read_dir(scope).with_context(|| format!("npm has installed nothing in {}", scope.display()))?;
    let mut variants = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            variants.push(entry.path());
        }
    }
    match &variants[..] {
        [only] => Ok(only.clone()),
        [] => bail!("npm has installed no {}/{prefix}… for this platform", scope.display()),
        _ => bail!("{} contains more than one {prefix}…: remove it and run this again", scope.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::platform_variant;
    use std::fs;

    #[test]
    fn a_single_variant_is_found_and_several_are_refused() {
        let scope = tempfile::tempdir().unwrap();
        let find = || platform_variant(scope.path(), "workerd-");
        assert!(find().unwrap_err().to_string().contains("for this platform"));
        fs::create_dir(scope.path().join("kv-asset-handler")).unwrap();
        fs::create_dir(scope.path().join("workerd-linux-64")).unwrap();
        assert_eq!(find().unwrap(), scope.path().join("workerd-linux-64"));
        fs::create_dir(scope.path().join("workerd-darwin-64")).unwrap();
        assert!(find().unwrap_err().to_string().contains("more than one"));
    }
}
