use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use streamio_events::fact::{Fact, InvalidFact};
use streamio_events::kinesis::put_records::requests;

use super::backoff::Backoff;
use super::config::{InvalidKinesisConfig, KinesisConfig};
use super::put::{PutRecords, Record};
use super::response::{Fault, outcomes};
use super::{CONTENT_TYPE, TARGET};
use crate::ports::outbound::Outbound;
use crate::ports::{Clock, Pause};
use crate::sign::sigv4::{Payload, RequestParts, Signer};

/// Puts facts into a Kinesis stream. See the [module](super).
pub struct Feeder {
    outbound: Arc<dyn Outbound>,
    clock: Arc<dyn Clock>,
    pause: Arc<dyn Pause>,
    signer: Signer,
    origin: String,
    stream_name: String,
    backoff: Backoff,
}

/// A message of the queue.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The JSON of a fact.
    pub body: &'a [u8],
    /// The number of deliveries of the message, including this one.
    pub attempts: u32,
}

/// What the consumer of the queue must do with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Acknowledge the message: the fact is in the stream.
    Accepted,
    /// Return the message to the queue: the fact may not be in the stream.
    Retry {
        /// The delay before the next delivery.
        after: Duration,
        /// The reason, for the operator.
        why: String,
    },
    /// Move the message to the dead-letter queue: it is not a valid fact.
    Poison {
        /// The reason, for the operator.
        why: String,
    },
}

/// A record that Kinesis has not confirmed.
struct Pending {
    message: usize,
    record: Record,
    fault: Option<Fault>,
}

impl Feeder {
    /// Returns a feeder for the stream in `config`. Fails if the configuration is invalid.
    pub fn new(
        config: KinesisConfig,
        backoff: Backoff,
        outbound: Arc<dyn Outbound>,
        clock: Arc<dyn Clock>,
        pause: Arc<dyn Pause>,
    ) -> Result<Self, InvalidKinesisConfig> {
        let origin = config.origin()?;
        if backoff.tries == 0 {
            return Err(InvalidKinesisConfig::Tries);
        }
        let signer = Signer::new(config.credentials, &config.region, "kinesis")?;
        Ok(Self { outbound, clock, pause, signer, origin, stream_name: config.stream_name, backoff })
    }

    /// Puts the facts of one batch into the stream. Returns what to do with each message, in the order of the messages. `seed` is
    /// 32 random bytes for the jitter of the pauses.
    ///
    /// Takes as long as all attempts of all requests (at most three for a batch of 100 messages) and the pauses between them.
    /// After a request without a response, the remaining requests of the attempt are not sent.
    pub async fn feed(&self, messages: &[Message<'_>], seed: [u8; 32]) -> Vec<Delivery> {
        let mut deliveries = vec![Delivery::Accepted; messages.len()];
        let mut pending = Vec::new();
        for (message, (delivery, Message { body, .. })) in deliveries.iter_mut().zip(messages).enumerate() {
            match Fact::from_json(body) {
                Ok(fact) => pending.push(Pending { message, record: Record::of(&fact), fault: None }),
                Err(error) => *delivery = Delivery::Poison { why: description(&error) },
            }
        }
        for failed in 0..self.backoff.tries {
            if failed > 0 {
                self.pause.pause(self.backoff.pause(failed, seed)).await;
            }
            pending = self.round(pending).await;
            if !pending.iter().any(|it| it.fault.as_ref().is_none_or(Fault::is_retryable)) {
                break;
            }
        }
        for Pending { message, fault, .. } in pending {
            deliveries[message] = Delivery::Retry {
                after: self.backoff.queue_delay(messages[message].attempts.max(1), message, seed),
                why: fault.map_or_else(|| "it was not sent".to_owned(), |fault| fault.to_string()),
            };
        }
        deliveries
    }

    /// Sends all of `pending` once. Returns those that Kinesis has not confirmed.
    async fn round(&self, mut pending: Vec<Pending>) -> Vec<Pending> {
        let mut results = Vec::with_capacity(pending.len());
        for request in requests(&pending, |it| it.record.bytes) {
            let outcomes = self.put(request).await;
            let is_down = outcomes.contains(&Err(Fault::NoResponse));
            results.extend(outcomes);
            if is_down {
                break;
            }
        }
        // Records that were not sent share the fault of the request without a response.
        results.resize(pending.len(), Err(Fault::NoResponse));
        for (it, result) in pending.iter_mut().zip(&results) {
            it.fault = result.clone().err();
        }
        pending.retain(|it| it.fault.is_some());
        pending
    }

    async fn put(&self, records: &[Pending]) -> Vec<Result<(), Fault>> {
        let request = match self.request(records) {
            Ok(request) => request,
            Err(fault) => return vec![Err(fault); records.len()],
        };
        match self.outbound.send(request).await {
            Ok(response) => outcomes(&response, records.len()),
            Err(_) => vec![Err(Fault::NoResponse); records.len()],
        }
    }

    fn request(&self, records: &[Pending]) -> Result<Request<Bytes>, Fault> {
        let records = records.iter().map(|it| &it.record).collect();
        let put = PutRecords { stream_name: &self.stream_name, records };
        let body = serde_json::to_vec(&put).expect("records are plain data with text keys");
        let parts = RequestParts {
            method: &Method::POST,
            origin: &self.origin,
            path: "/",
            query: &[],
            headers: &[
                (header::CONTENT_TYPE.as_str().into(), CONTENT_TYPE.into()),
                ("x-amz-target".into(), TARGET.into()),
            ],
        };
        let now = self.clock.now().unix_seconds();
        let signed = self
            .signer
            .sign(&parts, Payload::Bytes(&body), now)
            .map_err(|error| Fault::Unsigned(error.to_string()))?;
        let mut request = Request::new(Bytes::from(body));
        *request.method_mut() = signed.method;
        *request.uri_mut() = signed.url.parse().expect("an origin and a slash are a URI");
        *request.headers_mut() = signed.headers;
        Ok(request)
    }
}

impl fmt::Debug for Feeder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Feeder")
            .field("origin", &self.origin)
            .field("stream_name", &self.stream_name)
            .finish_non_exhaustive()
    }
}

fn description(error: &InvalidFact) -> String {
    match error {
        InvalidFact::Malformed(source) => format!("{error}: {source}"),
        error => error.to_string(),
    }
}
