//! The steps in order. Fast steps and steps that fail often come first.
//!
//! Every cargo step builds the whole workspace with all features and one profile, so that later steps reuse the artefacts.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use xshell::cmd;

use super::advisories;
use super::contract;
use super::report::Outcome;
use super::suites;
use crate::cloud;
use crate::edge;
use crate::fuzz;
use crate::process::{capture, run};
use crate::rules;
use crate::tools::{Tool, Tools};
use crate::torture;
use crate::workspace::Workspace;

/// A step of `cargo xtask test`.
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) needs: &'static [Tool],
    pub(super) run: fn(&Workspace, &Tools) -> Result<Outcome>,
}

/// All steps.
pub(super) const STEPS: &[Step] = &[
    Step { name: "tools", about: "all tools are installed", needs: Tool::ALL, run: tools },
    Step { name: "fmt", about: "sources are formatted", needs: &[], run: fmt },
    Step { name: "rules", about: "dependency directions and source rules", needs: &[], run: rules },
    Step { name: "clippy", about: "lints of all targets", needs: &[], run: clippy },
    Step { name: "doc", about: "documentation builds without a warning", needs: &[], run: doc },
    Step {
        name: "deny",
        about: "licences, banned crates and sources of dependencies",
        needs: &[Tool::CargoDeny],
        run: deny,
    },
    Step {
        name: "advisories",
        about: "no dependency has a known vulnerability",
        needs: &[Tool::CargoDeny],
        run: advisories::check,
    },
    Step {
        name: "worker",
        about: "the Worker and the npm package build, within their size limits",
        needs: &[Tool::WasmTarget, Tool::NpmPackages, Tool::WasmBindgen],
        run: worker,
    },
    Step {
        name: "tests",
        about: "unit and integration tests of every crate",
        needs: &[Tool::Ffmpeg, Tool::Faketime, Tool::NpmPackages, Tool::Clips, Tool::Dynoxide],
        run: tests,
    },
    Step {
        name: "fuzz",
        about: "the parsers of bytes from outside hold their laws on generated inputs",
        needs: &[Tool::Cxx],
        run: fuzz,
    },
    Step {
        name: "node",
        about: "the Worker on workerd and the npm package in Node.js",
        needs: &[Tool::NpmPackages],
        run: node,
    },
    Step {
        name: "clients",
        about: "uploads with curl, boto3 and rclone, and receivers of webhooks, by the code of the documentation",
        needs: &[Tool::Ffmpeg, Tool::Curl, Tool::NpmPackages, Tool::PythonPackages],
        run: clients,
    },
    Step {
        name: "browser",
        about: "uploads and playback in Chromium, by the code of docs/uploading.md",
        needs: &[Tool::Ffmpeg, Tool::Chromium],
        run: browser,
    },
    Step {
        name: "contract",
        about: "the API's description, by itself and against a running platform",
        needs: &[Tool::Ffmpeg, Tool::NpmPackages, Tool::Clips, Tool::Schemathesis],
        run: contract::check,
    },
    Step {
        name: "torture",
        about: "20 kills of the platform under load, some of which lose unsynced writes",
        needs: &[Tool::Ffmpeg],
        run: torture,
    },
    Step { name: "doctests", about: "examples in the documentation", needs: &[], run: doctests },
];

/// Returns the cargo that runs this xtask, so that all steps use one toolchain.
pub(super) fn cargo() -> String {
    env::var("CARGO").unwrap_or_else(|_| "cargo".into())
}

fn passed(command: impl Into<Command>) -> Result<Outcome> {
    run(command)?;
    Ok(Outcome::Passed)
}

/// Does nothing: the tools are installed before the step runs, because the step needs all of them.
#[expect(clippy::unnecessary_wraps, reason = "the signature of every step")]
fn tools(_: &Workspace, _: &Tools) -> Result<Outcome> {
    Ok(Outcome::Passed)
}

fn fmt(workspace: &Workspace, _: &Tools) -> Result<Outcome> {
    let (shell, cargo) = (&workspace.shell, cargo());
    run(cmd!(shell, "{cargo} fmt --all -- --check -l"))
        .context("these files are not formatted: run `cargo fmt`")?;
    Ok(Outcome::Passed)
}

fn rules(workspace: &Workspace, _: &Tools) -> Result<Outcome> {
    rules::enforce(&workspace.root)?;
    Ok(Outcome::Passed)
}

fn clippy(workspace: &Workspace, tools: &Tools) -> Result<Outcome> {
    let (shell, cargo) = (&workspace.shell, cargo());
    run(cmd!(shell, "{cargo} clippy --workspace --all-targets --all-features -- -D warnings"))?;
    // Code that is compiled only for Wasm.
    tools.ensure(&[Tool::WasmTarget])?;
    let wasm = cmd!(shell, "{cargo} clippy --package streamio-edge --target wasm32-unknown-unknown");
    passed(wasm.args(["--no-default-features", "--features", "probes,package", "--", "-D", "warnings"]))
}

