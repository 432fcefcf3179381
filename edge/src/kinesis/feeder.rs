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

/// Puts facts into a stream of Kinesis. See the [module](super).
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
    /// How often it was delivered, including this time.
    pub attempts: u32,
}

/// What to do with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The fact is in the stream: acknowledge the message.
    Accepted,
    /// The fact is not known to be in the stream: leave the message in the queue.
    Retry {
        /// The delay before the next delivery.
        after: Duration,
        /// Why, for the operator.
        why: String,
    },
    /// The message is not a valid fact: move it to the dead-letter queue.
    Poison {
        /// What is wrong with it, for the operator.
        why: String,
    },
}

/// A record that is not known to be in the stream.
struct Pending {
    message: usize,
    record: Record,
    fault: Option<Fault>,
}

impl Feeder {
    /// A feeder of the stream in `config`. Fails if no request could be made with it.
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

    /// Puts the facts of one batch into the stream. Returns what to do with each message, in their order. `seed` is 32 random
    /// bytes for the jitter of the pauses.
    ///
    /// Takes as long as all tries of all requests (a batch of 100 messages makes at most three) and the pauses between them.
    /// After a request without a response, the rest of the round is not sent.
    pub async fn feed(&self, messages: &[Message<'_>], seed: [u8; 32]) -> Vec<Delivery> {
        let mut deliveries = vec![Delivery::Accepted; messages.len()];
        let mut pending = Vec::new();
        for (message, (delivery, Message { body, .. })) in deliveries.iter_mut().zip(messages).enumerate() {
            match Fact::from_json(body) {
                Ok(fact) => pending.push(Pending { message, record: Record::of(&fact), fault: None }),
                Err(error) => *delivery = Delivery::Poison { why: described(&error) },
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
                after: self.backoff.back_in_queue(messages[message].attempts.max(1), message, seed),
                why: fault.map_or_else(|| "it was not sent".to_owned(), |fault| fault.to_string()),
            };
        }
        deliveries
    }

    /// Sends all of `pending` once. Returns those that are not known to be in the stream afterwards.
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

fn described(error: &InvalidFact) -> String {
    match error {
        InvalidFact::Malformed(source) => format!("{error}: {source}"),
        error => error.to_string(),
    }
}
