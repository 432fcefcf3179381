//! Records, and the requests that they are put into.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use streamio_events::fact::Fact;

use super::{MAX_RECORDS, MAX_RECORDS_BYTES};

/// One record of a request.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Record {
    /// In base64, as it travels.
    data: String,
    partition_key: String,
}

/// The body of `PutRecords`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutRecords<'a> {
    pub(super) stream_name: &'a str,
    pub(super) records: Vec<&'a Record>,
}

impl Record {
    /// The record of `fact`. Its partition key is the stream's name, at most 77 of the 256 characters there may be: facts
    /// of one stream are in one shard, and a shard's reader meets them together.
    pub(super) fn of(fact: &Fact) -> Self {
        Self { data: STANDARD.encode(fact.json()), partition_key: fact.stream().to_string() }
    }

    /// What it counts against [`MAX_RECORDS_BYTES`]. The limit is on the data itself; counting its base64 is a third too
    /// careful and never wrong.
    fn bytes(&self) -> usize {
        self.data.len() + self.partition_key.len()
    }
}

/// Cuts `records` into as many as fit into one request each. A fact's size leaves no record that fits into none.
pub(super) fn requests<'a, T>(
    records: &'a [T],
    record: impl Fn(&T) -> &Record + 'a,
) -> impl Iterator<Item = &'a [T]> {
    let mut rest = records;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fitting = rest.iter().take(MAX_RECORDS).take_while(|item| {
            bytes += record(item).bytes();
            bytes <= MAX_RECORDS_BYTES
        });
        let (request, after) = rest.split_at(fitting.count().max(1).min(rest.len()));
        rest = after;
        (!request.is_empty()).then_some(request)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use streamio_events::fact::MAX_FACT_BYTES;

    use super::*;

    fn record(bytes: usize) -> Record {
        Record { data: "A".repeat(bytes), partition_key: "project/acme".to_owned() }
    }

    proptest! {
        #[test]
        fn requests_hold_all_records_in_order_within_the_limits(sizes in prop::collection::vec(0..=MAX_FACT_BYTES * 4 / 3 + 4, 0..80), small in 0usize..1200) {
            let sizes = sizes.into_iter().chain(std::iter::repeat_n(8, small));
            let records: Vec<(usize, Record)> = sizes.map(record).enumerate().collect();
            let planned: Vec<&[(usize, Record)]> = requests(&records, |(_, record)| record).collect();
            let order: Vec<usize> = planned.iter().flat_map(|request| request.iter().map(|(index, _)| *index)).collect();
            prop_assert_eq!(order, (0..records.len()).collect::<Vec<_>>());
            for (at, request) in planned.iter().enumerate() {
                let bytes: usize = request.iter().map(|(_, record)| record.bytes()).sum();
                prop_assert!(!request.is_empty() && request.len() <= MAX_RECORDS && bytes <= MAX_RECORDS_BYTES);
                // And no request could have taken the next record too.
                if let Some(next) = planned.get(at + 1) {
                    prop_assert!(request.len() == MAX_RECORDS || bytes + next[0].1.bytes() > MAX_RECORDS_BYTES);
                }
            }
        }
    }
}