fn doc(workspace: &Workspace, _: &Tools) -> Result<Outcome> {
    let (shell, cargo) = (&workspace.shell, cargo());
    passed(cmd!(shell, "{cargo} doc --no-deps --workspace --all-features").env("RUSTDOCFLAGS", "-D warnings"))
}

/// Runs cargo-deny. Prints only the number of warnings, most of which are about crates in two versions.
fn deny(workspace: &Workspace, tools: &Tools) -> Result<Outcome> {
    let (shell, deny) = (&workspace.shell, tools.cargo_deny()?);
    let output = capture(cmd!(shell, "{deny} check --hide-inclusion-graph bans licenses sources"))?;
    let printed =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    if !output.status.success() {
        eprint!("{printed}");
        bail!("cargo-deny ended with {}", output.status);
    }
    let warnings = printed.lines().filter(|line| line.starts_with("warning")).count();
    let result = printed.lines().rfind(|line| line.contains(" ok")).unwrap_or_default();
    eprintln!("{result} ({warnings} warnings; `cargo deny check bans` shows them)");
    Ok(Outcome::Passed)
}

fn worker(workspace: &Workspace, tools: &Tools) -> Result<Outcome> {
    for kind in [edge::Kind::Worker, edge::Kind::Probes] {
        edge::build(workspace, tools, kind)?;
    }
    edge::build_package(workspace, tools)?;
    // wrangler checks its configuration and the upload.
    edge::check_deployment(workspace)?;
    Ok(Outcome::Passed)
}

fn tests(workspace: &Workspace, tools: &Tools) -> Result<Outcome> {
    let (shell, cargo) = (&workspace.shell, cargo());
    // The emulated cloud executes the programs.
    run(cmd!(shell, "{cargo} build --workspace --all-features --bins"))?;
    let worker = ("STREAMIO_EDGE_WORKER", built_worker(workspace)?);
    let functions = ("STREAMIO_LAMBDAS", cloud::programs(workspace));
    // A differing snapshot fails the test, without writing a new snapshot file.
    let snapshots = ("INSTA_UPDATE", PathBuf::from("no"));
    let environment: Vec<_> =
        tools.environment()?.into_iter().chain([worker, functions, snapshots]).collect();
    suites::run_all(workspace, &environment)?;
    Ok(Outcome::Passed)
}

fn fuzz(workspace: &Workspace, _: &Tools) -> Result<Outcome> {
    fuzz::run_quick(workspace)?;
    Ok(Outcome::Passed)
}

fn node(workspace: &Workspace, _: &Tools) -> Result<Outcome> {
    let shell = &workspace.shell;
    let worker = built_worker(workspace)?;
    let _in_folder = shell.push_dir("edge/worker");
    run(cmd!(shell, "npm test --silent")
        .env("STREAMIO_EDGE_WORKER", worker)
        .env("STREAMIO_EDGE_PROBES", workspace.root.join(edge::Kind::Probes.folder())))?;
    let _in_package = shell.push_dir(workspace.root.join("edge/package"));
    passed(cmd!(shell, "npm test --silent"))
}

fn clients(workspace: &Workspace, tools: &Tools) -> Result<Outcome> {
    third_party_clients(workspace, "commands", ("STREAMIO_PYTHON_PACKAGES", tools.python_packages()?))
}

fn browser(workspace: &Workspace, tools: &Tools) -> Result<Outcome> {
    third_party_clients(workspace, "browser", ("STREAMIO_CHROMIUM", tools.chromium()?))
}

/// Runs a script of `cli/tests/clients` with the `streamio` program.
fn third_party_clients(
    workspace: &Workspace,
    script: &str,
    (variable, value): (&str, PathBuf),
) -> Result<Outcome> {
    let (shell, cargo) = (&workspace.shell, cargo());
    run(cmd!(shell, "{cargo} build --workspace --all-features --bins"))?;
    let _in_folder = shell.push_dir("cli/tests/clients");
    passed(
        cmd!(shell, "npm run --silent {script}")
            .env("STREAMIO_PROGRAM", workspace.target().join("debug/streamio"))
            .env(variable, value),
    )
}

/// Returns the folder of the Worker, which the step `worker` builds.
fn built_worker(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.root.join(edge::Kind::Worker.folder());
    if !folder.join("index.wasm").is_file() {
        bail!("the Worker is not built: run `cargo xtask test --only worker` first");
    }
    Ok(folder)
}

fn torture(workspace: &Workspace, _: &Tools) -> Result<Outcome> {
    torture::run_short(workspace)?;
    Ok(Outcome::Passed)
}

fn doctests(workspace: &Workspace, _: &Tools) -> Result<Outcome> {
    let (shell, cargo) = (&workspace.shell, cargo());
    passed(cmd!(shell, "{cargo} test --workspace --all-features --doc --no-fail-fast"))
}
