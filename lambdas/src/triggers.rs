//! The events that the cloud invokes functions with, read. What is in them, and how each comes to be retried, is AWS's
//! (<https://docs.aws.amazon.com/lambda/latest/dg/lambda-services.html>); frozen examples are in `tests/payloads`.
//!
//! An event is read record by record: one that cannot be read is a poison record, not a poison batch.

pub mod ecs_task;
pub mod function_url;
pub mod kinesis;
pub mod ledger_stream;
mod ordered;
pub mod s3;
pub mod schedule;

use serde_json::Value;

/// The event is not from where the function is meant to be invoked: a fault in the deployment. The whole event goes back.
#[derive(Debug, thiserror::Error)]
#[error("the event is no {expected}: {found}")]
pub struct UnexpectedEvent {
    /// What the function is invoked with, such as `batch of Kinesis`.
    pub expected: &'static str,
    /// What the event lacks, never what it holds.
    pub found: String,
}

/// The records of a batch.
fn records(expected: &'static str, mut event: Value) -> Result<Vec<Value>, UnexpectedEvent> {
    match event.get_mut("Records").map(Value::take) {
        Some(Value::Array(records)) => Ok(records),
        _ => Err(UnexpectedEvent { expected, found: "it has no list `Records`".to_owned() }),
    }
}

/// The text at `pointer` in a record, without which it can neither be named to its source nor kept.
fn text<'a>(expected: &'static str, record: &'a Value, pointer: &str) -> Result<&'a str, UnexpectedEvent> {
    let text = record.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    text.ok_or_else(|| UnexpectedEvent { expected, found: format!("a record has no text at {pointer}") })
}
