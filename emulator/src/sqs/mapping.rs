//! Lambda's event source mapping for a queue.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Sqs;
use super::queue::{Queue, Received};
use crate::arn::REGION;
use crate::lambda::{Invoke, InvokeError};

/// The longest pause between two looks at the queue.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The configuration of a mapping. Names are those of the service.
#[derive(Debug, Clone)]
pub struct QueueMappingConfig {
    /// The name of the function.
    pub function: String,
    /// The most messages of a batch.
    pub batch_size: usize,
    /// The most invocations at the same time.
    pub maximum_concurrency: usize,
}

/// An event source mapping that invokes a function with the messages of a queue and with `ReportBatchItemFailures`. It stops when it is
/// dropped; [`QueueMapping::stop`] waits until it has stopped.
#[derive(Debug)]
pub struct QueueMapping {
    tasks: TaskTracker,
    stop: CancellationToken,
    invocations: Arc<AtomicUsize>,
}

struct Context {
    config: QueueMappingConfig,
    queue: Arc<Queue>,
    queue_arn: String,
    invoke: Arc<dyn Invoke>,
    invocations: Arc<AtomicUsize>,
}

impl QueueMapping {
    /// Starts a mapping of the queue of `sqs`.
    pub fn start(config: QueueMappingConfig, sqs: &Sqs, invoke: Arc<dyn Invoke>) -> Self {
        let mapping =
            Self { tasks: TaskTracker::new(), stop: CancellationToken::new(), invocations: Arc::default() };
        let context = Arc::new(Context {
            config,
            queue: Arc::clone(&sqs.queue),
            queue_arn: sqs.queue_arn(),
            invoke,
            invocations: Arc::clone(&mapping.invocations),
        });
        let poll = poll(context, mapping.tasks.clone(), mapping.stop.clone());
        mapping.tasks.spawn(mapping.stop.clone().run_until_cancelled_owned(poll));
        mapping
    }

    /// Returns the number of invocations that were started.
    pub fn invocations(&self) -> usize {
        self.invocations.load(Ordering::SeqCst)
    }

    /// Stops the mapping. A pending batch is abandoned, although the function may still process it.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for QueueMapping {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn poll(context: Arc<Context>, tasks: TaskTracker, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(context.config.maximum_concurrency));
    loop {
        let sent = context.queue.sent.notified();
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let batch = context.queue.receive(context.config.batch_size, Instant::now());
        if batch.is_empty() {
            drop(slot);
            let next = context.queue.next_visible().map(|at| at.saturating_duration_since(Instant::now()));
            let wait = next.unwrap_or(LONGEST_WAIT).clamp(Duration::from_millis(1), LONGEST_WAIT);
            tokio::select! {
                () = sent => {}
                () = tokio::time::sleep(wait) => {}
            }
            continue;
        }
        let context = Arc::clone(&context);
        tasks.spawn(stop.clone().run_until_cancelled_owned(async move {
            process(&context, &batch).await;
            drop(slot);
        }));
    }
}

/// Invokes the function with a batch, and deletes the messages that it has processed.
async fn process(context: &Context, batch: &[Received]) {
    let records: Vec<Value> = batch.iter().map(|message| record(message, &context.queue_arn)).collect();
    let event = json!({ "Records": records }).to_string();
    context.invocations.fetch_add(1, Ordering::SeqCst);
    let response = context.invoke.invoke(&context.config.function, event.into()).await;
    let Some(failed) = failed_messages(&response, batch) else {
        if let Err(error) = response {
            tracing::debug!(function = context.config.function, error = %error, "a batch of messages failed");
        }
        return;
    };
    for message in batch.iter().filter(|message| !failed.contains(&message.id)) {
        context.queue.delete(&message.receipt);
    }
}

/// The ids of the messages that the response reports as failed; `None` if all of the batch failed.
fn failed_messages(response: &Result<Bytes, InvokeError>, batch: &[Received]) -> Option<HashSet<String>> {
    let response = response.as_ref().ok()?;
    let failures = match serde_json::from_slice::<Value>(response) {
        Err(_) if response.trim_ascii().is_empty() => return Some(HashSet::new()),
        Ok(Value::Null) => return Some(HashSet::new()),
        Ok(Value::Object(mut response)) => match response.remove("batchItemFailures") {
            None | Some(Value::Null) => return Some(HashSet::new()),
            Some(Value::Array(failures)) => failures,
            Some(_) => return None,
        },
        Ok(_) | Err(_) => return None,
    };
    let id = |failure: &Value| {
        let id = failure["itemIdentifier"].as_str()?;
        batch.iter().any(|message| message.id == id).then(|| id.to_owned())
    };
    failures.iter().map(id).collect()
}

/// A message as the function receives it (<https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>).
fn record(message: &Received, queue_arn: &str) -> Value {
    let mut record = json!({
        "messageId": message.id,
        "receiptHandle": message.receipt,
        "body": message.body,
        "attributes": {
            "ApproximateReceiveCount": message.receive_count.to_string(),
            "SentTimestamp": message.sent_at.to_string(),
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": message.sent_at.to_string(),
        },
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": REGION,
    });
    if let Some(group) = &message.group {
        record["attributes"]["MessageGroupId"] = json!(group);
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lambda::FunctionError;

    fn batch() -> Vec<Received> {
        let message = |id: &str| Received {
            id: id.to_owned(),
            receipt: format!("receipt-{id}"),
            body: "{}".to_owned(),
            group: Some("acme".to_owned()),
            sent_at: 1,
            receive_count: 1,
        };
        vec![message("a"), message("b")]
    }

    fn failed(response: &str) -> Option<Vec<String>> {
        let failed = failed_messages(&Ok(response.to_owned().into()), &batch())?;
        let mut failed: Vec<String> = failed.into_iter().collect();
        failed.sort();
        Some(failed)
    }

    #[test]
    fn an_empty_response_is_a_success_and_a_wrong_one_fails_the_batch() {
        for response in ["", "null", "{}", r#"{"batchItemFailures": []}"#, r#"{"batchItemFailures": null}"#] {
            assert_eq!(failed(response), Some(vec![]), "{response}");
        }
        assert_eq!(failed(r#"{"batchItemFailures": [{"itemIdentifier": "b"}]}"#), Some(vec!["b".to_owned()]));
        for response in [
            r#"{"batchItemFailures": [{"itemIdentifier": "b"}, {"itemIdentifier": "c"}]}"#,
            r#"{"batchItemFailures": [{"itemIdentifier": ""}]}"#,
            r#"{"batchItemFailures": [{"id": "b"}]}"#,
            r#"{"batchItemFailures": {}}"#,
            "no json",
        ] {
            assert_eq!(failed(response), None, "{response}");
        }
        let error = InvokeError::Function(FunctionError::new("a", "b"));
        assert_eq!(failed_messages(&Err(error), &batch()), None);
    }

    #[test]
    fn a_record_has_the_form_that_the_function_reads() {
        let record = record(&batch()[0], "arn:aws:sqs:us-east-1:111122223333:webhooks");
        let read = streamio_lambdas::triggers::sqs::read(json!({ "Records": [record] })).unwrap();
        assert_eq!(read[0].sequence, "a");
        assert_eq!(read[0].arrived_at.unix_millis(), 1);
    }
}
