//! The output line of an installation.

/// Prints `line` to stderr before a tool is installed.
pub(super) fn announce(line: &str) {
    eprintln!("tools: {line}");
}
