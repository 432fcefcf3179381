//! The calls of the endpoint, in the JSON protocol.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::queue::{Queue, Sent};
use crate::fault_proxy::operation;

/// The largest delay of a message, in seconds.
const MAX_DELAY: u64 = 900;
/// The largest message, in bytes.
const MAX_BYTES: usize = 1024 * 1024;
/// The most messages of a batch.
const MAX_ENTRIES: usize = 10;

/// An error of the service: its code and a text.
type Refusal = (&'static str, String);

/// A message to be sent.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameters {
    message_body: String,
    #[serde(default)]
    delay_seconds: u64,
    message_group_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    id: String,
    #[serde(flatten)]
    message: Parameters,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Batch {
    entries: Vec<Entry>,
}

/// Answers a call about the queue at `url`.
pub(super) fn respond(queue: &Queue, url: &str, request: &Request<Bytes>) -> Response<Bytes> {
    let answer = match operation(request.headers()).as_str() {
        "SendMessage" => parse(url, request.body()).and_then(|message| send_message(queue, message)),
        "SendMessageBatch" => parse(url, request.body()).and_then(|batch| send_batch(queue, batch)),
        other => Err(("UnknownOperationException", format!("this endpoint does not implement {other}"))),
    };
    match answer {
        Ok(body) => response(StatusCode::OK, &body),
        Err((code, message)) => {
            let body = json!({ "__type": format!("com.amazonaws.sqs#{code}"), "message": message });
            response(StatusCode::BAD_REQUEST, &body)
        }
    }
}

fn response(status: StatusCode, body: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/x-amz-json-1.0"));
    response
}

fn parse<T: for<'a> Deserialize<'a>>(url: &str, body: &[u8]) -> Result<T, Refusal> {
    let invalid = |error: serde_json::Error| ("InvalidParameterValue", error.to_string());
    let body: Value = serde_json::from_slice(body).map_err(invalid)?;
    if body["QueueUrl"] != url {
        return Err(("QueueDoesNotExist", "The specified queue does not exist.".to_owned()));
    }
    serde_json::from_value(body).map_err(invalid)
}

fn check(message: Parameters) -> Result<Sent, Refusal> {
    let Parameters { message_body, delay_seconds, message_group_id } = message;
    let invalid = |text: &str| Err(("InvalidParameterValue", text.to_owned()));
    if delay_seconds > MAX_DELAY {
        return invalid("DelaySeconds must be from 0 to 900.");
    }
    if message_body.is_empty() || message_body.len() > MAX_BYTES {
        return invalid("A message must have from 1 to 1,048,576 bytes.");
    }
    let is_group =
        |group: &String| (1..=128).contains(&group.len()) && group.bytes().all(|it| it.is_ascii_graphic());
    if message_group_id.as_ref().is_some_and(|group| !is_group(group)) {
        return invalid("MessageGroupId must have from 1 to 128 letters, digits and punctuation characters.");
    }
    Ok(Sent { body: message_body, group: message_group_id, delay: Duration::from_secs(delay_seconds) })
}

fn send_message(queue: &Queue, message: Parameters) -> Result<Value, Refusal> {
    Ok(json!({ "MessageId": queue.send(&check(message)?, Instant::now()) }))
}

fn send_batch(queue: &Queue, batch: Batch) -> Result<Value, Refusal> {
    let entries = batch.entries;
    if entries.is_empty() {
        return Err(("EmptyBatchRequest", "There should be at least one entry.".to_owned()));
    }
    if entries.len() > MAX_ENTRIES {
        return Err(("TooManyEntriesInBatchRequest", format!("The maximum is {MAX_ENTRIES} entries.")));
    }
    let ids: HashSet<&String> = entries.iter().map(|entry| &entry.id).collect();
    if ids.len() < entries.len() {
        return Err(("BatchEntryIdsNotDistinct", "Two entries have the same Id.".to_owned()));
    }
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for Entry { id, message } in entries {
        match check(message) {
            Ok(sent) => successful.push(json!({ "Id": id, "MessageId": queue.send(&sent, Instant::now()) })),
            Err((code, text)) => {
                failed.push(json!({ "Id": id, "Code": code, "SenderFault": true, "Message": text }));
            }
        }
    }
    Ok(json!({ "Successful": successful, "Failed": failed }))
}
