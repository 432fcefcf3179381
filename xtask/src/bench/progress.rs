//! Progress messages of a run.

/// Prints what is being measured to stderr, because the results go to stdout.
pub(super) fn print_progress(line: &str) {
    eprintln!("bench: {line}");
}
