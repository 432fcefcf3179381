//! Checks that the tests in the table of guarantees of `lambdas/README.md` exist.

use std::fs;
use std::path::Path;

/// Returns everything between backticks in `text`.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_test_in_the_table_of_guarantees_exists() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = fs::read_to_string(here.join("../lambdas/README.md")).unwrap();
    let sources: String = fs::read_dir(here.join("tests/scenarios"))
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    // Names of tests are sentences: other names in the table have fewer words.
    let named: Vec<&str> = quoted(&table).filter(|name| name.matches('_').count() > 4).collect();
    assert!(named.len() > 15, "{named:?}");
    for name in named {
        assert!(sources.contains(&format!("async fn {name}()")), "there is no test {name}");
    }
}
