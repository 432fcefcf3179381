//! Builds the Worker with `cargo`, `wasm-bindgen`, `wasm-opt` and `esbuild`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::cmd;

use super::size;
use crate::process::{capture_ok, run};
use crate::tools::{Tool, Tools};
use crate::workspace::Workspace;

/// The maximum size of the module after gzip, in bytes. Cloudflare accepts 3 MB, but a smaller module starts faster.
const MAX_COMPRESSED_BYTES: usize = 500 * 1000;

/// Build the Worker into target/edge
///
/// Writes target/edge/worker/index.js and index.wasm, which workerd can run, and prints the size of the module by crate. Fails if
/// the module is larger than 480 KB after gzip.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Also build target/edge/probes, the Worker with the exports that its benchmarks and the test of panics call
    #[arg(long)]
    probes: bool,
}

/// A variant of the Worker.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The variant that is deployed.
    Worker,
    /// The variant with exports for benchmarks and for a panic on demand.
    Probes,
}

impl Kind {
    /// Returns the output folder, relative to the root of the workspace.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Worker => "target/edge/worker",
            Self::Probes => "target/edge/probes",
        }
    }

    fn features(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Probes => "probes",
        }
    }
}

/// `cargo xtask edge build`.
pub(super) fn command(workspace: &Workspace, args: &Args) -> Result<()> {
    let tools = Tools::new(workspace);
    build(workspace, &tools, Kind::Worker)?;
    if args.probes {
        build(workspace, &tools, Kind::Probes)?;
    }
    Ok(())
}

/// Builds the Worker and returns its folder, which contains `index.js` and `index.wasm`.
///
/// Fails if a tool fails, or if the deployed variant is larger than [`MAX_COMPRESSED_BYTES`] after gzip.
pub(crate) fn build(workspace: &Workspace, tools: &Tools, kind: Kind) -> Result<PathBuf> {
    tools.ensure(&[Tool::WasmTarget, Tool::NpmPackages])?;
    let bindgen = tools.wasm_bindgen()?;
    let shell = &workspace.shell;
    let folder = workspace.root.join(kind.folder());
    // Not in `folder`, because wrangler deploys every module in the Worker's folder.
    let scratch = workspace.root.join("target/edge/intermediate").join(kind.features());
    fs::create_dir_all(&folder)?;
    fs::create_dir_all(&scratch)?;

    let module = compile(workspace, kind.features())?;
    // The reset function creates a new instance after a panic.
    capture_ok(
        cmd!(shell, "{bindgen} --target web --no-typescript --out-name edge --out-dir {scratch}")
            .arg("--experimental-reset-state-function")
            .arg(&module),
    )
    .context("wasm-bindgen failed")?;

    let named = scratch.join("named.wasm");
    let bound = scratch.join("edge_bg.wasm");
    let wasm_opt = npm_program(workspace, "wasm-opt");
    capture_ok(
        cmd!(shell, "{wasm_opt} {bound} -o {named} -O3 --converge -g --strip-producers")
            // Does not inline large functions that have one caller: V8 compiles functions lazily, so a start may not have to compile
            // them, and V8 inlines hot functions itself.
            .arg("--one-caller-inline-max-function-size=20")
            .args(["--enable-simd", "--enable-bulk-memory", "--enable-reference-types"])
            .args(["--enable-sign-ext", "--enable-mutable-globals", "--enable-nontrapping-float-to-int"])
            .args(["--enable-multivalue"]),
    )
    .context("wasm-opt failed")?;
    let with_names = fs::read(&named)?;
    let bare = size::without_custom_sections(&with_names)?;
    let wasm = folder.join("index.wasm");
    fs::write(&wasm, &bare)?;

    bundle(workspace, kind, &scratch, &folder)?;
    let report = size::report(&with_names, &bare)?;
    eprintln!("{}: {report}", kind.folder());
    if kind == Kind::Worker && report.compressed > MAX_COMPRESSED_BYTES {
        bail!(
            "the Worker has {} bytes after gzip, more than {MAX_COMPRESSED_BYTES}; the list above has the size of each crate",
            report.compressed
        );
    }
    Ok(folder)
}

/// Compiles the edge with these features to a Wasm module and returns its path.
pub(super) fn compile(workspace: &Workspace, features: &str) -> Result<PathBuf> {
    let (shell, cargo) = (&workspace.shell, env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    run(cmd!(shell, "{cargo} rustc --package streamio-edge --lib --crate-type cdylib --profile wasm")
        .args(["--target", "wasm32-unknown-unknown", "--no-default-features", "--features", features])
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", flags(workspace))
        // Makes asynchronous exports return the `Promise` of the crate `js-sys`.
        .env("WASM_BINDGEN_USE_JS_SYS", "1"))?;
    Ok(workspace.target().join("wasm32-unknown-unknown/wasm/streamio_edge.wasm"))
}

/// Returns the compiler flags: vector instructions for the hashes, and no paths of this machine in panic messages.
fn flags(workspace: &Workspace) -> String {
    let home = |name: &str, folder: &str| {
        env::var_os(name)
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(folder)))
    };
    let mut flags = format!(
        "-C target-feature=+simd128 -C llvm-args=-inline-threshold=35 --remap-path-prefix={}=",
        workspace.root.display()
    );
    for (folder, name) in
        [(home("CARGO_HOME", ".cargo"), "cargo"), (home("RUSTUP_HOME", ".rustup"), "rustup")]
    {
        if let Some(folder) = folder {
            flags = format!("{flags} --remap-path-prefix={}={name}", folder.display());
        }
    }
    flags
}

/// Bundles our JavaScript, the glue code of wasm-bindgen and the snippets of crates into `index.js` in `folder`.
fn bundle(workspace: &Workspace, kind: Kind, scratch: &Path, folder: &Path) -> Result<()> {
    for file in ["body.js", "index.js", "outbound.js", "recovery.js", "response.js", "probes.js"] {
        fs::copy(workspace.root.join("edge/worker").join(file), scratch.join(file))?;
    }
    // The bundle imports the optimized module, which is `index.wasm` in the same folder.
    let entry = fs::read_to_string(scratch.join("index.js"))?.replace("./edge_bg.wasm", "./index.wasm");
    fs::write(scratch.join("index.js"), entry)?;
    let (shell, esbuild) = (&workspace.shell, npm_program(workspace, "esbuild"));
    let entry = scratch.join(if kind == Kind::Probes { "probes.js" } else { "index.js" });
    let bundle = folder.join("index.js");
    capture_ok(
        cmd!(shell, "{esbuild} {entry} --bundle --format=esm --target=es2022 --log-level=warning")
            // Identifiers are not minified, so that stack traces are readable.
            .args(["--minify-whitespace", "--minify-syntax"])
            .args(["--external:./index.wasm", "--external:node:*", "--external:cloudflare:*"])
            .arg(format!("--outfile={}", bundle.display())),
    )
    .context("esbuild failed")?;
    Ok(())
}

/// Returns the path of a program of the Worker's npm packages.
pub(super) fn npm_program(workspace: &Workspace, name: &str) -> PathBuf {
    workspace.root.join("edge/worker/node_modules/.bin").join(name)
}
