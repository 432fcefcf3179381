//! `cargo xtask mutants`: changes the code in many places, one at a time, and checks that a test fails for each change.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::builder::PossibleValuesParser;
use xshell::cmd;

use crate::process::{Interrupted, run as run_child};
use crate::tools::Tools;
use crate::workspace::Workspace;
use crate::workspace_copy;

/// A part of the code, and the tests that must notice a change of it.
struct Area {
    name: &'static str,
    about: &'static str,
    files: &'static [&'static str],
    /// The packages whose tests run.
    packages: &'static [&'static str],
    /// The test programs that are built and run, as arguments for `cargo test`.
    programs: &'static [&'static str],
    /// Parts of the names of the tests that run; empty: all.
    tests: &'static [&'static str],
    /// Parts of the names of tests that take long, and of those that hardly notice a change of this part.
    slow: &'static [&'static str],
}

/// What is tested of the changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// All changes, without the slow tests and with few cases of each law. Most changes are noticed.
    Quick,
    /// The changes that no quick test noticed, with all tests.
    Thorough,
}

impl Pass {
    /// How many cases of each law are tried; `None`: as many as the law itself states.
    fn cases(self) -> Option<&'static str> {
        (self == Self::Quick).then_some("16")
    }

    /// The arguments of the test programs of `area`.
    fn tests(self, area: &Area) -> impl Iterator<Item = &'static str> {
        let slow = if self == Self::Quick { area.slow } else { &[] };
        area.tests.iter().copied().chain(slow.iter().flat_map(|name| ["--skip", name]))
    }
}

const AREAS: &[Area] = &[
    Area {
        name: "signing",
        about: "presigned URLs of S3 and signed URLs of CloudFront",
        files: &["edge/src/sign.rs", "edge/src/sign/**"],
        packages: &["streamio-edge"],
        programs: &["--lib", "--test=signing"],
        tests: &[],
        slow: &[],
    },
    Area {
        name: "keys",
        about: "API keys, ids and object keys",
        files: &[
            "events/src/api_key.rs",
            "events/src/object_key.rs",
            "events/src/tenant.rs",
            "events/src/id.rs",
        ],
        packages: &["streamio-events"],
        programs: &["--lib"],
        tests: &[],
        slow: &["dynamo::", "kinesis::", "sqlite::", "video::properties::", "webhook::"],
    },
    Area {
        name: "authentication",
        about: "which project a request may act for",
        files: &["edge/src/authenticate.rs", "edge/src/known_keys.rs"],
        packages: &["streamio-edge"],
        programs: &["--lib", "--test=api", "--test=directory"],
        tests: &[],
        slow: &[],
    },
    Area {
        name: "policy",
        about: "what a signed URL allows at the CDN",
        files: &["local/src/cdn/policy.rs", "local/src/cdn/policy/**"],
        packages: &["streamio-local"],
        programs: &["--lib", "--test=cdn"],
        tests: &[],
        slow: &[],
    },
    Area {
        name: "fold",
        about: "the state of a video from its events",
        files: &["events/src/video/fold.rs", "events/src/video/fold/**"],
        packages: &["streamio-events"],
        programs: &["--lib"],
        tests: &[],
        slow: &["dynamo::", "kinesis::", "sqlite::", "webhook::", "video::properties::"],
    },
    Area {
        name: "decide",
        about: "which events follow",
        files: &[
            "events/src/video/decide.rs",
            "events/src/video/decide/**",
            "events/src/video/policy.rs",
            "events/src/video/backoff.rs",
            "events/src/video/publication.rs",
        ],
        packages: &["streamio-events"],
        programs: &["--lib"],
        tests: &[],
        slow: &["dynamo::", "kinesis::", "sqlite::", "webhook::", "video::properties::"],
    },
    Area {
        name: "delivery",
        about: "batches of records, their failures, and the intake of facts",
        files: &["core/src/delivery.rs", "core/src/delivery/**", "core/src/intake.rs", "core/src/intake/**"],
        packages: &["streamio-core"],
        programs: &["--lib", "--test=batch", "--test=intake"],
        tests: &[],
        slow: &[],
    },
    Area {
        name: "isolation",
        about: "the sandbox of FFmpeg",
        files: &["worker/src/sandbox.rs", "worker/src/sandbox/**"],
        packages: &["streamio-worker"],
        programs: &["--lib", "--test=ffmpeg"],
        tests: &["isolation", "sandbox", "process"],
        slow: &[],
    },
];

