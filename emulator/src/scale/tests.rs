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

#[test]
fn a_load_demands_the_sum_of_its_parts() {
    let uploads = Load { uploads: 7.0, playbacks: 0.0 };
    let playbacks = Load { uploads: 0.0, playbacks: 900.0 };
    let both = Load { uploads: 7.0, playbacks: 900.0 };
    let sum = uploads.dynamo().plus(playbacks.dynamo());
    for ((name, whole), (_, sum)) in both.dynamo().parts().into_iter().zip(sum.parts()) {
        assert!((whole - sum).abs() < 1e-6, "{name}: {whole} is not {sum}");
    }
    assert!((both.records() - uploads.records() - playbacks.records()).abs() < 1e-6);
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

/// The limits that this project's own layout sets, and not an account's quotas, are not reached at the largest loads of the model, if the
/// largest project has a tenth of them.
#[test]
fn due_work_and_streams_of_grants_hold_at_the_largest_load() {
    let (_, uploads) = tables::LOADS[2];
    let (_, playbacks) = tables::LOADS[3];
    assert!(playbacks.hottest_stream() < SHARD_RECORDS);
    assert!(playbacks.hottest_feed() < PARTITION_WRITES);
    let due = uploads.hottest_due();
    assert!(due < 4.0 * PARTITION_WRITES, "{due} writes a second in a partition of due videos");
}
