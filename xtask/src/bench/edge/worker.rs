//! The modules and bindings of the measured Workers.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::call::HostWork;
use super::packages::Packages;
use super::workerd::Service;
use crate::edge::Kind;
use crate::process::capture_ok;
use crate::workspace::Workspace;

/// The entry modules of `edge/bench`. Each is bundled with all its imports except the built Worker.
const ENTRIES: [&str; 6] = ["ours", "peer", "floor", "noop", "operations-ours", "operations-peer"];

const S3_ENDPOINT: &str = "https://s3.eu-west-1.amazonaws.com";
const S3_REGION: &str = "eu-west-1";
const S3_RAW_BUCKET: &str = "streamio-raw";
// The example credentials of AWS's documentation.
const S3_ACCESS_KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
const S3_SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const CDN_BASE_URL: &str = "https://d111111abcdef8.cloudfront.net";
const CDN_KEY_PAIR_ID: &str = "K2JCJMDEHXQW5F";

/// The kind of key that signs playback URLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CdnKey {
    Ecdsa,
    Rsa,
}

/// The file `tenant.json`: the API key of the bench, which is in the key-value stores of both sides.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tenant {
    api_key: String,
}

/// The bundled Workers, which can be started as services.
pub(super) struct Workers {
    workerd: PathBuf,
    /// Contains one folder per Worker.
    folder: PathBuf,
    built: PathBuf,
    built_with_probes: PathBuf,
    /// Private keys, PKCS #8 in PEM.
    ecdsa: String,
    rsa: String,
    pub(super) api_key: String,
}