/// Change the code in many places, one at a time, and check that a test fails for each change
///
/// Runs cargo-mutants on a copy of the workspace in `target/mutants`. All changes are tried with the quick tests, and those that no quick
/// test notices again with all tests of their area. A change that no test notices is printed and fails the command: add a test, or, if the change makes no difference that a test can see, an entry with the reason to `.cargo/mutants.toml`.
/// What an earlier run caught is not run again. All areas take hours.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask mutants --list\n  cargo xtask mutants keys fold\n  \
    cargo xtask mutants signing --shard 1/8")]
pub(crate) struct Args {
    /// Change only these areas
    #[arg(value_name = "AREA", value_parser = PossibleValuesParser::new(AREAS.iter().map(|area| area.name)))]
    areas: Vec<String>,
    /// Print the areas, without running them
    #[arg(long)]
    list: bool,
    /// Run the K-th of N parts of the changes, counted from 0
    #[arg(long, value_name = "K/N")]
    shard: Option<String>,
    /// Run all changes, also those that an earlier run caught
    #[arg(long)]
    again: bool,
}

/// Changes the selected areas.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let selected: Vec<&Area> = AREAS
        .iter()
        .filter(|area| args.areas.is_empty() || args.areas.iter().any(|name| name == area.name))
        .collect();
    if args.list {
        for area in selected {
            println!("{:<14} {}", area.name, area.about);
        }
        return Ok(());
    }
    let tools = Tools::new(workspace);
    let copy = workspace.target().join("mutants/workspace");
    workspace_copy::update(workspace, &copy, |_, content| Ok(content))?;
    let mut survived = Vec::new();
    for area in selected {
        let catches = |pass| catches_all(workspace, &tools, &copy, area, args, pass);
        if !catches(Pass::Quick)? && !catches(Pass::Thorough)? {
            survived.push(area.name);
        }
    }
    if !survived.is_empty() {
        bail!("changes that no test notices: in {}", survived.join(", "));
    }
    Ok(())
}

/// Runs cargo-mutants for an area. Returns whether each change was noticed.
fn catches_all(
    workspace: &Workspace,
    tools: &Tools,
    copy: &Path,
    area: &Area,
    args: &Args,
    pass: Pass,
) -> Result<bool> {
    let (shell, cargo) = (&workspace.shell, env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    let inherited = env::var_os("PATH").unwrap_or_default();
    let folders = [tools.cargo_mutants()?].into_iter().chain(env::split_paths(&inherited));
    let path: OsString = env::join_paths(folders).context("a folder on PATH has a colon in its name")?;
    let output = workspace.target().join("mutants").join(area.name);
    fs::create_dir_all(&output).with_context(|| format!("could not create {}", output.display()))?;
    let files = area.files.iter().flat_map(|file| ["--file", file]);
    let packages = area.packages.iter().flat_map(|package| ["--test-package", package]);
    let shard = args.shard.iter().flat_map(|shard| ["--shard", shard]);
    let again = (!args.again || pass == Pass::Thorough).then_some("--iterate");
    let _in_copy = shell.push_dir(copy);
    let command = cmd!(
        shell,
        "{cargo} mutants --in-place --all-features --no-shuffle --caught --colors never {again...}"
    )
    .args(["--output".as_ref(), output.as_os_str()])
    .args(files)
    .args(packages)
    .args(shard)
    // For the build, too: otherwise every test program of the packages is built for each change.
    .args(area.programs.iter().map(|program| format!("--cargo-arg={program}")))
    .args(["--", "--"])
    .args(pass.tests(area))
    .env("PATH", path)
    .envs(tools.environment()?)
    .env("CARGO_TARGET_DIR", workspace.target().join("mutants/target"))
    .env("INSTA_UPDATE", "no")
    // A change builds little more than its own function again.
    .env("CARGO_INCREMENTAL", "1")
    .env("CARGO_PROFILE_DEV_DEBUG", "0")
    .envs(pass.cases().map(|cases| ("PROPTEST_CASES", cases)))
    // The smallest case that fails is not needed.
    .env("PROPTEST_MAX_SHRINK_ITERS", "0");
    let result = run_child(command);
    if result.as_ref().is_err_and(anyhow::Error::is::<Interrupted>) {
        return result.map(|()| false);
    }
    let lists = |name: &str| {
        let list = fs::read_to_string(output.join("mutants.out").join(name));
        list.is_ok_and(|list| !list.trim().is_empty())
    };
    if lists("missed.txt") {
        return Ok(false);
    }
    match result {
        // Its exit status is not 0 for changes that make the tests run without an end, which are noticed.
        Err(error) if !lists("timeout.txt") => Err(error),
        _ => Ok(true),
    }
}
