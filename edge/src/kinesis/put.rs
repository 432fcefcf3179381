//! The body of `PutRecords`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use streamio_events::fact::Fact;
use streamio_events::kinesis::put_records::{partition_key, record_bytes};

/// One record of a request.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Record {
    /// The fact, in base64.
    data: String,
    partition_key: String,
    /// The size that counts towards the limit of a request.
    #[serde(skip)]
    pub(super) bytes: usize,
}

/// The body of `PutRecords`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutRecords<'a> {
    pub(super) stream_name: &'a str,
    pub(super) records: Vec<&'a Record>,
}

impl Record {
    pub(super) fn of(fact: &Fact) -> Self {
        Self {
            data: STANDARD.encode(fact.json()),
            partition_key: partition_key(fact),
            bytes: record_bytes(fact),
        }
    }
}
