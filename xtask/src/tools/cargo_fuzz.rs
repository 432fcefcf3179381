//! cargo-fuzz at a pinned version.

use super::cargo_install::Program;

/// PyPI has this version too, for Linux x86-64 only.
pub(super) const PROGRAM: Program<'_> = Program {
    package: "cargo-fuzz",
    name: "cargo-fuzz",
    version: "0.13.2",
    takes: "less than a minute",
    is_locked: true,
    opt_level: 0,
};
