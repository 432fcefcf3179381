//! Checks with `cargo tree` that a package does not pull in certain crates, directly or transitively.
//!
//! `cargo tree` runs for one package and its features. `cargo metadata` unifies the features of all packages, so its result
//! contains more than one package needs.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::violation::Violation;
use crate::process::capture_ok;

/// The crates that must not be in a package's dependency tree.
struct Purity {
    package: &'static str,
    /// Whether its default features are on.
    default_features: bool,
    /// The target; `None` is the host's.
    target: Option<&'static str>,
    /// Names of crates, or prefixes that end in `*`.
    without: &'static [&'static str],
    why: &'static str,
}

const PURE: &[Purity] = &[
    Purity {
        package: "streamio-events",
        default_features: true,
        target: None,
        without: EVENTS_WITHOUT,
        why: "events is pure by default: no runtime, SDK, database, clock or randomness",
    },
    Purity {
        package: "streamio-events",
        default_features: true,
        target: Some("wasm32-unknown-unknown"),
        without: EVENTS_WITHOUT,
        why: "events is pure by default: no runtime, SDK, database, clock or randomness",
    },
    Purity {
        package: "streamio-core",
        default_features: true,
        target: None,
        without: EVENTS_WITHOUT,
        why: "core is the application behind ports: no runtime, SDK, database, HTTP server, clock or randomness",
    },
    Purity {
        package: "streamio-edge",
        default_features: true,
        target: Some("wasm32-unknown-unknown"),
        without: &[
            "tokio",
            "tokio-*",
            "hyper",
            "hyper-*",
            "reqwest",
            "mio",
            "aws-sdk-*",
            "rusqlite",
            "libsqlite3-sys",
        ],
        why: "edge is one Wasm module: no sockets, no threads, no SDK, no database",
    },
    Purity {
        package: "streamio-edge",
        default_features: false,
        target: Some("wasm32-unknown-unknown"),
        without: &[
            "rsa",
            "p256",
            "elliptic-curve",
            "sha1",
            "rand_chacha",
            "num-bigint-dig",
            "url",
            "idna",
            "icu_*",
        ],
        why: "the Workers runtime signs (feature `keys` is off) and URLs are ASCII, so these crates would only slow down every start",
    },
];

const EVENTS_WITHOUT: &[&str] = &[
    "tokio",
    "tokio-*",
    "async-std",
    "smol",
    "mio",
    "hyper",
    "reqwest",
    "aws-*",
    "rusqlite",
    "libsqlite3-sys",
    "getrandom",
    "rand",
    "fastrand",
    "uuid",
    "chrono",
    "instant",
    "web-time",
    "proptest",
];

/// Checks the dependency tree of each package.
pub(super) fn check(root: &Path) -> Result<Vec<Violation>> {
    let mut violations = Vec::new();
    for purity in PURE {
        violations.extend(check_tree(purity, &tree(root, purity)?));
    }
    Ok(violations)
}

/// Returns the normal dependencies, one name and version per line.
fn tree(root: &Path, purity: &Purity) -> Result<String> {
    let mut command = Command::new(env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    command.current_dir(root).args(["tree", "--prefix", "none", "--edges", "normal,no-proc-macro"]);
    command.args(["--package", purity.package]);
    if !purity.default_features {
        command.arg("--no-default-features");
    }
    if let Some(target) = purity.target {
        command.args(["--target", target]);
    }
    capture_ok(command)
}

fn check_tree(purity: &Purity, tree: &str) -> Vec<Violation> {
    let mut names: Vec<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    names.sort_unstable();
    names.dedup();
    let target = purity.target.unwrap_or("this machine");
    if !names.contains(&purity.package) {
        return vec![Violation::new(
            purity.package,
            format!("its dependency tree for {target} could not be read"),
        )];
    }
    names
        .iter()
        .filter(|name| purity.without.iter().any(|banned| matches(banned, name)))
        .map(|name| Violation::new(purity.package, format!("pulls in {name} on {target}: {}", purity.why)))
        .collect()
}

fn matches(banned: &str, name: &str) -> bool {
    match banned.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == banned,
    }
}

#[cfg(test)]
mod tests {
    use super::{PURE, check_tree};

    const CLEAN: &str = "streamio-edge v0.1.0 (/a/edge)\nstreamio-core v0.1.0 (/a/core)\nstreamio-events v0.1.0 (/a/events)\nserde v1.0.1\nserde v1.0.1 (*)\n";

    #[test]
    fn a_pure_tree_has_no_violation() {
        for purity in PURE {
            assert_eq!(check_tree(purity, CLEAN), []);
        }
    }

    #[test]
    fn a_runtime_a_database_an_sdk_or_randomness_in_events_is_found() {
        for name in [
            "tokio",
            "tokio-util",
            "rusqlite",
            "aws-sdk-dynamodb",
            "aws-sigv4",
            "getrandom",
            "rand",
            "chrono",
        ] {
            let violations = check_tree(&PURE[0], &format!("{CLEAN}{name} v1.2.3\n{name} v1.2.3 (*)\n"));
            assert_eq!(violations.len(), 1, "{name}");
            assert!(violations[0].message.starts_with(&format!("pulls in {name} on this machine")));
        }
    }

    #[test]
    fn sockets_and_sdks_in_the_wasm_module_are_found() {
        for name in ["tokio", "hyper", "hyper-util", "reqwest", "mio", "aws-sdk-s3"] {
            assert_eq!(check_tree(&PURE[3], &format!("{CLEAN}{name} v1.2.3\n")).len(), 1, "{name}");
        }
    }

    #[test]
    fn cryptography_and_url_tables_in_the_module_of_the_worker_are_found() {
        for name in ["rsa", "p256", "sha1", "rand_chacha", "url", "idna", "icu_normalizer"] {
            assert_eq!(check_tree(&PURE[4], &format!("{CLEAN}{name} v1.2.3\n")).len(), 1, "{name}");
        }
    }

    #[test]
    fn a_crate_whose_name_begins_with_a_banned_name_is_allowed() {
        assert_eq!(check_tree(&PURE[0], &format!("{CLEAN}rand_core v0.6.4\nmiow v1.0.0\n")), []);
    }

    #[test]
    fn an_empty_tree_is_a_violation() {
        assert_eq!(check_tree(&PURE[0], "").len(), 1);
    }
}
