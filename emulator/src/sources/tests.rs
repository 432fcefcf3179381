//! Tests of the rules, with scripted functions on streams in memory, and of the readers on the emulations.

mod delivering;
mod emulations;
mod laws;
mod mapping;
mod memory;

use streamio_events::timestamp::Timestamp;

use super::stream::Record;

/// Records `0`, `1`, …, that arrived a second apart from time 0.
pub(super) fn records(count: usize) -> Vec<Record> {
    let record = |number: usize| Record {
        sequence: number.to_string(),
        key: "a".to_owned(),
        arrived: Timestamp::from_unix_seconds(i64::try_from(number).unwrap()),
        json: number.to_string(),
    };
    (0..count).map(record).collect()
}
