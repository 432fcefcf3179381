//! One call of the intake: rounds of requests until all facts are accepted.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::{BuildError, ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::operation::put_records::PutRecordsError;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, PutRecordsResultEntry};
use backon::{BackoffBuilder, ExponentialBuilder};

use super::batch::{ready, requests, size};
use crate::fact::Fact;
use crate::intake::IntakeError;

/// Pauses after rounds in which something was refused, one after another without a round in which nothing was.
fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_secs(2))
        .with_jitter()
        .without_max_times()
        .build()
}

/// Why records are not known to be accepted.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The service took others of the same request.
    #[error("Kinesis refused a record with {code}: {message}")]
    Record { code: String, message: String },
    /// The answer says nothing about some records.
    #[error("Kinesis answered {answered} results for {asked} records")]
    Mismatch { asked: usize, answered: usize },
    /// The request as a whole.
    #[error("Kinesis did not accept a request")]
    Request(#[source] Box<SdkError<PutRecordsError>>),
    /// There was no request.
    #[error("a request to Kinesis could not be made")]
    Unmade(#[from] BuildError),
    /// The time was over.
    #[error("Kinesis did not accept all records within {} ms", .0.as_millis())]
    OutOfTime(Duration, #[source] Option<Box<dyn Error + Send + Sync>>),
}

impl Fault {
    /// Whether time may heal it.
    fn may_pass(&self) -> bool {
        match self {
            Self::Record { .. } | Self::Mismatch { .. } => true,
            Self::Unmade(_) | Self::OutOfTime(..) => false,
            Self::Request(error) => match error.as_ref() {
                SdkError::ServiceError(answer) => {
                    answer.raw().status().is_server_error() || is_throttled(answer.err())
                }
                SdkError::ConstructionFailure(_) => false,
                // No answer, or none that can be read.
                _ => true,
            },
        }
    }
}

fn is_throttled(error: &PutRecordsError) -> bool {
    matches!(
        error.code(),
        Some(
            "ProvisionedThroughputExceededException"
                | "ThrottlingException"
                | "LimitExceededException"
                | "RequestLimitExceeded"
                | "KMSThrottlingException"
        )
    )
}

/// The facts of a call that are not known to be accepted.
pub(super) struct Putting {
    /// By their numbers in the order in which they were given.
    waiting: BTreeMap<usize, Fact>,
    fault: Option<Fault>,
}

impl Putting {
    pub(super) fn new(facts: Vec<Fact>) -> Self {
        Self { waiting: facts.into_iter().enumerate().collect(), fault: None }
    }

    /// Goes on until all are accepted, or a fault comes that time does not heal. May be dropped at any time.
    pub(super) async fn run(&mut self, client: &Client, stream_name: &str) {
        let mut pause = pauses();
        while !self.waiting.is_empty() {
            match self.round(client, stream_name).await {
                Ok(()) => {
                    pause = pauses();
                    self.fault = None;
                }
                Err(fault) => {
                    let may_pass = fault.may_pass();
                    tracing::warn!(
                        error = %fault, facts.waiting = self.waiting.len(), "facts were not accepted by Kinesis"
                    );
                    self.fault = Some(fault);
                    if !may_pass {
                        return;
                    }
                    tokio::time::sleep(pause.next().unwrap_or_default()).await;
                }
            }
        }
    }

    /// What came of it; `out_of_time` is the patience that is over.
    pub(super) fn outcome(self, out_of_time: Option<Duration>) -> Result<(), IntakeError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let cause = self.fault.map(Box::<dyn Error + Send + Sync>::from);
        let source = match (out_of_time, cause) {
            (None, Some(cause)) => cause,
            (patience, cause) => Fault::OutOfTime(patience.unwrap_or_default(), cause).into(),
        };
        Err(IntakeError { delayed: self.waiting.into_values().collect(), refused: Vec::new(), source })
    }

    /// Sends once all that may be sent now. The last fault when some of it was not accepted; once a request gets no answer
    /// of its own, those after it are not sent.
    async fn round(&mut self, client: &Client, stream_name: &str) -> Result<(), Fault> {
        let ready = ready(self.waiting.iter().map(|(number, fact)| (*number, fact)));
        let mut rest = &ready[..];
        let mut fault = None;
        for records in requests(ready.iter().map(|number| size(&self.waiting[number]))) {
            let (request, after) = rest.split_at(records);
            rest = after;
            let entries =
                request.iter().map(|number| entry(&self.waiting[number])).collect::<Result<_, _>>()?;
            let answer = client.put_records().stream_name(stream_name).set_records(Some(entries)).send();
            let answer = Box::pin(answer).await.map_err(|error| Fault::Request(error.into()))?;
            let results = answer.records();
            for (number, result) in request.iter().zip(results) {
                match refusal(result) {
                    None => {
                        self.waiting.remove(number);
                    }
                    Some(refusal) => fault = Some(refusal),
                }
            }
            if results.len() != request.len() {
                fault = Some(Fault::Mismatch { asked: request.len(), answered: results.len() });
            }
        }
        fault.map_or(Ok(()), Err)
    }
}

fn entry(fact: &Fact) -> Result<PutRecordsRequestEntry, BuildError> {
    PutRecordsRequestEntry::builder()
        .data(Blob::new(fact.json()))
        .partition_key(fact.stream().to_string())
        .build()
}

/// A record is accepted when it has a sequence number, and only then.
fn refusal(result: &PutRecordsResultEntry) -> Option<Fault> {
    if result.error_code().is_none() && result.sequence_number().is_some() {
        return None;
    }
    let text = |text: Option<&str>| text.unwrap_or("nothing more").to_owned();
    Some(Fault::Record { code: text(result.error_code()), message: text(result.error_message()) })
}
