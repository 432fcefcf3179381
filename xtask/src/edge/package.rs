//! The npm package `@streamio/signer`: `edge/package`, whose `dist` is built here.

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use cargo_metadata::MetadataCommand;
use xshell::cmd;

use crate::process::run;
use crate::tools::{Tool, Tools};
use crate::workspace::Workspace;

/// SHA-256 has a faster form with it; Node since 16.4, and every browser since 2023, run it.
const SIMD: &str = "-C target-feature=+simd128";

/// Compiles the signer and writes the glue and the module into `edge/package/dist`, which is made anew. Answers the
/// package's folder, which then is what npm would publish.
pub(crate) fn build(workspace: &Workspace, tools: &Tools) -> Result<PathBuf> {
    tools.ensure(&[Tool::WasmTarget])?;
    let wasm_bindgen = tools.wasm_bindgen()?;
    let (shell, cargo) = (&workspace.shell, env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    let compile =
        cmd!(shell, "{cargo} rustc --package streamio-edge --lib --crate-type cdylib --profile wasm");
    run(compile
        .args(["--target", "wasm32-unknown-unknown", "--no-default-features", "--features", "package"])
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", SIMD))?;
    let metadata =
        MetadataCommand::new().manifest_path(workspace.root.join("Cargo.toml")).no_deps().exec()?;
    let module = metadata.target_directory.join("wasm32-unknown-unknown/wasm/streamio_edge.wasm");

    let folder = workspace.root.join("edge/package");
    let dist = folder.join("dist");
    if dist.exists() {
        fs::remove_dir_all(&dist).with_context(|| format!("could not remove {}", dist.display()))?;
    }
    // Names of functions are a third of the module, and of no use to those who have no source to look them up in.
    let bind = cmd!(shell, "{wasm_bindgen} --target web --out-name signer --no-typescript");
    run(bind.args(["--remove-name-section", "--remove-producers-section"]).args([
        "--out-dir".as_ref(),
        dist.as_os_str(),
        module.as_os_str(),
    ]))?;
    Ok(folder)
}
