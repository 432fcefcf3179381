//! The fuzz targets as a program of libFuzzer. The variable `STREAMIO_FUZZ_TARGET` names the target.
//!
//! Without `--cfg fuzzing`, which `cargo fuzz` passes, the program only says how to run it.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
mod selected {
    use std::sync::LazyLock;

    use streamio_fuzz::{TARGETS, Target};

    /// The target of this process.
    pub(super) static TARGET: LazyLock<&Target> = LazyLock::new(|| {
        let name = std::env::var("STREAMIO_FUZZ_TARGET").unwrap_or_default();
        TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| {
            let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            eprintln!("STREAMIO_FUZZ_TARGET is {name:?} and must be one of: {}", names.join(", "));
            std::process::exit(2)
        })
    });
}

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| (selected::TARGET.check)(data));

#[cfg(not(fuzzing))]
fn main() {
    eprintln!("this program was built without libFuzzer: run `cargo xtask fuzz --help`");
    std::process::exit(2);
}
