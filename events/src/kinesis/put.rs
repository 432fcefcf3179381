//! One call of the intake: requests until all facts are accepted.

use std::collections::{BTreeMap, HashSet};
use std::error::Error;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::{BuildError, ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::operation::put_records::{PutRecordsError, PutRecordsOutput};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use backon::{BackoffBuilder, ExponentialBuilder};

use super::put_records::{
    RecordFault, RecordResult, Response, is_retryable, partition_key, record_bytes, requests,
};
use crate::fact::Fact;
use crate::intake::IntakeError;
use crate::stream::StreamId;

/// Pauses between rounds. They start again after a round in which everything was accepted.
fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_secs(2))
        .with_jitter()
        .without_max_times()
        .build()
}

/// Why facts are not known to be accepted.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// Kinesis responded, and some records are not accepted.
    #[error(transparent)]
    Record(#[from] RecordFault),
    /// The request failed as a whole.
    #[error("Kinesis did not accept a request")]
    Request(#[source] Box<SdkError<PutRecordsError>>),
    /// The request was not sent.
    #[error("a request to Kinesis could not be made")]
    NotSent(#[from] BuildError),
    /// The time limit was reached.
    #[error("Kinesis did not accept all records within {} ms", .0.as_millis())]
    OutOfTime(Duration, #[source] Option<Box<dyn Error + Send + Sync>>),
}

impl Fault {
    /// Whether the same request may succeed later.
    fn is_retryable(&self) -> bool {
        match self {
            Self::Record(_) => true,
            Self::NotSent(_) | Self::OutOfTime(..) => false,
            Self::Request(error) => match error.as_ref() {
                SdkError::ServiceError(refused) => {
                    is_retryable(refused.raw().status().as_u16(), refused.err().code().unwrap_or_default())
                }
                SdkError::ConstructionFailure(_) => false,
                // No response, or an unreadable one.
                _ => true,
            },
        }
    }
}

/// The facts of a call that are not known to be accepted.
pub(super) struct PendingFacts {
    /// By their index in the call.
    waiting: BTreeMap<usize, Fact>,
    fault: Option<Fault>,
}

impl PendingFacts {
    pub(super) fn new(facts: Vec<Fact>) -> Self {
        Self { waiting: facts.into_iter().enumerate().collect(), fault: None }
    }

    /// Sends facts until all are accepted or an error occurs that does not pass. May be cancelled at any time.
    pub(super) async fn send(&mut self, client: &Client, stream_name: &str) {
        let mut pause = pauses();
        while !self.waiting.is_empty() {
            match self.round(client, stream_name).await {
                Ok(()) => {
                    pause = pauses();
                    self.fault = None;
                }
                Err(fault) => {
                    let is_retryable = fault.is_retryable();
                    tracing::warn!(
                        error = %fault, facts.waiting = self.waiting.len(), "facts were not accepted by Kinesis"
                    );
                    self.fault = Some(fault);
                    if !is_retryable {
                        return;
                    }
                    tokio::time::sleep(pause.next().unwrap_or_default()).await;
                }
            }
        }
    }

    /// The result of the call. `out_of_time` is the time limit, if it was reached.
    pub(super) fn outcome(self, out_of_time: Option<Duration>) -> Result<(), IntakeError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let cause = self.fault.map(Box::<dyn Error + Send + Sync>::from);
        let source = match (out_of_time, cause) {
            (None, Some(cause)) => cause,
            (timeout, cause) => Fault::OutOfTime(timeout.unwrap_or_default(), cause).into(),
        };
        Err(IntakeError { delayed: self.waiting.into_values().collect(), source })
    }

    /// Sends once all facts that may be sent now. Returns the last fault if some were not accepted. If a request fails as a
    /// whole, those after it are not sent.
    async fn round(&mut self, client: &Client, stream_name: &str) -> Result<(), Fault> {
        let ready = ready(self.waiting.iter().map(|(index, fact)| (*index, fact)));
        let mut fault = None;
        for request in requests(&ready, |index| record_bytes(&self.waiting[index])) {
            let records =
                request.iter().map(|index| record(&self.waiting[index])).collect::<Result<_, _>>()?;
            let response = client.put_records().stream_name(stream_name).set_records(Some(records)).send();
            let response = Box::pin(response).await.map_err(|error| Fault::Request(error.into()))?;
            for (index, outcome) in request.iter().zip(read(response).outcomes(request.len())) {
                match outcome {
                    Ok(()) => {
                        self.waiting.remove(index);
                    }
                    Err(refused) => fault = Some(refused.into()),
                }
            }
        }
        fault.map_or(Ok(()), Err)
    }
}

/// The indices of the facts that may be sent now, in order: the first waiting fact of each ordered stream, and every fact of
/// the other streams. `waiting` is in the order of the call.
fn ready<'a>(waiting: impl IntoIterator<Item = (usize, &'a Fact)>) -> Vec<usize> {
    let mut in_flight: HashSet<&StreamId> = HashSet::new();
    let mut ready = Vec::new();
    for (index, fact) in waiting {
        if !is_ordered(fact.stream()) || in_flight.insert(fact.stream()) {
            ready.push(index);
        }
    }
    ready
}

/// Whether the facts of `stream` must be accepted in order. Grants need no order.
fn is_ordered(stream: &StreamId) -> bool {
    !stream.is_of_grants()
}

fn record(fact: &Fact) -> Result<PutRecordsRequestEntry, BuildError> {
    PutRecordsRequestEntry::builder().data(Blob::new(fact.json())).partition_key(partition_key(fact)).build()
}

fn read(response: PutRecordsOutput) -> Response {
    let failed_record_count = response.failed_record_count().and_then(|count| usize::try_from(count).ok());
    let records = response.records.into_iter().map(|result| RecordResult {
        error_code: result.error_code,
        sequence_number: result.sequence_number,
        shard_id: result.shard_id,
    });
    Response { failed_record_count, records: records.collect() }
}
