//! This program as cargo's wrapper of the compiler (`RUSTC_WORKSPACE_WRAPPER`), which instruments the crates of the workspace.
//!
//! `RUSTFLAGS`, which `cargo fuzz` uses, apply to all crates, so that hundreds would be built a second time. A wrapper of the
//! workspace applies to its crates only.

use std::env;
use std::ffi::OsString;
use std::process::{Command, ExitCode};

/// The variable that makes this program act as the compiler.
pub(super) const VARIABLE: &str = "STREAMIO_INSTRUMENT";

/// The instrumentation that libFuzzer needs, as `cargo fuzz` has it.
const INSTRUMENTATION: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "--cfg=fuzzing",
];

/// Whether cargo calls this program instead of the compiler.
pub(crate) fn is_called() -> bool {
    env::var_os(VARIABLE).is_some()
}

/// Runs the compiler that the first argument names with the other arguments, and with those that instrument the crate.
pub(crate) fn compile() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let Some(compiler) = arguments.next() else {
        eprintln!("xtask: error: {VARIABLE} is set, but no compiler is named: unset the variable");
        return ExitCode::FAILURE;
    };
    let arguments: Vec<OsString> = arguments.collect();
    let status = Command::new(&compiler).args(&arguments).args(added(&arguments)).status();
    match status {
        Ok(status) => {
            status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
        }
        Err(error) => {
            eprintln!("xtask: error: could not start {}: {error}", compiler.display());
            ExitCode::FAILURE
        }
    }
}

/// The arguments to add. Build scripts are not linked with libFuzzer. Cargo's question for the configuration, which has no crate's
/// name, decides whether libFuzzer is a dependency.
fn added(arguments: &[OsString]) -> &'static [&'static str] {
    let name = arguments.iter().skip_while(|argument| *argument != "--crate-name").nth(1);
    match name.and_then(|name| name.to_str()) {
        Some("build_script_build") | None => &[],
        Some("___") => &INSTRUMENTATION[INSTRUMENTATION.len() - 1..],
        Some(_) => &INSTRUMENTATION,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::{INSTRUMENTATION, added};

    #[test]
    fn crates_are_instrumented_and_build_scripts_are_not() {
        let added = |line: &str| added(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(added("--crate-name streamio_edge --edition=2024"), INSTRUMENTATION);
        assert_eq!(added("- --crate-name ___ --print=cfg"), ["--cfg=fuzzing"]);
        assert!(added("--crate-name build_script_build edge/build.rs").is_empty());
        assert!(added("-vV").is_empty());
    }
}
