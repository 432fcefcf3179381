//! The steps, in their order: what is cheap and fails often comes first.
//!
//! Every cargo step works on the whole workspace with all features and one profile, so that one step's artefacts
//! serve the next.

use std::env;
use std::process::Command;

use anyhow::{Context, Result, bail};
use xshell::cmd;

use super::advisories;
use super::report::Outcome;
use crate::process::{capture, run};
use crate::rules;
use crate::tools::{Tool, Tools};
use crate::workspace::Workspace;

/// One check of `cargo xtask test`.
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) needs: &'static [Tool],
    pub(super) run: fn(&Workspace, &Tools) -> Result<Outcome>,
}

/// All of them.
pub(super) const STEPS: &[Step] = &[
    Step { name: "tools", about: "every tool is there, or is fetched", needs: Tool::ALL, run: tools },
    Step { name: "fmt", about: "sources are formatted", needs: &[], run: fmt },
    Step { name: "rules", about: "dependency directions and source rules hold", needs: &[], run: rules },
    Step { name: "clippy", about: "no lint warns, in any target", needs: &[], run: clippy },
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
    Step { name: "wasm", about: "events and edge compile to wasm32", needs: &[Tool::WasmTarget], run: wasm },
    Step {
        name: "tests",
        about: "unit and integration tests of every room",
        needs: &[Tool::Ffmpeg, Tool::NpmPackages, Tool::Clips],
        run: tests,
    },
    Step { name: "doctests", about: "the examples in the documentation run", needs: &[], run: doctests },
];

/// The cargo that runs this xtask, so that all steps use one toolchain.
fn cargo() -> String {
    env::var("CARGO").unwrap_or_else(|_| "cargo".into())
}

fn passed(command: impl Into<Command>) -> Result<Outcome> {
    run(command)?;
    Ok(Outcome::Passed)
}

/// What it does has happened when it runs: its needs are all tools.
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
    rules::hold(&workspace.root)?;
    Ok(Outcome::Passed)
}

fn clippy(workspace: &Workspace, _: &Tools) -> Result<Outcome> {
    let (shell, cargo) = (&workspace.shell, cargo());
    passed(cmd!(shell, "{cargo} clippy --workspace --all-targets --all-features -- -D warnings"))
}

fn doc(workspace: &Workspace, _: &Tools) -> Result<Outcome> {
    let (shell, cargo) = (&workspace.shell, cargo());
    passed(cmd!(shell, "{cargo} doc --no-deps --workspace --all-features").env("RUSTDOCFLAGS", "-D warnings"))
}

/// Its warnings (crates that are there in two versions, mostly) fill pages and wait for others: they are counted.
fn deny(workspace: &Workspace, tools: &Tools) -> Result<Outcome> {
    let (shell, deny) = (&workspace.shell, tools.cargo_deny()?);
    let output = capture(cmd!(shell, "{deny} check --hide-inclusion-graph bans licenses sources"))?;
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    if !output.status.success() {
        eprint!("{said}");
        bail!("cargo-deny ended with {}", output.status);
    }
    let warnings = said.lines().filter(|line| line.starts_with("warning")).count();
    let verdict = said.lines().rfind(|line| line.contains(" ok")).unwrap_or_default();
    eprintln!("{verdict} ({warnings} warnings; `cargo deny check bans` shows them)");
    Ok(Outcome::Passed)
}

fn wasm(workspace: &Workspace, _: &Tools) -> Result<Outcome> {
    let (shell, cargo) = (&workspace.shell, cargo());
    let build = cmd!(shell, "{cargo} build --lib --target wasm32-unknown-unknown");
    passed(build.args(["-p", "streamio-events", "-p", "streamio-edge"]))
}

fn tests(workspace: &Workspace, tools: &Tools) -> Result<Outcome> {
    let (shell, cargo) = (&workspace.shell, cargo());
    passed(
        cmd!(shell, "{cargo} test --workspace --all-features --lib --bins --tests --no-fail-fast")
            .env("STREAMIO_CLIPS", tools.clips()?)
            // A snapshot that differs is a failure here, not a file to look at later.
            .env("INSTA_UPDATE", "no"),
    )
}

fn doctests(workspace: &Workspace, _: &Tools) -> Result<Outcome> {
    let (shell, cargo) = (&workspace.shell, cargo());
    passed(cmd!(shell, "{cargo} test --workspace --all-features --doc --no-fail-fast"))
}
