//! Parses the events that AWS invokes functions with. AWS documents their form and their retries
//! (<https://docs.aws.amazon.com/lambda/latest/dg/lambda-services.html>); frozen examples are in `tests/payloads`.
//!
//! Each record is parsed by itself, so an unreadable record does not make its batch unreadable.

pub mod ecs_task;
pub mod function_url;
pub mod kinesis;
pub mod ledger_stream;
mod ordered;
pub mod s3;
pub mod schedule;
pub mod sqs;

use serde_json::Value;

/// The event is not from the expected source: the deployment is faulty. The invocation fails.
#[derive(Debug, thiserror::Error)]
#[error("the event is not of the expected kind ({expected}): {found}")]
pub struct UnexpectedEvent {
    /// What the function expects, such as `Kinesis batch`.
    pub expected: &'static str,
    /// How the event differs. Never repeats its content.
    pub found: String,
}

/// The records of a batch.
fn records(expected: &'static str, mut event: Value) -> Result<Vec<Value>, UnexpectedEvent> {
    match event.get_mut("Records").map(Value::take) {
        Some(Value::Array(records)) => Ok(records),
        _ => Err(UnexpectedEvent { expected, found: "it has no list `Records`".to_owned() }),
    }
}

/// The text at `pointer` in a record. A record without it can be neither reported to its source nor kept.
fn text<'a>(expected: &'static str, record: &'a Value, pointer: &str) -> Result<&'a str, UnexpectedEvent> {
    let text = record.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    text.ok_or_else(|| UnexpectedEvent { expected, found: format!("a record has no text at {pointer}") })
}
