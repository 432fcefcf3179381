//! The pinned packages of `edge/bench`: the runtime, the bundler and the peers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::process::{capture, capture_ok};
use crate::workspace::Workspace;

pub(super) struct Packages {
    /// `edge/bench`.
    pub(super) folder: PathBuf,
    /// The program itself: npm's wrapper would start a Node.js process before it.
    pub(super) workerd: PathBuf,
    pub(super) esbuild: PathBuf,
}

impl Packages {
    pub(super) fn find(workspace: &Workspace) -> Result<Self> {
        let folder = workspace.root.join("edge/bench");
        let modules = folder.join("node_modules");
        let workerd = of_this_platform(&modules.join("@cloudflare"), "workerd-")?.join("bin/workerd");
        let esbuild = of_this_platform(&modules.join("@esbuild"), "")?.join("bin/esbuild");
        for program in [&workerd, &esbuild] {
            if !program.is_file() {
                bail!("{} is not there: remove {} and run this again", program.display(), modules.display());
            }
        }
        Ok(Self { folder, workerd, esbuild })
    }

    /// What takes part, with its version.
    pub(super) fn versions(&self) -> Result<String> {
        let workerd = capture_ok(with(&self.workerd, "--version"))?;
        let wrk = capture(with(Path::new("wrk"), "--version"))?;
        // It prints its version with an exit code that says "wrong usage".
        let wrk = String::from_utf8_lossy(&wrk.stdout).lines().next().unwrap_or_default().to_owned();
        let wrk = wrk.split(" [").next().unwrap_or_default().to_owned();
        let peers = ["aws4fetch", "@aws-sdk/cloudfront-signer"]
            .map(|name| Ok(format!("{name} {}", self.version(name)?)))
            .into_iter()
            .collect::<Result<Vec<_>>>()?;
        Ok([vec![workerd.trim().to_owned(), wrk], peers].concat().join(", "))
    }

    fn version(&self, package: &str) -> Result<String> {
        let file = self.folder.join("node_modules").join(package).join("package.json");
        let text = fs::read(&file).with_context(|| format!("could not read {}", file.display()))?;
        let manifest: Value = serde_json::from_slice(&text)?;
        Ok(manifest["version"].as_str().with_context(|| format!("{package} states no version"))?.to_owned())
    }
}

fn with(program: &Path, argument: &str) -> Command {
    let mut command = Command::new(program);
    command.arg(argument);
    command
}

/// npm installs only the one of a package's variants that this platform runs.
fn of_this_platform(scope: &Path, prefix: &str) -> Result<PathBuf> {
    let entries =
        fs::read_dir(scope).with_context(|| format!("npm installed nothing into {}", scope.display()))?;
    let mut variants = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            variants.push(entry.path());
        }
    }
    match &variants[..] {
        [only] => Ok(only.clone()),
        [] => bail!("npm has no {}/{prefix}… for this platform", scope.display()),
        _ => bail!("{} holds more than one {prefix}…: remove it and run this again", scope.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::of_this_platform;
    use std::fs;

    #[test]
    fn the_only_variant_is_taken_and_several_are_refused() {
        let scope = tempfile::tempdir().unwrap();
        let find = || of_this_platform(scope.path(), "workerd-");
        assert!(find().unwrap_err().to_string().contains("for this platform"));
        fs::create_dir(scope.path().join("kv-asset-handler")).unwrap();
        fs::create_dir(scope.path().join("workerd-linux-64")).unwrap();
        assert_eq!(find().unwrap(), scope.path().join("workerd-linux-64"));
        fs::create_dir(scope.path().join("workerd-darwin-64")).unwrap();
        assert!(find().unwrap_err().to_string().contains("more than one"));
    }
}
