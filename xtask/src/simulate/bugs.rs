//! Bugs that the simulation must find: realistic mistakes in `events` and `core`.

mod application;
mod decisions;

/// A bug.
pub(super) struct Bug {
    /// Its name on the command line.
    pub(super) name: &'static str,
    /// The file, relative to the root of the workspace.
    pub(super) file: &'static str,
    /// The text that is replaced. It occurs once in the file.
    pub(super) text: &'static str,
    /// What replaces it. In it, [`SWITCH`] is an expression that is true if the bug is switched on.
    pub(super) replacement: &'static str,
    /// What it breaks.
    pub(super) breaks: &'static str,
}

/// Stands for the expression that is true if a bug is switched on.
pub(super) const SWITCH: &str = "PLANTED";

/// All bugs.
pub(super) fn all() -> impl Iterator<Item = &'static Bug> {
    decisions::BUGS.iter().chain(application::BUGS)
}
