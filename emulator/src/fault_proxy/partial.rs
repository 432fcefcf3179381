//! Partial failures of `PutRecords`:
//! <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html>.

use std::future::Future;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use serde_json::{Value, json};

/// Forwards the records whose index is not `refused`. Responds as Kinesis does when a shard is over its limit: with one
/// entry for each record, in order, with a sequence number or an error.
pub(super) async fn put_records<F>(
    request: Request<Bytes>,
    refused: fn(usize) -> bool,
    forward: impl Fn(Request<Bytes>) -> F,
) -> Response<Bytes>
where
    F: Future<Output = Response<Bytes>>,
{
    let (head, body) = request.into_parts();
    let mut call: Value = serde_json::from_slice(&body).unwrap_or_default();
    let Some(records) = call["Records"].as_array_mut() else {
        // The service reports the error.
        return forward(Request::from_parts(head, body)).await;
    };
    let all = std::mem::take(records);
    let count = all.len();
    records
        .extend(all.into_iter().enumerate().filter(|(index, _)| !refused(*index)).map(|(_, record)| record));
    let mut accepted = Vec::new();
    let mut result = json!({});
    let mut response = Response::new(Bytes::new());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
    if !records.is_empty() {
        let forwarded = forward(Request::from_parts(head, Bytes::from(call.to_string()))).await;
        if !forwarded.status().is_success() {
            return forwarded;
        }
        result = serde_json::from_slice(forwarded.body()).unwrap_or_default();
        accepted = result["Records"].as_array().cloned().unwrap_or_default();
        response = forwarded;
    }
    let mut accepted = accepted.into_iter();
    let merged: Vec<Value> = (0..count)
        .map(|index| if refused(index) { over_limit() } else { accepted.next().unwrap_or_default() })
        .collect();
    let failed = merged.iter().filter(|entry| entry.get("ErrorCode").is_some()).count();
    result["FailedRecordCount"] = json!(failed);
    result["Records"] = Value::Array(merged);
    *response.body_mut() = Bytes::from(result.to_string());
    response
}

fn over_limit() -> Value {
    json!({
        "ErrorCode": "ProvisionedThroughputExceededException",
        "ErrorMessage": "Rate exceeded for shard shardId-000000000000 in stream streamio-facts under account 111122223333.",
    })
}
