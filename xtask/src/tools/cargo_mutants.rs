//! cargo-mutants at a pinned version.

use super::cargo_install::Program;

pub(super) const PROGRAM: Program<'_> = Program {
    package: "cargo-mutants",
    name: "cargo-mutants",
    version: "27.1.0",
    takes: "a minute or two",
    is_locked: true,
    opt_level: 0,
};
