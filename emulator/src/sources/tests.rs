//! Tests of mappings with streams in memory, and of the readers with the emulated DynamoDB and Kinesis.

mod delivery;
mod emulated_streams;
mod mapping;
mod memory;
mod properties;

use streamio_events::timestamp::Timestamp;

use super::stream::Record;

/// Returns records with the sequence numbers `0`, `1`, …, which arrived at the times 0, 1, … seconds.
pub(super) fn records(count: usize) -> Vec<Record> {
    let record = |number: usize| Record {
        sequence: number.to_string(),
        key: "a".to_owned(),
        arrived: Timestamp::from_unix_seconds(i64::try_from(number).unwrap()),
        json: number.to_string(),
    };
    (0..count).map(record).collect()
}