impl Workers {
    /// Bundles the modules into `folder`.
    pub(super) fn prepare(workspace: &Workspace, packages: &Packages, folder: &Path) -> Result<Self> {
        let read = |path: PathBuf| {
            fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))
        };
        let key = |name: &str| read(workspace.root.join("edge/tests/signing/keys").join(name));
        let tenant: Tenant = serde_json::from_str(&read(packages.folder.join("tenant.json"))?)?;
        bundle(packages, folder)?;
        Ok(Self {
            workerd: packages.workerd.clone(),
            folder: folder.to_owned(),
            built: workspace.root.join(Kind::Worker.folder()),
            built_with_probes: workspace.root.join(Kind::Probes.folder()),
            ecdsa: key("test-only-p256.pkcs8.pem")?,
            rsa: key("test-only-rsa-2048.pkcs8.pem")?,
            api_key: tenant.api_key,
        })
    }

    /// Returns the built Worker. With `shared`, expiries are rounded up to five minutes, so that equal grants share one signature.
    pub(super) fn ours(&self, key: CdnKey, shared: bool) -> Result<Service> {
        let bucket = if shared { "300" } else { "1" };
        let private_key = self.private_key(key).to_owned();
        let mut bindings = our_bindings();
        bindings.extend([("CDN_PRIVATE_KEY", private_key), ("CDN_EXPIRY_BUCKET_SECONDS", bucket.to_owned())]);
        self.service("ours", Some(&self.built), bindings)
    }

    /// Returns the JavaScript Worker that does the same work.
    pub(super) fn peer(&self, key: CdnKey) -> Result<Service> {
        let mut bindings = peer_bindings();
        bindings.push(("CDN_PRIVATE_KEY", self.private_key(key).to_owned()));
        self.service("peer", None, bindings)
    }

    /// Returns the JavaScript Worker that has the input and output of ours and does no other work than `work`. It responds with
    /// `body`.
    pub(super) fn floor(&self, key: CdnKey, work: HostWork, body: &str) -> Result<Service> {
        let bindings = vec![
            ("CDN_PRIVATE_KEY", self.private_key(key).to_owned()),
            ("FLOOR_BODY", body.to_owned()),
            ("FLOOR_WORK", work.name().to_owned()),
        ];
        self.service("floor", None, bindings)
    }

    /// Returns the JavaScript Worker that does nothing.
    pub(super) fn noop(&self) -> Result<Service> {
        self.service("noop", None, Vec::new())
    }

    /// Returns the built Worker with the single operations.
    pub(super) fn our_operations(&self) -> Result<Service> {
        let mut bindings = our_bindings();
        bindings.extend(self.both_keys());
        self.service("operations-ours", Some(&self.built_with_probes), bindings)
    }

    /// Returns the JavaScript Worker with the single operations.
    pub(super) fn peer_operations(&self) -> Result<Service> {
        let mut bindings = peer_bindings();
        bindings.extend(self.both_keys());
        self.service("operations-peer", None, bindings)
    }

    fn both_keys(&self) -> [(&'static str, String); 2] {
        [("CDN_ECDSA_KEY", self.ecdsa.clone()), ("CDN_RSA_KEY", self.rsa.clone())]
    }

    fn private_key(&self, key: CdnKey) -> &str {
        match key {
            CdnKey::Ecdsa => &self.ecdsa,
            CdnKey::Rsa => &self.rsa,
        }
    }

    /// Writes a folder with the entry module and all modules of `built`, and returns the service.
    fn service(
        &self,
        entry: &str,
        built: Option<&Path>,
        bindings: Vec<(&'static str, String)>,
    ) -> Result<Service> {
        let folder = self.folder.join(format!("run-{entry}"));
        fs::create_dir_all(&folder)?;
        fs::copy(self.folder.join(format!("{entry}.js")), folder.join("entry.js"))?;
        let mut modules = vec!["entry.js".to_owned()];
        if let Some(built) = built {
            modules.extend(copy_modules(built, &folder)?);
        }
        Ok(Service { program: self.workerd.clone(), folder, modules, bindings })
    }
}

/// Returns the settings that `edge/src/settings.rs` reads.
fn our_bindings() -> Vec<(&'static str, String)> {
    let additional = [
        ("S3_ADDRESS_STYLE", "path"),
        ("CDN_HASH", "sha256"),
        // All requests have the same API key.
        ("RATE_LIMIT_QUOTA", "4000000000"),
        // These services are never called: the tenant is in the key-value store, and the queue has no consumer.
        ("AWS_REGION", S3_REGION),
        ("AWS_ACCESS_KEY_ID", S3_ACCESS_KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", S3_SECRET_ACCESS_KEY),
        ("HOME_URL", "https://home.example"),
        ("KINESIS_STREAM", "facts"),
    ];
    let mut bindings = peer_bindings();
    bindings.extend(additional.map(|(name, text)| (name, text.to_owned())));
    bindings
}

fn peer_bindings() -> Vec<(&'static str, String)> {
    let bindings = [
        ("S3_ENDPOINT", S3_ENDPOINT),
        ("S3_REGION", S3_REGION),
        ("S3_RAW_BUCKET", S3_RAW_BUCKET),
        ("S3_ACCESS_KEY_ID", S3_ACCESS_KEY_ID),
        ("S3_SECRET_ACCESS_KEY", S3_SECRET_ACCESS_KEY),
        ("CDN_BASE_URL", CDN_BASE_URL),
        ("CDN_KEY_PAIR_ID", CDN_KEY_PAIR_ID),
    ];
    bindings.map(|(name, text)| (name, text.to_owned())).into()
}

/// Bundles the entry modules with the options of wrangler. Modules of the runtime are not bundled.
fn bundle(packages: &Packages, folder: &Path) -> Result<()> {
    let mut command = Command::new(&packages.esbuild);
    command.current_dir(&packages.folder).args(ENTRIES.map(|entry| format!("{entry}.mjs")));
    command.args([
        "--bundle",
        "--format=esm",
        "--platform=neutral",
        "--main-fields=module,main",
        "--conditions=workerd,worker",
        "--external:node:*",
        "--external:./index.js",
        "--log-level=warning",
    ]);
    command.arg(format!("--outdir={}", folder.display()));
    capture_ok(command).context("could not bundle the modules of edge/bench")?;
    Ok(())
}

/// Copies the modules of a build and returns their names.
fn copy_modules(built: &Path, folder: &Path) -> Result<Vec<String>> {
    if !built.join("index.js").is_file() {
        bail!(
            "{} does not exist: run `cargo xtask edge build --probes` first",
            built.join("index.js").display()
        );
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(built)? {
        let path = entry?.path();
        let is_module = path.extension().is_some_and(|extension| extension == "js" || extension == "wasm");
        if let Some(name) = path.file_name().and_then(OsStr::to_str).filter(|_| is_module) {
            fs::copy(&path, folder.join(name))?;
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::copy_modules;
    use std::fs;

    #[test]
    fn the_error_for_a_missing_build_contains_the_command_that_builds_it() {
        let built = tempfile::tempdir().unwrap();
        let error = copy_modules(built.path(), built.path()).unwrap_err().to_string();
        assert!(error.contains("cargo xtask edge build --probes"), "{error}");
    }

    #[test]
    fn modules_are_copied_and_other_files_are_not() {
        let (built, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for name in ["index.js", "index.wasm", "index.d.ts", "size.txt"] {
            fs::write(built.path().join(name), name).unwrap();
        }
        let mut names = copy_modules(built.path(), folder.path()).unwrap();
        names.sort();
        assert_eq!(names, ["index.js", "index.wasm"]);
        assert!(folder.path().join("index.wasm").is_file() && !folder.path().join("size.txt").exists());
    }
}
