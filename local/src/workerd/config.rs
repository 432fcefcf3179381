//! How workerd runs the built Worker: its files, Node.js, and what to do if one of them is missing.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The files of a built Worker.
const WORKER_FILES: [&str; 2] = ["index.js", "index.wasm"];
/// The script that runs them.
const SCRIPT: &str = "run.mjs";
/// The script's folder in a checkout.
const SCRIPT_FOLDER: &str = "edge/worker";

/// How the Worker is run.
#[derive(Debug, Clone)]
pub struct WorkerdConfig {
    /// The folder of `index.js` and `index.wasm`.
    pub folder: PathBuf,
    /// The path of `run.mjs`. The npm package miniflare must be installed where Node.js finds it from this path.
    pub script: PathBuf,
    /// Node.js, 20 or later.
    pub node: OsString,
    /// Where a grant is recorded before its response is sent.
    pub journal: WorkerJournal,
}

/// Where a grant is recorded before its response is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerJournal {
    /// In the event log: no acknowledged grant is ever lost.
    Home,
    /// In the simulated queue. Queues are durable in the cloud; this one is in memory. A grant that waits in it (for some
    /// milliseconds, or for as long as the log is unavailable) is lost when workerd ends.
    Queue,
}

/// Why the Worker cannot be run, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum WorkerdError {
    /// A file of the Worker is missing.
    #[error(
        "the Worker is not built: there is no {0}; run `cargo xtask edge build`, or name the built Worker's folder with --edge-worker"
    )]
    NotBuilt(PathBuf),
    /// The script that runs it is missing.
    #[error(
        "there is no {SCRIPT} in {0}, nor {SCRIPT_FOLDER}/{SCRIPT} in a folder around it: the built Worker must be in the checkout, or have {SCRIPT} and its node_modules beside it"
    )]
    NoScript(PathBuf),
    /// The script's packages are missing.
    #[error(
        "the npm package miniflare is not installed for {0}; run `cargo xtask tools`, or `npm ci` in its folder"
    )]
    NoPackages(PathBuf),
    /// Node.js is missing or broken.
    #[error("`{program}` does not run: {reason}; install Node.js 20 or later")]
    NoNode {
        /// The program.
        program: String,
        /// Its exit status, or why it could not be started.
        reason: String,
    },
    /// Node.js is too old.
    #[error("`{program}` is Node.js {version}; install 20 or later")]
    OldNode {
        /// The program.
        program: String,
        /// Its version.
        version: String,
    },
    /// It ended before it accepted requests.
    #[error("the Worker did not start: {0}")]
    NotStarted(String),
}

impl WorkerdConfig {
    /// Returns the configuration for the Worker built into `folder`. Uses the `run.mjs` in `folder`, or else that of the
    /// checkout that contains `folder`.
    ///
    /// Fails if a file of the Worker, the script or the npm package miniflare is missing.
    pub fn find(folder: &Path, journal: WorkerJournal) -> Result<Self, WorkerdError> {
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        if let Some(missing) = WORKER_FILES.iter().map(|name| folder.join(name)).find(|path| !path.is_file())
        {
            return Err(WorkerdError::NotBuilt(missing));
        }
        let in_checkout = folder.ancestors().map(|above| above.join(SCRIPT_FOLDER).join(SCRIPT));
        let script = [folder.join(SCRIPT)].into_iter().chain(in_checkout).find(|path| path.is_file());
        let script = script.ok_or_else(|| WorkerdError::NoScript(folder.clone()))?;
        // Node.js resolves packages from the script's real path.
        let real = script.canonicalize().unwrap_or_else(|_| script.clone());
        let mut packages = real.ancestors().map(|above| above.join("node_modules/miniflare/package.json"));
        if !packages.any(|package| package.is_file()) {
            return Err(WorkerdError::NoPackages(script));
        }
        Ok(Self { folder, script, node: "node".into(), journal })
    }

