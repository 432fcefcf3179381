//! Modules that make decisions import no adapters.

use crate::rules::sources::Source;
use crate::rules::tokens::{Kind, Token};
use crate::rules::violation::Violation;

const PACKAGE_FOLDERS: [&str; 6] = ["events", "edge", "core", "lambdas", "worker", "local"];
/// Modules with these names, and their submodules, are pure.
const MODULES: [&str; 9] =
    ["audit", "fold", "decide", "ladder", "argv", "route", "policy", "batch", "put_records"];

/// Our modules with side effects.
const ADAPTERS: [&str; 13] = [
    "memory", "sqlite", "dynamo", "kinesis", "ecs", "storage", "process", "publish", "s3", "cdn", "runner",
    "platform", "launcher",
];
/// Crates with side effects.
const CRATES: [&str; 12] = [
    "tokio",
    "hyper",
    "hyper_util",
    "reqwest",
    "axum",
    "s3s",
    "tower",
    "tower_http",
    "rusqlite",
    "rustix",
    "process_wrap",
    "getrandom",
];
/// Modules of `std` with side effects.
const STD: [&str; 4] = ["env", "fs", "process", "thread"];

/// Checks one file.
pub(super) fn check(file: &Source, tokens: &[Token]) -> Vec<Violation> {
    let mut parts = file.path.trim_end_matches(".rs").split('/').skip(1);
    if !PACKAGE_FOLDERS.contains(&file.crate_folder()) || !parts.any(|part| MODULES.contains(&part)) {
        return Vec::new();
    }
    let mut violations: Vec<Violation> = Vec::new();
    for name in imported_names(tokens) {
        let Name { token, of_std } = name;
        let name = token.text.as_str();
        let what = if of_std && STD.contains(&name) {
            "the system"
        } else if ADAPTERS.contains(&name) && !of_std {
            "an adapter"
        } else if CRATES.contains(&name) || name.starts_with("aws_") {
            "an adapter's crate"
        } else {
            continue;
        };
        let message =
            format!("a pure module must not import {what}, `{name}`: pass the value as a parameter");
        violations.push(Violation::new(file.place(token.line), message));
    }
    violations
}

/// A module or crate name, and whether it is part of `std`.
struct Name<'a> {
    token: &'a Token,
    of_std: bool,
}

/// Returns the identifiers in `use` declarations and before `::`.
fn imported_names(tokens: &[Token]) -> Vec<Name<'_>> {
    let mut names = Vec::new();
    // The first name of the current `use` declaration.
    let mut root: Option<&str> = None;
    let mut in_use = false;
    for (index, token) in tokens.iter().enumerate() {
        // `use` also occurs in `impl Trait + use<'a>`, which is not a declaration.
        if token.is("use") && !tokens.get(index + 1).is_some_and(|next| next.is("<")) {
            (in_use, root) = (true, None);
        } else if token.is(";") {
            in_use = false;
        } else if token.kind == Kind::Ident && (in_use || is_path_separator(tokens, index + 1)) {
            let after_std = index >= 3 && is_path_separator(tokens, index - 2) && tokens[index - 3].is("std");
            let of_std = if in_use { root == Some("std") } else { after_std };
            root.get_or_insert(&token.text);
            names.push(Name { token, of_std });
        }
    }
    names
}

fn is_path_separator(tokens: &[Token], index: usize) -> bool {
    tokens.get(index).is_some_and(|token| token.is(":"))
        && tokens.get(index + 1).is_some_and(|token| token.is(":"))
}

#[cfg(test)]
mod tests {
    use super::super::violations;

    #[test]
    fn an_adapter_in_a_pure_module_is_found() {
        for code in [
            "use crate::storage::Store;",
            "use crate::{plan::Plan, storage};",
            "fn a() { crate::process::run(); }",
            "use super::super::sqlite::SqliteLog as Log;",
            "use tokio::sync::Mutex;",
            "fn a(b: &aws_sdk_s3::Client) {}",
            "use std::fs;",
            "use std::{collections::BTreeMap, thread};",
            "fn a() { std::env::var(\"A\"); }",
        ] {
            for path in ["worker/src/argv.rs", "events/src/video/fold.rs", "worker/src/ladder/rungs.rs"] {
                let found = violations(path, code);
                assert!(
                    found.iter().any(|one| one.contains("a pure module must not")),
                    "{code} in {path}: {found:?}"
                );
            }
        }
    }

    #[test]
    fn variables_with_these_names_and_other_modules_are_allowed() {
        let code = "use crate::plan::Plan; use std::net::IpAddr; fn a(process: u8) -> u8 { process }";
        assert_eq!(violations("worker/src/argv.rs", code), [""; 0]);
        assert_eq!(violations("worker/src/run.rs", "use crate::storage::Store;"), [""; 0]);
        let test = "#[cfg(test)] mod tests { use std::fs; }";
        assert_eq!(violations("worker/src/argv.rs", test), [""; 0]);
    }
}
