//! From Rust to a Worker: `cargo`, `wasm-bindgen`, `wasm-opt`, `esbuild`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::cmd;

use super::size;
use crate::process::{capture_ok, run};
use crate::tools::{Tool, Tools};
use crate::workspace::Workspace;

/// The largest Worker, compressed, in bytes. The platform takes ten times that; what is small starts fast.
const BUDGET: usize = 350 * 1000;

/// Build the Worker into target/edge
///
/// Writes target/edge/worker/index.js and index.wasm, which run on workerd as they are, and prints what the module
/// is made of. Fails when the module is larger than 300 KB after gzip.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Also build target/edge/probes, the Worker with what its benchmarks and the test of its panics call
    #[arg(long)]
    probes: bool,
}

/// Which Worker.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The one that is deployed.
    Worker,
    /// The same with exports for benchmarks and for a panic on demand.
    Probes,
}

impl Kind {
    /// Where it is built to, from the top of the checkout.
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

/// Builds it and answers its folder, with `index.js` and `index.wasm`.
pub(crate) fn build(workspace: &Workspace, tools: &Tools, kind: Kind) -> Result<PathBuf> {
    tools.ensure(&[Tool::WasmTarget, Tool::NpmPackages])?;
    let bindgen = tools.wasm_bindgen()?;
    let shell = &workspace.shell;
    let folder = workspace.root.join(kind.folder());
    // Beside, because wrangler takes every module in the Worker's folder for a part of it.
    let made = workspace.root.join("target/edge/made").join(kind.features());
    fs::create_dir_all(&folder)?;
    fs::create_dir_all(&made)?;

    let module = module(workspace, kind.features())?;
    // With a function that makes a new instance, for use after a panic.
    capture_ok(
        cmd!(shell, "{bindgen} --target web --no-typescript --out-name edge --out-dir {made}")
            .arg("--experimental-reset-state-function")
            .arg(&module),
    )
    .context("wasm-bindgen failed")?;

    let named = made.join("named.wasm");
    let bound = made.join("edge_bg.wasm");
    let wasm_opt = program(workspace, "wasm-opt");
    capture_ok(
        cmd!(shell, "{wasm_opt} {bound} -o {named} -O3 --converge -g --strip-producers")
            // A function that is called at one place alone stays one where it is no small one: it may be that a start need
            // not compile it, and the runtime inlines what is called often.
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

    bundle(workspace, kind, &made, &folder)?;
    let report = size::report(&with_names, &bare)?;
    eprintln!("{}: {report}", kind.folder());
    if kind == Kind::Worker && report.compressed > BUDGET {
        bail!(
            "the Worker has {} bytes after gzip; it may have {BUDGET}: see what has grown above",
            report.compressed
        );
    }
    Ok(folder)
}

/// The module with these features, as `cargo` links it.
pub(super) fn module(workspace: &Workspace, features: &str) -> Result<PathBuf> {
    let (shell, cargo) = (&workspace.shell, env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    run(cmd!(shell, "{cargo} rustc --package streamio-edge --lib --crate-type cdylib --profile wasm")
        .args(["--target", "wasm32-unknown-unknown", "--no-default-features", "--features", features])
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", flags(workspace))
        // The promises of exports are then those of `js-sys` itself.
        .env("WASM_BINDGEN_USE_JS_SYS", "1"))?;
    Ok(workspace.target().join("wasm32-unknown-unknown/wasm/streamio_edge.wasm"))
}

/// Vector instructions for the hashes, and no paths of this machine in what a panic says.
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
    for (place, name) in [(home("CARGO_HOME", ".cargo"), "cargo"), (home("RUSTUP_HOME", ".rustup"), "rustup")]
    {
        if let Some(place) = place {
            flags = format!("{flags} --remap-path-prefix={}={name}", place.display());
        }
    }
    flags
}

/// One JavaScript module of ours, of the glue and of the snippets that crates bring with them.
fn bundle(workspace: &Workspace, kind: Kind, made: &Path, folder: &Path) -> Result<()> {
    for file in ["index.js", "recovery.js", "response.js", "probes.js"] {
        fs::copy(workspace.root.join("edge/worker").join(file), made.join(file))?;
    }
    // The entry names the module as it will lie beside the bundle.
    let entry = fs::read_to_string(made.join("index.js"))?.replace("./edge_bg.wasm", "./index.wasm");
    fs::write(made.join("index.js"), entry)?;
    let (shell, esbuild) = (&workspace.shell, program(workspace, "esbuild"));
    let entry = made.join(if kind == Kind::Probes { "probes.js" } else { "index.js" });
    let bundle = folder.join("index.js");
    capture_ok(
        cmd!(shell, "{esbuild} {entry} --bundle --format=esm --target=es2022 --log-level=warning")
            // Names stay: they are all that a stack trace has.
            .args(["--minify-whitespace", "--minify-syntax"])
            .args(["--external:./index.wasm", "--external:node:*", "--external:cloudflare:*"])
            .arg(format!("--outfile={}", bundle.display())),
    )
    .context("esbuild failed")?;
    Ok(())
}

/// A program of the Worker's npm packages.
pub(super) fn program(workspace: &Workspace, name: &str) -> PathBuf {
    workspace.root.join("edge/worker/node_modules/.bin").join(name)
}
