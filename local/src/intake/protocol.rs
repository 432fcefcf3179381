use serde::{Deserialize, Serialize};
use streamio_edge::kinesis::{MAX_RECORDS, MAX_RECORDS_BYTES};

/// The maximum length of a partition key in characters.
const MAX_KEY_CHARACTERS: usize = 256;

/// The body of `PutRecords`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutRecords {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    pub(super) records: Vec<PutRecord>,
}

/// One record of the request.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutRecord {
    /// In base64.
    pub(super) data: String,
    pub(super) partition_key: String,
}

/// An error of the whole request, with AWS's code.
pub(super) struct RequestError {
    pub(super) code: &'static str,
    pub(super) message: String,
}

/// The result of one record.
#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "PascalCase")]
pub(super) enum RecordResult {
    Accepted { sequence_number: String, shard_id: &'static str },
    Failed { error_code: &'static str, error_message: String },
}

impl PutRecords {
    /// Parses the body of a request to `stream`, with the checks of Kinesis.
    pub(super) fn read(body: &[u8], stream: &str) -> Result<Self, RequestError> {
        let put: Self = serde_json::from_slice(body).map_err(|error| RequestError {
            code: "SerializationException",
            message: format!("the body is not that of PutRecords: {error}"),
        })?;
        let invalid = |message: String| Err(RequestError { code: "ValidationException", message });
        let named = put
            .stream_name
            .as_deref()
            .or_else(|| put.stream_arn.as_deref()?.split_once(":stream/").map(|it| it.1));
        if named != Some(stream) {
            let message = format!("StreamName or StreamARN must name the only stream here, {stream}");
            return Err(RequestError { code: "ResourceNotFoundException", message });
        }
        if !(1..=MAX_RECORDS).contains(&put.records.len()) {
            return invalid(format!(
                "Records must have 1 to {MAX_RECORDS} records, not {}",
                put.records.len()
            ));
        }
        for (index, record) in put.records.iter().enumerate() {
            if !(1..=MAX_KEY_CHARACTERS).contains(&record.partition_key.chars().count()) {
                return invalid(format!(
                    "Records[{index}].PartitionKey must have 1 to {MAX_KEY_CHARACTERS} characters"
                ));
            }
        }
        // Base64 encodes three bytes as four characters.
        let bytes: usize = put.records.iter().map(|it| it.data.len() / 4 * 3 + it.partition_key.len()).sum();
        if bytes > MAX_RECORDS_BYTES {
            return invalid(format!("Records have {bytes} bytes, more than {MAX_RECORDS_BYTES}"));
        }
        Ok(put)
    }
}
