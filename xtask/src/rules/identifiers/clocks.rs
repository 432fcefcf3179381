//! The crates `events`, `edge` and `core` take time and randomness as parameters.
//!
//! The `std` clock panics on wasm32, a replay must give the same bytes, and tests must be able to set the time. Clippy's
//! `disallowed-types` would also apply to the tests of these crates, which need clocks.

use crate::rules::sources::Source;
use crate::rules::tokens::{Kind, Token};
use crate::rules::violation::Violation;

const CRATES: [&str; 3] = ["events", "edge", "core"];

/// Files that may use a clock. `x.rs` stands for `x/` too.
const ADAPTERS: [&str; 5] = [
    "events/src/sqlite.rs",
    "events/src/contract.rs",
    "events/src/emulators.rs",
    "edge/src/worker.rs",
    "core/src/webhooks/http_sender.rs",
];

const CLOCKS: [&str; 4] = ["SystemTime", "Instant", "now_utc", "now_local"];
const RANDOMNESS: [&str; 7] =
    ["getrandom", "OsRng", "SysRng", "ThreadRng", "thread_rng", "from_os_rng", "from_entropy"];

/// Checks one file.
pub(super) fn check(file: &Source, tokens: &[Token]) -> Vec<Violation> {
    let in_sources = file.path.split('/').nth(1) == Some("src");
    if !CRATES.contains(&file.crate_folder())
        || !in_sources
        || ADAPTERS.iter().any(|adapter| covers(adapter, &file.path))
    {
        return Vec::new();
    }
    let named =
        |words: &[&str], token: &Token| token.kind == Kind::Ident && words.contains(&token.text.as_str());
    tokens
        .iter()
        .filter_map(|token| {
            let what = if named(&CLOCKS, token) {
                "a clock: take `now` as a parameter"
            } else if named(&RANDOMNESS, token) {
                "randomness: take the random bytes as a parameter"
            } else {
                return None;
            };
            Some(Violation::new(file.place(token.line), format!("`{}` is {what}", token.text)))
        })
        .collect()
}

/// Whether `path` is the file `adapter` or is in the folder of the same name.
fn covers(adapter: &str, path: &str) -> bool {
    let folder = adapter.trim_end_matches(".rs");
    path == adapter || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::super::violations;

    #[test]
    fn a_clock_or_randomness_in_a_pure_crate_is_found() {
        for code in [
            "use std::time::SystemTime;",
            "fn a() { std::time::Instant::now(); }",
            "fn a() { time::OffsetDateTime::now_utc(); }",
            "fn a() { getrandom::fill(&mut b); }",
            "use rand::rngs::OsRng;",
        ] {
            for path in ["events/src/video/fold.rs", "edge/src/api.rs", "core/src/reactions/sweep.rs"] {
                let found = violations(path, code);
                assert!(
                    found.iter().any(|one| one.contains("as a parameter")),
                    "{code} in {path}: {found:?}"
                );
            }
        }
    }

    #[test]
    fn tests_adapters_and_other_crates_may_use_clocks() {
        let code = "use std::time::Instant;";
        for path in
            ["edge/tests/a.rs", "events/src/sqlite.rs", "events/src/sqlite/writer.rs", "local/src/s3.rs"]
        {
            assert_eq!(violations(path, code), [""; 0], "{path}");
        }
        assert_eq!(
            violations("edge/src/a.rs", "#[cfg(test)] mod tests { use std::time::Instant; }"),
            [""; 0]
        );
        assert_eq!(violations("events/src/sqlite_like.rs", code).len(), 1);
    }
}