    /// Fails if Node.js is missing or too old.
    pub(super) async fn check_node(&self) -> Result<(), WorkerdError> {
        let program = self.node.to_string_lossy().into_owned();
        let output = tokio::process::Command::new(&self.node).arg("--version").output().await;
        let output = output
            .map_err(|error| WorkerdError::NoNode { program: program.clone(), reason: error.to_string() })?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let major = version.strip_prefix('v').and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
        match major {
            Some(20..) => Ok(()),
            Some(_) => Err(WorkerdError::OldNode { program, version }),
            None => Err(WorkerdError::NoNode { program, reason: output.status.to_string() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn find(folder: &Path) -> Result<WorkerdConfig, String> {
        let scratch = folder.ancestors().find(|path| path.join("marker").is_file()).unwrap();
        WorkerdConfig::find(folder, WorkerJournal::Home)
            .map_err(|error| error.to_string().replace(scratch.to_str().unwrap(), "TOP"))
    }

    #[test]
    fn a_missing_file_is_named_with_what_to_do() {
        let top = tempfile::tempdir().unwrap();
        fs::write(top.path().join("marker"), "").unwrap();
        let folder = top.path().join("target/edge/worker");
        let not_built = find(&folder).unwrap_err();
        assert!(not_built.starts_with("the Worker is not built: there is no TOP/target/edge/worker/index.js; run `cargo xtask edge build`"), "{not_built}");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("index.js"), "").unwrap();
        assert!(find(&folder).unwrap_err().contains("no TOP/target/edge/worker/index.wasm"));
        fs::write(folder.join("index.wasm"), "").unwrap();
        assert!(
            find(&folder)
                .unwrap_err()
                .contains("no run.mjs in TOP/target/edge/worker, nor edge/worker/run.mjs")
        );
        let script = top.path().join("edge/worker/run.mjs");
        fs::create_dir_all(script.parent().unwrap()).unwrap();
        fs::write(&script, "").unwrap();
        let no_packages = find(&folder).unwrap_err();
        assert!(
            no_packages.contains("miniflare is not installed for TOP/edge/worker/run.mjs"),
            "{no_packages}"
        );
        let package = top.path().join("edge/worker/node_modules/miniflare");
        fs::create_dir_all(&package).unwrap();
        fs::write(package.join("package.json"), "{}").unwrap();
        assert_eq!(find(&folder).unwrap().script, script);
        fs::write(folder.join("run.mjs"), "").unwrap();
        assert!(
            find(&folder).unwrap_err().contains("for TOP/target/edge/worker/run.mjs"),
            "the script in the Worker's folder is used"
        );
    }

    #[tokio::test]
    async fn a_missing_or_old_node_is_an_error() {
        let scratch = tempfile::tempdir().unwrap();
        let node = |text: &str| {
            let path = scratch.path().join("node");
            // Written by another process: a child that another test starts could inherit this process's open file, and an
            // executable that is open for writing cannot be run (ETXTBSY).
            let write = r#"printf '#!/bin/sh\n%s\n' "$1" > "$0" && chmod 700 "$0""#;
            let mut sh = std::process::Command::new("sh");
            assert!(sh.args(["-c", write]).arg(&path).arg(text).status().unwrap().success());
            path
        };
        let config = |node: PathBuf| WorkerdConfig {
            folder: PathBuf::new(),
            script: PathBuf::new(),
            node: node.into(),
            journal: WorkerJournal::Home,
        };
        assert!(config(node("echo v20.0.0")).check_node().await.is_ok());
        let old = config(node("echo v18.20.1")).check_node().await.unwrap_err().to_string();
        assert!(old.ends_with("is Node.js v18.20.1; install 20 or later"), "{old}");
        let broken = config(node("exit 3")).check_node().await.unwrap_err().to_string();
        assert!(broken.contains("does not run: exit status: 3"), "{broken}");
        let missing = config("/nowhere/node".into()).check_node().await.unwrap_err().to_string();
        assert!(missing.starts_with("`/nowhere/node` does not run: No such file"), "{missing}");
    }
}
