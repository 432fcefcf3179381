use super::costs;
use super::limits::{PARTITION_WRITES, SHARD_RECORDS};
use super::load::Load;
use super::tables;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/scale.md");

/// Marks the tables in the document.
const BEGIN: &str = "<!-- The tables below are the output of `cargo xtask scale`. -->\n\n";
const END: &str = "<!-- End of the tables. -->\n";

#[test]
fn the_document_has_the_tables_of_the_model() {
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    let (_, rest) = document.split_once(BEGIN).expect("docs/scale.md has the tables' beginning");
    let (tables, _) = rest.split_once(END).expect("docs/scale.md has the tables' end");
    assert_eq!(
        tables,
        super::tables(),
        "docs/scale.md is outdated: replace its tables with the output of `cargo xtask scale`"
    );
}

/// Grants share commits, so that their cost falls with the rate of a project, to the bytes of a grant.
#[test]
fn the_cost_of_a_playback_grant_falls_with_the_rate() {
    let mut before = f64::INFINITY;
    for rate in [100.0, 10_000.0, 1_000_000.0, 100_000_000.0] {
        let each = Load { uploads: 0.0, playbacks: rate }.dynamo().writes() / rate;
        assert!(each < before, "{each} at {rate} a second, {before} at a hundredth");
        before = each;
    }
    assert!(before >= costs::GRANT_BYTES / 1024.0, "{before} units");
}

/// The limits that this project's own layout sets, and not an account's quotas: grants reach none at the largest load of the model, and
/// uploads none at a hundred a second, if the largest project has a tenth of them.
#[test]
fn streams_and_due_work_hold_at_the_loads_for_which_they_are_laid_out() {
    let (_, uploads) = tables::LOADS[1];
    let (_, playbacks) = tables::LOADS[3];
    assert!(playbacks.hottest_stream() < SHARD_RECORDS);
    assert!(playbacks.hottest_feed() < PARTITION_WRITES);
    let due = uploads.hottest_due();
    assert!(due < PARTITION_WRITES, "{due} writes a second in a partition of due videos");
}
