//! Builds the npm package `@streamio/signer` in `edge/package`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use xshell::cmd;

use super::build::compile;
use crate::process::run;
use crate::tools::{Tool, Tools};
use crate::workspace::Workspace;

/// Compiles the signer, and writes the module and its glue code into a new folder `edge/package/dist`. Returns the package's folder,
/// which is then ready for `npm publish`.
pub(crate) fn build(workspace: &Workspace, tools: &Tools) -> Result<PathBuf> {
    tools.ensure(&[Tool::WasmTarget])?;
    let wasm_bindgen = tools.wasm_bindgen()?;
    let (shell, module) = (&workspace.shell, compile(workspace, "package")?);

    let folder = workspace.root.join("edge/package");
    let dist = folder.join("dist");
    if dist.exists() {
        fs::remove_dir_all(&dist).with_context(|| format!("could not remove {}", dist.display()))?;
    }
    // Function names are a third of the module, and users of the package have no source to look them up in.
    let bind = cmd!(shell, "{wasm_bindgen} --target web --out-name signer --no-typescript");
    run(bind.args(["--remove-name-section", "--remove-producers-section"]).args([
        "--out-dir".as_ref(),
        dist.as_os_str(),
        module.as_os_str(),
    ]))?;
    Ok(folder)
}
